//! Launches: begin, look at, move on, end.

use axum::extract::State;
use serde::Serialize;
use shipway_core::{Permission, ResourceType, Workspace, of_model_key};
use shipway_web::{Caller, Json, Path, Problem, Touched, must_be_allowed};

use crate::{
    launch::{spec::LaunchSpec, status::LaunchStatus},
    service::Serving,
};

/// Launches, the newest first.
#[derive(Debug, Serialize)]
pub(super) struct Launches {
    launches: Vec<LaunchStatus>,
}

/// Begin to launch a version. Its end is a promotion, so its caller must be allowed to give aliases of the model.
pub(super) async fn begin(
    State(serving): State<Serving>,
    caller: Caller,
    Path(name): Path<String>,
    Json(spec): Json<LaunchSpec>,
) -> Result<(http::StatusCode, Json<LaunchStatus>), Problem> {
    may_promote(&serving, &caller, &name)?;
    Ok((http::StatusCode::CREATED, Json(serving.launch(&caller.name, &name, spec).await?)))
}

/// The launch that goes on, or the last one.
pub(super) async fn show(
    State(serving): State<Serving>,
    Path(name): Path<String>,
) -> Result<Json<LaunchStatus>, Problem> {
    Ok(Json(serving.launch_of(&name).await?))
}

/// The last launches of a deployment.
pub(super) async fn list(
    State(serving): State<Serving>,
    Path(name): Path<String>,
) -> Result<Json<Launches>, Problem> {
    Ok(Json(Launches { launches: serving.launches(&name).await? }))
}

/// Move a launch on to its next stage, whatever it waits for.
pub(super) async fn advance(
    State(serving): State<Serving>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<LaunchStatus>, Problem> {
    may_promote(&serving, &caller, &name)?;
    Ok(Json(serving.advance_launch(&caller.name, &name).await?))
}

/// End a launch; the version that serves answers everything.
pub(super) async fn abort(
    State(serving): State<Serving>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<LaunchStatus>, Problem> {
    Ok(Json(serving.abort_launch(&caller.name, &name).await?))
}

/// Refuses who may not give aliases of the deployment's model.
fn may_promote(serving: &Serving, caller: &Caller, name: &str) -> Result<(), Problem> {
    let model = serving.status_of(name)?.spec.model;
    let (workspace, model) = of_model_key(&model);
    let workspace = Workspace::parse(workspace).unwrap_or_default();
    let touched = Touched {
        resource: ResourceType::RegisteredModel,
        id: model.to_owned(),
        workspace,
        permission: Permission::Manage,
    };
    must_be_allowed(caller, &[vec![touched]])
}
