//! The native API of sinks.
//!
//! - `GET /api/v1/sinks`: how every sink is
//! - `POST /api/v1/sinks/{sink}/resend`: the row of every key once more
//! - `POST /api/v1/sinks/{sink}/acknowledge`: what was skipped is known

use axum::extract::State;
use serde::Serialize;
use shipway_core::{Permission, ResourceType};
use shipway_web::{Json, Path, Problem, Routes};

use crate::sink::{SinkStatus, Sinks};

/// All routes of sinks.
pub fn sink_routes(sinks: Sinks) -> Routes<()> {
    Routes::new()
        .get("/api/v1/sinks", Permission::Read, list)
        .post("/api/v1/sinks/{sink}/resend", Permission::Write, resend)
        .post("/api/v1/sinks/{sink}/acknowledge", Permission::Manage, acknowledge)
        .about(ResourceType::Source)
        .with_state(sinks)
}

#[derive(Serialize)]
struct Listed {
    sinks: Vec<SinkStatus>,
}

/// List the sinks.
async fn list(State(sinks): State<Sinks>) -> Json<Listed> {
    Json(Listed { sinks: sinks.status() })
}

/// Send the row of every key once more.
async fn resend(State(sinks): State<Sinks>, Path(sink): Path<String>) -> Result<Json<SinkStatus>, Problem> {
    Ok(Json(sinks.resend(&sink).await?))
}

/// Say that it is known what a sink has skipped.
async fn acknowledge(
    State(sinks): State<Sinks>,
    Path(sink): Path<String>,
) -> Result<Json<SinkStatus>, Problem> {
    Ok(Json(sinks.acknowledge(&sink).await?))
}
