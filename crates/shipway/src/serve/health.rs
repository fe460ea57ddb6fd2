//! Health, readiness, metrics, status: what operators and their tools ask.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde_json::{Value, json};
use shipway_core::{Permission, ResourceType};
use shipway_web::{Json, Problem, Routes};
use tokio::sync::watch;

use super::{observe::Metrics, platform::Platform};

#[derive(Clone)]
struct Health {
    platform: Arc<Platform>,
    metrics: Metrics,
    stopping: watch::Receiver<bool>,
}

/// `/healthz` the process runs · `/readyz` it takes requests · `/metrics` · `/api/v1/status`.
pub(super) fn routes(platform: Arc<Platform>, metrics: Metrics, stopping: watch::Receiver<bool>) -> Routes {
    Routes::new()
        .get("/healthz", Permission::Public, healthz)
        .get("/readyz", Permission::Public, readyz)
        .get("/metrics", Permission::Read, render)
        .get("/api/v1/status", Permission::Read, status)
        .about(ResourceType::Server)
        .with_state(Health { platform, metrics, stopping })
}

async fn healthz() -> &'static str {
    "ok"
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    if *health.stopping.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else {
        (StatusCode::OK, "ready")
    }
}

async fn render(State(health): State<Health>) -> impl IntoResponse {
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], health.metrics.render())
}

async fn status(State(health): State<Health>) -> Result<Json<Value>, Problem> {
    let platform = &health.platform;
    let mut status = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": platform.uptime_seconds(),
        "stopping": *health.stopping.borrow(),
        "sources": platform.features.status(),
        "streams": platform.streams.status(),
        "sinks": platform.sinks.status(),
        "deployments": platform.serving.deployments(),
        "ensembles": platform.serving.ensembles(),
    });
    if let Some(copy) = platform.features.read_copy() {
        status["read_copy"] = json!(copy);
    }
    Ok(Json(status))
}
