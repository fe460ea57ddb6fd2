//! The native API of streams.
//!
//! - `GET /api/v1/streams`: how every stream is
//! - `POST /api/v1/streams/{source}/replay`: dead letters, read again
//! - `POST /api/v1/streams/{source}/skip`: over messages that the broker keeps no more
//! - `sinks`: those of sinks

mod sinks;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shipway_core::{Permission, ResourceType};
use shipway_web::{Json, Path, Problem, Routes};

pub use self::sinks::sink_routes;
use crate::{replay::Replayed, status::StreamStatus, streams::Streams};

/// All routes of streams.
pub fn routes(streams: Streams) -> Routes<()> {
    Routes::new()
        .get("/api/v1/streams", Permission::Read, list)
        .get("/api/v1/streams/{source}/dead-letters", Permission::Read, letters)
        .post("/api/v1/streams/{source}/replay", Permission::Write, replay)
        .post("/api/v1/streams/{source}/skip", Permission::Manage, skip)
        .about(ResourceType::Source)
        .with_state(streams)
}

#[derive(Serialize)]
struct Listed {
    streams: Vec<StreamStatus>,
}

/// List the streams.
async fn list(State(streams): State<Streams>) -> Json<Listed> {
    Json(Listed { streams: streams.status() })
}

#[derive(Serialize)]
struct Waiting {
    /// The table that they are in.
    table: String,
    /// Those that were not replayed yet.
    waiting: u64,
}

/// Count the dead letters of a source.
async fn letters(
    State(streams): State<Streams>,
    Path(source): Path<String>,
) -> Result<Json<Waiting>, Problem> {
    let waiting = streams.waiting_letters(&source).await?;
    Ok(Json(Waiting { table: format!("{source}__dead_letters"), waiting }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Skip {
    partition: u32,
    position: u64,
}

/// Pass over the messages of a partition before a position.
async fn skip(
    State(streams): State<Streams>,
    Path(source): Path<String>,
    Json(skip): Json<Skip>,
) -> Result<Json<Skipped>, Problem> {
    streams.skip_to(&source, skip.partition, skip.position).await?;
    Ok(Json(Skipped { source, partition: skip.partition, position: skip.position }))
}

#[derive(Serialize)]
struct Skipped {
    source: String,
    partition: u32,
    position: u64,
}

/// Read the dead letters of a source again.
async fn replay(
    State(streams): State<Streams>,
    Path(source): Path<String>,
) -> Result<Json<Replayed>, Problem> {
    Ok(Json(streams.replay(&source).await?))
}
