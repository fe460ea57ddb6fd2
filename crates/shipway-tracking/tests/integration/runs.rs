//! What runs record.

use serde_json::{Value, json};

use super::app::App;

fn field<'a>(list: &'a Value, key: &str) -> Option<&'a Value> {
    list.as_array().and_then(|all| all.iter().find(|one| one["key"] == key)).map(|one| &one["value"])
}

#[tokio::test]
async fn a_run_returns_what_was_logged_for_it() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let body = json!({
        "run_id": run_id,
        "metrics": [{ "key": "auc", "value": 0.7, "timestamp": 1, "step": "0" }],
        "params": [{ "key": "rate", "value": "0.1" }],
        "tags": [{ "key": "team", "value": "a" }, { "key": "mlflow.runName", "value": "renamed" }],
    });
    app.post("runs/log-batch", body).await.ok();
    app.post("runs/update", json!({ "run_id": run_id, "status": "FINISHED", "end_time": 9 })).await.ok();
    let run = app.get(&format!("runs/get?run_id={run_id}")).await.ok()["run"].clone();
    assert_eq!(run["info"]["status"], "FINISHED");
    assert_eq!(run["info"]["end_time"], 9, "64-bit integers are numbers");
    assert_eq!(run["info"]["run_name"], "renamed", "the name tag is the name");
    assert_eq!(run["info"]["user_id"], "unknown");
    assert_eq!(run["info"]["run_uuid"], run_id);
    assert_eq!(run["info"]["artifact_uri"], format!("mlflow-artifacts:/0/{run_id}/artifacts"));
    assert_eq!(field(&run["data"]["metrics"], "auc"), Some(&json!(0.7)));
    assert_eq!(field(&run["data"]["params"], "rate"), Some(&json!("0.1")));
    assert_eq!(field(&run["data"]["tags"], "team"), Some(&json!("a")));
    assert_eq!(run["inputs"], json!({}));
}

#[tokio::test]
async fn the_latest_metric_has_the_greatest_step_then_time_then_value() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let point = |value: Value, timestamp: i64, step: i64| json!({ "key": "m", "value": value, "timestamp": timestamp, "step": step });
    let batches = [
        vec![point(json!(0.5), 10, 2), point(json!(9.0), 99, 1)],
        vec![point(json!(0.4), 10, 2), point(json!("NaN"), 10, 2)],
        vec![point(json!(0.6), 10, 2)],
        vec![point(json!(8.0), 9, 2)],
    ];
    for metrics in batches {
        app.post("runs/log-batch", json!({ "run_id": run_id, "metrics": metrics })).await.ok();
    }
    let run = app.get(&format!("runs/get?run_id={run_id}")).await.ok();
    assert_eq!(field(&run["run"]["data"]["metrics"], "m"), Some(&json!(0.6)));
}

#[tokio::test]
async fn logging_the_same_again_changes_nothing() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let batch = json!({
        "run_id": run_id,
        "metrics": [{ "key": "m", "value": 1.5, "timestamp": 1, "step": 3 }, { "key": "m", "value": "NaN", "timestamp": 2 }],
        "params": [{ "key": "p", "value": "1" }],
    });
    for _ in 0..3 {
        app.post("runs/log-batch", batch.clone()).await.ok();
    }
    let history = app.get(&format!("metrics/get-history?run_id={run_id}&metric_key=m")).await.ok();
    assert_eq!(history["metrics"].as_array().map(Vec::len), Some(2));
    assert_eq!(history["metrics"][1]["value"], "NaN");
    assert_eq!(history.get("next_page_token"), None);
}

#[tokio::test]
async fn a_param_never_changes_and_a_refused_batch_leaves_no_trace() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let body = json!({ "run_id": run_id, "key": "k", "value": "1" });
    app.post("runs/log-parameter", body).await.ok();
    let batch = json!({
        "run_id": run_id,
        "params": [{ "key": "k", "value": "2" }],
        "metrics": [{ "key": "m", "value": 1, "timestamp": 1 }],
    });
    let refused = app.post("runs/log-batch", batch).await;
    assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
    let message = refused.message();
    assert!(
        message.contains(
            "Changing param values is not allowed. Param with key='k' was already logged with value='1'"
        ),
        "{message}"
    );
    let run = app.get(&format!("runs/get?run_id={run_id}")).await.ok();
    assert_eq!(run["run"]["data"].get("metrics"), None);
}

