//! Things that were recorded by another server come in with their ids and times; nothing that is here is overwritten.

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use shipway_tracking::Rule;

use super::app::{App, Response};

const RUN: &str = "0123456789abcdef0123456789abcdef";
const MODEL: &str = "m-0123456789abcdef0123456789abcdef";

impl App {
    async fn imports(&self, what: &str, body: Value) -> Response {
        self.send(Method::POST, &format!("/api/v1/import/mlflow/{what}"), body.to_string()).await
    }

    async fn imports_file(&self, path: &str, content: &str) -> Response {
        let path = format!("/api/v1/import/mlflow/files/{path}");
        self.send_with(Method::PUT, &path, &[], content.to_owned()).await
    }

    async fn imported_run(&self) -> Value {
        self.get(&format!("runs/get?run_id={RUN}")).await.ok()["run"].clone()
    }

    async fn has_imported_run_and_model(&self) {
        self.imports("runs", run(json!({}))).await.ok();
        self.imports("logged-models", model(json!({}))).await.ok();
    }
}

/// `base` with the members of `more`.
fn with(mut base: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        base[name] = value.clone();
    }
    base
}

fn experiment(more: Value) -> Value {
    let base = json!({
        "experiment_id": "7", "name": "flights", "lifecycle": "active", "created_ms": 5, "updated_ms": 6,
        "tags": { "team": "ops" },
    });
    with(base, &more)
}

fn run(more: Value) -> Value {
    let base = json!({
        "run_id": RUN, "experiment_id": "0", "name": "sweep", "user_id": "ada", "status": "FINISHED", "start_ms": 10,
        "end_ms": 20, "lifecycle": "active", "params": { "rate": "0.1" }, "tags": { "kind": "a" },
    });
    with(base, &more)
}

fn model(more: Value) -> Value {
    let base = json!({
        "model_id": MODEL, "experiment_id": "0", "name": "late", "model_type": "", "source_run_id": RUN,
        "status": "LOGGED_MODEL_READY", "lifecycle": "active", "created_ms": 11, "updated_ms": 12, "params": {}, "tags": {},
    });
    with(base, &more)
}

fn version(number: i64, more: Value) -> Value {
    let base = json!({
        "name": "late", "version": number, "source": format!("models:/{MODEL}"), "has_files": true, "run_id": RUN,
        "model_id": MODEL, "run_link": "", "description": "d", "user_id": "ada", "stage": "Production", "created_ms": 30,
        "updated_ms": 31, "tags": { "a": "1" },
    });
    with(base, &more)
}

fn registration() -> Value {
    json!({ "name": "late", "description": "who", "created_ms": 25, "updated_ms": 26, "tags": { "owner": "ada" } })
}

#[tokio::test]
async fn an_experiment_keeps_its_id_where_it_is_free_and_a_name_that_is_here_is_merged() {
    let app = App::new().await;
    let placed = app.imports("experiments", experiment(json!({}))).await.ok();
    assert_eq!((&placed["experiment_id"], &placed["outcome"]), (&json!("7"), &json!("created")));
    let again = app.imports("experiments", experiment(json!({ "tags": { "team": "x", "new": "1" } }))).await.ok();
    assert_eq!(again["outcome"], "present");
    assert_eq!(again["notes"], json!(["tag team is `ops` here and `x` there; it stays"]));
    let taken = app.imports("experiments", experiment(json!({ "name": "other", "lifecycle": "deleted" }))).await.ok();
    assert_eq!(taken["experiment_id"], "8", "7 is taken");
    let merged = app.imports("experiments", experiment(json!({ "name": "Default" }))).await.ok();
    assert_eq!((&merged["experiment_id"], &merged["outcome"]), (&json!("0"), &json!("merged")));

    let kept = app.get("experiments/get?experiment_id=7").await.ok()["experiment"].clone();
    assert_eq!((&kept["creation_time"], &kept["last_update_time"]), (&json!(5), &json!(6)));
    assert_eq!(kept["tags"], json!([{ "key": "new", "value": "1" }, { "key": "team", "value": "ops" }]));
    let deleted = app.get("experiments/get?experiment_id=8").await.ok()["experiment"].clone();
    assert_eq!(deleted["lifecycle_stage"], "deleted");
    assert!(app.audited().await.contains(&"tracking.import".to_owned()));
}

