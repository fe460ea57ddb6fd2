//! A request that its caller's trace samples has a span, and what runs for it has spans under that; others have none.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use http::Request;
use shipway_core::{Failure, Kind, Permission};
use shipway_web::{
    Guard, Problem, Routes,
    spans::{self, Recorded, Sampling, SpanAttribute, SpanKind, SpanValue, TakeSpans},
};
use tonic::Status;
use tower::ServiceExt;

use crate::{Answer, ask};

/// Keeps every span that has ended.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Recorded>>>);

impl TakeSpans for Kept {
    fn take(&self, span: Recorded) {
        self.0.lock().unwrap().push(span);
    }
}

/// What is kept in this process, from the first test on: nothing is sampled but what a caller samples.
fn kept() -> &'static Kept {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    KEPT.get_or_init(|| {
        let kept = Kept::default();
        spans::make_spans(Sampling { ratio: 0.0, follow_callers: true }, Box::new(kept.clone()));
        kept
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a trace, by name.
fn of_trace(trace: &str) -> BTreeMap<String, Recorded> {
    let kept = kept().0.lock().unwrap();
    let of_it = kept.iter().filter(|span| hex(&span.trace) == trace);
    of_it.map(|span| (span.name.to_string(), span.clone())).collect()
}

fn said(span: &Recorded) -> BTreeMap<&'static str, String> {
    let text = |value: &SpanValue| match value {
        SpanValue::Text(text) => text.to_string(),
        SpanValue::Integer(number) => number.to_string(),
        SpanValue::Flag(flag) => flag.to_string(),
        SpanValue::Number(number) => number.to_string(),
        SpanValue::Texts(texts) => texts.join(" "),
    };
    span.attributes.iter().map(|attribute| (attribute.key, text(&attribute.value))).collect()
}

#[derive(Debug, thiserror::Error)]
#[error("the inner thing broke")]
struct Broke;

impl Failure for Broke {
    fn kind(&self) -> Kind {
        Kind::Internal
    }

    fn code(&self) -> &'static str {
        "test.broke"
    }
}

/// Something with a part that is measured and a part that runs.
async fn nested() -> Result<&'static str, Problem> {
    let started = Instant::now();
    let attributes = || vec![SpanAttribute::new("test.of", "outer")];
    let done: Result<(), Broke> = spans::within("outer", attributes, async {
        let own = vec![SpanAttribute::new("test.rows", 3)];
        let now = started + Duration::from_millis(5);
        spans::current().inspect(|span| span.was("measured", (started, now), own));
        Err(Broke)
    })
    .await;
    assert!(done.is_err());
    Ok("done")
}

async fn call(request: axum::extract::Request) -> Result<Response, Infallible> {
    let refuse = request.uri().path().ends_with("Refuse");
    let problem = Problem::new(Kind::Unavailable, "test.away", "it is away");
    Ok(if refuse { Status::from(problem).into_http() } else { "an answer".into_response() })
}

fn router() -> Router {
    kept();
    Routes::new()
        .get("/nested/{name}", Permission::Read, nested)
        .get("/fails", Permission::Read, async || Problem::new(Kind::Unavailable, "test.away", "it is away"))
        .grpc("/test.Things/{*method}", Permission::Public, tower::service_fn(call))
        .into_router(Arc::new(Guard::open_on_loopback()))
}

fn traced(path: &str, trace: &str, flags: &str) -> http::request::Builder {
    Request::builder()
        .uri(path)
        .header("host", "localhost:8700")
        .header("user-agent", "tester/1")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-{flags}"))
}