#[tokio::test]
async fn infinities_are_clamped() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let body = json!({ "run_id": run_id, "key": "m", "value": "Infinity", "timestamp": 1 });
    app.post("runs/log-metric", body).await.ok();
    let run = app.get(&format!("runs/get?run_uuid={run_id}")).await.ok();
    assert_eq!(field(&run["run"]["data"]["metrics"], "m"), Some(&json!(f64::MAX)));
}

#[tokio::test]
async fn limits_and_wrong_values_are_errors() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let metric = |index: usize| json!({ "key": format!("m{index}"), "value": 1, "timestamp": 1 });
    let too_many: Vec<Value> = (0..1_001).map(metric).collect();
    for batch in [
        json!({ "metrics": too_many }),
        json!({ "params": [{ "key": "p", "value": "1" }, { "key": "p", "value": "1" }] }),
        json!({ "params": vec![json!({ "key": "p", "value": "1" }); 101] }),
        json!({ "metrics": [{ "key": "m", "value": 1, "timestamp": -1 }] }),
        json!({ "tags": [{ "key": "../t", "value": "v" }] }),
        json!({ "metrics": [{ "key": "m", "value": "abc", "timestamp": 1 }] }),
        json!({ "metrics": [{ "key": "m", "timestamp": 1 }] }),
        json!({ "metrics": [{ "key": "m", "value": 1, "timestamp": 1.5 }] }),
    ] {
        let mut batch = batch;
        batch["run_id"] = json!(run_id);
        let refused = app.post("runs/log-batch", batch).await;
        assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()), "{}", refused.message());
    }
    let large = json!({ "run_id": run_id, "tags": [{ "key": "t", "value": "v".repeat(1_000_000) }] });
    assert_eq!(app.post("runs/log-batch", large).await.status, 413);
}

#[tokio::test]
async fn long_values_of_params_and_tags_are_shortened_and_may_be_sent_again() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let long = json!({
        "run_id": run_id,
        "params": [{ "key": "p", "value": "\u{e9}".repeat(6_001) }],
        "tags": [{ "key": "t", "value": "v".repeat(8_001) }],
    });
    for _ in 0..2 {
        app.post("runs/log-batch", long.clone()).await.ok();
    }
    let run = app.get(&format!("runs/get?run_id={run_id}")).await.ok();
    let length = |list: &str, key: &str| {
        let value = field(&run["run"]["data"][list], key).unwrap();
        value.as_str().unwrap().chars().count()
    };
    assert_eq!((length("params", "p"), length("tags", "t")), (6_000, 8_000));
    let tags = json!([{ "key": "t", "value": "v".repeat(8_001) }]);
    app.post("runs/create", json!({ "experiment_id": "0", "tags": tags })).await.ok();
    let key = json!({ "run_id": run_id, "key": "k".repeat(251), "value": "v" });
    assert_eq!(app.post("runs/set-tag", key).await.refused().0, 400, "keys are not shortened");
}

#[tokio::test]
async fn models_are_listed_in_the_tag_of_their_run_as_old_clients_do() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let model = |path: &str| {
        json!({
            "run_id": run_id, "artifact_path": path, "utc_time_created": "2026-01-01", "model_uuid": "u",
            "signature": {}, "flavors": { "python_function": { "loader_module": "x", "config": { "secret": 1 } } },
        })
    };
    for path in ["first", "second"] {
        let body = json!({ "run_id": run_id, "model_json": model(path).to_string() });
        app.post("runs/log-model", body).await.ok();
    }
    let run = app.get(&format!("runs/get?run_id={run_id}")).await.ok();
    let tag = field(&run["run"]["data"]["tags"], "mlflow.log-model.history").unwrap();
    let list: Value = serde_json::from_str(tag.as_str().unwrap()).unwrap();
    assert_eq!(list[1]["artifact_path"], "second");
    assert_eq!(
        list[0],
        json!({
            "run_id": run_id, "artifact_path": "first", "utc_time_created": "2026-01-01", "model_uuid": "u",
            "flavors": { "python_function": { "loader_module": "x" } },
        })
    );
    for model_json in ["{", "[]", "{}", r#"{"run_id": "x"}"#] {
        let body = json!({ "run_id": run_id, "model_json": model_json });
        assert_eq!(app.post("runs/log-model", body).await.refused().0, 400, "{model_json}");
    }
    let body = json!({ "run_id": "none", "model_json": model("first").to_string() });
    assert_eq!(app.post("runs/log-model", body).await.refused().0, 404);
}

