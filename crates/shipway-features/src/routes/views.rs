//! `GET /api/v1/features/views`: which views have their state. `GET /api/v1/features/builds`: what builds came to.
//! `POST /api/v1/features/views/{view}/rebuild`: build the state of a view from history, as a job.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shipway_core::Digest;
use shipway_store::jobs::Job;
use shipway_web::{Caller, Json, Path, Problem, Query};

use crate::{BuildRecord, Features, ViewState};

/// Builds in one answer, at most.
const MOST_BUILDS: u32 = 1_000;
const BUILDS: u32 = 100;

#[derive(Serialize)]
pub(crate) struct Views {
    views: Vec<ViewState>,
}

/// Say which views have their state, and how far the others are.
pub(crate) async fn list(State(features): State<Features>) -> Result<Json<Views>, Problem> {
    Ok(Json(Views { views: features.view_states().await? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuildsQuery {
    limit: Option<u32>,
}

#[derive(Serialize)]
pub(crate) struct Builds {
    builds: Vec<BuildRecord>,
}

/// List the builds that have ended, newest first.
pub(crate) async fn builds(
    State(features): State<Features>,
    Query(query): Query<BuildsQuery>,
) -> Result<Json<Builds>, Problem> {
    let limit = query.limit.unwrap_or(BUILDS).min(MOST_BUILDS);
    Ok(Json(Builds { builds: features.builds(limit).await? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rebuild {
    /// A version of the view; without one the version in force.
    hash: Option<Digest>,
}

/// Build the state of a view from history. The answer is the job.
pub(crate) async fn rebuild(
    State(features): State<Features>,
    caller: Caller,
    Path(view): Path<String>,
    Json(wanted): Json<Rebuild>,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let job = features.rebuild_view(&view, wanted.hash, &caller.name).await?;
    Ok((StatusCode::ACCEPTED, Json(job)))
}
