//! Workspaces, as a person or a script asks for them.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shipway_core::Permission::{Known, Manage};
use shipway_web::{Caller, Json, Path, Problem, Query, Routes};

use crate::{
    mlflow::{is_shown, must_be_allowed_contents},
    model::{Contents, WorkspaceInfo},
    service::{Tracking, WorkspaceChange},
};

pub(crate) fn routes() -> Routes<Tracking> {
    Routes::new().get("/api/v1/workspaces", Known, list).post("/api/v1/workspaces", Manage, create).delete(
        "/api/v1/workspaces/{workspace_name}",
        Manage,
        delete,
    )
}

#[derive(Debug, Serialize)]
struct WorkspacesView {
    workspaces: Vec<WorkspaceView>,
}

#[derive(Debug, Serialize)]
struct WorkspaceView {
    name: String,
    description: Option<String>,
}

impl From<WorkspaceInfo> for WorkspaceView {
    fn from(info: WorkspaceInfo) -> Self {
        Self { name: info.name, description: info.description }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    description: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion {
    #[serde(default)]
    contents: ContentsWord,
}

/// What happens to what is in a workspace that is deleted.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ContentsWord {
    #[default]
    Refuse,
    Remove,
    Move,
}

impl From<ContentsWord> for Contents {
    fn from(word: ContentsWord) -> Self {
        match word {
            ContentsWord::Refuse => Self::MustBeGone,
            ContentsWord::Remove => Self::Go,
            ContentsWord::Move => Self::Move,
        }
    }
}

/// The workspaces that the caller may see, by name.
async fn list(State(tracking): State<Tracking>, caller: Caller) -> Result<Json<WorkspacesView>, Problem> {
    let all = tracking.workspaces().await?.into_iter();
    let workspaces = all.filter(|info| is_shown(&caller, &info.name)).map(Into::into).collect();
    Ok(Json(WorkspacesView { workspaces }))
}

async fn create(
    State(tracking): State<Tracking>,
    caller: Caller,
    Json(body): Json<New>,
) -> Result<(StatusCode, Json<WorkspaceView>), Problem> {
    let change = WorkspaceChange { description: body.description, artifact_root: None };
    let made = tracking.create_workspace(&caller.name, &body.name, change).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Deletes a workspace that is empty, or what is in it with it, or moves that to `default` first.
async fn delete(
    State(tracking): State<Tracking>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<Deletion>,
) -> Result<StatusCode, Problem> {
    let contents = query.contents.into();
    must_be_allowed_contents(&caller, contents)?;
    tracking.delete_workspace(&caller, &name, contents).await?;
    Ok(StatusCode::NO_CONTENT)
}
