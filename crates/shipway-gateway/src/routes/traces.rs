//! Calls that were made: found by what is known of them and by their words, and shown.

use axum::extract::State;
use http::{HeaderName, HeaderValue, header};
use serde_json::{Value, json};
use shipway_core::{Permission, ResourceType};
use shipway_web::{Caller, Json, Path, Problem, must_be_allowed_every};

use crate::{
    error::{GatewayError, Thing},
    service::Gateway,
    traces::{AskedFor, CallContent, Found, Question, call_id},
};

/// Find calls, the newest first. To look for words needs the permission to read them.
pub(super) async fn search(
    State(gateway): State<Gateway>,
    caller: Caller,
    Json(asked): Json<AskedFor>,
) -> Result<Json<Value>, Problem> {
    let question = Question::of(asked, gateway.now())?;
    if !question.phrases.is_empty() {
        must_be_allowed_every(&caller, ResourceType::LlmContent, Permission::Read)?;
    }
    let Found { calls, next, searched_since } = gateway.find_calls(&question).await?;
    let searched_since = searched_since.map(|moment| moment.to_string());
    Ok(Json(json!({ "traces": calls, "next": next, "searched_since": searched_since })))
}

/// All facts of one call.
pub(super) async fn show(
    State(gateway): State<Gateway>,
    Path(call): Path<String>,
) -> Result<Json<Value>, Problem> {
    let call = call_id(call)?;
    let row = gateway.call(&call).await?;
    Ok(Json(Value::Object(row.ok_or_else(|| GatewayError::missing(Thing::Call, &call))?)))
}

/// What was asked and answered in one call. No cache may keep it.
pub(super) async fn content(
    State(gateway): State<Gateway>,
    Path(call): Path<String>,
) -> Result<([(HeaderName, HeaderValue); 1], Json<Value>), Problem> {
    let call = call_id(call)?;
    let content = gateway.content(&call).await?;
    let content = content.ok_or_else(|| GatewayError::missing(Thing::Content, &call))?;
    let CallContent { call, model, keep, asked, answered, is_cut, .. } = content;
    let messages = |text: Option<String>| text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let shown = json!({
        "call": call,
        "model": model,
        "keep": keep,
        "asked": messages(asked),
        "answered": messages(answered),
        "is_cut": is_cut,
    });
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(shown)))
}
