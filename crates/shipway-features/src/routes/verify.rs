//! `POST /api/v1/verify`: replay what a deployment served against history. `GET /api/v1/verifications`: the last replays.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shipway_web::{Json, Problem, Query};

use crate::{Features, Verification, proof::VerificationReport};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verify {
    deployment: String,
    limit: Option<usize>,
}

/// Verify what a deployment served.
pub(crate) async fn verify(
    State(features): State<Features>,
    Json(body): Json<Verify>,
) -> Result<Json<VerificationReport>, Problem> {
    Ok(Json(features.verify(&body.deployment, body.limit).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    deployment: Option<String>,
    limit: Option<u32>,
}

/// The replays in an answer where none is asked for.
const DEFAULT_REPLAYS: u32 = 100;

/// The most replays in one answer.
const MAX_REPLAYS: u32 = 1_000;

#[derive(Serialize)]
pub(crate) struct Replays {
    verifications: Vec<Verification>,
}

/// The last replays, newest first.
pub(crate) async fn last(
    State(features): State<Features>,
    Query(which): Query<Which>,
) -> Result<Json<Replays>, Problem> {
    let limit = which.limit.unwrap_or(DEFAULT_REPLAYS).min(MAX_REPLAYS);
    Ok(Json(Replays { verifications: features.verifications(which.deployment.as_deref(), limit).await? }))
}
