//! A server that has no data of its own: it answers online reads from the read copy, and says how it is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde_json::{Value, json};
use shipway_core::{Permission, ResourceType, SystemClock};
use shipway_features::{FeatureReader, Limits, ReaderOptions};
use shipway_web::{Json, Routes};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::observe::Metrics;
use crate::{configuration::Configuration, failure::CommandFailure};

/// How long background work may take to end after the last request.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(5);

/// Everything that runs in a reader.
pub(super) struct Reading {
    reader: FeatureReader,
    tracker: TaskTracker,
    started: Instant,
}

#[derive(Clone)]
struct Health {
    reading: Arc<Reading>,
    metrics: Metrics,
    stopping: watch::Receiver<bool>,
}

impl Reading {
    pub(super) fn open(configuration: &Configuration) -> Result<Self, CommandFailure> {
        let copy = configuration.read_copy.store()?;
        let copy = copy.ok_or_else(|| CommandFailure::new("read_copy: a reader needs an address"))?;
        let tracker = TaskTracker::new();
        let reader = FeatureReader::open(ReaderOptions {
            copy,
            clock: Arc::new(SystemClock),
            tracker: tracker.clone(),
            limits: Limits::default(),
        });
        Ok(Self { reader, tracker, started: Instant::now() })
    }

    /// Online reads; and what operators and their tools ask.
    pub(super) fn routes(self: &Arc<Self>, metrics: Metrics, stopping: watch::Receiver<bool>) -> Routes {
        let health = Health { reading: Arc::clone(self), metrics, stopping };
        let own = Routes::new()
            .get("/healthz", Permission::Public, healthz)
            // Feast's client asks here.
            .get("/health", Permission::Public, healthz)
            .get("/readyz", Permission::Public, readyz)
            .get("/metrics", Permission::Read, render)
            .get("/api/v1/status", Permission::Read, status)
            .about(ResourceType::Server)
            .with_state(health);
        shipway_features::reader_routes(self.reader.clone()).merge(own)
    }

    pub(super) async fn shutdown(&self) {
        self.reader.shutdown();
        self.tracker.close();
        if tokio::time::timeout(BACKGROUND_PATIENCE, self.tracker.wait()).await.is_err() {
            tracing::warn!("background work did not end in time");
        }
    }
}

async fn healthz() -> &'static str {
    "ok"
}

/// Ready while the copy is whole and was seen not long ago.
async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    if *health.stopping.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if health.reading.reader.is_ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no read copy")
    }
}

async fn render(State(health): State<Health>) -> impl IntoResponse {
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], health.metrics.render())
}

async fn status(State(health): State<Health>) -> Json<Value> {
    let Health { reading, stopping, .. } = health;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": reading.started.elapsed().as_secs(),
        "stopping": *stopping.borrow(),
        "read_copy": reading.reader.status(),
    }))
}
