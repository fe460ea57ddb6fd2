//! What is deployed: list, look at, deploy, take away.

use axum::extract::State;
use serde::Serialize;
use shipway_core::{Permission, ResourceType, Workspace, of_model_key};
use shipway_web::{Caller, Json, Path, Problem, Touched, must_be_allowed};

use crate::{
    ensemble::{
        spec::{Bound, EnsembleSpec, ModelName},
        status::EnsembleStatus,
    },
    model::deployment::DeploymentStatus,
    service::Serving,
};

/// All deployments.
#[derive(Debug, Serialize)]
pub(super) struct Deployments {
    deployments: Vec<DeploymentStatus>,
    /// Left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ensembles: Vec<EnsembleStatus>,
}

/// A deployment of a model, or an ensemble.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Status {
    Model(Box<DeploymentStatus>),
    Ensemble(Box<EnsembleStatus>),
}

/// All deployments, with what serves and what went wrong.
pub(super) async fn list(State(serving): State<Serving>) -> Json<Deployments> {
    Json(Deployments { deployments: serving.deployments(), ensembles: serving.ensembles() })
}

/// One deployment.
pub(super) async fn show(
    State(serving): State<Serving>,
    Path(name): Path<String>,
) -> Result<Json<Status>, Problem> {
    Ok(Json(match serving.status_of_ensemble(&name) {
        Some(status) => Status::Ensemble(Box::new(status)),
        None => Status::Model(Box::new(serving.status_of(&name)?)),
    }))
}

/// Deploy an alias of a model, or an ensemble. Answers when its versions serve.
pub(super) async fn put(
    State(serving): State<Serving>,
    caller: Caller,
    Path(name): Path<String>,
    Json(bound): Json<Bound>,
) -> Result<Json<Status>, Problem> {
    Ok(Json(match bound {
        Bound::Model(spec) => Status::Model(Box::new(serving.deploy(&caller.name, &name, spec).await?)),
        Bound::Ensemble(spec) => {
            may_ask(&caller, &spec)?;
            Status::Ensemble(Box::new(serving.deploy_ensemble(&caller.name, &name, *spec).await?))
        }
    }))
}

/// Refuses who may not ask what the steps of an ensemble ask: whoever may use the ensemble is answered by these.
fn may_ask(caller: &Caller, spec: &EnsembleSpec) -> Result<(), Problem> {
    let models = spec.ensemble.steps.iter().filter_map(|step| ModelName::of(step.model.as_deref()?).ok());
    let touched = |model: ModelName| match model {
        ModelName::Deployment(id) => {
            let (resource, workspace) = (ResourceType::Deployment, Workspace::default());
            vec![Touched { resource, id, workspace, permission: Permission::Use }]
        }
        ModelName::Registered { model, .. } => {
            let (workspace, id) = of_model_key(&model);
            let workspace = Workspace::parse(workspace).unwrap_or_default();
            let (resource, id) = (ResourceType::RegisteredModel, id.to_owned());
            vec![Touched { resource, id, workspace, permission: Permission::Read }]
        }
    };
    must_be_allowed(caller, &models.map(touched).collect::<Vec<_>>())
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
