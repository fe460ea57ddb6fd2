//! Tokens.

use axum::extract::State;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use shipway_core::{Grant, Timestamp};
use shipway_web::{Caller, Json, Path, Problem, Query};

use crate::{
    error::AccessError,
    model::ApiToken,
    service::{Accounts, NewToken},
};

#[derive(Debug, Serialize)]
pub(super) struct TokensView {
    user: String,
    tokens: Vec<TokenView>,
}

#[derive(Debug, Serialize)]
struct TokenView {
    id: String,
    name: String,
    /// Empty: all that its user may do.
    scopes: Vec<String>,
    created: Timestamp,
    expires: Timestamp,
    expired: bool,
}

impl TokenView {
    fn of(token: &ApiToken, now: Timestamp) -> Self {
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            scopes: token.scopes.iter().map(Grant::to_string).collect(),
            created: token.created,
            expires: token.expires,
            expired: token.expires <= now,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct NewTokenView {
    user: String,
    #[serde(flatten)]
    about: TokenView,
    /// The token itself. It is shown this once.
    token: String,
}

impl From<NewToken> for NewTokenView {
    fn from(new: NewToken) -> Self {
        Self { user: new.user, about: TokenView::of(&new.token, new.token.created), token: new.text }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateToken {
    name: String,
    /// For whom; the caller when it is left out.
    user: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    /// For how many days it is good: 90 when it is left out, 366 at most.
    days: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Whose {
    user: Option<String>,
}

pub(super) async fn list(
    State(accounts): State<Accounts>,
    caller: Caller,
    Query(whose): Query<Whose>,
) -> Result<Json<TokensView>, Problem> {
    let (user, tokens) = accounts.tokens(&caller, whose.user.as_deref()).await?;
    let now = accounts.now();
    let tokens = tokens.iter().map(|token| TokenView::of(token, now)).collect();
    Ok(Json(TokensView { user: user.name, tokens }))
}

/// The answer holds a secret, so no cache may keep it.
pub(super) async fn create(
    State(accounts): State<Accounts>,
    caller: Caller,
    Json(body): Json<CreateToken>,
) -> Result<(StatusCode, [(header::HeaderName, HeaderValue); 1], Json<NewTokenView>), Problem> {
    let scopes = body.scopes.iter().map(|text| Ok(text.parse()?)).collect::<Result<Vec<_>, AccessError>>()?;
    let made = accounts.create_token(&caller, body.user.as_deref(), &body.name, scopes, body.days).await?;
    let private = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, private, Json(made.into())))
}

pub(super) async fn revoke(
    State(accounts): State<Accounts>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    accounts.revoke_token(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
