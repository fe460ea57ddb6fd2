//! Endpoints of what one user may do.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use shipway_core::{Grant, Permission};

use super::{Accounts, Answer, Caller, Fields, Json, WORKSPACE, granted, nothing, target, word};

#[derive(Deserialize)]
pub(super) struct Named {
    username: String,
}

#[derive(Deserialize)]
pub(super) struct GrantBody {
    username: String,
    resource_type: String,
    resource_id: String,
    permission: String,
}

#[derive(Deserialize)]
pub(super) struct Target {
    username: String,
    resource_type: String,
    resource_id: String,
}

fn view((role, grant): &(Option<String>, Grant)) -> Value {
    json!({
        "resource_type": grant.resource().word(),
        "resource_pattern": grant.id().unwrap_or("*"),
        "permission": word(Some(grant.level())),
        "workspace": WORKSPACE,
        "role_name": role,
    })
}

/// What the caller may do; for who has no account, all of it.
pub(super) async fn own(State(accounts): State<Accounts>, caller: Caller) -> Answer {
    let permissions = match accounts.own(&caller).await? {
        Some(user) => accounts.grants_of_user(&caller, &user.name).await?.iter().map(view).collect(),
        None => Vec::new(),
    };
    let is_admin = caller.access.is_everything();
    Ok(Json(json!({ "username": caller.name, "is_admin": is_admin, "permissions": permissions })))
}

pub(super) async fn list(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(query): Fields<Named>,
) -> Answer {
    let user = accounts.user(&caller, &query.username).await?;
    let grants = accounts.grants_of_user(&caller, &user.name).await?;
    let permissions: Vec<Value> = grants.iter().map(view).collect();
    Ok(Json(json!({ "username": user.name, "is_admin": user.is_admin, "permissions": permissions })))
}

pub(super) async fn grant(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<GrantBody>,
) -> Answer {
    let grant = granted(&body.resource_type, &body.resource_id, &body.permission)?;
    accounts.grant(&caller, &body.username, grant).await?;
    Ok(nothing())
}

pub(super) async fn revoke(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<Target>,
) -> Answer {
    let (resource, id) = target(&body.resource_type, &body.resource_id)?;
    accounts.revoke(&caller, &body.username, resource, id.as_deref()).await?;
    Ok(nothing())
}

/// The level of a user on one thing, and whether they may use it.
pub(super) async fn get(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(query): Fields<Target>,
) -> Answer {
    let (resource, id) = target(&query.resource_type, &query.resource_id)?;
    let level = accounts.level(&caller, &query.username, resource, id.as_deref()).await?;
    let allowed = level.is_some_and(|level| level.allows(Permission::Use));
    Ok(Json(json!({ "allowed": allowed, "permission": word(level) })))
}
