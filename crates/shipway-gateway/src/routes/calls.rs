//! The APIs of providers, under the paths that their clients ask.

use axum::{extract::State, response::Response};
use http::HeaderMap;
use shipway_dialects::Dialect;
use shipway_web::{BodyBytes, Caller};

use crate::{
    address,
    call::{self, Api, Request},
    service::Gateway,
};

const CHAT: Api =
    Api { dialect: Dialect::OpenAiChat, path: "chat/completions", writes: true, is_charged: true };
const COMPLETIONS: Api =
    Api { dialect: Dialect::OpenAiCompletions, path: "completions", writes: true, is_charged: true };
const RESPONSES: Api =
    Api { dialect: Dialect::OpenAiResponses, path: "responses", writes: true, is_charged: true };
/// Providers count tokens for nothing.
const INPUT_TOKENS: Api =
    Api { dialect: Dialect::OpenAiResponses, path: address::INPUT_TOKENS, writes: false, is_charged: false };
const EMBEDDINGS: Api =
    Api { dialect: Dialect::OpenAiEmbeddings, path: "embeddings", writes: false, is_charged: true };
const MESSAGES: Api =
    Api { dialect: Dialect::AnthropicMessages, path: "messages", writes: true, is_charged: true };
/// Providers count tokens for nothing.
const COUNT_TOKENS: Api = Api {
    dialect: Dialect::AnthropicMessages,
    path: address::COUNT_TOKENS,
    writes: false,
    is_charged: false,
};

type Parts = (State<Gateway>, Caller, HeaderMap, BodyBytes);

async fn answer(api: Api, (State(gateway), caller, headers, BodyBytes(body)): Parts) -> Response {
    call::answer(&gateway, Request { api, caller, headers, body, said_by_path: None }).await
}

pub(super) async fn chat(
    gateway: State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    body: BodyBytes,
) -> Response {
    answer(CHAT, (gateway, caller, headers, body)).await
}

pub(super) async fn completions(
    gateway: State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    body: BodyBytes,
) -> Response {
    answer(COMPLETIONS, (gateway, caller, headers, body)).await
}

pub(super) async fn responses(
    gateway: State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    body: BodyBytes,
) -> Response {
    answer(RESPONSES, (gateway, caller, headers, body)).await
}

pub(super) async fn input_tokens(
    gateway: State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    body: BodyBytes,
) -> Response {
    answer(INPUT_TOKENS, (gateway, caller, headers, body)).await
}

pub(super) async fn embeddings(
    gateway: State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    body: BodyBytes,
) -> Response {
    answer(EMBEDDINGS, (gateway, caller, headers, body)).await
}

pub(super) async fn messages(
    gateway: State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    body: BodyBytes,
) -> Response {
    answer(MESSAGES, (gateway, caller, headers, body)).await
}

pub(super) async fn count_tokens(
    gateway: State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    body: BodyBytes,
) -> Response {
    answer(COUNT_TOKENS, (gateway, caller, headers, body)).await
}
