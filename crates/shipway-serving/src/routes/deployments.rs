//! What is deployed: list, look at, deploy, take away.

use axum::extract::State;
use serde::Serialize;
use shipway_web::{Caller, Json, Path, Problem};

use crate::{
    model::deployment::{DeploymentSpec, DeploymentStatus},
    service::Serving,
};

/// All deployments.
#[derive(Debug, Serialize)]
pub(super) struct Deployments {
    deployments: Vec<DeploymentStatus>,
}

/// All deployments, with what serves and what went wrong.
pub(super) async fn list(State(serving): State<Serving>) -> Json<Deployments> {
    Json(Deployments { deployments: serving.deployments() })
}

/// One deployment.
pub(super) async fn show(
    State(serving): State<Serving>,
    Path(name): Path<String>,
) -> Result<Json<DeploymentStatus>, Problem> {
    Ok(Json(serving.status_of(&name)?))
}

/// Deploy an alias of a model. Answers when its version serves.
pub(super) async fn put(
    State(serving): State<Serving>,
    caller: Caller,
    Path(name): Path<String>,
    Json(spec): Json<DeploymentSpec>,
) -> Result<Json<DeploymentStatus>, Problem> {
    Ok(Json(serving.deploy(&caller.name, &name, spec).await?))
}

/// Take a deployment away.
pub(super) async fn delete(
    State(serving): State<Serving>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<http::StatusCode, Problem> {
    serving.undeploy(&caller.name, &name).await?;
    Ok(http::StatusCode::NO_CONTENT)
}
