//! Google's API for Gemini, under the paths that its clients ask. A call's model, and what is done with it, stand in its path.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use shipway_dialects::Dialect;
use shipway_web::{BodyBytes, Caller, Path, Query};

use super::models::names;
use crate::{
    address::{COUNT_TOKENS_OF_GEMINI, GENERATE, STREAM},
    call::{self, Api, Request},
    error::{GatewayError, Thing},
    service::Gateway,
    wire,
};

/// Where a key may stand in an address, as Google has it.
pub(super) const KEY: &str = "key";

const DIALECT: Dialect = Dialect::GeminiGenerate;
const CONTENT: Api = Api { dialect: DIALECT, path: GENERATE, writes: true, is_charged: true };
/// Providers count tokens for nothing.
const COUNT_TOKENS: Api =
    Api { dialect: DIALECT, path: COUNT_TOKENS_OF_GEMINI, writes: false, is_charged: false };
/// The embedding of one content.
const EMBED: Api =
    Api { dialect: Dialect::GeminiEmbeddings, path: "embedContent", writes: false, is_charged: true };
/// The embeddings of several.
const EMBED_ALL: Api = Api { path: "batchEmbedContents", ..EMBED };
/// What can be done with a model here.
const VERBS: [&str; 5] = [GENERATE, STREAM, COUNT_TOKENS_OF_GEMINI, EMBED.path, EMBED_ALL.path];

/// How a stream is told.
#[derive(Deserialize)]
pub(super) struct Form {
    alt: Option<String>,
}

/// A call: `{model}:generateContent`, `:streamGenerateContent`, `:countTokens`, `:embedContent` or `:batchEmbedContents`.
pub(super) async fn call(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(asked): Path<String>,
    Query(form): Query<Form>,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> Response {
    let (model, verb) = asked.rsplit_once(':').unwrap_or((&asked, ""));
    let (api, is_stream) = match verb {
        GENERATE => (CONTENT, false),
        STREAM => (CONTENT, true),
        COUNT_TOKENS_OF_GEMINI => (COUNT_TOKENS, false),
        "embedContent" => (EMBED, false),
        "batchEmbedContents" => (EMBED_ALL, false),
        _ => return refuse(&GatewayError::missing(Thing::Verb, verb)),
    };
    if is_stream && form.alt.as_deref() != Some("sse") {
        return refuse(&GatewayError::invalid("alt", "streams are told as events here: ask with `?alt=sse`"));
    }
    let said_by_path = Some((model.to_owned(), is_stream));
    call::answer(&gateway, Request { api, caller, headers, body, said_by_path }).await
}

/// Whether a client of Google's asks: on the paths that others have too, its key gives it away.
pub(super) fn asks(headers: &HeaderMap) -> bool {
    headers.contains_key("x-goog-api-key")
}

fn refuse(error: &GatewayError) -> Response {
    wire::refuse_ours(DIALECT, error, None)
}

fn shown(name: &str) -> Value {
    json!({
        "name": format!("models/{name}"),
        "baseModelId": name,
        "displayName": name,
        "version": "1",
        "supportedGenerationMethods": VERBS,
    })
}

/// The models that the caller may ask, by every name.
pub(super) async fn list(State(gateway): State<Gateway>, caller: Caller, headers: HeaderMap) -> Response {
    let principal = match gateway.principal(caller, &headers).await {
        Ok(principal) => principal,
        Err(error) => return refuse(&error),
    };
    let installed = gateway.installed();
    let models = installed
        .models()
        .iter()
        .flat_map(|model| names(model).filter(|name| principal.may_use(name, &model.spec.name)))
        .map(shown);
    Json(json!({ "models": models.collect::<Value>() })).into_response()
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
        Err(error) => return refuse(&error),
    };
    let installed = gateway.installed();
    match installed.find(&name).filter(|model| principal.may_use(&name, &model.spec.name)) {
        Some(_) => Json(shown(&name)).into_response(),
        None => refuse(&GatewayError::missing(Thing::Model, &name)),
    }
}
