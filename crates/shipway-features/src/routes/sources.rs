//! `/api/v1/sources`: sources whose history lies elsewhere, and looks for news of them.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use shipway_web::{Caller, Json, Path, Problem};

use crate::{BatchStatus, Features};

#[derive(Serialize)]
pub(crate) struct Sources {
    sources: Vec<BatchStatus>,
}

/// List the sources that have a batch part, and how each stands.
pub(crate) async fn list(State(features): State<Features>) -> Result<Json<Sources>, Problem> {
    Ok(Json(Sources { sources: features.batch_statuses().await? }))
}

/// Say how one source with a batch part stands.
pub(crate) async fn show(
    State(features): State<Features>,
    Path(source): Path<String>,
) -> Result<Json<BatchStatus>, Problem> {
    Ok(Json(features.batch_status(&source).await?))
}

/// Look for news of a source, as a job.
pub(crate) async fn refresh(
    State(features): State<Features>,
    caller: Caller,
    Path(source): Path<String>,
) -> Result<Response, Problem> {
    let job = features.submit_look(&source, &caller.name).await?;
    Ok((StatusCode::ACCEPTED, Json(job)).into_response())
}
