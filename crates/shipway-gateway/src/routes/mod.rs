//! The native API of the gateway, and the routes of the APIs that it passes on.
//!
//! - `calls`: the APIs of OpenAI and Anthropic, under the paths that their clients ask
//! - `media`: images, sound, moderations
//! - `files`: files and batches
//! - `realtime`: connections over which both sides speak
//! - `responses`: what is asked about responses that providers keep
//! - `gemini`: Google's API for Gemini, likewise
//! - `models`: which models a caller may ask
//! - `cache`: how often answers to questions that are about the same were given, and would have been wrong
//! - `guardrails`: what they found, and what they would find in a text
//! - `secrets`: secrets of providers
//! - `traces`: calls that were made, found and shown
//! - `keys`, `groups`, `labels`: virtual keys, groups, users and tags, with what they have used

mod cache;
mod calls;
mod files;
mod gemini;
mod groups;
mod guardrails;
mod keys;
mod labels;
mod media;
mod models;
mod realtime;
mod responses;
mod secrets;
mod traces;
mod view;

use axum::response::Response;
use shipway_core::{Permission, ResourceType};
use shipway_dialects::Dialect;
use shipway_web::{Problem, Routes};

use crate::{service::Gateway, wire};

/// How long the body of a call may be: prompts of a million tokens, and images in base64.
const CALL_LIMIT_BYTES: u64 = 64 << 20;

/// How long the body of a text that is tried may be, with its escapes.
const TRY_LIMIT_BYTES: u64 = 8 << 20;

/// All routes of the gateway.
///
/// The routes of calls let in everybody who is known: whether they may use a model is decided by its name, which stands in the body.
pub fn routes(gateway: Gateway) -> Routes<()> {
    // Clients of OpenAI and of Google ask for models on the same paths.
    let models = Routes::new()
        .get("/v1/models", Permission::Known, models::list)
        .get("/v1/models/{model}", Permission::Known, models::show)
        .with_key_in_query(gemini::KEY)
        .with_problem_renderer(in_openai);
    let anthropic = Routes::new()
        .post_with_limit("/v1/messages", Permission::Known, CALL_LIMIT_BYTES, calls::messages)
        .post_with_limit(
            "/v1/messages/count_tokens",
            Permission::Known,
            CALL_LIMIT_BYTES,
            calls::count_tokens,
        )
        .with_problem_renderer(in_anthropic)
        .with_unknown_path_renderer("/v1/messages", in_anthropic);
    let gemini = Routes::new()
        .post_with_limit("/v1beta/models/{*model}", Permission::Known, CALL_LIMIT_BYTES, gemini::call)
        // Google's newer clients ask on this one, beside OpenAI's list of models.
        .post_with_limit("/v1/models/{model}", Permission::Known, CALL_LIMIT_BYTES, gemini::call)
        .get("/v1beta/models", Permission::Known, gemini::list)
        .get("/v1beta/models/{*model}", Permission::Known, gemini::show)
        .with_key_in_query(gemini::KEY)
        .with_problem_renderer(in_gemini)
        .with_unknown_path_renderer("/v1beta/", in_gemini);
    native()
        .merge(openai())
        .merge(realtime())
        .merge(models)
        .merge(anthropic)
        .merge(gemini)
        .about(ResourceType::LlmModel)
        .merge(contents())
        .with_state(gateway)
}

/// What was asked and answered needs a permission of its own.
fn contents() -> Routes<Gateway> {
    Routes::new()
        .get("/api/v1/llm/traces/{call}/content", Permission::Read, traces::content)
        .about(ResourceType::LlmContent)
}

/// The API of the gateway itself.
fn native() -> Routes<Gateway> {
    Routes::new()
        .get("/api/v1/llm/models", Permission::Read, models::native)
        .get("/api/v1/llm/cache", Permission::Read, cache::list)
        .get("/api/v1/llm/guardrails", Permission::Read, guardrails::list)
        .post_with_limit(
            "/api/v1/llm/guardrails/try",
            Permission::Read,
            TRY_LIMIT_BYTES,
            guardrails::try_them,
        )
        .post("/api/v1/llm/traces/search", Permission::Read, traces::search)
        .get("/api/v1/llm/traces/{call}", Permission::Read, traces::show)
        .get("/api/v1/llm/keys", Permission::Read, keys::list)
        .post("/api/v1/llm/keys", Permission::Manage, keys::create)
        .get("/api/v1/llm/keys/{key}", Permission::Read, keys::show)
        .put("/api/v1/llm/keys/{key}/limits", Permission::Manage, keys::limit)
        .post("/api/v1/llm/keys/{key}/rotate", Permission::Manage, keys::rotate)
        .delete("/api/v1/llm/keys/{key}", Permission::Manage, keys::revoke)
        .get("/api/v1/llm/labels", Permission::Read, labels::list)
        .get("/api/v1/llm/labels/{kind}/{name}", Permission::Read, labels::show)
        .put("/api/v1/llm/labels/{kind}/{name}", Permission::Manage, labels::put)
        .delete("/api/v1/llm/labels/{kind}/{name}", Permission::Manage, labels::delete)
        .get("/api/v1/llm/secrets", Permission::Read, secrets::list)
        .post("/api/v1/llm/rekey", Permission::Manage, secrets::rekey)
        .put("/api/v1/llm/secrets/{secret}", Permission::Manage, secrets::put)
        .delete("/api/v1/llm/secrets/{secret}", Permission::Manage, secrets::delete)
        .get("/api/v1/llm/groups", Permission::Read, groups::list)
        .get("/api/v1/llm/groups/{group}", Permission::Read, groups::show)
        .put("/api/v1/llm/groups/{group}", Permission::Manage, groups::put)
        .delete("/api/v1/llm/groups/{group}", Permission::Manage, groups::delete)
}

