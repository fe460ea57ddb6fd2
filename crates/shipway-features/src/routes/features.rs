//! `POST /api/v1/features/read`: the features of a service for some keys.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};
use shipway_core::{Digest, Timestamp};
use shipway_web::{Json, Problem};

use crate::{Features, ReadAnswer, ReadRequest};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Read {
    service: String,
    service_hash: Option<Digest>,
    rows: Vec<Map<String, Value>>,
    at: Option<Timestamp>,
    token: Option<String>,
}

/// Read features; exact for the moment and watermarks of the answer, or refused.
pub(crate) async fn read(
    State(features): State<Features>,
    Json(body): Json<Read>,
) -> Result<Json<ReadAnswer>, Problem> {
    let Read { service, service_hash, rows, at, token } = body;
    Ok(Json(features.read(ReadRequest { service, service_hash, rows, at, token }).await?))
}
