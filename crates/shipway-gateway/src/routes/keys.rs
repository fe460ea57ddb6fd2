//! Virtual keys.

use std::collections::BTreeMap;

use axum::extract::State;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use shipway_core::Name;
use shipway_web::{Caller, Json, Path, Problem};

use super::view::KeyView;
use crate::{
    model::{KeyRoute, KeyTerms, Limits},
    service::{CreateKey, Gateway, NewKey},
};

#[derive(Debug, Serialize)]
pub(super) struct KeysView {
    keys: Vec<KeyView>,
}

#[derive(Debug, Serialize)]
pub(super) struct NewKeyView {
    #[serde(flatten)]
    about: KeyView,
    /// The key itself. It is shown this once.
    key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateBody {
    name: String,
    group: Option<Name>,
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    routes: Vec<KeyRoute>,
    /// The tools that its calls may offer; every one when it is left out.
    tools: Option<Vec<String>>,
    /// Whose its calls are, whatever they say.
    user: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    limits: Limits,
    /// For how many days it is good; for ever when it is left out.
    days: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateBody {
    /// For how many seconds the secret before is still taken.
    #[serde(default)]
    grace_seconds: u32,
}

type Secret = (StatusCode, [(HeaderName, HeaderValue); 1], Json<NewKeyView>);

/// The answer holds a secret, so no cache may keep it.
fn secret(gateway: &Gateway, new: NewKey, status: StatusCode) -> Secret {
    let view = NewKeyView { about: KeyView::of(gateway, &new.key), key: new.text };
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(view))
}

pub(super) async fn list(State(gateway): State<Gateway>) -> Result<Json<KeysView>, Problem> {
    let keys = gateway.keys().await?;
    gateway.look_at_others().await?;
    Ok(Json(KeysView { keys: keys.iter().map(|key| KeyView::of(&gateway, key)).collect() }))
}

pub(super) async fn show(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Json<KeyView>, Problem> {
    let key = gateway.key(&id).await?;
    gateway.look_at_others().await?;
    Ok(Json(KeyView::of(&gateway, &key)))
}

pub(super) async fn create(
    State(gateway): State<Gateway>,
    caller: Caller,
    Json(body): Json<CreateBody>,
) -> Result<Secret, Problem> {
    let CreateBody { name, group, models, routes, tools, user, tags, limits, days } = body;
    let terms = KeyTerms { routes, tools, user, tags };
    let new =
        gateway.create_key(&caller.name, CreateKey { name, group, models, terms, limits, days }).await?;
    Ok(secret(&gateway, new, StatusCode::CREATED))
}

pub(super) async fn limit(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    Json(limits): Json<Limits>,
) -> Result<Json<KeyView>, Problem> {
    let key = gateway.limit_key(&caller.name, &id, limits).await?;
    Ok(Json(KeyView::of(&gateway, &key)))
}

pub(super) async fn rotate(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<RotateBody>,
) -> Result<Secret, Problem> {
    let new = gateway.rotate_key(&caller.name, &id, body.grace_seconds).await?;
    Ok(secret(&gateway, new, StatusCode::OK))
}

pub(super) async fn revoke(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.revoke_key(&caller.name, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
