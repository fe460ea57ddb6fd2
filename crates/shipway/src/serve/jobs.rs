//! `GET /api/v1/jobs`, `GET /api/v1/jobs/{id}`, `POST /api/v1/jobs/{id}/cancel`: the work that outlives a request.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shipway_core::{Kind, Permission, ResourceType};
use shipway_store::jobs::{Job, JobState, Jobs};
use shipway_web::{Json, Path, Problem, Query, Routes};

/// Jobs in one answer, at most.
const MOST: u32 = 1_000;

pub(super) fn routes(jobs: Jobs) -> Routes {
    Routes::new()
        .get("/api/v1/jobs", Permission::Read, list)
        .get("/api/v1/jobs/{id}", Permission::Read, show)
        .post("/api/v1/jobs/{id}/cancel", Permission::Write, cancel)
        .about(ResourceType::Job)
        .with_state(jobs)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    state: Option<String>,
    limit: Option<u32>,
}

#[derive(Serialize)]
struct Listed {
    jobs: Vec<Job>,
}

/// List the jobs, newest first.
async fn list(State(jobs): State<Jobs>, Query(filter): Query<Filter>) -> Result<Json<Listed>, Problem> {
    let state = match &filter.state {
        None => None,
        Some(word) => Some(JobState::from_word(word).ok_or_else(|| {
            Problem::new(Kind::Invalid, "web.invalid_query", format!("state: no job is ever {word}"))
                .with_hint("queued, running, done, failed or cancelled")
        })?),
    };
    let jobs = jobs.list(state, filter.limit.unwrap_or(100).min(MOST)).await?;
    Ok(Json(Listed { jobs }))
}

/// Show a job: how far it is, what it ended with.
async fn show(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<Json<Job>, Problem> {
    Ok(Json(jobs.find(&id).await?))
}

/// Cancel a job. A running one ends in a moment.
async fn cancel(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<Json<Job>, Problem> {
    Ok(Json(jobs.cancel(&id).await?))
}
