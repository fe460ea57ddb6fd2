//! Anthropic: messages and the counting of their tokens.

mod checks;
pub(crate) mod messages;
mod messages_stream;
mod read;

use serde_json::{Value, json};

pub(crate) use self::read::read;
use crate::{ask::Refused, script::ErrorKind};

/// An error's body, in Anthropic's words.
pub(crate) fn error(refused: &Refused, request_id: &str) -> Value {
    let kind = match refused.kind {
        ErrorKind::Invalid | ErrorKind::Context | ErrorKind::ContentPolicy => "invalid_request_error",
        ErrorKind::Auth => "authentication_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::RateLimit | ErrorKind::Quota => "rate_limit_error",
        ErrorKind::Server | ErrorKind::BadGateway | ErrorKind::Unavailable => "api_error",
        ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::Timeout => "timeout_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": refused.message}, "request_id": request_id})
}

/// What Anthropic says about an error of this kind.
pub(crate) fn message(kind: ErrorKind, model: &str) -> String {
    match kind {
        ErrorKind::Invalid => "temperature: range: 0..1".to_owned(),
        ErrorKind::Auth => "invalid x-api-key".to_owned(),
        ErrorKind::Permission => {
            "Your API key does not have permission to use the specified resource.".to_owned()
        }
        ErrorKind::NotFound => format!("model: {model}"),
        ErrorKind::TooLarge => "Request exceeds the maximum size".to_owned(),
        ErrorKind::RateLimit => {
            "This request would exceed your organization's rate limit of 50 requests per minute.".to_owned()
        }
        ErrorKind::Quota => "Your credit balance is too low to access the Anthropic API.".to_owned(),
        ErrorKind::Context => "prompt is too long: 210000 tokens > 200000 maximum".to_owned(),
        ErrorKind::ContentPolicy => "Output blocked by content filtering policy".to_owned(),
        ErrorKind::Server | ErrorKind::BadGateway | ErrorKind::Unavailable => {
            "Internal server error".to_owned()
        }
        ErrorKind::Overloaded => "Overloaded".to_owned(),
        ErrorKind::Timeout => "Request timed out".to_owned(),
    }
}

/// The list of models, as Anthropic pages it.
pub(crate) fn models(names: &[String]) -> Value {
    let data: Vec<_> = names.iter().map(|name| model(name)).collect();
    json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()})
}

pub(crate) fn model(name: &str) -> Value {
    json!({"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"})
}

/// What stands below a thought: whoever sends the thought again must send this with it, and neither may be changed.
pub(crate) fn signature(thought: &str) -> String {
    use base64::Engine as _;
    let sum = crc32fast::hash(format!("signed:{thought}").as_bytes());
    base64::engine::general_purpose::STANDARD.encode(format!("mock-signature-{sum:08x}"))
}

/// A thought that nobody but the provider can read.
pub(crate) fn redacted(thought: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .encode(format!("mock-redacted-{:08x}", crc32fast::hash(thought.as_bytes())))
}
