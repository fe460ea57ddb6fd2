//! Every answer carries its request id, and counts under its route.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::Request;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use crate::{ask, get, open};

#[tokio::test]
async fn a_presentable_request_id_is_kept_and_any_other_replaced() {
    let given = Request::get("/id").header("x-request-id", "trace-7").body(Body::empty()).unwrap();
    let answer = ask(&open(), given).await;
    assert_eq!(
        (answer.headers["x-request-id"].to_str().unwrap(), answer.text.as_str()),
        ("trace-7", "trace-7")
    );

    for unpresentable in ["", "two words", &"x".repeat(129)] {
        let request = Request::get("/id").header("x-request-id", unpresentable).body(Body::empty()).unwrap();
        let answer = ask(&open(), request).await;
        assert_eq!(answer.text.len(), 36, "{unpresentable}");
        assert_eq!(answer.headers["x-request-id"].to_str().unwrap(), answer.text);
    }
}

#[tokio::test]
async fn a_refusal_carries_a_request_id_too() {
    for path in ["/nowhere", "/refuse", "/panic"] {
        assert!(get(&open(), path).await.headers.contains_key("x-request-id"), "{path}");
    }
}

/// Keeps the names and labels of what was registered.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<String>>>);

impl Names {
    fn keep(&self, key: &Key) {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        self.0.lock().unwrap().push(format!("{} {}", key.name(), labels.join(" ")));
    }
}

impl Recorder for Names {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.keep(key);
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.keep(key);
        Histogram::noop()
    }
}

#[test]
fn requests_are_counted_under_the_pattern_of_their_route() {
    let names = Names::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    metrics::with_local_recorder(&names, || {
        runtime.block_on(async {
            let router = open();
            get(&router, "/greet/world").await;
            get(&router, "/some/made/up/path").await;
            ask(&router, Request::builder().method("BREW").uri("/echo").body(Body::empty()).unwrap()).await;
        });
    });
    assert_eq!(
        *names.0.lock().unwrap(),
        [
            "shipway_http_requests_total route=/greet/{name} method=GET status=200",
            "shipway_http_request_seconds route=/greet/{name}",
            "shipway_http_requests_total route=unmatched method=GET status=404",
            "shipway_http_request_seconds route=unmatched",
            "shipway_http_requests_total route=/echo method=OTHER status=405",
            "shipway_http_request_seconds route=/echo",
        ]
    );
}