async fn get(path: &str, trace: &str, flags: &str) -> Answer {
    ask(&router(), traced(path, trace, flags).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_sampled_request_has_a_span_under_the_callers_and_what_runs_for_it_stands_under_that() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let answer = get("/nested/a?secret=1", trace, "01").await;
    assert_eq!(answer.text, "done");

    let spans = of_trace(trace);
    let request = &spans["GET /nested/{name}"];
    assert_eq!(request.parent.map(|parent| hex(&parent)).as_deref(), Some("00f067aa0ba902b7"));
    assert!(request.is_parent_remote && request.kind == SpanKind::Server && request.error.is_none());
    let said_of_request = said(request);
    let id = answer.headers["x-request-id"].to_str().unwrap();
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/nested/{name}"),
        ("http.response.status_code", "200"),
        ("url.path", "/nested/a"),
        ("server.address", "localhost"),
        ("server.port", "8700"),
        ("user_agent.original", "tester/1"),
        ("shipway.request_id", id),
    ] {
        assert_eq!(said_of_request.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!said_of_request.values().any(|value| value.contains("secret")), "no query is sent");

    let outer = &spans["outer"];
    assert_eq!(outer.parent, Some(request.id));
    assert_eq!(said(outer)["error.type"], "test.broke");
    assert_eq!(outer.error.as_deref(), Some("the inner thing broke"));
    let measured = &spans["measured"];
    assert_eq!(measured.parent, Some(outer.id));
    assert_eq!(measured.ended.duration_since(measured.began).unwrap(), Duration::from_millis(5));
    assert!(measured.began >= request.began);
    assert_eq!((said(measured)["test.of"].as_str(), said(measured)["test.rows"].as_str()), ("outer", "3"));
}

#[tokio::test]
async fn what_is_not_sampled_or_says_no_trace_has_no_spans() {
    let trace = "11111111111111111111111111111111";
    assert_eq!(get("/nested/a", trace, "00").await.text, "done");
    assert!(of_trace(trace).is_empty());
    for nonsense in
        ["", "00-0-0-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "ff", "\u{e4}"]
    {
        let request = Request::get("/nested/a").header("traceparent", nonsense).body(Body::empty()).unwrap();
        assert_eq!(ask(&router(), request).await.text, "done", "{nonsense}");
    }
    assert!(kept().0.lock().unwrap().iter().all(|span| span.parent.is_some()));
}

#[tokio::test]
async fn what_a_caller_writes_is_kept_within_bounds() {
    let trace = "55555555555555555555555555555555";
    let state = |length: usize| format!("vendor={}", "x".repeat(length));
    let path = format!("/nested/{}", "y".repeat(5_000));
    for length in [100, 600] {
        let request = traced(&path, trace, "01").header("tracestate", state(length));
        ask(&router(), request.body(Body::empty()).unwrap()).await;
    }
    let kept = kept().0.lock().unwrap();
    let requests: Vec<_> =
        kept.iter().filter(|span| hex(&span.trace) == trace && span.kind == SpanKind::Server).collect();
    let states: Vec<_> = requests.iter().map(|span| span.state.to_string()).collect();
    assert_eq!(states, [state(100), String::new()]);
    assert!(requests.iter().all(|span| said(span)["url.path"].len() == 512));
}

#[tokio::test]
async fn a_span_ends_with_the_last_of_its_answer() {
    let trace = "22222222222222222222222222222222";
    let request = traced("/fails", trace, "01").body(Body::empty()).unwrap();
    let response = router().oneshot(request).await.unwrap();
    assert!(of_trace(trace).is_empty(), "the body is still to be sent");
    drop(response);
    let spans = of_trace(trace);
    let said = said(&spans["GET /fails"]);
    assert_eq!((said["error.type"].as_str(), said["shipway.code"].as_str()), ("503", "test.away"));
    assert!(spans["GET /fails"].error.is_some());
}

#[tokio::test]
async fn a_grpc_call_is_known_by_its_method_and_its_status() {
    let (good, bad) = ("33333333333333333333333333333333", "44444444444444444444444444444444");
    for (path, trace) in [("/test.Things/Use", good), ("/test.Things/Refuse", bad)] {
        let request = traced(path, trace, "01").method("POST").header("content-type", "application/grpc");
        ask(&router(), request.body(Body::empty()).unwrap()).await;
    }
    let used = &of_trace(good)["test.Things/Use"];
    assert_eq!(said(used)["rpc.system.name"], "grpc");
    assert_eq!(said(used)["rpc.method"], "test.Things/Use");
    let refused = &of_trace(bad)["test.Things/Refuse"];
    assert_eq!(said(refused)["rpc.response.status_code"], "UNAVAILABLE");
    assert!(refused.error.is_some());
}
