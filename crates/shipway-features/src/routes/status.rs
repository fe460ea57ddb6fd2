//! `GET /api/v1/features/status`: how far the consumers of every source are.

use axum::extract::State;
use shipway_web::Json;

use crate::{Features, status::SourceStatus};

#[derive(serde::Serialize)]
pub(crate) struct Status {
    sources: Vec<SourceStatus>,
}

/// Say how far every source is.
pub(crate) async fn status(State(features): State<Features>) -> Json<Status> {
    std::future::ready(Json(Status { sources: features.status() })).await
}
