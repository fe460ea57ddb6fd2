//! OpenAI: chat completions, completions, responses, embeddings, models, images, sound, moderations.

pub(crate) mod chat;
mod chat_checks;
pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod media;
pub(crate) mod responses;
mod responses_stream;

use serde_json::{Value, json};

use super::CREATED;
use crate::{
    ask::Refused,
    reply::{Reply, Usage},
    script::ErrorKind,
};

/// An error's body, in OpenAI's words.
pub(crate) fn error(refused: &Refused) -> Value {
    let (kind, code) = match refused.kind {
        ErrorKind::Invalid | ErrorKind::TooLarge | ErrorKind::Permission => ("invalid_request_error", None),
        ErrorKind::Auth => ("invalid_request_error", Some("invalid_api_key")),
        ErrorKind::NotFound => ("invalid_request_error", Some("model_not_found")),
        ErrorKind::RateLimit => ("requests", Some("rate_limit_exceeded")),
        ErrorKind::Quota => ("insufficient_quota", Some("insufficient_quota")),
        ErrorKind::Context => ("invalid_request_error", Some("context_length_exceeded")),
        ErrorKind::ContentPolicy => ("invalid_request_error", Some("content_policy_violation")),
        ErrorKind::Server | ErrorKind::BadGateway | ErrorKind::Unavailable | ErrorKind::Overloaded => {
            ("server_error", None)
        }
        ErrorKind::Timeout => ("timeout", None),
    };
    let parameter = refused.parameter.as_deref().or(match refused.kind {
        ErrorKind::Context => Some("messages"),
        _ => None,
    });
    json!({"error": {"message": refused.message, "type": kind, "param": parameter, "code": code}})
}

/// What OpenAI says about an error of this kind.
pub(crate) fn message(kind: ErrorKind, model: &str) -> String {
    match kind {
        ErrorKind::Invalid => "Invalid value for 'temperature': expected a number between 0 and 2.".to_owned(),
        ErrorKind::Auth => "Incorrect API key provided: sk-*****. You can find your API key at https://platform.openai.com/account/api-keys.".to_owned(),
        ErrorKind::Permission => format!("You are not allowed to sample from the model {model}."),
        ErrorKind::NotFound => format!("The model `{model}` does not exist or you do not have access to it."),
        ErrorKind::TooLarge => "The request is too large.".to_owned(),
        ErrorKind::RateLimit => format!(
            "Rate limit reached for {model} in organization org-mock on requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again in 120ms."
        ),
        ErrorKind::Quota => "You exceeded your current quota, please check your plan and billing details.".to_owned(),
        ErrorKind::Context => "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. Please reduce the length of the messages.".to_owned(),
        ErrorKind::ContentPolicy => "Your request was rejected as a result of our safety system.".to_owned(),
        ErrorKind::Server => "The server had an error while processing your request. Sorry about that!".to_owned(),
        ErrorKind::BadGateway => "Bad gateway.".to_owned(),
        ErrorKind::Unavailable => "The server is temporarily unable to process your request.".to_owned(),
        ErrorKind::Overloaded => "The engine is currently overloaded, please try again later.".to_owned(),
        ErrorKind::Timeout => "Request timed out.".to_owned(),
    }
}

/// Usage of chat and text completions.
fn completion_usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total(),
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
            "audio_tokens": usage.audio,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// Usage of all choices together: the input was read once.
fn all_choices(replies: &[Reply]) -> Usage {
    let first = replies.first().map(|reply| reply.usage).unwrap_or_default();
    Usage {
        output: replies.iter().map(|reply| reply.usage.output).sum(),
        reasoning: replies.iter().map(|reply| reply.usage.reasoning).sum(),
        ..first
    }
}

/// The list of models.
pub(crate) fn models(names: &[String]) -> Value {
    let data: Vec<_> = names.iter().map(|name| model(name)).collect();
    json!({"object": "list", "data": data})
}

pub(crate) fn model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": CREATED, "owned_by": "mock"})
}