#[tokio::test]
async fn a_run_keeps_id_times_and_user_and_is_never_overwritten() {
    let app = App::new().await;
    let first = app.imports("runs", run(json!({ "lifecycle": "deleted" }))).await.ok();
    assert_eq!((&first["outcome"], first["notes"].as_array().unwrap().len()), (&json!("created"), 0));
    assert_eq!(first["artifact_root"], format!("0/{RUN}/artifacts"));
    let changed = json!({
        "params": { "rate": "0.2", "depth": "3" }, "tags": { "kind": "b" }, "status": "FAILED", "lifecycle": "deleted",
    });
    let second = app.imports("runs", run(changed)).await.ok();
    assert_eq!(second["outcome"], "present");
    assert_eq!(second["notes"].as_array().unwrap().len(), 3, "{second}");

    let kept = app.imported_run().await;
    let info = &kept["info"];
    assert_eq!((&info["start_time"], &info["end_time"], &info["user_id"]), (&json!(10), &json!(20), &json!("ada")));
    assert_eq!((&info["status"], &info["lifecycle_stage"]), (&json!("FINISHED"), &json!("deleted")));
    assert_eq!(
        kept["data"]["params"],
        json!([{ "key": "depth", "value": "3" }, { "key": "rate", "value": "0.1" }])
    );
    assert_eq!(
        kept["data"]["tags"],
        json!([{ "key": "kind", "value": "a" }, { "key": "mlflow.runName", "value": "sweep" }])
    );
}

