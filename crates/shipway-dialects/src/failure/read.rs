//! Reads what a provider says went wrong.

use std::time::Duration;

use serde_json::Value;

use crate::failure::{ApiError, Cause, LONGEST_MESSAGE};

impl ApiError {
    /// Reads an answer whose status says that it failed. Any body is understood as far as it goes: all dialects write
    /// an `error` object or something near it, and what stands between us and a provider may write HTML.
    pub fn of_answer(status: u16, body: &[u8]) -> Self {
        Self::of_named_answer(status, None, body)
    }

    /// The same where a header names the error, as those of AWS do: `x-amzn-errortype`.
    pub fn of_named_answer(status: u16, name: Option<&str>, body: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let mut error = Self::of_value(&value, name.map(plain_name), Some(status));
        if error.message.is_empty() {
            let text = String::from_utf8_lossy(body.get(..LONGEST_MESSAGE).unwrap_or(body));
            let text = text.trim();
            error.message = if text.is_empty() || text.starts_with('<') {
                format!("the provider answered with status {status}")
            } else {
                text.to_owned()
            };
        }
        error
    }

    /// Reads the data of a frame that says that the stream failed.
    pub fn of_frame(data: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(data).unwrap_or(Value::Null);
        let mut error = Self::of_value(&value, None, None);
        if error.message.is_empty() {
            "the provider's stream failed".clone_into(&mut error.message);
        }
        error
    }

    fn of_value(value: &Value, name: Option<&str>, status: Option<u16>) -> Self {
        // Gemini wraps an error of a stream into a list.
        let value = value.as_array().and_then(|items| items.first()).unwrap_or(value);
        let inner = match value.get("error").or_else(|| value.pointer("/response/error")) {
            Some(inner) if !inner.is_null() => inner,
            _ => value,
        };
        let text = |name: &str| inner.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let message = text("message")
            .or_else(|| text("Message"))
            .or_else(|| inner.as_str())
            .or_else(|| detail(inner))
            .unwrap_or_default();
        let kind = text("type").filter(|kind| *kind != "error");
        let (code, state) = (text("code"), text("status"));
        let status_in_body =
            inner.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let name = name.or_else(|| text("__type").map(plain_name));
        let words = [name, code, kind, detail_reason(inner), state, text("innererror")];
        let cause = words
            .iter()
            .flatten()
            .find_map(|word| by_word(word))
            .or_else(|| status.or(status_in_body).map(by_status))
            .unwrap_or(Cause::Upstream);
        Self {
            cause: sharpen(cause, message),
            message: cut(message),
            code: code.or(kind).or(state).or(name).map(cut),
            param: text("param").map(cut),
            upstream_status: status,
            retry_after: retry_info(inner),
        }
    }
}

/// `com.amazon.coral.service#ThrottlingException:http://internal.amazon.com/…` is a `ThrottlingException`; in a stream it begins with a
/// small letter.
fn plain_name(name: &str) -> &str {
    let name = name.rsplit_once('#').map_or(name, |(_, name)| name);
    name.split(':').next().unwrap_or_default().trim()
}

/// How FastAPI and those who build on it say it.
fn detail(value: &Value) -> Option<&str> {
    let detail = value.get("detail")?;
    detail.as_str().or_else(|| detail.pointer("/0/msg").and_then(Value::as_str))
}

/// Codes, types and states of all providers; none has two meanings.
fn by_word(word: &str) -> Option<Cause> {
    Some(match word {
        "context_length_exceeded" | "string_above_max_length" | "exceed_context_size_error" => {
            Cause::ContextWindow
        }
        "content_policy_violation" | "content_filter" | "ResponsibleAIPolicyViolation" | "cyber_policy" => {
            Cause::ContentPolicy
        }
        "insufficient_quota" | "billing_error" | "billing_hard_limit_reached" | "budget_exceeded" => {
            Cause::Budget
        }
        "rate_limit_exceeded" | "rate_limit_error" | "RESOURCE_EXHAUSTED" | "tokens" | "requests" => {
            Cause::RateLimit
        }
        "invalid_api_key"
        | "authentication_error"
        | "UNAUTHENTICATED"
        | "invalid_authentication"
        | "API_KEY_INVALID" => Cause::Authentication,
        "permission_error" | "PERMISSION_DENIED" | "permission_denied" => Cause::Permission,
        "model_not_found" | "not_found_error" | "NOT_FOUND" | "DeploymentNotFound" => Cause::NotFound,
        "request_too_large" => Cause::TooLarge,
        "overloaded_error" | "UNAVAILABLE" | "engine_overloaded" | "server_is_overloaded" | "slow_down" => {
            Cause::Overloaded
        }
        "timeout_error" | "DEADLINE_EXCEEDED" | "timeout" => Cause::Timeout,
        "api_error" | "server_error" | "INTERNAL" | "internal_server_error" => Cause::Upstream,
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => Cause::InvalidRequest,
        _ => return by_name_of_aws(word),
    })
}

