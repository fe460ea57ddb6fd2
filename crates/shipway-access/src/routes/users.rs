//! Users, their roles and grants.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shipway_core::{Grant, Timestamp};
use shipway_web::{Caller, Json, Path, Problem, Query};

use crate::{
    error::AccessError,
    model::{Role, User},
    service::Accounts,
};

#[derive(Debug, Serialize)]
pub(super) struct UsersView {
    users: Vec<UserView>,
}

#[derive(Debug, Serialize)]
struct UserView {
    name: String,
    admin: bool,
    /// Whether the user can sign in with a password, and not with tokens only.
    has_password: bool,
    created: Timestamp,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            name: user.name.clone(),
            admin: user.is_admin,
            has_password: user.password.is_some(),
            created: user.created,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct UserDetailView {
    #[serde(flatten)]
    user: UserView,
    roles: Vec<String>,
    grants: Vec<GrantView>,
}

#[derive(Debug, Serialize)]
struct GrantView {
    grant: String,
    /// The role that it comes from; absent for the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

/// Who the caller is.
#[derive(Debug, Serialize)]
pub(super) struct MeView {
    /// What the audit log calls the caller.
    name: String,
    /// Whether the caller may do everything.
    unrestricted: bool,
    /// Whether a token of the account was shown, and no password.
    by_token: bool,
    /// The account; absent for the operator's own token, and where nobody is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<UserDetailView>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateUser {
    name: String,
    password: Option<String>,
    #[serde(default)]
    admin: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeUser {
    admin: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetPassword {
    password: String,
    current_password: Option<String>,
}

/// A grant as it is written: `experiment/7:edit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantBody {
    grant: String,
}

/// What a grant is on: `experiment/7`, or `experiment` for all.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct On {
    on: String,
}

impl GrantBody {
    pub(super) fn read(&self) -> Result<Grant, AccessError> {
        Ok(self.grant.parse()?)
    }
}

impl On {
    /// As a grant whose level says nothing.
    pub(super) fn read(&self) -> Result<Grant, AccessError> {
        Ok(format!("{}:manage", self.on).parse()?)
    }
}

async fn detail(accounts: &Accounts, caller: &Caller, user: &User) -> Result<UserDetailView, AccessError> {
    let roles = accounts.roles_of_user(caller, &user.name).await?;
    let grants = accounts.grants_of_user(caller, &user.name).await?;
    let view = |(role, grant): (Option<String>, Grant)| GrantView { grant: grant.to_string(), role };
    Ok(UserDetailView {
        user: user.into(),
        roles: roles.into_iter().map(|role: Role| role.name).collect(),
        grants: grants.into_iter().map(view).collect(),
    })
}

pub(super) async fn me(State(accounts): State<Accounts>, caller: Caller) -> Result<Json<MeView>, Problem> {
    let account = match accounts.own(&caller).await? {
        Some(user) => Some(detail(&accounts, &caller, &user).await?),
        None => None,
    };
    let (unrestricted, by_token) = (caller.access.is_everything(), caller.by_token);
    Ok(Json(MeView { name: caller.name, unrestricted, by_token, account }))
}

pub(super) async fn list(
    State(accounts): State<Accounts>,
    caller: Caller,
) -> Result<Json<UsersView>, Problem> {
    let users = accounts.users(&caller).await?;
    Ok(Json(UsersView { users: users.iter().map(UserView::from).collect() }))
}

pub(super) async fn create(
    State(accounts): State<Accounts>,
    caller: Caller,
    Json(body): Json<CreateUser>,
) -> Result<(StatusCode, Json<UserDetailView>), Problem> {
    let user = accounts.create_user(&caller, &body.name, body.password.as_deref(), body.admin).await?;
    Ok((StatusCode::CREATED, Json(detail(&accounts, &caller, &user).await?)))
}

pub(super) async fn show(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<UserDetailView>, Problem> {
    let user = accounts.user(&caller, &name).await?;
    Ok(Json(detail(&accounts, &caller, &user).await?))
}

pub(super) async fn change(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<ChangeUser>,
) -> Result<Json<UserDetailView>, Problem> {
    let user = accounts.set_admin(&caller, &name, body.admin).await?;
    Ok(Json(detail(&accounts, &caller, &user).await?))
}

pub(super) async fn delete(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    accounts.delete_user(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn set_password(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<SetPassword>,
) -> Result<StatusCode, Problem> {
    accounts.set_password(&caller, &name, &body.password, body.current_password.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn grant(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<GrantBody>,
) -> Result<StatusCode, Problem> {
    accounts.grant(&caller, &name, body.read()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn revoke(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(name): Path<String>,
    Query(on): Query<On>,
) -> Result<StatusCode, Problem> {
    let on = on.read()?;
    accounts.revoke(&caller, &name, on.resource(), on.id()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn assign(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path((name, role)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let role_id = accounts.role_id(&caller, &role).await?;
    accounts.assign_role(&caller, &name, role_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn unassign(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path((name, role)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let role_id = accounts.role_id(&caller, &role).await?;
    accounts.unassign_role(&caller, &name, role_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
