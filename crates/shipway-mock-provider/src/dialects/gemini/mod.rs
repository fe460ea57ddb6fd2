//! Gemini: `generateContent`, `streamGenerateContent`, `countTokens`.

mod generate;
mod read;

use serde_json::{Value, json};

pub(crate) use self::{
    generate::{count, events, whole},
    read::read,
};
use crate::{ask::Refused, script::ErrorKind};

/// An error's body, in Google's words.
pub(crate) fn error(refused: &Refused, status: u16, retry_after: Option<&str>) -> Value {
    let name = match refused.kind {
        ErrorKind::Invalid | ErrorKind::Context | ErrorKind::ContentPolicy | ErrorKind::TooLarge => {
            "INVALID_ARGUMENT"
        }
        ErrorKind::Auth => "UNAUTHENTICATED",
        ErrorKind::Permission => "PERMISSION_DENIED",
        ErrorKind::NotFound => "NOT_FOUND",
        ErrorKind::RateLimit | ErrorKind::Quota => "RESOURCE_EXHAUSTED",
        ErrorKind::Server => "INTERNAL",
        ErrorKind::BadGateway | ErrorKind::Unavailable | ErrorKind::Overloaded => "UNAVAILABLE",
        ErrorKind::Timeout => "DEADLINE_EXCEEDED",
    };
    let mut body = json!({"error": {"code": status, "message": refused.message, "status": name}});
    if let Some(seconds) = retry_after {
        body["error"]["details"] = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")}]);
    }
    body
}

/// What Google says about an error of this kind.
pub(crate) fn message(kind: ErrorKind, model: &str) -> String {
    match kind {
        ErrorKind::Invalid => "Invalid JSON payload received.".to_owned(),
        ErrorKind::Auth => "API key not valid. Please pass a valid API key.".to_owned(),
        ErrorKind::Permission => "The caller does not have permission".to_owned(),
        ErrorKind::NotFound => format!(
            "models/{model} is not found for API version v1beta, or is not supported for generateContent."
        ),
        ErrorKind::TooLarge => "Request payload size exceeds the limit: 20971520 bytes.".to_owned(),
        ErrorKind::RateLimit | ErrorKind::Quota => {
            "You exceeded your current quota, please check your plan and billing details.".to_owned()
        }
        ErrorKind::Context => {
            "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576)."
                .to_owned()
        }
        ErrorKind::ContentPolicy => "The request was blocked by safety filters.".to_owned(),
        ErrorKind::Server => "An internal error has occurred.".to_owned(),
        ErrorKind::BadGateway | ErrorKind::Unavailable => "The service is currently unavailable.".to_owned(),
        ErrorKind::Overloaded => "The model is overloaded. Please try again later.".to_owned(),
        ErrorKind::Timeout => "The request timed out. Please try again.".to_owned(),
    }
}

/// Stands at what was thought; it must come back with the part that it stood at.
fn signature(of: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .encode(format!("mock-thought-{:08x}", crc32fast::hash(of.as_bytes())))
}
