//! What providers say went wrong, and how it is told on: errors, limits and waits in each dialect's words.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use shipway_core::Timestamp;
use shipway_dialects::{ApiError, Cause, Dialect, Family, Limit, RateLimits, retry_after, retry_headers};

const NOW: &str = "2026-05-01T10:00:00Z";

fn now() -> Timestamp {
    Timestamp::parse(NOW).unwrap()
}

fn cause(status: u16, body: &Value) -> Cause {
    ApiError::of_answer(status, body.to_string().as_bytes()).cause
}

#[test]
fn every_provider_says_the_same_things_in_its_own_words() {
    let openai = |code: &str, message: &str| json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": code}});
    assert_eq!(cause(400, &openai("context_length_exceeded", "too long")), Cause::ContextWindow);
    assert_eq!(cause(429, &openai("insufficient_quota", "no money")), Cause::Budget);
    assert_eq!(cause(429, &openai("rate_limit_exceeded", "slow down")), Cause::RateLimit);
    assert_eq!(cause(400, &openai("content_filter", "filtered")), Cause::ContentPolicy);
    assert_eq!(cause(404, &openai("model_not_found", "no such model")), Cause::NotFound);
    assert_eq!(cause(400, &openai("unknown_parameter", "bad")), Cause::InvalidRequest);
    let server = |message: &str| json!({"error": {"message": message, "type": "server_error", "code": null}});
    assert_eq!(cause(503, &server("The engine is currently overloaded")), Cause::Overloaded);
    assert_eq!(cause(500, &server("The server had an error")), Cause::Upstream);

    let anthropic =
        |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
    assert_eq!(cause(529, &anthropic("overloaded_error", "Overloaded")), Cause::Overloaded);
    assert_eq!(
        cause(400, &anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
        Cause::ContextWindow
    );
    assert_eq!(cause(500, &anthropic("api_error", "broke")), Cause::Upstream);

    let gemini =
        |status: &str, message: &str| json!({"error": {"code": 400, "status": status, "message": message}});
    assert_eq!(cause(429, &gemini("RESOURCE_EXHAUSTED", "quota")), Cause::RateLimit);
    let mut wrong_key = gemini("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.");
    wrong_key["error"]["details"] =
        json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]);
    assert_eq!(cause(400, &wrong_key), Cause::Authentication);
    assert_eq!(
        cause(
            400,
            &gemini(
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8)"
            )
        ),
        Cause::ContextWindow
    );

    // vLLM, Ollama, FastAPI, and something between us and the provider.
    assert_eq!(
        cause(400, &json!({"object": "error", "message": "maximum context length is 8 tokens", "code": 400})),
        Cause::ContextWindow
    );
    assert_eq!(cause(404, &json!({"error": "model 'x' not found"})), Cause::NotFound);
    assert_eq!(
        ApiError::of_answer(422, br#"{"detail":[{"msg":"field required"}]}"#).message,
        "field required"
    );
    assert_eq!(
        ApiError::of_answer(502, b"<html>Bad Gateway</html>").message,
        "the provider answered with status 502"
    );
}

