//! Roles and their grants.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shipway_web::{Caller, Json, Path, Problem, Query};

use super::users::{GrantBody, On};
use crate::{
    error::{AccessError, Thing},
    model::Role,
    service::Accounts,
};

#[derive(Debug, Serialize)]
pub(super) struct RolesView {
    roles: Vec<RoleView>,
}

#[derive(Debug, Serialize)]
struct RoleView {
    name: String,
    description: String,
    grants: Vec<String>,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        let grants = role.grants.iter().map(|one| one.grant.to_string()).collect();
        Self { name: role.name, description: role.description, grants }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct RoleDetailView {
    #[serde(flatten)]
    role: RoleView,
    users: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateRole {
    name: String,
    #[serde(default)]
    description: String,
    /// Grants that it begins with.
    #[serde(default)]
    grants: Vec<String>,
}

async fn detail(accounts: &Accounts, caller: &Caller, id: i64) -> Result<RoleDetailView, AccessError> {
    let role = accounts.role(caller, id).await?;
    let users = accounts.users_of_role(caller, id).await?;
    Ok(RoleDetailView { role: role.into(), users: users.into_iter().map(|(_, user)| user.name).collect() })
}

pub(super) async fn list(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<Json<RolesView>, Problem> {
    let roles = accounts.roles(&caller).await?;
    Ok(Json(RolesView { roles: roles.into_iter().map(RoleView::from).collect() }))
}

pub(super) async fn create(
    State(accounts): State<Accounts>,
    caller: Caller,
    Json(body): Json<CreateRole>,
) -> Result<(StatusCode, Json<RoleDetailView>), Problem> {
    let grants = body.grants.iter().map(|text| Ok(text.parse()?)).collect::<Result<Vec<_>, AccessError>>()?;
    let role = accounts.create_role(&caller, &body.name, &body.description, grants).await?;
    Ok((StatusCode::CREATED, Json(detail(&accounts, &caller, role.id).await?)))
}

pub(super) async fn show(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<RoleDetailView>, Problem> {
    let id = accounts.role_id(&caller, &name).await?;
    Ok(Json(detail(&accounts, &caller, id).await?))
}

pub(super) async fn delete(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = accounts.role_id(&caller, &name).await?;
    accounts.delete_role(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn grant(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<GrantBody>,
) -> Result<StatusCode, Problem> {
    let id = accounts.role_id(&caller, &name).await?;
    accounts.put_role_grant(&caller, id, body.read()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn revoke(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
    Query(on): Query<On>,
) -> Result<StatusCode, Problem> {
    let wanted = on.read()?;
    let role_id = accounts.role_id(&caller, &name).await?;
    let grants = accounts.role_grants(&caller, role_id).await?;
    let is_it =
        |grant: &shipway_core::Grant| grant.resource() == wanted.resource() && grant.id() == wanted.id();
    let missing = || {
        let thing = wanted.id().unwrap_or("*");
        AccessError::missing(Thing::Grant, format!("of {} {thing} in role {name}", wanted.resource()))
    };
    let found = grants.iter().find(|one| is_it(&one.grant)).ok_or_else(missing)?;
    accounts.remove_role_grant(&caller, found.id).await?;
    Ok(StatusCode::NO_CONTENT)
}