#[tokio::test]
async fn a_deleted_run_records_nothing_until_it_is_restored() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let metric = json!({ "run_id": run_id, "key": "m", "value": 1, "timestamp": 1 });
    app.post("runs/delete", json!({ "run_id": run_id })).await.ok();
    let refused = app.post("runs/log-metric", metric.clone()).await;
    assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
    assert!(refused.message().contains("must be in the 'active' state"));
    app.post("runs/restore", json!({ "run_id": run_id })).await.ok();
    app.post("runs/log-metric", metric).await.ok();
}

#[tokio::test]
async fn inputs_and_outputs_are_kept_once() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let model_id = app.logs_model("trees").await;
    let inputs = json!({
        "run_id": run_id,
        "datasets": [{
            "dataset": { "name": "autumn", "digest": "d1", "source_type": "local", "source": "{}", "schema": "{}" },
            "tags": [{ "key": "mlflow.data.context", "value": "eval" }],
        }],
        "models": [{ "model_id": model_id }],
    });
    for _ in 0..2 {
        app.post("runs/log-inputs", inputs.clone()).await.ok();
        let outputs = json!({ "run_id": run_id, "models": [{ "model_id": model_id, "step": 4 }] });
        app.post("runs/outputs", outputs).await.ok();
    }
    let run = app.get(&format!("runs/get?run_id={run_id}")).await.ok()["run"].clone();
    let datasets = run["inputs"]["dataset_inputs"].as_array().unwrap();
    assert_eq!(datasets.len(), 1);
    assert_eq!(datasets[0]["dataset"]["name"], "autumn");
    assert_eq!(datasets[0]["tags"][0]["value"], "eval");
    assert_eq!(run["inputs"]["model_inputs"], json!([{ "model_id": model_id }]));
    assert_eq!(run["outputs"]["model_outputs"], json!([{ "model_id": model_id, "step": 4 }]));
    let unknown = json!({ "run_id": run_id, "models": [{ "model_id": "m-none", "step": 0 }] });
    assert_eq!(app.post("runs/outputs", unknown).await.refused().0, 404);
    let summaries = app.post("experiments/search-datasets", json!({ "experiment_ids": ["0"] })).await.ok();
    assert_eq!(
        summaries["dataset_summaries"],
        json!([{ "experiment_id": "0", "name": "autumn", "digest": "d1", "context": "eval" }])
    );
}

#[tokio::test]
async fn a_history_is_read_in_pages() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let metrics: Vec<Value> =
        (0..10).map(|step| json!({ "key": "m", "value": step, "timestamp": step, "step": step })).collect();
    app.post("runs/log-batch", json!({ "run_id": run_id, "metrics": metrics })).await.ok();
    let path = format!("metrics/get-history?run_id={run_id}&metric_key=m&max_results=6");
    let first = app.get(&path).await.ok();
    assert_eq!(first["metrics"].as_array().map(Vec::len), Some(6));
    let token = first["next_page_token"].as_str().unwrap().replace('=', "%3D");
    let second = app.get(&format!("{path}&page_token={token}")).await.ok();
    assert_eq!(second["metrics"][0]["step"], 6);
    assert_eq!(second["metrics"].as_array().map(Vec::len), Some(4));
    assert_eq!(app.get(&format!("{path}&page_token=zzz")).await.refused().0, 400);
}

