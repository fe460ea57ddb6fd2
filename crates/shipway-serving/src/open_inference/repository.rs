//! What is loaded: the index of deployments, and taking one out of service or back into it.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shipway_web::{BodyBytes, Path, Problem};

use super::call::wrong;
use crate::{error::ServingError, service::Serving};

#[derive(Default, Deserialize)]
#[serde(default)]
struct IndexRequest {
    ready: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ModelRequest {
    parameters: Map<String, Value>,
}

/// A deployment in the index.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) state: &'static str,
    pub(super) reason: String,
}

/// All deployments, or those that answer.
pub(super) fn listed(serving: &Serving, ready_only: bool) -> Vec<Listed> {
    let all = serving.all();
    let listed = all.iter().map(|deployment| {
        let served = deployment.serving();
        let trouble = deployment.trouble();
        let (state, reason) = match (&served, &trouble) {
            _ if deployment.is_unloaded() => ("UNAVAILABLE", "unloaded".to_owned()),
            (None, _) if deployment.parked().is_some() => ("READY", "loaded when it is asked".to_owned()),
            (Some(_), None) => ("READY", String::new()),
            (Some(_), Some(trouble)) => ("READY", trouble.detail.clone()),
            (None, Some(trouble)) => ("UNAVAILABLE", trouble.detail.clone()),
            (None, None) => ("LOADING", String::new()),
        };
        Listed {
            name: deployment.name.to_string(),
            version: served.map_or_else(String::new, |served| served.resolved.version.to_string()),
            state,
            reason,
        }
    });
    let ensembles = serving.ensembles().into_iter().map(|status| Listed {
        name: status.name.to_string(),
        version: status.version.to_string(),
        state: if status.ready { "READY" } else { "UNAVAILABLE" },
        reason: status.trouble.map_or_else(String::new, |trouble| trouble.detail),
    });
    listed.chain(ensembles).filter(|listed| !ready_only || listed.state == "READY").collect()
}

/// All deployments, or those that answer.
pub(super) async fn index(
    State(serving): State<Serving>,
    BodyBytes(body): BodyBytes,
) -> Result<Json<Value>, Problem> {
    let request: IndexRequest = read(&body)?;
    let one = |listed: Listed| {
        json!({
            "name": listed.name, "version": listed.version, "state": listed.state, "reason": listed.reason,
        })
    };
    Ok(Json(listed(&serving, request.ready).into_iter().map(one).collect()))
}

/// Takes a deployment back into service, or looks after its alias.
pub(super) async fn load(
    State(serving): State<Serving>,
    Path(name): Path<String>,
    BodyBytes(body): BodyBytes,
) -> Result<Json<Value>, Problem> {
    let request: ModelRequest = read(&body)?;
    refuse_overrides(request.parameters.keys().map(String::as_str))?;
    serving.load_again(&name).await?;
    Ok(Json(json!({})))
}

/// Takes a deployment out of service.
pub(super) async fn unload(
    State(serving): State<Serving>,
    Path(name): Path<String>,
    BodyBytes(body): BodyBytes,
) -> Result<Json<Value>, Problem> {
    let _: ModelRequest = read(&body)?;
    serving.unload(&name).await?;
    Ok(Json(json!({})))
}

/// Refuses files and settings that come with a load: what is served is what is registered.
pub(super) fn refuse_overrides<'name>(
    mut parameters: impl Iterator<Item = &'name str>,
) -> Result<(), ServingError> {
    match parameters.next() {
        Some(name) => Err(wrong(format!(
            "parameter {name}: a model is loaded as it is registered and deployed; files and settings cannot come with it"
        ))),
        None => Ok(()),
    }
}

fn read<T: Default + for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, ServingError> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| wrong(format!("request body: {error}")))
}
