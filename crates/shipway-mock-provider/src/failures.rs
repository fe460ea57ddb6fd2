//! Answers that are errors, each in the words of the house that is asked.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    ask::Refused,
    dialects::{House, anthropic, bedrock, gemini, openai, sse::Event, status_of},
    provider::Call,
    route::Route,
    script::{ErrorKind, Fault},
    speak,
    wire::Answer,
};

/// The error of this kind.
pub(crate) fn of_kind(call: &Call<'_>, kind: ErrorKind) -> Answer {
    answer(call, &refused(call, kind))
}

fn refused(call: &Call<'_>, kind: ErrorKind) -> Refused {
    let message = match call.house() {
        House::OpenAi => openai::message(kind, call.model),
        House::Anthropic => anthropic::message(kind, call.model),
        House::Gemini => gemini::message(kind, call.model),
        House::Bedrock => bedrock::message(kind, call.model),
    };
    Refused { kind, message, parameter: None }
}

/// The error with its headers: when to come again, and what is left of the limits.
pub(crate) fn answer(call: &Call<'_>, refused: &Refused) -> Answer {
    let failure = &call.script.failure;
    let status = failure.status.unwrap_or_else(|| status_of(call.house(), refused.kind));
    let mut answer =
        speak::with_house_headers(Answer::json(status, &body(call, refused, status)), call, status == 429);
    if call.house() == House::Bedrock {
        answer = answer.with_header("x-amzn-errortype", bedrock::name(refused.kind));
    }
    if let Some(seconds) = &failure.retry_after {
        answer = answer.with_header("retry-after", seconds.clone());
    }
    if let Some(milliseconds) = failure.retry_after_ms {
        answer = answer.with_header("retry-after-ms", milliseconds.to_string());
    }
    if let Some(should) = failure.should_retry {
        answer = answer.with_header("x-should-retry", should.to_string());
    }
    answer
}

fn body(call: &Call<'_>, refused: &Refused, status: u16) -> Value {
    match call.house() {
        House::OpenAi => openai::error(refused),
        House::Anthropic => anthropic::error(refused, &call.request_id()),
        House::Bedrock => bedrock::error(refused),
        House::Gemini => gemini::error(refused, status, call.script.failure.retry_after.as_deref()),
    }
}

/// What a stream says when it breaks in the middle.
pub(crate) fn frame(call: &Call<'_>) -> Event {
    let default = if call.house() == House::Anthropic { ErrorKind::Overloaded } else { ErrorKind::Server };
    let kind = call.script.failure.kind.unwrap_or(default);
    let refused = refused(call, kind);
    let body = body(call, &refused, status_of(call.house(), kind));
    match (call.house(), call.route) {
        (House::Anthropic, _) => Event::named("error", body),
        (House::Bedrock, _) => Event::named(bedrock::name_in_stream(kind), body),
        (House::OpenAi, Route::Responses) => {
            let at = match call.script.fault {
                Some(Fault::ErrorFrame(at)) => at,
                _ => 0,
            };
            let error = &body["error"];
            Event::named(
                "error",
                json!({"type": "error", "code": error["code"], "message": error["message"], "param": null, "sequence_number": at}),
            )
        }
        (House::OpenAi | House::Gemini, _) => Event::unnamed(body),
    }
}

/// What AWS says to whom it does not let in.
pub(crate) fn not_let_in(name: &'static str, message: &str) -> Answer {
    Answer::json(403, &json!({"message": message})).with_header("x-amzn-errortype", name)
}

/// The answer on a path that nobody serves.
pub(crate) fn unknown_path(method: &str, path: &str) -> Answer {
    let message = format!("Invalid URL ({method} {path})");
    Answer::json(
        404,
        &json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}}),
    )
}

/// 200 and no JSON.
pub(crate) fn garbage() -> Answer {
    Answer::whole(
        200,
        "application/json",
        Bytes::from_static(b"{\"id\": \"chatcmpl-1\", \"choices\": [{\"mess\xff\x00 upstream"),
    )
}

/// What a proxy between says.
pub(crate) fn html(call: &Call<'_>) -> Answer {
    let status = call.script.failure.status.unwrap_or(502);
    let page = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n";
    Answer::whole(status, "text/html", Bytes::from_static(page))
}
