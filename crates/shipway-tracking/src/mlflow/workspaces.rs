//! Endpoints of workspaces.

use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use shipway_core::{
    DEFAULT_WORKSPACE,
    Permission::{Known, Manage, Read},
    ResourceType,
};
use shipway_web::{Caller, Path, Problem, Routes, must_be_allowed_every};

use super::{Answer, Body, WireError, both, message::Message, view::Fields};
use crate::{
    error::{Thing, TrackingError},
    model::{Contents, WorkspaceInfo},
    service::{Tracking, WorkspaceChange},
};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, get, "3.0/mlflow/workspaces", Known, list);
    let routes = both!(routes, get, "3.0/mlflow/workspaces/{workspace_name}", Known, get);
    let routes = both!(routes, post, "3.0/mlflow/workspaces", Manage, create);
    let routes = both!(routes, patch, "3.0/mlflow/workspaces/{workspace_name}", Manage, update);
    both!(routes, delete, "3.0/mlflow/workspaces/{workspace_name}", Manage, delete)
}

fn workspace(info: &WorkspaceInfo) -> Value {
    Fields::default()
        .set("name", info.name.as_str())
        .optional("description", info.description.as_deref())
        .text("default_artifact_root", &info.artifact_root)
        .value()
}

fn body(info: &WorkspaceInfo) -> Body {
    Body(json!({ "workspace": workspace(info) }))
}

/// Everybody knows of `default`, and of every other one who may read it.
pub(crate) fn is_shown(caller: &Caller, name: &str) -> bool {
    name == DEFAULT_WORKSPACE || caller.access.allows(ResourceType::Workspace, name, Read)
}

/// Refuses a caller who manages the workspace only, where what is in it would come into another one.
pub(crate) fn must_be_allowed_contents(caller: &Caller, contents: Contents) -> Result<(), Problem> {
    if contents == Contents::Move {
        must_be_allowed_every(caller, ResourceType::Workspace, Manage)?;
    }
    Ok(())
}

/// What is said of traces that are moved elsewhere must be nothing: none are moved here.
fn change(message: &Message) -> Result<WorkspaceChange, WireError> {
    if message.has("trace_archival_config") {
        let archive = message.message("trace_archival_config")?;
        for field in ["location", "retention"] {
            if !archive.text_or_empty(field)?.trim().is_empty() {
                let reason = "this server archives no traces";
                return Err(TrackingError::invalid(format!("trace_archival_config.{field}"), reason).into());
            }
        }
    }
    Ok(WorkspaceChange {
        description: message.text("description")?,
        artifact_root: message.text("default_artifact_root")?,
    })
}

async fn list(State(tracking): State<Tracking>, caller: Caller) -> Answer {
    let all = tracking.workspaces().await?;
    let shown = all.iter().filter(|info| is_shown(&caller, &info.name)).map(workspace).collect();
    Ok(Body(Fields::default().list("workspaces", shown).value()))
}

async fn get(State(tracking): State<Tracking>, caller: Caller, Path(name): Path<String>) -> Answer {
    let found = tracking.workspace_named(&name).await?;
    if is_shown(&caller, &name) {
        return Ok(body(&found));
    }
    Err(TrackingError::missing(Thing::Workspace, name).into())
}

async fn create(
    State(tracking): State<Tracking>,
    caller: Caller,
    message: Message,
) -> Result<(StatusCode, Body), WireError> {
    let name = message.required_text("name")?;
    let made = tracking.create_workspace(&caller.name, &name, change(&message)?).await?;
    Ok((StatusCode::CREATED, body(&made)))
}

async fn update(
    State(tracking): State<Tracking>,
    caller: Caller,
    Path(name): Path<String>,
    message: Message,
) -> Answer {
    Ok(body(&tracking.update_workspace(&caller.name, &name, change(&message)?).await?))
}

async fn delete(
    State(tracking): State<Tracking>,
    caller: Caller,
    Path(name): Path<String>,
    message: Message,
) -> Result<StatusCode, Problem> {
    let mode = message.text("mode")?.unwrap_or_else(|| Contents::MustBeGone.word().to_owned());
    let contents = Contents::ALL.into_iter().find(|one| one.word() == mode).ok_or_else(|| {
        let known = Contents::ALL.map(Contents::word).join(", ");
        let reason = format!("Invalid deletion mode '{mode}'. Must be one of: {known}");
        WireError::from(TrackingError::invalid("mode", reason))
    })?;
    must_be_allowed_contents(&caller, contents)?;
    tracking.delete_workspace(&caller, &name, contents).await.map_err(WireError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
