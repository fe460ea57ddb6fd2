//! Endpoints of roles.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Accounts, Answer, Caller, Fields, Json, granted, id, must_be_the_workspace, nothing, permission_view,
    role_view,
};
use crate::model::Assignment;

#[derive(Deserialize)]
pub(super) struct Create {
    workspace: Option<String>,
    name: String,
    description: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct List {
    workspace: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct One {
    #[serde(deserialize_with = "id")]
    role_id: i64,
}

#[derive(Deserialize)]
pub(super) struct Update {
    #[serde(deserialize_with = "id")]
    role_id: i64,
    name: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct AddPermission {
    #[serde(deserialize_with = "id")]
    role_id: i64,
    resource_type: String,
    resource_pattern: String,
    permission: String,
}

#[derive(Deserialize)]
pub(super) struct OnePermission {
    #[serde(deserialize_with = "id")]
    role_permission_id: i64,
}

#[derive(Deserialize)]
pub(super) struct UpdatePermission {
    #[serde(deserialize_with = "id")]
    role_permission_id: i64,
    permission: String,
}

#[derive(Deserialize)]
pub(super) struct Assign {
    username: String,
    #[serde(deserialize_with = "id")]
    role_id: i64,
}

fn assignment_view(one: &Assignment) -> Value {
    json!({ "id": one.id, "user_id": one.user_id, "role_id": one.role_id })
}

pub(super) async fn create(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<Create>,
) -> Answer {
    must_be_the_workspace(body.workspace.as_deref())?;
    let description = body.description.unwrap_or_default();
    let role = accounts.create_role(&caller, &body.name, &description, Vec::new()).await?;
    Ok(Json(json!({ "role": role_view(&role) })))
}

pub(super) async fn get(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(query): Fields<One>,
) -> Answer {
    Ok(Json(json!({ "role": role_view(&accounts.role(&caller, query.role_id).await?) })))
}

pub(super) async fn list(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(query): Fields<List>,
) -> Answer {
    must_be_the_workspace(query.workspace.as_deref())?;
    let roles = accounts.roles(&caller).await?;
    Ok(Json(json!({ "roles": roles.iter().map(role_view).collect::<Vec<_>>() })))
}

pub(super) async fn update(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<Update>,
) -> Answer {
    let (name, description) = (body.name.as_deref(), body.description.as_deref());
    let role = accounts.update_role(&caller, body.role_id, name, description).await?;
    Ok(Json(json!({ "role": role_view(&role) })))
}

pub(super) async fn delete(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<One>,
) -> Answer {
    accounts.delete_role(&caller, body.role_id).await?;
    Ok(nothing())
}

pub(super) async fn add_permission(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<AddPermission>,
) -> Answer {
    let grant = granted(&body.resource_type, &body.resource_pattern, &body.permission)?;
    let added = accounts.put_role_grant(&caller, body.role_id, grant).await?;
    Ok(Json(json!({ "role_permission": permission_view(&added) })))
}

pub(super) async fn remove_permission(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<OnePermission>,
) -> Answer {
    accounts.remove_role_grant(&caller, body.role_permission_id).await?;
    Ok(nothing())
}

pub(super) async fn permissions(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(query): Fields<One>,
) -> Answer {
    let grants = accounts.role_grants(&caller, query.role_id).await?;
    Ok(Json(json!({ "role_permissions": grants.iter().map(permission_view).collect::<Vec<_>>() })))
}

pub(super) async fn update_permission(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<UpdatePermission>,
) -> Answer {
    let level = body.permission.parse().map_err(crate::error::AccessError::from)?;
    let changed = accounts.change_role_grant(&caller, body.role_permission_id, level).await?;
    Ok(Json(json!({ "role_permission": permission_view(&changed) })))
}

pub(super) async fn assign(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<Assign>,
) -> Answer {
    let assignment = accounts.assign_role(&caller, &body.username, body.role_id).await?;
    Ok(Json(json!({ "assignment": assignment_view(&assignment) })))
}

pub(super) async fn unassign(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<Assign>,
) -> Answer {
    accounts.unassign_role(&caller, &body.username, body.role_id).await?;
    Ok(nothing())
}

pub(super) async fn users(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(query): Fields<One>,
) -> Answer {
    let users = accounts.users_of_role(&caller, query.role_id).await?;
    let assignments: Vec<Value> = users.iter().map(|(one, _)| assignment_view(one)).collect();
    Ok(Json(json!({ "assignments": assignments })))
}
