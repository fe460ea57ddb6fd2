//! Writes a failure as each dialect's clients understand it.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::dialect::{Dialect, Family};
use crate::failure::{ApiError, Cause};

impl ApiError {
    /// The status of an answer that says this failure.
    pub const fn status(&self, dialect: Dialect) -> u16 {
        match self.cause {
            Cause::InvalidRequest | Cause::ContextWindow | Cause::ContentPolicy => 400,
            Cause::Authentication => 401,
            // Not 429: clients try that again, and nothing is gained by it.
            Cause::Budget => 402,
            Cause::Permission => 403,
            Cause::NotFound => 404,
            Cause::Conflict => 409,
            Cause::TooLarge => 413,
            Cause::RateLimit => 429,
            Cause::Overloaded => match dialect.family() {
                Family::Anthropic => 529,
                Family::OpenAi | Family::Gemini | Family::Bedrock => 503,
            },
            Cause::Timeout => 504,
            Cause::Upstream => 502,
            Cause::Internal => 500,
        }
    }

    /// The body of an answer that says this failure, JSON. Anthropic's has the request's id in it.
    pub fn body(&self, dialect: Dialect, request_id: Option<&str>) -> Bytes {
        Bytes::from(self.value(dialect, request_id).to_string())
    }

    /// The frame of a stream that says this failure, after which the stream ends without its terminator. `sequence`
    /// is the number that the frame has among those of a stream of responses; other dialects do not number them.
    pub fn frame(&self, dialect: Dialect, request_id: Option<&str>, sequence: u64) -> Bytes {
        let text = match dialect {
            Dialect::AnthropicMessages => {
                format!("event: error\ndata: {}\n\n", self.value(dialect, request_id))
            }
            Dialect::OpenAiResponses => {
                let data = json!({
                    "type": "error", "code": self.openai_code(), "message": self.message, "param": self.param,
                    "sequence_number": sequence,
                });
                format!("event: error\ndata: {data}\n\n")
            }
            _ => format!("data: {}\n\n", self.value(dialect, request_id)),
        };
        Bytes::from(text)
    }

    /// The event of a realtime connection that says this failure. `event_id` is the id of the event itself, `of` that of the client's
    /// event that is refused.
    pub fn realtime_event(&self, event_id: &str, of: Option<&str>) -> String {
        let error = json!({
            "type": self.openai_type(), "code": self.openai_code(), "message": self.message, "param": self.param,
            "event_id": of,
        });
        json!({"type": "error", "event_id": event_id, "error": error}).to_string()
    }

    fn value(&self, dialect: Dialect, request_id: Option<&str>) -> Value {
        match dialect.family() {
            Family::OpenAi => json!({"error": {
                "message": self.message, "type": self.openai_type(), "param": self.param, "code": self.openai_code(),
            }}),
            Family::Anthropic => {
                let mut value = json!({
                    "type": "error", "error": {"type": self.anthropic_type(), "message": self.message},
                });
                if let Some(id) = request_id {
                    value["request_id"] = json!(id);
                }
                value
            }
            Family::Gemini => json!({"error": {
                "code": self.status(dialect), "message": self.message, "status": self.gemini_status(),
            }}),
            Family::Bedrock => json!({"message": self.message}),
        }
    }

    const fn openai_type(&self) -> &'static str {
        match self.cause {
            Cause::Authentication => "authentication_error",
            Cause::Budget => "insufficient_quota",
            Cause::Permission => "permission_error",
            Cause::RateLimit => "rate_limit_error",
            Cause::Overloaded | Cause::Timeout | Cause::Upstream | Cause::Internal => "server_error",
            Cause::InvalidRequest
            | Cause::NotFound
            | Cause::Conflict
            | Cause::TooLarge
            | Cause::ContextWindow
            | Cause::ContentPolicy => "invalid_request_error",
        }
    }

    /// A code that clients look for where there is one; else the provider's own.
    fn openai_code(&self) -> Option<&str> {
        match self.cause {
            Cause::Authentication => Some("invalid_api_key"),
            Cause::Budget => Some("insufficient_quota"),
            Cause::NotFound => Some("model_not_found"),
            Cause::RateLimit => Some("rate_limit_exceeded"),
            Cause::ContextWindow => Some("context_length_exceeded"),
            // A guardrail of ours is named; what a provider calls its own filter is not what clients look for.
            Cause::ContentPolicy => {
                let own = self.code.as_deref().filter(|code| code.starts_with("guardrail."));
                own.or(Some("content_policy_violation"))
            }
            Cause::Overloaded => Some("server_is_overloaded"),
            Cause::Timeout => Some("timeout"),
            Cause::Upstream => Some("upstream_error"),
            Cause::Internal => Some("internal_server_error"),
            Cause::InvalidRequest | Cause::Permission | Cause::Conflict | Cause::TooLarge => {
                self.code.as_deref()
            }
        }
    }

    const fn anthropic_type(&self) -> &'static str {
        match self.cause {
            Cause::InvalidRequest | Cause::ContextWindow | Cause::ContentPolicy => "invalid_request_error",
            Cause::Conflict => "conflict_error",
            Cause::Authentication => "authentication_error",
            Cause::Budget => "billing_error",
            Cause::Permission => "permission_error",
            Cause::NotFound => "not_found_error",
            Cause::TooLarge => "request_too_large",
            Cause::RateLimit => "rate_limit_error",
            Cause::Overloaded => "overloaded_error",
            Cause::Timeout => "timeout_error",
            Cause::Upstream | Cause::Internal => "api_error",
        }
    }

    const fn gemini_status(&self) -> &'static str {
        match self.cause {
            Cause::InvalidRequest | Cause::TooLarge | Cause::ContextWindow | Cause::ContentPolicy => {
                "INVALID_ARGUMENT"
            }
            Cause::Authentication => "UNAUTHENTICATED",
            Cause::Budget | Cause::Permission => "PERMISSION_DENIED",
            Cause::NotFound => "NOT_FOUND",
            Cause::Conflict => "ABORTED",
            Cause::RateLimit => "RESOURCE_EXHAUSTED",
            Cause::Overloaded => "UNAVAILABLE",
            Cause::Timeout => "DEADLINE_EXCEEDED",
            Cause::Upstream | Cause::Internal => "INTERNAL",
        }
    }
}
