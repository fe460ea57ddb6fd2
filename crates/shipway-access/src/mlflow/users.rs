//! Endpoints of users.

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Accounts, Answer, Caller, Fields, Json, nothing, role_view};
use crate::model::User;

#[derive(Deserialize)]
pub(super) struct Named {
    username: String,
}

#[derive(Deserialize)]
pub(super) struct Create {
    username: String,
    password: String,
}

#[derive(Deserialize)]
pub(super) struct UpdatePassword {
    username: String,
    password: String,
    current_password: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct UpdateAdmin {
    username: String,
    is_admin: bool,
}

fn user_view(user: &User) -> Value {
    json!({ "id": user.id, "username": user.name, "is_admin": user.is_admin })
}

pub(super) async fn create(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<Create>,
) -> Answer {
    let user = accounts.create_user(&caller, &body.username, Some(&body.password), false).await?;
    Ok(Json(json!({ "user": user_view(&user) })))
}

pub(super) async fn get(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(query): Fields<Named>,
) -> Answer {
    Ok(Json(json!({ "user": user_view(&accounts.user(&caller, &query.username).await?) })))
}

/// Who has no account, as the operator, is told under the id 0.
pub(super) async fn current(State(accounts): State<Accounts>, caller: Caller) -> Answer {
    let user = match accounts.own(&caller).await? {
        Some(user) => user_view(&user),
        None => json!({ "id": 0, "username": caller.name, "is_admin": caller.access.is_everything() }),
    };
    Ok(Json(json!({ "user": user, "is_basic_auth": !caller.by_token })))
}

pub(super) async fn list(State(accounts): State<Accounts>, caller: Caller) -> Answer {
    let users = accounts.users(&caller).await?;
    Ok(Json(json!({ "users": users.iter().map(user_view).collect::<Vec<_>>() })))
}

pub(super) async fn update_password(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<UpdatePassword>,
) -> Answer {
    let current = body.current_password.as_deref();
    accounts.set_password(&caller, &body.username, &body.password, current).await?;
    Ok(nothing())
}

pub(super) async fn update_admin(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<UpdateAdmin>,
) -> Answer {
    accounts.set_admin(&caller, &body.username, body.is_admin).await?;
    Ok(nothing())
}

pub(super) async fn delete(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(body): Fields<Named>,
) -> Answer {
    accounts.delete_user(&caller, &body.username).await?;
    Ok(nothing())
}

pub(super) async fn roles(
    State(accounts): State<Accounts>,
    caller: Caller,
    Fields(query): Fields<Named>,
) -> Answer {
    let roles = accounts.roles_of_user(&caller, &query.username).await?;
    Ok(Json(json!({ "roles": roles.iter().map(role_view).collect::<Vec<_>>() })))
}
