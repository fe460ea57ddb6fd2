//! The server under test, and the words to drive it with.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use shipway_blob::BlobStore;
use shipway_core::{Clock, ManualClock, SystemClock, Timestamp};
use shipway_store::Store;
use shipway_tracking::{Gate, GateSource, Requirement, Rule, Tracking, WebhookSettings};
use shipway_web::Guard;
use tempfile::TempDir;
use tower::ServiceExt;

/// Gates that a test sets.
#[derive(Default)]
pub(crate) struct Gates(Mutex<Vec<(String, String, Gate)>>);

impl GateSource for Gates {
    fn gates(&self, model: &str, alias: &str) -> Vec<Gate> {
        let gates = self.0.lock().unwrap();
        gates.iter().filter(|(of, at, _)| of == model && at == alias).map(|(.., gate)| gate.clone()).collect()
    }
}

pub(crate) struct App {
    router: Router,
    pub(crate) tracking: Tracking,
    pub(crate) store: Store,
    gates: Arc<Gates>,
    objects: TempDir,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: http::HeaderMap,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("not JSON: {}", String::from_utf8_lossy(&self.bytes)))
    }

    /// The JSON of a success.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// Status and error code of a refusal of the MLflow wire.
    pub(crate) fn refused(&self) -> (u16, String) {
        let code = self.json()["error_code"].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), code)
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// The location of experiment 0.
pub(crate) fn zero() -> Value {
    json!({ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": "0" } })
}

/// A span of the trace of 16 bytes `trace`, in milliseconds since the epoch; without a parent it is the root.
pub(crate) fn span(trace: u8, id: u8, parent: Option<u8>, times: (u64, u64), attributes: Value) -> Value {
    let hex = |byte: u8, length: usize| format!("{byte:02x}").repeat(length);
    let attributes: Vec<Value> = attributes
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| match value {
            Value::Number(number) => json!({ "key": key, "value": { "intValue": number } }),
            other => json!({ "key": key, "value": { "stringValue": other } }),
        })
        .collect();
    json!({
        "traceId": hex(trace, 16), "spanId": hex(id, 8), "parentSpanId": parent.map_or(String::new(), |one| hex(one, 8)),
        "name": format!("span {id}"), "startTimeUnixNano": (times.0 * 1_000_000).to_string(),
        "endTimeUnixNano": (times.1 * 1_000_000).to_string(), "attributes": attributes,
    })
}

/// The name of the trace of 16 bytes `trace`.
pub(crate) fn trace_name(trace: u8) -> String {
    format!("tr-{}", format!("{trace:02x}").repeat(16))
}

impl App {
    pub(crate) async fn new() -> Self {
        Self::over(super::empty_store().await).await
    }

    /// Over a database that may have tables and rows.
    pub(crate) async fn over(store: Store) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000_000)));
        Self::with_clock(store, clock).await
    }

    /// A server whose time goes on, with webhooks as these settings have them; nothing is sent yet.
    pub(crate) async fn with_webhooks(store: Store, settings: &WebhookSettings) -> Self {
        let app = Self::with_clock(store, Arc::new(SystemClock)).await;
        app.tracking.set_webhooks(settings).unwrap();
        app
    }

    async fn with_clock(store: Store, clock: Arc<dyn Clock>) -> Self {
        let objects = TempDir::new().unwrap();
        let blobs = BlobStore::open_local(objects.path()).unwrap();
        let gates = Arc::new(Gates::default());
        let tracking = Tracking::open(store.clone(), blobs, gates.clone(), clock).await.unwrap();
        let router =
            shipway_tracking::routes(tracking.clone()).into_router(Arc::new(Guard::open_on_loopback()));
        Self { router, tracking, store, gates, objects }
    }

    pub(crate) fn guards(&self, model: &str, alias: &str, rule: Rule) {
        let metric = Requirement::Metric { metric: "auc".into(), dataset: Some("autumn".into()), rule };
        let gate = Gate { name: "worthy".into(), requirements: vec![metric, Requirement::OwnArtifact] };
        self.gates.0.lock().unwrap().push((model.into(), alias.into(), gate));
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Response {
        self.send_with(method, path, &[("content-type", "application/json")], body).await
    }

    pub(crate) async fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Response { status: parts.status, bytes, headers: parts.headers }
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, &format!("/api/2.0/mlflow/{path}"), Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        self.send(Method::POST, &format!("/api/2.0/mlflow/{path}"), body.to_string()).await
    }

    /// A request to version 3 of the wire.
    pub(crate) async fn v3(&self, method: Method, path: &str, body: Value) -> Response {
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(method, &format!("/api/3.0/mlflow/{path}"), body).await
    }

    /// A request of REST 3.0.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Response {
        self.send(method, &format!("/api/3.0/mlflow/{path}"), body.to_string()).await
    }

    pub(crate) async fn get_3(&self, path: &str) -> Response {
        self.send(Method::GET, &format!("/api/3.0/mlflow/{path}"), Body::empty()).await
    }

    /// Tells of a trace; `more` adds to what is told.
    pub(crate) async fn tells_trace(&self, trace_id: &str, start: &str, more: Value) -> Value {
        let mut info = json!({
            "trace_id": trace_id, "request_time": start, "state": "OK",
            "trace_location": { "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": "0" } },
        });
        for (name, value) in more.as_object().unwrap() {
            info[name] = value.clone();
        }
        let body = json!({ "trace": { "trace_info": info } });
        let told = self.call(Method::POST, "traces", body).await.ok();
        told["trace"]["trace_info"].clone()
    }

    /// Sends spans as JSON over the OpenTelemetry protocol.
    pub(crate) async fn exports(&self, spans: Value) -> Response {
        let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] });
        let headers = [("content-type", "application/json"), ("x-mlflow-experiment-id", "0")];
        self.send_with(Method::POST, "/v1/traces", &headers, body.to_string()).await
    }

    pub(crate) async fn finds_traces(&self, filter: &str) -> Vec<String> {
        let body = json!({ "locations": [zero()], "filter": filter });
        let found = self.call(Method::POST, "traces/search", body).await.ok();
        let traces = found["traces"].as_array().cloned().unwrap_or_default();
        traces.iter().map(|trace| trace["trace_id"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn creates_run(&self) -> String {
        let run = self.post("runs/create", json!({ "experiment_id": "0", "start_time": 1 })).await.ok();
        run["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }

    /// A logged model with one file of this content.
    pub(crate) async fn logs_model(&self, content: &str) -> String {
        let body = json!({ "experiment_id": "0", "name": "model" });
        let model = self.post("logged-models", body).await.ok();
        let model_id = model["model"]["info"]["model_id"].as_str().unwrap().to_owned();
        self.puts(&model_id, "model.lgb", content).await.ok();
        model_id
    }

    pub(crate) async fn puts(&self, model_id: &str, path: &str, content: &str) -> Response {
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/0/models/{model_id}/artifacts/{path}");
        self.send(Method::PUT, &path, content.to_owned()).await
    }

    pub(crate) async fn evaluates(&self, run_id: &str, model_id: &str, auc: f64) {
        let metric = json!({
            "key": "auc", "value": auc, "timestamp": 5, "model_id": model_id,
            "dataset_name": "autumn", "dataset_digest": "d1",
        });
        self.post("runs/log-batch", json!({ "run_id": run_id, "metrics": [metric] })).await.ok();
    }

    /// Where its objects lie.
    pub(crate) fn objects(&self) -> &std::path::Path {
        self.objects.path()
    }

    /// Registers a version of a logged model, and the registered model if need be.
    pub(crate) async fn registers(&self, name: &str, model_id: &str) -> u32 {
        self.post("registered-models/create", json!({ "name": name })).await;
        let body = json!({ "name": name, "source": format!("models:/{model_id}"), "model_id": model_id });
        let version = self.post("model-versions/create", body).await.ok();
        version["model_version"]["version"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) async fn promotes(&self, name: &str, alias: &str, version: u32) -> Response {
        let path = format!("/api/v1/models/{name}/aliases/{alias}");
        self.send(Method::POST, &path, json!({ "version": version }).to_string()).await
    }

    pub(crate) async fn holder_of(&self, name: &str, alias: &str) -> Option<u32> {
        self.tracking.resolve_alias(name, alias).await.ok().map(|resolved| resolved.version)
    }

    pub(crate) async fn audited(&self) -> Vec<String> {
        let entries = shipway_store::audit::list(&self.store, 100).await.unwrap();
        entries.into_iter().rev().map(|entry| entry.entry.action).collect()
    }
}