#[test]
fn gemini_says_in_the_body_when_to_come_again() {
    let body = json!([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "m",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"}]}}]);

    let error = ApiError::of_answer(429, body.to_string().as_bytes());

    assert_eq!((error.cause, error.retry_after), (Cause::RateLimit, Some(Duration::from_millis(12_500))));
}

#[test]
fn what_is_written_in_a_dialect_reads_the_same_in_it() {
    for dialect in Dialect::ALL {
        for cause in Cause::ALL {
            let written = ApiError::new(cause, "something happened");
            let read = ApiError::of_answer(written.status(dialect), &written.body(dialect, Some("req_1")));

            let wanted = match (cause, dialect.family()) {
                // What a gateway breaks looks like a broken provider to a client; some causes have no word of their
                // own.
                (Cause::Internal, _) => Cause::Upstream,
                (
                    Cause::ContextWindow | Cause::ContentPolicy | Cause::Conflict | Cause::TooLarge,
                    Family::Gemini,
                )
                | (Cause::ContextWindow | Cause::ContentPolicy, Family::Anthropic | Family::Bedrock) => {
                    read.cause
                }
                (Cause::Budget, Family::Gemini) => Cause::Permission,
                _ => cause,
            };
            assert_eq!(read.cause, wanted, "{dialect}: {cause:?}");
            assert_eq!(read.message, "something happened");
        }
    }
}

#[test]
fn a_stream_says_its_failure_as_the_clients_look_for_it() {
    let error = ApiError::truncated();
    let text = |dialect| String::from_utf8(error.frame(dialect, None, 7).to_vec()).unwrap();

    assert!(
        text(Dialect::OpenAiChat).starts_with("data: {\"error\":{\"message\":\"the provider's stream ended")
    );
    assert!(
        text(Dialect::AnthropicMessages)
            .starts_with("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"")
    );
    let responses = text(Dialect::OpenAiResponses);
    assert!(responses.starts_with("event: error\ndata: {\"type\":\"error\""));
    assert!(responses.contains("\"sequence_number\":7"));
    assert!(text(Dialect::GeminiGenerate).starts_with("data: {\"error\":{\"code\":502"));
    for dialect in Dialect::ALL {
        assert!(text(dialect).ends_with("\n\n"));
    }
}

#[test]
fn limits_are_told_in_the_names_of_the_dialect_and_read_back() {
    let limits = RateLimits {
        requests: Some(Limit { limit: 60, remaining: 59, reset: Duration::from_secs(1) }),
        tokens: Some(Limit { limit: 1_000, remaining: 0, reset: Duration::from_millis(366_500) }),
        ..RateLimits::default()
    };

    let headers: BTreeMap<String, String> = limits.headers(Dialect::OpenAiChat, now()).into_iter().collect();
    assert_eq!(headers["x-ratelimit-remaining-requests"], "59");
    assert_eq!(headers["x-ratelimit-reset-tokens"], "6m6.5s");
    assert_eq!(
        RateLimits::read(Dialect::OpenAiChat, |name| headers.get(name).map(String::as_str), now()),
        limits
    );

    let headers: BTreeMap<String, String> =
        limits.headers(Dialect::AnthropicMessages, now()).into_iter().collect();
    assert_eq!(headers["anthropic-ratelimit-requests-limit"], "60");
    assert_eq!(headers["anthropic-ratelimit-requests-reset"], "2026-05-01T10:00:02Z");
    let read =
        RateLimits::read(Dialect::AnthropicMessages, |name| headers.get(name).map(String::as_str), now());
    assert_eq!(read.tokens.unwrap().remaining, 0);
    assert!(limits.headers(Dialect::GeminiGenerate, now()).is_empty());
}

#[test]
fn a_limit_that_azure_does_not_have_is_none() {
    let headers =
        BTreeMap::from([("x-ratelimit-limit-requests", "-1"), ("x-ratelimit-remaining-requests", "-1")]);

    assert_eq!(
        RateLimits::read(Dialect::OpenAiChat, |name| headers.get(name).copied(), now()),
        RateLimits::default()
    );
}

#[test]
fn a_wait_is_read_in_each_form_and_rounded_up() {
    let of = |name: &'static str, value: &'static str| {
        retry_after(|asked| (asked == name).then_some(value), now())
    };

    assert_eq!(of("retry-after-ms", "1500"), Some(Duration::from_millis(1_500)));
    assert_eq!(of("retry-after", "3"), Some(Duration::from_secs(3)));
    assert_eq!(of("retry-after", "Fri, 01 May 2026 10:00:30 GMT"), Some(Duration::from_secs(30)));
    assert_eq!(of("retry-after", "Fri, 01 May 2026 09:00:00 GMT"), Some(Duration::ZERO));
    assert_eq!(of("retry-after", "-5"), None);
    assert_eq!(of("retry-after", "soon"), None);
    assert_eq!(
        retry_headers(Dialect::OpenAiChat, Duration::from_micros(1_200_500)),
        [("retry-after", "2".to_owned()), ("retry-after-ms", "1201".to_owned())]
    );
}

proptest! {
    #[test]
    fn hostile_answers_and_headers_never_panic(status in 400_u16..600, body in prop::collection::vec(any::<u8>(), 0..200), header in ".{0,30}") {
        ApiError::of_answer(status, &body);
        ApiError::of_frame(&body);
        for dialect in Dialect::ALL {
            RateLimits::read(dialect, |_| Some(header.as_str()), now());
        }
        retry_after(|_| Some(header.as_str()), now());
    }
}
