//! What was deleted goes for good, with its files, when it is deleted long enough; what versions are made of stays.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use shipway_core::SystemClock;
use shipway_store::jobs::{JobOptions, Jobs};
use shipway_tracking::PURGE_JOB;
use tokio_util::task::TaskTracker;

use super::app::App;

const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

/// A server that does jobs.
struct Purging {
    app: App,
    jobs: Jobs,
}

impl Purging {
    async fn new() -> Self {
        let app = App::new().await;
        let jobs =
            Jobs::open(app.store.clone(), Arc::new(SystemClock), JobOptions::default()).await.unwrap();
        app.tracking.set_jobs(&jobs);
        jobs.start(&TaskTracker::new());
        Self { app, jobs }
    }

    async fn asks(&self, older_than: &str, dry_run: bool) -> Value {
        let body = json!({ "older_than": older_than, "dry_run": dry_run }).to_string();
        self.app.send(Method::POST, "/api/v1/purge", body).await.ok()
    }

    /// Purges whatever is deleted, to the end, and returns what went.
    async fn purges(&self) -> Value {
        let begun = self.asks("0", false).await;
        let Some(id) = begun["job"].as_str() else { return Value::Null };
        let job = self.jobs.wait(id).await.unwrap();
        assert_eq!((job.kind.as_str(), job.error), (PURGE_JOB, None));
        job.result.unwrap()
    }

    async fn puts(&self, run_id: &str, name: &str, content: &str) {
        let path = format!("{PROXY}/0/{run_id}/artifacts/{name}");
        self.app.send(Method::PUT, &path, content.to_owned()).await.ok();
    }

    async fn has_run(&self, run_id: &str) -> bool {
        self.app.get(&format!("runs/get?run_id={run_id}")).await.status == StatusCode::OK
    }

    async fn deletes_run(&self, run_id: &str) {
        self.app.post("runs/delete", json!({ "run_id": run_id })).await.ok();
    }

    fn blobs(&self) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(self.app.objects())
    }
}

#[tokio::test]
async fn a_deleted_run_goes_with_its_files_and_shared_ones_stay() {
    let server = Purging::new().await;
    let (gone, kept) = (server.app.creates_run().await, server.app.creates_run().await);
    for (run, name, content) in [(&gone, "own", "own"), (&gone, "shared", "shared"), (&kept, "same", "shared")] {
        server.puts(run, name, content).await;
    }
    let metric = json!({ "key": "m", "value": 1, "timestamp": 1 });
    let batch = json!({ "run_id": gone, "metrics": [metric], "params": [{ "key": "p", "value": "1" }] });
    server.app.post("runs/log-batch", batch).await.ok();
    server.deletes_run(&gone).await;
    assert_eq!(server.blobs(), 2);

    let plan = server.asks("0", true).await;
    assert_eq!((&plan["runs"], &plan["file_bytes"], &plan["job"]), (&json!(1), &json!(9), &Value::Null));
    assert!(server.has_run(&gone).await, "a dry run changes nothing");
    let purged = server.purges().await;

    assert_eq!((&purged["runs"], &purged["blobs"], &purged["blob_bytes"]), (&json!(1), &json!(1), &json!(3)));
    assert!(!server.has_run(&gone).await && server.has_run(&kept).await);
    assert_eq!(server.blobs(), 1);
    let shared = server.app.send(Method::GET, &format!("{PROXY}/0/{kept}/artifacts/same"), Body::empty()).await;
    assert_eq!(shared.bytes, b"shared");
    assert!(server.app.audited().await.contains(&"tracking.purge".to_owned()));
    assert_eq!(server.purges().await, Value::Null, "nothing is left to do");
}

#[tokio::test]
async fn nothing_that_was_logged_for_a_run_is_left_behind() {
    let server = Purging::new().await;
    let run_id = server.app.creates_run().await;
    let metrics: Vec<Value> =
        (0..3).map(|step| json!({ "key": "loss", "value": 0.5, "timestamp": 1, "step": step })).collect();
    let batch = json!({
        "run_id": run_id, "metrics": metrics,
        "params": [{ "key": "depth", "value": "3" }], "tags": [{ "key": "team", "value": "x" }],
    });
    server.app.post("runs/log-batch", batch).await.ok();
    server.deletes_run(&run_id).await;
    server.purges().await;
    for table in ["metrics", "latest_metrics", "run_params", "run_tags", "runs"] {
        let sql = format!("SELECT COUNT(*) AS number FROM {table} WHERE run_id = $1");
        let rows = server.app.store.fetch_all(&sql, shipway_store::parameters![run_id.as_str()]).await.unwrap();
        assert_eq!(rows[0].int("number").unwrap(), 0, "{table}");
    }
}

#[tokio::test]
async fn what_is_deleted_for_a_short_while_or_was_restored_stays() {
    let server = Purging::new().await;
    let (young, restored) = (server.app.creates_run().await, server.app.creates_run().await);
    for run in [&young, &restored] {
        server.deletes_run(run).await;
    }
    server.app.post("runs/restore", json!({ "run_id": restored })).await.ok();
    assert_eq!(server.asks("1d", true).await["runs"], 0);
    assert_eq!(server.asks("1d", false).await["job"], Value::Null);
    server.purges().await;
    assert!(!server.has_run(&young).await && server.has_run(&restored).await);
}