/// OpenAI's API.
fn openai() -> Routes<Gateway> {
    Routes::new()
        .post_with_limit("/v1/chat/completions", Permission::Known, CALL_LIMIT_BYTES, calls::chat)
        .post_with_limit("/v1/completions", Permission::Known, CALL_LIMIT_BYTES, calls::completions)
        .post_with_limit("/v1/responses", Permission::Known, CALL_LIMIT_BYTES, calls::responses)
        .post_with_limit(
            "/v1/responses/input_tokens",
            Permission::Known,
            CALL_LIMIT_BYTES,
            calls::input_tokens,
        )
        .get("/v1/responses/{response}", Permission::Known, responses::show)
        .delete("/v1/responses/{response}", Permission::Known, responses::delete)
        .post("/v1/responses/{response}/cancel", Permission::Known, responses::cancel)
        .get("/v1/responses/{response}/input_items", Permission::Known, responses::input_items)
        .post_with_limit("/v1/embeddings", Permission::Known, CALL_LIMIT_BYTES, calls::embeddings)
        .post_with_limit(
            "/v1/images/generations",
            Permission::Known,
            CALL_LIMIT_BYTES,
            media::image_generations,
        )
        .post_with_limit("/v1/images/edits", Permission::Known, CALL_LIMIT_BYTES, media::image_edits)
        .post_with_limit(
            "/v1/images/variations",
            Permission::Known,
            CALL_LIMIT_BYTES,
            media::image_variations,
        )
        .post_with_limit("/v1/audio/speech", Permission::Known, CALL_LIMIT_BYTES, media::speech)
        .post_with_limit(
            "/v1/audio/transcriptions",
            Permission::Known,
            CALL_LIMIT_BYTES,
            media::transcriptions,
        )
        .post_with_limit("/v1/audio/translations", Permission::Known, CALL_LIMIT_BYTES, media::translations)
        .post_with_limit("/v1/moderations", Permission::Known, CALL_LIMIT_BYTES, media::moderations)
        .merge(stored())
        .with_problem_renderer(in_openai)
        .with_unknown_path_renderer("/v1/", in_openai)
}

/// What lies at providers.
fn stored() -> Routes<Gateway> {
    Routes::new()
        .post_with_limit("/v1/files", Permission::Known, CALL_LIMIT_BYTES, files::upload)
        .get("/v1/files", Permission::Known, files::list_files)
        .get("/v1/files/{file}", Permission::Known, files::show_file)
        .delete("/v1/files/{file}", Permission::Known, files::delete_file)
        .get("/v1/files/{file}/content", Permission::Known, files::file_content)
        .post("/v1/batches", Permission::Known, files::begin_batch)
        .get("/v1/batches", Permission::Known, files::list_batches)
        .get("/v1/batches/{batch}", Permission::Known, files::show_batch)
        .post("/v1/batches/{batch}/cancel", Permission::Known, files::cancel_batch)
}

/// OpenAI's API over a connection.
fn realtime() -> Routes<Gateway> {
    Routes::new()
        .get("/v1/realtime", Permission::Known, realtime::connect)
        .post("/v1/realtime/client_secrets", Permission::Known, realtime::client_secrets)
        .post("/v1/realtime/sessions", Permission::Known, realtime::client_secrets)
        .post("/v1/realtime/transcription_sessions", Permission::Known, realtime::client_secrets)
        .post("/v1/realtime/calls", Permission::Known, realtime::calls)
        .post("/v1/realtime/calls/{*call}", Permission::Known, realtime::calls)
        .with_key_in_subprotocol(realtime::KEY_IN_SUBPROTOCOL)
        .with_problem_renderer(in_openai)
}

#[expect(clippy::needless_pass_by_value, reason = "a renderer takes the problem")]
fn in_openai(problem: Problem) -> Response {
    wire::refuse_problem(Dialect::OpenAiChat, &problem)
}

#[expect(clippy::needless_pass_by_value, reason = "a renderer takes the problem")]
fn in_anthropic(problem: Problem) -> Response {
    wire::refuse_problem(Dialect::AnthropicMessages, &problem)
}

#[expect(clippy::needless_pass_by_value, reason = "a renderer takes the problem")]
fn in_gemini(problem: Problem) -> Response {
    wire::refuse_problem(Dialect::GeminiGenerate, &problem)
}
