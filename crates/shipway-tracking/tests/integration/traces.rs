//! Traces: what is told of them, their tags and links, and taking them away.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use super::app::{App, span, trace_name, zero};

const NOON: &str = "2026-01-31T12:00:00Z";

#[tokio::test]
async fn a_trace_comes_back_as_it_was_told() {
    let app = App::new().await;
    let told = app
        .tells_trace(
            "tr-1",
            "2026-01-31T12:00:00.250Z",
            json!({
                "execution_duration": "1.5s", "client_request_id": "mine", "request_preview": "in",
                "response_preview": "out", "trace_metadata": { "mlflow.sourceRun": "r", "mlflow.trace.session": "s" },
                "tags": { "mlflow.traceName": "answer", "team": "ops" },
            }),
        )
        .await;
    assert_eq!(
        told,
        json!({
            "trace_id": "tr-1", "client_request_id": "mine", "trace_location": zero(), "request_preview": "in",
            "response_preview": "out", "request_time": "2026-01-31T12:00:00.250Z", "execution_duration": "1.500s",
            "state": "OK",
            "trace_metadata": { "mlflow.sourceRun": "r", "mlflow.trace.session": "s", "mlflow.trace.infoFinalized": "true" },
            "tags": {
                "team": "ops", "mlflow.traceName": "answer",
                "mlflow.artifactLocation": "mlflow-artifacts:/0/traces/tr-1/artifacts",
            },
        })
    );
    let read = app.get_3("traces/tr-1").await.ok();
    assert_eq!(read["trace"]["trace_info"], told);
    let again =
        app.tells_trace("tr-1", "2026-01-31T12:00:00.250Z", json!({ "tags": { "team": "new" } })).await;
    assert_eq!(again["tags"]["team"], "new");
    assert_eq!(again["request_preview"], "in", "what is left out stays");
    let unset = app.tells_trace("tr-2", NOON, json!({})).await;
    assert!(unset.get("execution_duration").is_none() && unset.get("client_request_id").is_none());
}

#[tokio::test]
async fn what_cannot_be_a_trace_is_refused() {
    let app = App::new().await;
    let location = zero();
    for info in [
        json!({ "trace_location": location }),
        json!({ "trace_id": "a/../b", "trace_location": location }),
        json!({ "trace_id": "x".repeat(65), "trace_location": location }),
        json!({ "trace_id": "tr-1" }),
        json!({ "trace_id": "tr-1", "trace_location": { "type": "INFERENCE_TABLE" } }),
        json!({ "trace_id": "tr-1", "trace_location": location, "state": "SOMETHING" }),
        json!({ "trace_id": "tr-1", "trace_location": location, "request_time": "yesterday" }),
        json!({ "trace_id": "tr-1", "trace_location": location, "execution_duration": "long" }),
        json!({ "trace_id": "tr-1", "trace_location": location, "tags": { "a": 1 } }),
        json!({ "trace_id": "tr-1", "trace_location": location, "tags": { "a": "x".repeat(8_001) } }),
        json!({ "trace_id": "tr-1", "trace_location": location,
            "trace_metadata": { "mlflow.trace.session": "s".repeat(251) } }),
    ] {
        let refused = app.call(Method::POST, "traces", json!({ "trace": { "trace_info": info } })).await;
        assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()), "{info}");
    }
    let elsewhere = json!({ "mlflow_experiment": { "experiment_id": "77" } });
    let body = json!({ "trace": { "trace_info": { "trace_id": "tr-1", "trace_location": elsewhere } } });
    assert_eq!(app.call(Method::POST, "traces", body).await.refused().0, 404);
    assert_eq!(app.get_3("traces/tr-1").await.refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
}

#[tokio::test]
async fn tags_are_set_and_taken_away_on_both_wires() {
    let app = App::new().await;
    app.tells_trace("tr-1", NOON, json!({})).await;
    for (version, key) in [("2.0", "old"), ("3.0", "new"), ("3.0", "mlflow.traceName")] {
        let path = format!("/ajax-api/{version}/mlflow/traces/tr-1/tags");
        let set = json!({ "key": key, "value": "v" }).to_string();
        app.send(Method::PATCH, &path, set).await.ok();
        let tags = &app.get_3("traces/tr-1").await.ok()["trace"]["trace_info"]["tags"];
        assert_eq!(tags[key], "v");
        let gone = json!({ "key": key }).to_string();
        app.send(Method::DELETE, &path, gone.clone()).await.ok();
        assert_eq!(app.send(Method::DELETE, &path, gone).await.refused().0, 404, "{key}");
    }
    for owned in ["mlflow.trace.spansLocation", "mlflow.artifactLocation"] {
        let body = json!({ "key": owned, "value": "elsewhere" });
        let refused = app.call(Method::PATCH, "traces/tr-1/tags", body).await;
        assert_eq!(refused.refused().0, 400, "{owned}");
        assert!(
            refused.message().contains("is immutable and cannot be set on a trace"),
            "{}",
            refused.message()
        );
    }
    let body = json!({ "key": "a", "value": "b" });
    assert_eq!(app.call(Method::PATCH, "traces/tr-9/tags", body).await.refused().0, 404);
}