#[tokio::test]
async fn a_version_protects_its_run_and_its_model_and_the_experiment_around_them() {
    let server = Purging::new().await;
    let app = &server.app;
    let created = app.post("experiments/create", json!({ "name": "old" })).await.ok();
    let experiment = created["experiment_id"].as_str().unwrap().to_owned();
    let run = app.post("runs/create", json!({ "experiment_id": experiment })).await.ok();
    let run_id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let model_id = app.logs_model("trees").await;
    app.post("registered-models/create", json!({ "name": "late" })).await.ok();
    for source in [format!("runs:/{run_id}/model"), format!("models:/{model_id}")] {
        app.post("model-versions/create", json!({ "name": "late", "source": source })).await.ok();
    }
    app.send(Method::DELETE, &format!("/api/2.0/mlflow/logged-models/{model_id}"), Body::empty()).await.ok();
    app.post("experiments/delete", json!({ "experiment_id": experiment })).await.ok();

    let plan = server.asks("0", true).await;
    assert_eq!((&plan["runs"], &plan["logged_models"], &plan["experiments"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!(plan["protected"], json!([format!("run {run_id}"), format!("logged model {model_id}")]));
    assert_eq!(server.purges().await, Value::Null);

    app.send(Method::DELETE, "/api/2.0/mlflow/registered-models/delete", json!({ "name": "late" }).to_string())
        .await
        .ok();
    let purged = server.purges().await;
    assert_eq!(
        (&purged["runs"], &purged["logged_models"], &purged["experiments"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(server.blobs(), 0);
    let again = app.post("experiments/create", json!({ "name": "old" })).await.ok();
    assert!(again["experiment_id"].is_string(), "the name is free again");
}

#[tokio::test]
async fn an_experiment_goes_with_its_models_and_traces() {
    let server = Purging::new().await;
    let app = &server.app;
    let created = app.post("experiments/create", json!({ "name": "old" })).await.ok();
    let experiment = created["experiment_id"].as_str().unwrap().to_owned();
    app.post("logged-models", json!({ "experiment_id": experiment, "name": "m" })).await.ok();
    let place = json!({ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": experiment } });
    app.tells_trace("tr-1", "2026-01-01T00:00:00Z", json!({ "trace_location": place })).await;
    app.tells_trace("tr-2", "2026-01-01T00:00:00Z", json!({})).await;
    app.post("experiments/delete", json!({ "experiment_id": experiment })).await.ok();
    let purged = server.purges().await;
    assert_eq!(
        (&purged["traces"], &purged["logged_models"], &purged["experiments"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(app.get(&format!("experiments/get?experiment_id={experiment}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.get_3("traces/tr-2").await.status, StatusCode::OK);
}

#[tokio::test]
async fn files_that_were_replaced_or_deleted_leave_their_blobs_to_the_next_purge() {
    let server = Purging::new().await;
    let run = server.app.creates_run().await;
    for content in ["one", "two"] {
        server.puts(&run, "a", content).await;
    }
    server.puts(&run, "b", "three").await;
    server.app.send(Method::DELETE, &format!("{PROXY}/0/{run}/artifacts/b"), Body::empty()).await.ok();
    server.puts(&run, "c", "three").await;
    assert_eq!(server.blobs(), 3);
    assert_eq!(server.purges().await["blobs"], 1, "`three` is needed again");
    assert_eq!(server.blobs(), 2);
}

#[tokio::test]
async fn a_purge_that_a_crash_interrupted_goes_on_with_what_is_left() {
    let server = Purging::new().await;
    let run = server.app.creates_run().await;
    server.puts(&run, "a", "one").await;
    server.deletes_run(&run).await;
    // As after a crash between the rows and the files: the rows are gone, the blob is noted and still there.
    let digest = shipway_core::Digest::of("one").to_string();
    for (sql, values) in [
        ("INSERT INTO loose_blobs (digest) VALUES ($1)", shipway_store::parameters![digest.as_str()]),
        ("DELETE FROM artifacts WHERE digest = $1", shipway_store::parameters![digest.as_str()]),
        ("DELETE FROM runs WHERE run_id = $1", shipway_store::parameters![run.as_str()]),
    ] {
        server.app.store.execute(sql, values).await.unwrap();
    }
    assert_eq!(server.blobs(), 1);
    assert_eq!(server.purges().await["blobs"], 1);
    // As after a crash between the file and the note of it.
    let sql = "INSERT INTO loose_blobs (digest) VALUES ($1)";
    server.app.store.execute(sql, shipway_store::parameters![digest.as_str()]).await.unwrap();
    assert_eq!(server.purges().await["blobs"], 0);
    assert_eq!(server.blobs(), 0);
}

#[tokio::test]
async fn a_length_that_is_none_is_refused() {
    let server = Purging::new().await;
    for wrong in [json!({ "older_than": "soon" }), json!({}), json!({ "older_than": "1d", "more": 1 })] {
        let refused = server.app.send(Method::POST, "/api/v1/purge", wrong.to_string()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
