//! Secrets of providers. Values come in and never go out.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shipway_core::{Name, Timestamp};
use shipway_web::{Caller, Json, Path, Problem};

use crate::{
    error::GatewayError,
    service::{Gateway, KeptSecret},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutBody {
    value: String,
}

#[derive(Debug, Serialize)]
struct SecretView {
    name: String,
    key_id: String,
    changed: Timestamp,
    changed_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl From<KeptSecret> for SecretView {
    fn from(kept: KeptSecret) -> Self {
        let KeptSecret { name, key_id, changed, changed_by, problem } = kept;
        Self { name, key_id, changed, changed_by, problem }
    }
}

pub(super) async fn list(State(gateway): State<Gateway>) -> Result<Json<Value>, Problem> {
    let secrets: Vec<SecretView> = gateway.secrets().await?.into_iter().map(SecretView::from).collect();
    Ok(Json(json!({ "secrets": secrets })))
}

pub(super) async fn put(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<PutBody>,
) -> Result<StatusCode, Problem> {
    let name = Name::new(&name).map_err(|_| {
        let reason = format!("`{name}` is not a name: use a lower-case letter, then a-z, 0-9 and _");
        GatewayError::invalid("secret", reason)
    })?;
    gateway.put_secret(&caller.name, &name, &body.value).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn delete(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.delete_secret(&caller.name, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn rekey(State(gateway): State<Gateway>, caller: Caller) -> Result<Json<Value>, Problem> {
    let count = gateway.rekey_secrets(&caller.name).await?;
    Ok(Json(json!({ "encrypted_anew": count })))
}