#[tokio::test]
async fn traces_are_found_by_the_run_that_they_are_linked_to() {
    let app = App::new().await;
    let run = app.creates_run().await;
    app.tells_trace("tr-1", NOON, json!({ "trace_metadata": { "mlflow.sourceRun": run } })).await;
    app.tells_trace("tr-2", NOON, json!({})).await;
    app.tells_trace("tr-3", NOON, json!({})).await;
    let link = json!({ "trace_ids": ["tr-2", "tr-2"], "run_id": run });
    app.post("traces/link-to-run", link.clone()).await.ok();
    app.post("traces/link-to-run", link).await.ok();
    assert_eq!(app.finds_traces(&format!("run_id = '{run}'")).await, ["tr-1", "tr-2"]);
    assert_eq!(app.finds_traces(&format!("metadata.`mlflow.sourceRun` = '{run}'")).await, ["tr-1", "tr-2"]);
    assert_eq!(app.finds_traces("run_id IS NULL").await, ["tr-3"]);
    let many: Vec<String> = (0..101).map(|number| format!("tr-{number}")).collect();
    let refused = app.post("traces/link-to-run", json!({ "trace_ids": many, "run_id": run })).await;
    assert!(refused.message().contains("Cannot link more than 100 traces"), "{}", refused.message());
    let nobody = app.post("traces/link-to-run", json!({ "trace_ids": ["tr-1"], "run_id": "x" })).await;
    assert_eq!(nobody.refused().0, 404);
    let prompts = json!({ "trace_id": "tr-3", "prompt_versions": [{ "name": "hello", "version": "2" }] });
    app.post("traces/link-prompts", prompts).await.ok();
    assert_eq!(app.finds_traces("prompt = 'hello/2'").await, ["tr-3"]);
    assert_eq!(app.finds_traces("prompt = 'hello/1'").await, Vec::<String>::new());
}

#[tokio::test]
async fn traces_are_taken_away_with_all_that_hangs_on_them() {
    let app = App::new().await;
    let run = app.creates_run().await;
    for number in 1..=120_u8 {
        let start = format!("2026-01-31T12:{:02}:{:02}Z", number / 60, number % 60);
        app.tells_trace(&format!("tr-{number:03}"), &start, json!({ "tags": { "a": "b" } })).await;
    }
    app.post("traces/link-to-run", json!({ "trace_ids": ["tr-001"], "run_id": run })).await.ok();
    let file = "/api/2.0/mlflow-artifacts/artifacts/0/traces/tr-001/artifacts/traces.json";
    app.send(Method::PUT, file, "{\"spans\":[]}").await.ok();
    for (body, deleted) in [
        (json!({ "experiment_id": "0", "request_ids": ["tr-001", "tr-002", "tr-999"] }), 2),
        (json!({ "experiment_id": "0", "max_timestamp_millis": 1_769_860_810_000_i64, "max_traces": 3 }), 3),
        (json!({ "experiment_id": "0", "max_timestamp_millis": 1_769_860_810_000_i64 }), 5),
        (json!({ "experiment_id": "0", "max_timestamp_millis": i64::MAX }), 110),
    ] {
        let answer = app.call(Method::POST, "traces/delete-traces", body.clone()).await.ok();
        assert_eq!(answer["traces_deleted"], deleted, "{body}");
    }
    assert_eq!(app.send(Method::GET, file, Body::empty()).await.status, 404);
    let sql = "SELECT (SELECT COUNT(*) FROM traces) + (SELECT COUNT(*) FROM trace_tags) + \
               (SELECT COUNT(*) FROM trace_runs) + (SELECT COUNT(*) FROM artifacts) AS left_over";
    let row = app.store.fetch_optional(sql, vec![]).await.unwrap().unwrap();
    assert_eq!(row.int("left_over").unwrap(), 0);
    for body in [
        json!({ "experiment_id": "0" }),
        json!({ "experiment_id": "0", "request_ids": ["a"], "max_traces": 0 }),
        json!({ "request_ids": ["a"] }),
    ] {
        assert_eq!(app.post("traces/delete-traces", body.clone()).await.refused().0, 400, "{body}");
    }
}

