//! `POST /api/v1/verify`: replay what a deployment served against history.

use axum::extract::State;
use serde::Deserialize;
use shipway_web::{Json, Problem};

use crate::{Features, proof::VerificationReport};

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