#[tokio::test]
async fn what_does_not_fit_is_refused_or_left_out_by_name_and_nothing_is_written() {
    let app = App::new().await;
    for wrong in [
        json!({ "run_id": "../x" }),
        json!({ "run_id": "" }),
        json!({ "run_id": "artifacts" }),
        json!({ "start_ms": -1 }),
        json!({ "end_ms": i64::MAX }),
        json!({ "status": "DONE" }),
        json!({ "experiment_id": "x" }),
        json!({ "lifecycle": "gone" }),
        json!({ "extra": 1 }),
    ] {
        let refused = app.imports("runs", run(wrong.clone())).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(app.imports("runs", run(json!({ "experiment_id": "99" }))).await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.get(&format!("runs/get?run_id={RUN}")).await.status, StatusCode::NOT_FOUND);
    for wrong in [json!({ "model_id": "x-1" }), json!({ "model_id": "m-/x" }), json!({ "source_run_id": "a/b" })] {
        assert_eq!(app.imports("logged-models", model(wrong)).await.status, StatusCode::BAD_REQUEST);
    }

    let odd = json!({ "params": { "good": "1", "../bad": "1" }, "tags": { "long": "v".repeat(8_001) } });
    let came = app.imports("runs", run(odd)).await.ok();
    assert_eq!(came["notes"].as_array().unwrap().len(), 2, "{came}");
    assert_eq!(app.imported_run().await["data"]["params"].as_array().unwrap().len(), 1);
    let points = json!({ "metrics": [
        { "key": "ok", "value": 1, "timestamp_ms": 1, "step": 0 }, { "key": "a//b", "value": 1, "timestamp_ms": 1, "step": 0 },
    ] });
    let came = app.imports(&format!("runs/{RUN}/metrics"), points).await.ok();
    assert_eq!(came["notes"].as_array().unwrap().len(), 1);
    let many = vec![json!({ "key": "m", "value": 1, "timestamp_ms": 1, "step": 0 }); 10_001];
    let refused = app.imports(&format!("runs/{RUN}/metrics"), json!({ "metrics": many })).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_history_comes_once_with_what_is_no_number_and_the_latest_point_is_right() {
    let app = App::new().await;
    app.imports("runs", run(json!({ "lifecycle": "deleted" }))).await.ok();
    let points = json!({ "metrics": [
        { "key": "loss", "value": "NaN", "timestamp_ms": 1, "step": 0 },
        { "key": "loss", "value": 0.5, "timestamp_ms": 2, "step": 1 },
        { "key": "loss", "value": "-Infinity", "timestamp_ms": 3, "step": 1 },
        { "key": "loss", "value": 0.25, "timestamp_ms": 9, "step": 0 },
    ] });
    for _ in 0..2 {
        app.imports(&format!("runs/{RUN}/metrics"), points.clone()).await.ok();
    }
    let history = app.get(&format!("metrics/get-history?run_id={RUN}&metric_key=loss")).await.ok();
    assert_eq!(history["metrics"].as_array().unwrap().len(), 4);
    let latest = &app.imported_run().await["data"]["metrics"][0];
    assert_eq!((&latest["step"], &latest["timestamp"]), (&json!(1), &json!(3)));
}

#[tokio::test]
async fn inputs_and_outputs_come_and_a_model_that_is_not_here_is_named() {
    let app = App::new().await;
    app.has_imported_run_and_model().await;
    let dataset = json!({
        "name": "autumn", "digest": "d1", "source_type": "local", "source": "s", "schema": null, "profile": "{}",
        "tags": { "mlflow.data.context": "training" },
    });
    let body = json!({
        "datasets": [dataset], "model_inputs": [{ "model_id": "m-9", "step": 0 }],
        "model_outputs": [{ "model_id": MODEL, "step": 4 }],
    });
    for _ in 0..2 {
        let came = app.imports(&format!("runs/{RUN}/inputs"), body.clone()).await.ok();
        assert_eq!(came["notes"], json!(["link left out: logged model m-9 is not here"]));
    }
    let kept = app.imported_run().await;
    assert_eq!(kept["inputs"]["dataset_inputs"].as_array().unwrap().len(), 1);
    assert_eq!(kept["outputs"]["model_outputs"], json!([{ "model_id": MODEL, "step": 4 }]));
}

#[tokio::test]
async fn a_file_comes_once_and_never_in_the_place_of_another() {
    let app = App::new().await;
    app.imports("runs", run(json!({ "lifecycle": "deleted" }))).await.ok();
    let path = format!("0/{RUN}/artifacts/a/b.txt");
    for (content, outcome) in [("one", "created"), ("one", "present"), ("two", "differs")] {
        assert_eq!(app.imports_file(&path, content).await.ok()["outcome"], outcome);
    }
    let listed = format!("/api/v1/import/mlflow/files?root=0/{RUN}/artifacts");
    let listed = app.send(Method::GET, &listed, Body::empty()).await.ok();
    assert_eq!(listed["files"], json!([["a/b.txt", 3]]));
    for wrong in [format!("0/{RUN}/artifacts/..%2f..%2fx"), format!("0/{RUN}/artifacts"), "0/x/artifacts/a".to_owned()] {
        let refused = app.imports_file(&wrong, "x").await;
        assert!(refused.status.is_client_error(), "{wrong}: {}", refused.status);
    }
}

#[tokio::test]
async fn a_version_keeps_its_number_and_the_next_one_follows_it() {
    let app = App::new().await;
    app.has_imported_run_and_model().await;
    app.imports("registered-models", registration()).await.ok();
    app.imports_file(&format!("0/models/{MODEL}/artifacts/model.lgb"), "tree").await.ok();
    let came = app.imports("versions", version(5, json!({}))).await.ok();
    assert_eq!(came["outcome"], "created");
    let again = app.imports("versions", version(5, json!({ "tags": { "a": "2", "b": "3" }, "stage": "Staging" }))).await.ok();
    assert_eq!((&again["outcome"], again["notes"].as_array().unwrap().len()), (&json!("present"), 2));
    let other = app.imports("versions", version(5, json!({ "run_id": "abc" }))).await;
    assert_eq!(other.status, StatusCode::CONFLICT);

    let kept = app.get("model-versions/get?name=late&version=5").await.ok()["model_version"].clone();
    assert_eq!((&kept["creation_timestamp"], &kept["current_stage"]), (&json!(30), &json!("Production")));
    assert_eq!(kept["tags"], json!([{ "key": "a", "value": "1" }, { "key": "b", "value": "3" }]));
    let uri = app.get("model-versions/get-download-uri?name=late&version=5").await.ok();
    assert_eq!(uri["artifact_uri"], format!("mlflow-artifacts:/0/models/{MODEL}/artifacts"));
    assert_eq!(app.registers("late", MODEL).await, 6);
}

#[tokio::test]
async fn a_version_of_a_run_names_the_place_here_and_one_without_files_borrows_no_scores() {
    let app = App::new().await;
    app.has_imported_run_and_model().await;
    app.imports("registered-models", registration()).await.ok();
    let of_run = json!({ "source": format!("runs:/{RUN}/old"), "model_id": "" });
    app.imports("versions", version(1, of_run)).await.ok();
    let kept = app.get("model-versions/get?name=late&version=1").await.ok()["model_version"].clone();
    assert_eq!(kept["source"], format!("mlflow-artifacts:/0/{RUN}/artifacts/old"));
    let elsewhere = json!({ "source": "s3://bucket/model", "has_files": false });
    assert_eq!(app.imports("versions", version(2, elsewhere.clone())).await.status, StatusCode::BAD_REQUEST);
    app.imports("versions", version(2, with(elsewhere, &json!({ "model_id": "" })))).await.ok();
    for source in ["s3://bucket/model", "/etc/passwd", "file:///etc", "runs:/nobody/x", "models:/m-9"] {
        let refused = app.imports("versions", version(3, json!({ "source": source, "model_id": "" }))).await;
        assert!(refused.status.is_client_error(), "{source}");
    }
}

#[tokio::test]
async fn scores_that_came_are_shown_and_meet_no_gate_that_asks_for_the_own_files() {
    let app = App::new().await;
    app.has_imported_run_and_model().await;
    app.imports_file(&format!("0/models/{MODEL}/artifacts/model.lgb"), "tree").await.ok();
    let scores = json!({ "metrics": [{
        "key": "auc", "value": 0.9, "timestamp_ms": 5, "step": 0, "run_id": RUN, "dataset_name": "autumn", "dataset_digest": "d1",
    }] });
    for _ in 0..2 {
        app.imports(&format!("logged-models/{MODEL}/metrics"), scores.clone()).await.ok();
    }
    app.imports("registered-models", registration()).await.ok();
    app.imports("versions", version(1, json!({}))).await.ok();
    let shown = app.get(&format!("logged-models/{MODEL}")).await.ok();
    assert_eq!(shown["model"]["data"]["metrics"].as_array().unwrap().len(), 1);
    app.guards("late", "champion", Rule::AtLeast(0.5));
    assert_eq!(app.promotes("late", "champion", 1).await.status, StatusCode::CONFLICT);
    assert_eq!(app.holder_of("late", "champion").await, None);
    app.evaluates(RUN, MODEL, 0.9).await;
    app.evaluates(RUN, MODEL, 0.8).await;
    app.promotes("late", "champion", 1).await.ok();
}

#[tokio::test]
async fn a_mark_says_under_which_digest_an_item_came_whole() {
    let app = App::new().await;
    app.imports("runs", run(json!({}))).await.ok();
    let ask = json!({ "kind": "run", "ids": [RUN, "other"] });
    assert_eq!(app.imports("marks", ask.clone()).await.ok()["digests"], json!({}));
    for digest in ["one", "two"] {
        app.imports("done", json!({ "kind": "run", "id": RUN, "digest": digest })).await.ok();
    }
    assert_eq!(app.imports("marks", ask).await.ok()["digests"], json!({ RUN: "two" }));
    let too_long = json!({ "kind": "run", "id": RUN, "digest": "d".repeat(101) });
    assert_eq!(app.imports("done", too_long).await.status, StatusCode::BAD_REQUEST);
    let many = json!({ "kind": "run", "ids": vec!["a"; 1_001] });
    assert_eq!(app.imports("marks", many).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(app.imports("marks", json!({ "kind": "alias", "ids": [] })).await.status, StatusCode::BAD_REQUEST);
}