/// The errors of AWS, whose names begin with a small letter in a stream.
fn by_name_of_aws(name: &str) -> Option<Cause> {
    let name = name.strip_suffix("Exception")?;
    Some(match name {
        "Throttling" | "throttling" | "TooManyRequests" | "ServiceQuotaExceeded" => Cause::RateLimit,
        "Validation" | "validation" | "Serialization" => Cause::InvalidRequest,
        "AccessDenied" | "accessDenied" => Cause::Permission,
        "UnrecognizedClient"
        | "InvalidSignature"
        | "ExpiredToken"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "UnauthorizedOperation" => Cause::Authentication,
        "ResourceNotFound" | "resourceNotFound" => Cause::NotFound,
        "Conflict" => Cause::Conflict,
        "ModelTimeout" | "modelTimeout" => Cause::Timeout,
        "ServiceUnavailable" | "serviceUnavailable" | "ModelNotReady" => Cause::Overloaded,
        "InternalServer" | "internalServer" | "InternalFailure" | "ModelError" | "ModelStreamError"
        | "modelStreamError" => Cause::Upstream,
        _ => return None,
    })
}

fn by_status(status: u16) -> Cause {
    match status {
        401 => Cause::Authentication,
        402 => Cause::Budget,
        403 => Cause::Permission,
        404 => Cause::NotFound,
        408 | 504 => Cause::Timeout,
        // What the model behind the provider failed with.
        424 => Cause::Upstream,
        409 => Cause::Conflict,
        413 => Cause::TooLarge,
        429 => Cause::RateLimit,
        503 | 529 => Cause::Overloaded,
        400..=499 => Cause::InvalidRequest,
        _ => Cause::Upstream,
    }
}

/// Most providers say only in prose that a prompt is too long or was filtered, under the code of any bad request.
fn sharpen(cause: Cause, message: &str) -> Cause {
    const TOO_LONG: [&str; 9] = [
        "maximum context length",
        "prompt is too long",
        "context window",
        "context length",
        "exceeds the maximum number of tokens",
        "exceed context limit",
        "input token count",
        "too many input tokens",
        "input is too long",
    ];
    const FILTERED: [&str; 4] =
        ["content management policy", "content filtering policy", "safety system", "content policy"];
    let message = message.to_ascii_lowercase();
    // OpenAI has one type for all that is the server's doing.
    if cause == Cause::Upstream && message.contains("overloaded") {
        return Cause::Overloaded;
    }
    if !matches!(cause, Cause::InvalidRequest | Cause::TooLarge) {
        return cause;
    }
    if TOO_LONG.iter().any(|words| message.contains(words)) {
        Cause::ContextWindow
    } else if FILTERED.iter().any(|words| message.contains(words)) {
        Cause::ContentPolicy
    } else {
        cause
    }
}

/// `{"@type": "…ErrorInfo", "reason": "API_KEY_INVALID"}` among Gemini's details: a wrong key has the status of any bad request there.
fn detail_reason(error: &Value) -> Option<&str> {
    let details = error.get("details")?.as_array()?;
    details.iter().find_map(|detail| detail.get("reason")?.as_str())
}

/// `{"@type": "…RetryInfo", "retryDelay": "12.5s"}` among Gemini's details.
fn retry_info(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str())?;
    Duration::try_from_secs_f64(delay.strip_suffix('s')?.parse().ok()?).ok()
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_MESSAGE)].to_owned()
}