#[tokio::test]
async fn old_clients_tell_the_start_and_the_end() {
    let app = App::new().await;
    let start = json!({
        "experiment_id": "0", "timestamp_ms": 1_000, "request_metadata": [{ "key": "m", "value": "1" }],
        "tags": [{ "key": "mlflow.traceName", "value": "old" }],
    });
    let info = app.post("traces", start).await.ok()["trace_info"].clone();
    assert_eq!((&info["status"], &info["execution_time_ms"]), (&json!("IN_PROGRESS"), &json!(0)));
    let id = info["request_id"].as_str().unwrap();
    let end = json!({ "timestamp_ms": 1_750, "status": "ERROR", "tags": [{ "key": "t", "value": "2" }] });
    let path = format!("/api/2.0/mlflow/traces/{id}");
    app.send(Method::PATCH, &path, end.to_string()).await.ok();
    let read = app.get(&format!("traces/{id}/info")).await.ok()["trace_info"].clone();
    assert_eq!((&read["status"], &read["execution_time_ms"]), (&json!("ERROR"), &json!(750)));
    let mut tags: Vec<&str> =
        read["tags"].as_array().unwrap().iter().filter_map(|tag| tag["value"].as_str()).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["2", &format!("mlflow-artifacts:/0/traces/{id}/artifacts"), "old"]);
    let found = app.get("traces?experiment_ids=0&filter=status%20%3D%20'ERROR'").await.ok();
    assert_eq!(found["traces"][0]["request_id"], id);
    assert_eq!(app.get("traces").await.refused().0, 400);
}

#[tokio::test]
async fn spans_that_a_client_keeps_as_a_file_are_given_as_that_file() {
    let app = App::new().await;
    app.tells_trace("tr-1", NOON, json!({})).await;
    let path = "/ajax-api/2.0/mlflow/get-trace-artifact?request_id=tr-1";
    assert_eq!(app.send(Method::GET, path, Body::empty()).await.status, 404);
    let file = "/api/2.0/mlflow-artifacts/artifacts/0/traces/tr-1/artifacts/";
    app.send(Method::PUT, &format!("{file}traces.json"), "{\"spans\":[1]}").await.ok();
    app.send(Method::PUT, &format!("{file}attachments/a.png"), "picture").await.ok();
    assert_eq!(app.send(Method::GET, path, Body::empty()).await.bytes, b"{\"spans\":[1]}");
    let attached = app.send(Method::GET, &format!("{path}&path=a.png"), Body::empty()).await;
    assert_eq!(attached.bytes, b"picture");
    for bad in ["../traces.json", "%252e%252e/traces.json", "/etc/passwd"] {
        let refused = app.send(Method::GET, &format!("{path}&path={bad}"), Body::empty()).await;
        assert!(refused.status.is_client_error(), "{bad}: {}", refused.status);
    }
    let body = json!({ "name": "m", "source": "mlflow-artifacts:/0/traces/tr-1/artifacts" });
    app.post("registered-models/create", json!({ "name": "m" })).await.ok();
    assert_eq!(
        app.post("model-versions/create", body).await.refused().0,
        404,
        "files of a trace are no model"
    );
}

#[tokio::test]
async fn a_batch_has_what_there_is_in_the_asked_order() {
    let app = App::new().await;
    for trace in [1, 2] {
        app.exports(json!([span(trace, 1, None, (5, 9), json!({ "a": "b" }))])).await.ok();
    }
    app.tells_trace("tr-bare", NOON, json!({})).await;
    let (one, two) = (trace_name(1), trace_name(2));
    let query =
        format!("traces/batchGet?trace_ids={two}&trace_ids=tr-none&trace_ids=tr-bare&trace_ids={one}");
    let found = app.get_3(&query).await.ok();
    let ids: Vec<&Value> =
        found["traces"].as_array().unwrap().iter().map(|trace| &trace["trace_info"]["trace_id"]).collect();
    assert_eq!(ids, [&json!(two), &json!(one)], "a trace without spans is not whole");
    assert_eq!(found["traces"][0]["spans"][0]["name"], "span 1");
    let body = json!({ "trace_ids": [one, "tr-bare", "tr-none"] });
    let infos = app.call(Method::POST, "traces/batchGetInfos", body).await.ok();
    assert_eq!(infos["trace_infos"].as_array().unwrap().len(), 2);
    let none = app.get_3(&format!("traces/batchGet?trace_ids={one}&experiment_ids=7")).await.ok();
    assert_eq!(none, json!({ "traces": [] }));
    assert_eq!(app.get_3("traces/batchGet").await.refused().0, 400);
    let many: Vec<String> = (0..501).map(|number| format!("tr-{number}")).collect();
    assert_eq!(
        app.call(Method::POST, "traces/batchGetInfos", json!({ "trace_ids": many })).await.refused().0,
        400
    );
}
