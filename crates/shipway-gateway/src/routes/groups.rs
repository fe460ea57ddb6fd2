//! Groups: projects, teams, organisations.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shipway_core::Name;
use shipway_web::{Caller, Json, Path, Problem};

use super::view::GroupView;
use crate::{
    error::GatewayError,
    model::{GroupKind, Limits},
    service::{Gateway, PutGroup},
};

#[derive(Debug, Serialize)]
pub(super) struct GroupsView {
    groups: Vec<GroupView>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutBody {
    kind: GroupKind,
    parent: Option<Name>,
    #[serde(default)]
    limits: Limits,
}

pub(super) async fn list(State(gateway): State<Gateway>) -> Result<Json<GroupsView>, Problem> {
    let groups = gateway.groups().await?;
    gateway.look_at_others().await?;
    Ok(Json(GroupsView { groups: groups.iter().map(|group| GroupView::of(&gateway, group)).collect() }))
}

pub(super) async fn show(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
) -> Result<Json<GroupView>, Problem> {
    let group = gateway.group(&name).await?;
    gateway.look_at_others().await?;
    Ok(Json(GroupView::of(&gateway, &group)))
}

pub(super) async fn put(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<PutBody>,
) -> Result<Json<GroupView>, Problem> {
    let name = Name::new(&name).map_err(|_| {
        GatewayError::invalid(
            "group",
            format!("`{name}` is not a name: use a lower-case letter, then a-z, 0-9 and _"),
        )
    })?;
    let PutBody { kind, parent, limits } = body;
    let group = gateway.put_group(&caller.name, PutGroup { name, kind, parent, limits }).await?;
    Ok(Json(GroupView::of(&gateway, &group)))
}

pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.delete_group(&caller.name, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