#[tokio::test]
async fn experiments_have_one_name_each_and_come_back_when_restored() {
    let app = App::new().await;
    let default = app.get("experiments/get?experiment_id=0").await.ok();
    assert_eq!(default["experiment"]["name"], "Default");
    let created = app.post("experiments/create", json!({ "name": "flights" })).await.ok();
    assert_eq!(created["experiment_id"], "1");
    let twice = app.post("experiments/create", json!({ "name": "flights" })).await;
    assert_eq!(twice.refused(), (400, "RESOURCE_ALREADY_EXISTS".to_owned()));
    let unknown = app.get("experiments/get-by-name?experiment_name=none").await;
    assert_eq!(unknown.refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
    app.post("experiments/set-experiment-tag", json!({ "experiment_id": "1", "key": "a", "value": "b" }))
        .await
        .ok();
    let run = app.post("runs/create", json!({ "experiment_id": "1" })).await.ok();
    app.post("experiments/delete", json!({ "experiment_id": "1" })).await.ok();
    let refused = app.post("runs/create", json!({ "experiment_id": "1" })).await;
    assert_eq!(refused.refused().0, 400);
    app.post("experiments/restore", json!({ "experiment_id": "1" })).await.ok();
    let run_id = run["run"]["info"]["run_id"].as_str().unwrap();
    let run = app.get(&format!("runs/get?run_id={run_id}")).await.ok();
    assert_eq!(run["run"]["info"]["lifecycle_stage"], "active");
    let found =
        app.post("experiments/search", json!({ "filter": "tags.a = 'b'", "max_results": 5 })).await.ok();
    assert_eq!(found["experiments"][0]["name"], "flights");
    for location in ["file:///etc", "s3://bucket/x", "mlflow-artifacts:/../x", "mlflow-artifacts://host/x"] {
        let body = json!({ "name": location, "artifact_location": location });
        assert_eq!(app.post("experiments/create", body).await.refused().0, 400, "{location}");
    }
}

#[tokio::test]
async fn tags_of_runs_and_experiments_are_taken_away() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let tag = json!({ "run_id": run_id, "experiment_id": "0", "key": "k", "value": "v" });
    app.post("runs/set-tag", tag.clone()).await.ok();
    app.post("experiments/set-experiment-tag", tag.clone()).await.ok();
    app.post("runs/delete-tag", tag.clone()).await.ok();
    app.post("experiments/delete-experiment-tag", tag.clone()).await.ok();
    let run = app.get(&format!("runs/get?run_id={run_id}")).await.ok();
    assert_eq!(field(&run["run"]["data"]["tags"], "k"), None);
    let experiment = app.get("experiments/get?experiment_id=0").await.ok();
    assert_eq!(experiment["experiment"].get("tags"), None);
    assert_eq!(app.post("runs/delete-tag", tag).await.refused().0, 404);
}

#[tokio::test]
async fn a_new_run_is_told_as_it_is_read() {
    let app = App::new().await;
    let tags = json!([
        { "key": "z", "value": "1" }, { "key": "a", "value": "first" }, { "key": "a", "value": "last" },
        { "key": "mlflow.runName", "value": "named" }, { "key": "B", "value": "" },
    ]);
    let body = json!({ "experiment_id": "0", "start_time": 5, "user_id": "ada", "tags": tags });
    let told = app.post("runs/create", body).await.ok();
    let run_id = told["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(told, app.get(&format!("runs/get?run_id={run_id}")).await.ok());
    assert_eq!(field(&told["run"]["data"]["tags"], "a"), Some(&json!("last")));
    let keys: Vec<_> = told["run"]["data"]["tags"].as_array().unwrap().iter().map(|tag| &tag["key"]).collect();
    assert_eq!(keys, ["B", "a", "mlflow.runName", "z"]);
}

#[tokio::test]
async fn a_batch_with_one_param_that_changed_leaves_nothing_and_one_with_known_and_new_params_all() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let batch = |a: &str, b: &str, metric: &str| {
        json!({
            "run_id": run_id, "metrics": [{ "key": metric, "value": 1, "timestamp": 1 }], "tags": [{ "key": metric, "value": "t" }],
            "params": [{ "key": "new", "value": "n" }, { "key": "a", "value": a }, { "key": "b", "value": b }],
        })
    };
    let first = json!({ "run_id": run_id, "params": [{ "key": "a", "value": "1" }, { "key": "b", "value": "2" }] });
    app.post("runs/log-batch", first).await.ok();

    let refused = app.post("runs/log-batch", batch("1", "3", "refused")).await;

    assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
    let message = refused.message();
    assert!(message.contains("key='b'") && message.contains("value='2'") && message.contains("'3'"), "{message}");
    let data = |run: Value| run["run"]["data"].clone();
    let kept = data(app.get(&format!("runs/get?run_id={run_id}")).await.ok());
    assert_eq!(kept["params"], json!([{ "key": "a", "value": "1" }, { "key": "b", "value": "2" }]));
    assert!(kept.get("metrics").is_none() && field(&kept["tags"], "refused").is_none(), "{kept}");
    app.post("runs/log-batch", batch("1", "2", "kept")).await.ok();
    let kept = data(app.get(&format!("runs/get?run_id={run_id}")).await.ok());
    assert_eq!(kept["params"].as_array().map(Vec::len), Some(3));
    assert_eq!(field(&kept["metrics"], "kept"), Some(&json!(1.0)));
}
