//! Which models a caller may ask.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use serde_json::{Value, json};
use shipway_core::Permission;
use shipway_dialects::Dialect;
use shipway_web::{Caller, Path};

use crate::{
    error::{GatewayError, Thing},
    service::{Gateway, Model, Principal},
    wire,
};

const PRICE_UNIT: &str = "dollars for a million tokens";

fn shown(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "shipway" })
}

pub(super) fn names(model: &Model) -> impl Iterator<Item = &str> {
    std::iter::once(model.spec.name.as_str()).chain(model.spec.called.iter().map(String::as_str))
}

/// The models that the caller may ask, by every name; those that this server serves itself among them.
pub(super) async fn list(State(gateway): State<Gateway>, caller: Caller, headers: HeaderMap) -> Response {
    let principal = match gateway.principal(caller, &headers).await {
        Ok(principal) => principal,
        Err(error) => return wire::refuse_ours(Dialect::OpenAiChat, &error, None),
    };
    let installed = gateway.installed();
    let mut models: Vec<Value> = installed
        .models()
        .iter()
        .flat_map(|model| names(model).filter(|name| principal.may_use(name, &model.spec.name)))
        .map(shown)
        .collect();
    models.extend(local(&gateway, &principal));
    Json(json!({ "object": "list", "data": models })).into_response()
}

fn local(gateway: &Gateway, principal: &Principal) -> Vec<Value> {
    let listed = gateway.local().map(|local| local.list()).unwrap_or_default();
    let may_see = |model: &Value| {
        model["id"].as_str().is_some_and(|name| principal.may_use_local(name, Permission::Read))
    };
    listed.into_iter().filter(may_see).collect()
}

/// One of them.
pub(super) async fn show(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Response {
    let principal = match gateway.principal(caller, &headers).await {
        Ok(principal) => principal,
        Err(error) => return wire::refuse_ours(Dialect::OpenAiChat, &error, None),
    };
    let installed = gateway.installed();
    let found = installed.find(&name).filter(|model| principal.may_use(&name, &model.spec.name));
    if found.is_some() {
        return Json(shown(&name)).into_response();
    }
    match gateway.local().filter(|_| principal.may_use_local(&name, Permission::Read)) {
        Some(local) => local.show(&name).await,
        None => wire::refuse_ours(Dialect::OpenAiChat, &GatewayError::missing(Thing::Model, &name), None),
    }
}

/// Every model with its deployments and how they fare, for those who run the gateway.
pub(super) async fn native(State(gateway): State<Gateway>) -> Json<Value> {
    let now = gateway.now();
    let installed = gateway.installed();
    let models = installed.models().iter().map(|model| {
        let deployments = model.deployments.iter().map(|deployment| {
            let spec = &deployment.spec;
            let [first_token, answer] = deployment.figures.averages().map(|average| average.map(f64::round));
            json!({
                "name": spec.name,
                "provider": spec.provider,
                "model": spec.model,
                "is_configured": deployment.provider.is_some(),
                "price": spec.price.as_ref().map(|price| json!({
                    "unit": PRICE_UNIT,
                    "input": price.per_million_tokens.input,
                    "output": price.per_million_tokens.output,
                    "cached_input": price.per_million_tokens.cache_read,
                    "cache_write": price.per_million_tokens.cache_write,
                })),
                "full_price": spec.price,
                "price_as_of": spec.price_as_of,
                "state": deployment.health.standing(now).word(),
                "average_us": { "first_token": first_token, "answer": answer },
                "tokens_per_second": deployment.figures.tokens_per_second(),
                "failures": deployment.health.failures(),
                "paused_until": deployment.health.paused_until(now),
            })
        });
        json!({
            "name": model.spec.name,
            "called": model.spec.called,
            "deployments": deployments.collect::<Value>(),
        })
    });
    Json(json!({ "models": models.collect::<Value>() }))
}
