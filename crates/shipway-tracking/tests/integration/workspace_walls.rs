//! What is in one workspace is not there for requests of another, whatever names it.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    app::App,
    endpoints::{ENDPOINTS, State},
    workspace_world::{DEFAULT, TEAM, World, text},
};

/// A request that names something: method, the path of the protocol, what is asked instead of its parameters, and the body.
type Naming = (&'static str, &'static str, &'static str, &'static str);

/// Every endpoint that names a thing, with a request that would be answered in the workspace of that thing.
const NAMING: &[Naming] = &[
    ("GET", "2.0/mlflow/experiments/get", "?experiment_id=$experiment", ""),
    ("POST", "2.0/mlflow/experiments/update", "", r#"{"experiment_id":"$experiment","new_name":"x"}"#),
    ("POST", "2.0/mlflow/experiments/set-experiment-tag", "", r#"{"experiment_id":"$experiment","key":"k","value":"v"}"#),
    ("POST", "2.0/mlflow/experiments/delete-experiment-tag", "", r#"{"experiment_id":"$experiment","key":"k"}"#),
    ("POST", "2.0/mlflow/experiments/delete", "", r#"{"experiment_id":"$experiment"}"#),
    ("POST", "2.0/mlflow/experiments/restore", "", r#"{"experiment_id":"$experiment"}"#),
    ("POST", "2.0/mlflow/runs/create", "", r#"{"experiment_id":"$experiment"}"#),
    ("GET", "2.0/mlflow/runs/get", "?run_id=$run", ""),
    ("GET", "2.0/mlflow/runs/get", "?run_uuid=$run", ""),
    ("POST", "2.0/mlflow/runs/update", "", r#"{"run_id":"$run","status":"FINISHED"}"#),
    ("POST", "2.0/mlflow/runs/delete", "", r#"{"run_id":"$run"}"#),
    ("POST", "2.0/mlflow/runs/restore", "", r#"{"run_id":"$run"}"#),
    ("POST", "2.0/mlflow/runs/log-metric", "", r#"{"run_id":"$run","key":"k","value":1,"timestamp":1}"#),
    ("POST", "2.0/mlflow/runs/log-parameter", "", r#"{"run_id":"$run","key":"k","value":"v"}"#),
    ("POST", "2.0/mlflow/runs/set-tag", "", r#"{"run_id":"$run","key":"k","value":"v"}"#),
    ("POST", "2.0/mlflow/runs/delete-tag", "", r#"{"run_id":"$run","key":"t"}"#),
    ("POST", "2.0/mlflow/runs/log-batch", "", r#"{"run_id":"$run","params":[{"key":"p","value":"v"}]}"#),
    ("POST", "2.0/mlflow/runs/log-model", "", r#"{"run_id":"$run","model_json":"{\"artifact_path\":\"m\",\"flavors\":{},\"utc_time_created\":\"x\",\"run_id\":\"$run\"}"}"#),
    ("POST", "2.0/mlflow/runs/log-inputs", "", r#"{"run_id":"$run","models":[{"model_id":"$model"}]}"#),
    ("POST", "2.0/mlflow/runs/outputs", "", r#"{"run_id":"$run","models":[{"model_id":"$model"}]}"#),
    ("GET", "2.0/mlflow/artifacts/list", "?run_id=$run", ""),
    ("GET", "2.0/mlflow/metrics/get-history", "?run_id=$run&metric_key=auc", ""),
    ("GET", "2.0/mlflow/metrics/get-history-bulk-interval", "?run_ids=$run&metric_key=auc&max_results=5", ""),
    ("POST", "2.0/mlflow/logged-models", "", r#"{"experiment_id":"$experiment","name":"m"}"#),
    ("GET", "2.0/mlflow/logged-models/{model_id}", "$model", ""),
    ("PATCH", "2.0/mlflow/logged-models/{model_id}", "$model", r#"{"status":"LOGGED_MODEL_READY"}"#),
    ("PATCH", "2.0/mlflow/logged-models/{model_id}/tags", "$model/tags", r#"{"tags":[{"key":"k","value":"v"}]}"#),
    ("DELETE", "2.0/mlflow/logged-models/{model_id}/tags/{tag_key}", "$model/tags/k", ""),
    ("GET", "2.0/mlflow/logged-models/{model_id}/artifacts/directories", "$model/artifacts/directories", ""),
    ("POST", "2.0/mlflow/logged-models/{model_id}/params", "$model/params", r#"{"params":[{"key":"k","value":"v"}]}"#),
    ("GET", "2.0/mlflow-artifacts/artifacts", "?path=$root", ""),
    ("GET", "2.0/mlflow-artifacts/artifacts/{*path}", "$root/MLmodel", ""),
    ("GET", "3.0/mlflow/traces/get", "?trace_id=$trace", ""),
    ("GET", "3.0/mlflow/traces/batchGet", "?trace_ids=$trace", ""),
    ("POST", "3.0/mlflow/traces/batchGetInfos", "", r#"{"trace_ids":["$trace"]}"#),
    ("GET", "3.0/mlflow/traces/{trace_id}", "$trace", ""),
    ("PATCH", "3.0/mlflow/traces/{trace_id}/tags", "$trace/tags", r#"{"key":"k","value":"v"}"#),
    ("DELETE", "3.0/mlflow/traces/{trace_id}/tags", "$trace/tags", r#"{"key":"k"}"#),
    ("PATCH", "2.0/mlflow/traces/{request_id}/tags", "$trace/tags", r#"{"key":"k","value":"v"}"#),
    ("DELETE", "2.0/mlflow/traces/{request_id}/tags", "$trace/tags", r#"{"key":"k"}"#),
    ("GET", "2.0/mlflow/traces/{request_id}/info", "$trace/info", ""),
    ("PATCH", "2.0/mlflow/traces/{request_id}", "$trace", r#"{"timestamp_ms":1700000001000,"status":"OK"}"#),
    ("POST", "2.0/mlflow/traces", "", r#"{"experiment_id":"$experiment","timestamp_ms":1}"#),
    ("POST", "3.0/mlflow/traces", "", r#"{"trace":{"trace_info":{"trace_id":"tr-new","request_time":"2023-11-14T00:00:00Z","state":"OK","trace_location":{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"$experiment"}}}}}"#),
    ("POST", "2.0/mlflow/traces/link-to-run", "", r#"{"trace_ids":["$trace"],"run_id":"$run"}"#),
    ("POST", "2.0/mlflow/traces/link-prompts", "", r#"{"trace_id":"$trace","prompt_versions":[{"name":"p","version":"1"}]}"#),
    ("GET", "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", "$trace/assessments/$assessment", ""),
    ("POST", "3.0/mlflow/traces/{assessment.trace_id}/assessments", "$trace/assessments", r#"{"assessment":{"assessment_name":"n","trace_id":"$trace","feedback":{"value":1},"source":{"source_type":"HUMAN","source_id":"a"}}}"#),
    ("PATCH", "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", "$trace/assessments/$assessment", r#"{"assessment":{"assessment_name":"better"},"update_mask":"assessment_name"}"#),
    ("DELETE", "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", "$trace/assessments/$assessment", ""),
    ("POST", "2.0/mlflow/traces/delete-traces", "", r#"{"experiment_id":"$experiment","request_ids":["none"]}"#),
    ("POST", "3.0/mlflow/traces/delete-traces", "", r#"{"experiment_id":"$experiment","request_ids":["none"]}"#),
    ("GET", "3.0/mlflow/datasets/{dataset_id}", "$dataset", ""),
    ("PATCH", "3.0/mlflow/datasets/{dataset_id}/tags", "$dataset/tags", r#"{"tags":"{\"k\": \"v\"}"}"#),
    ("DELETE", "3.0/mlflow/datasets/{dataset_id}/tags/{key}", "$dataset/tags/k", ""),
    ("POST", "3.0/mlflow/datasets/{dataset_id}/records", "$dataset/records", r#"{"records":"[{\"inputs\": {\"q\": 1}}]"}"#),
    ("GET", "3.0/mlflow/datasets/{dataset_id}/records", "$dataset/records", ""),
    ("DELETE", "3.0/mlflow/datasets/{dataset_id}/records", "$dataset/records", r#"{"dataset_record_ids":["x"]}"#),
    ("GET", "3.0/mlflow/datasets/{dataset_id}/experiment-ids", "$dataset/experiment-ids", ""),
    ("POST", "3.0/mlflow/datasets/{dataset_id}/add-experiments", "$dataset/add-experiments", r#"{"experiment_ids":["$experiment"]}"#),
    ("POST", "3.0/mlflow/datasets/{dataset_id}/remove-experiments", "$dataset/remove-experiments", r#"{"experiment_ids":["$experiment"]}"#),
    ("DELETE", "3.0/mlflow/datasets/{dataset_id}", "$dataset", ""),
    ("POST", "3.0/mlflow/datasets/create", "", r#"{"name":"other","experiment_ids":["$experiment"]}"#),
    ("POST", "3.0/mlflow/scorers/register", "", r#"{"experiment_id":"$experiment","name":"j","serialized_scorer":"{\"name\": \"j\"}"}"#),
    ("GET", "3.0/mlflow/scorers/list", "?experiment_id=$experiment", ""),
    ("GET", "3.0/mlflow/scorers/versions", "?experiment_id=$experiment&name=judge", ""),
    ("GET", "3.0/mlflow/scorers/get", "?experiment_id=$experiment&name=judge", ""),
    ("DELETE", "3.0/mlflow/scorers/delete", "", r#"{"experiment_id":"$experiment","name":"judge"}"#),
    ("GET", "2.0/mlflow/webhooks/{webhook_id}", "$webhook", ""),
    ("PATCH", "2.0/mlflow/webhooks/{webhook_id}", "$webhook", r#"{"name":"renamed"}"#),
    ("POST", "2.0/mlflow/webhooks/{webhook_id}/test", "$webhook/test", ""),
    ("DELETE", "2.0/mlflow/webhooks/{webhook_id}", "$webhook", ""),
    ("GET", "2.0/mlflow/registered-models/get", "?name=churn", ""),
    ("PATCH", "2.0/mlflow/registered-models/update", "", r#"{"name":"churn","description":"d"}"#),
    ("POST", "2.0/mlflow/registered-models/set-tag", "", r#"{"name":"churn","key":"k","value":"v"}"#),
    ("DELETE", "2.0/mlflow/registered-models/delete-tag", "", r#"{"name":"churn","key":"k"}"#),
    ("POST", "2.0/mlflow/registered-models/get-latest-versions", "", r#"{"name":"churn"}"#),
    ("GET", "2.0/mlflow/registered-models/get-latest-versions", "?name=churn", ""),
    ("GET", "2.0/mlflow/registered-models/alias", "?name=churn&alias=champion", ""),
    ("POST", "2.0/mlflow/registered-models/alias", "", r#"{"name":"churn","alias":"champion","version":"1"}"#),
    ("DELETE", "2.0/mlflow/registered-models/alias", "", r#"{"name":"churn","alias":"champion"}"#),
    ("GET", "/model-versions/get-artifact", "?name=churn&version=1&path=MLmodel", ""),
    ("GET", "2.0/mlflow/model-versions/get", "?name=churn&version=1", ""),
    ("GET", "2.0/mlflow/model-versions/get-download-uri", "?name=churn&version=1", ""),
    ("PATCH", "2.0/mlflow/model-versions/update", "", r#"{"name":"churn","version":"1","description":"d"}"#),
    ("POST", "2.0/mlflow/model-versions/transition-stage", "", r#"{"name":"churn","version":"1","stage":"Staging","archive_existing_versions":false}"#),
    ("POST", "2.0/mlflow/model-versions/set-tag", "", r#"{"name":"churn","version":"1","key":"k","value":"v"}"#),
    ("DELETE", "2.0/mlflow/model-versions/delete-tag", "", r#"{"name":"churn","version":"1","key":"k"}"#),
    ("POST", "2.0/mlflow/model-versions/create", "", r#"{"name":"churn","source":"models:/$model","model_id":"$model"}"#),
    ("DELETE", "2.0/mlflow/model-versions/delete", "", r#"{"name":"churn","version":"2"}"#),
    ("POST", "2.0/mlflow/registered-models/rename", "", r#"{"name":"churn","new_name":"churn2"}"#),
    ("DELETE", "2.0/mlflow/registered-models/delete", "", r#"{"name":"churn2"}"#),
    ("PUT", "2.0/mlflow-artifacts/artifacts/{*path}", "$root/other", "{}"),
    ("DELETE", "2.0/mlflow-artifacts/artifacts/{*path}", "$root/other", ""),
    // What the browser asks besides.
    ("GET", "/get-artifact", "?run_id=$run&path=x", ""),
    ("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk", "?run_id=$run&metric_key=auc", ""),
    ("GET", "/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", "$model/artifacts/files?artifact_file_path=MLmodel", ""),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact", "?run_id=$run&path=x", "{}"),
    ("GET", "/ajax-api/3.0/mlflow/get-trace-artifact", "?request_id=$trace", ""),
    ("DELETE", "2.0/mlflow/logged-models/{model_id}", "$model", ""),
];

/// Endpoints that name nothing that lies elsewhere: they make things, look among what is here, or are about the server.
const NAMING_NOTHING: [&str; 18] = [
    "2.0/mlflow/experiments/create",
    "2.0/mlflow/experiments/get-by-name",
    "2.0/mlflow/experiments/search",
    "2.0/mlflow/experiments/search-datasets",
    "2.0/mlflow/runs/search",
    "2.0/mlflow/logged-models/search",
    "2.0/mlflow/registered-models/create",
    "2.0/mlflow/registered-models/search",
    "2.0/mlflow/model-versions/search",
    "2.0/mlflow/webhooks",
    "3.0/mlflow/traces/search",
    "3.0/mlflow/traces/metrics",
    "3.0/mlflow/traces/calculate-filter-correlation",
    "3.0/mlflow/datasets/search",
    "3.0/mlflow/server-info",
    "3.0/mlflow/scorers/online-configs",
    "3.0/mlflow/workspaces",
    "3.0/mlflow/workspaces/{workspace_name}",
];

/// Requests that name something which is nowhere, below the thing that lies in a workspace.
const MISSING_AT_HOME: [&str; 5] =
    ["?run_id=$run&path=x", "$model/tags/k", "$trace/tags", "?trace_id=$trace", "?request_id=$trace"];

fn request((method, path, rest, body): Naming, world: &World) -> (Method, String, Value) {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("/api/{path}") };
    let fixed = whole.split('{').next().unwrap_or_default();
    let asked = world.fill(&format!("{fixed}{rest}"));
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(&world.fill(body)).unwrap() };
    (method.parse().unwrap(), asked, body)
}

#[test]
fn every_endpoint_is_asked_from_the_wrong_workspace() {
    let asked: BTreeSet<&str> = NAMING.iter().map(|(_, path, ..)| *path).collect();
    // Old clients search traces on the path where they start them.
    let forgotten: Vec<_> = ENDPOINTS
        .iter()
        .filter(|(_, path, _, state)| *state == State::Served && !NAMING_NOTHING.contains(path))
        .filter(|(_, path, ..)| !asked.contains(path))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:#?}");
}

#[tokio::test]
async fn what_is_in_one_workspace_is_not_there_for_another() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    let (here, there) = (World::new(&app, DEFAULT).await, World::new(&app, TEAM).await);
    // What both have under one name is told apart; here it is what only one of them has.
    app.post_in(DEFAULT, "registered-models/rename", json!({ "name": "churn", "new_name": "other" })).await.ok();
    for (world, wrong) in [(&there, DEFAULT), (&here, TEAM)] {
        for naming in NAMING {
            if wrong == TEAM && (naming.2.contains("churn") || naming.3.contains("churn")) {
                continue;
            }
            let (method, path, body) = request(*naming, world);
            let answer = app.ask_in(wrong, method.clone(), &path, &body).await;
            assert_eq!(
                answer.refused(),
                (404, "RESOURCE_DOES_NOT_EXIST".to_owned()),
                "{wrong:?} {method} {path}: {}",
                answer.message()
            );
        }
    }
    // Nothing was changed by being refused: the same requests are answered at home.
    for naming in NAMING {
        let (method, path, body) = request(*naming, &there);
        let answer = app.ask_in(TEAM, method.clone(), &path, &body).await;
        let is_there = answer.status == StatusCode::OK || MISSING_AT_HOME.contains(&naming.2);
        assert!(is_there, "{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.bytes));
    }
}

#[tokio::test]
async fn searches_find_what_is_in_their_workspace_and_nothing_else() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    let (here, there) = (World::new(&app, DEFAULT).await, World::new(&app, TEAM).await);
    let both = json!([here.experiment, there.experiment]);
    let places: Vec<Value> = [&here, &there]
        .iter()
        .map(|world| json!({ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": world.experiment } }))
        .collect();
    for (world, workspace, names) in
        [(&here, DEFAULT, vec!["flights", "Default"]), (&there, TEAM, vec!["flights"])]
    {
        assert_eq!(app.names_in(workspace, "experiments", "").await, names);
        for what in ["registered-models", "model-versions"] {
            assert_eq!(app.names_in(workspace, what, "").await, ["churn"], "{what}");
            for (filter, found) in [
                ("name = 'churn'", 1),
                ("name LIKE 'chu%'", 1),
                ("name ILIKE '%RN'", 0),
                ("name ILIKE 'CHURN'", 1),
                ("name != 'churn'", 0),
                ("name = 'team-a/churn'", 0),
                ("name LIKE '%/%'", 0),
                ("name LIKE 'team%'", 0),
            ] {
                let expected = if filter == "name ILIKE '%RN'" { 1 } else { found };
                assert_eq!(app.names_in(workspace, what, filter).await.len(), expected, "{workspace:?} {filter}");
            }
        }
        assert_eq!(app.names_in(workspace, "model-versions", "name IN ('churn', 'x')").await, ["churn"]);
        let body = json!({ "experiment_ids": both });
        let runs = app.post_in(workspace, "runs/search", body.clone()).await.ok();
        let ids: Vec<_> = runs["runs"].as_array().unwrap().iter().map(|run| text(&run["info"]["run_id"])).collect();
        assert_eq!(ids, [world.run.as_str()]);
        let models = app.post_in(workspace, "logged-models/search", body.clone()).await.ok();
        assert_eq!(models["models"].as_array().unwrap().len(), 1);
        assert_eq!(models["models"][0]["info"]["registrations"][0]["name"], "churn");
        let found = app.post_3_in(workspace, "traces/search", json!({ "locations": places })).await.ok();
        let ids: Vec<_> = found["traces"].as_array().unwrap().iter().map(|one| text(&one["trace_id"])).collect();
        assert_eq!(ids, [world.trace.as_str()]);
        let query = format!("traces?experiment_ids={}&experiment_ids={}", here.experiment, there.experiment);
        assert_eq!(app.get_in(workspace, &query).await.ok()["traces"].as_array().unwrap().len(), 1);
        let body = json!({ "experiment_ids": both, "filter_string1": "status = 'OK'", "filter_string2": "status = 'OK'" });
        let counted = app.post_3_in(workspace, "traces/calculate-filter-correlation", body).await.ok();
        assert_eq!(counted["total_count"], 1);
        let body = json!({ "experiment_ids": both, "view_type": "TRACES", "metric_name": "trace_count",
                           "aggregations": [{ "aggregation_type": "COUNT" }] });
        let counted = app.post_3_in(workspace, "traces/metrics", body).await.ok();
        assert_eq!(counted["data_points"][0]["values"]["COUNT"], 1.0, "{counted}");
        for body in [json!({}), json!({ "experiment_ids": both })] {
            let found = app.post_3_in(workspace, "datasets/search", body).await.ok();
            let ids: Vec<_> =
                found["datasets"].as_array().unwrap().iter().map(|one| text(&one["dataset_id"])).collect();
            assert_eq!(ids, [world.dataset.as_str()]);
        }
        let path = "/api/3.0/mlflow/scorers/list";
        for query in [String::new(), format!("?experiment_ids={}&experiment_ids={}", here.experiment, there.experiment)] {
            let listed = app.ask_in(workspace, Method::GET, &format!("{path}{query}"), &Value::Null).await.ok();
            assert_eq!(listed["scorers"].as_array().unwrap().len(), 1, "{query}");
        }
        let hooks = app.get_in(workspace, "webhooks").await.ok();
        assert_eq!(hooks["webhooks"].as_array().unwrap().len(), 1);
        assert_eq!(hooks["webhooks"][0]["webhook_id"], world.webhook.as_str());
    }
    // A search for a data set of another workspace's experiments finds none, and not all.
    let found = app.post_3_in(TEAM, "datasets/search", json!({ "experiment_ids": [here.experiment] })).await.ok();
    assert_eq!(found.get("datasets"), None);
}

#[tokio::test]
async fn a_page_token_belongs_to_its_workspace() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    for workspace in [DEFAULT, TEAM] {
        for name in ["a", "b"] {
            app.post_in(workspace, "registered-models/create", json!({ "name": name })).await.ok();
            app.experiment_in(workspace, name).await;
        }
    }
    for what in ["registered-models", "experiments"] {
        let first = app.get_in(TEAM, &format!("{what}/search?max_results=1")).await.ok();
        let token: String =
            url::form_urlencoded::byte_serialize(text(&first["next_page_token"]).as_bytes()).collect();
        let path = format!("{what}/search?max_results=1&page_token={token}");
        assert_eq!(app.get_in(TEAM, &path).await.status, StatusCode::OK);
        assert_eq!(app.get_in(DEFAULT, &path).await.refused().1, "INVALID_PARAMETER_VALUE", "{what}");
    }
}

#[tokio::test]
async fn a_request_names_things_of_its_workspace_only_in_every_field() {
    let app = App::new().await;
    app.has_workspace("team-a").await;
    let (here, there) = (World::new(&app, DEFAULT).await, World::new(&app, TEAM).await);
    let missing = (404, "RESOURCE_DOES_NOT_EXIST".to_owned());
    let metric = json!({ "key": "auc", "value": 1, "timestamp": 1, "model_id": there.model });
    for (path, body) in [
        ("runs/log-batch", json!({ "run_id": here.run, "metrics": [metric] })),
        ("runs/log-metric", json!({ "run_id": here.run, "key": "auc", "value": 1, "timestamp": 1, "model_id": there.model })),
        ("runs/log-inputs", json!({ "run_id": here.run, "models": [{ "model_id": there.model }] })),
        ("runs/set-tag", json!({ "run_id": here.run, "run_uuid": there.run, "key": "k", "value": "v" })),
        ("traces/link-to-run", json!({ "trace_ids": [here.trace], "run_id": there.run })),
        ("model-versions/create", json!({ "name": "churn", "source": format!("models:/{}", there.model) })),
        ("model-versions/create", json!({ "name": "churn", "source": format!("runs:/{}/model", there.run) })),
        ("model-versions/create", json!({ "name": "churn", "source": format!("mlflow-artifacts:/{}", there.root) })),
        ("model-versions/create", json!({ "name": "churn", "source": "models:/churn/1", "run_id": there.run })),
        ("model-versions/create", json!({ "name": "churn", "source": "models:/churn/7" })),
    ] {
        assert_eq!(app.post_in(DEFAULT, path, body.clone()).await.refused(), missing, "{path} {body}");
    }
    // A version is made of one of its own workspace, also where both have one of that name.
    app.post_in(TEAM, "registered-models/create", json!({ "name": "copy" })).await.ok();
    let body = json!({ "name": "copy", "source": "models:/churn/1" });
    let copy = app.post_in(TEAM, "model-versions/create", body).await.ok();
    assert_eq!((copy["model_version"]["name"].as_str(), copy["model_version"]["model_id"].as_str()), (Some("copy"), Some(there.model.as_str())));
    // The queries of the browser are asked the same.
    let ask = |workspace, run: &str| {
        let body = json!({ "query": "query Q($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { info { runId } modelVersions { name } } } }",
                           "variables": { "data": { "runId": run } } });
        let app = &app;
        async move { app.ask_in(workspace, Method::POST, "/graphql", &body).await.ok() }
    };
    assert_eq!(ask(TEAM, &there.run).await["data"]["mlflowGetRun"]["run"]["info"]["runId"], there.run.as_str());
    assert_eq!(ask(DEFAULT, &there.run).await["data"]["mlflowGetRun"], Value::Null);
    // Spans go to experiments of the workspace, and to no trace of another.
    let spans = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{
        "traceId": "ab".repeat(16), "spanId": "cd".repeat(8), "name": "s",
        "startTimeUnixNano": "1000000", "endTimeUnixNano": "2000000" }] }] }] });
    let export = |workspace: Option<&'static str>, experiment: String, run: Option<String>| {
        let mut headers = vec![("content-type", "application/json"), ("x-mlflow-experiment-id", experiment.as_str())];
        headers.extend(workspace.map(|name| ("x-mlflow-workspace", name)));
        headers.extend(run.as_deref().map(|run| ("x-mlflow-run-id", run)));
        let headers: Vec<(String, String)> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (app, spans) = (&app, spans.to_string());
        async move {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            app.send_with(Method::POST, "/v1/traces", &headers, spans).await.status.as_u16()
        }
    };
    assert_eq!(export(DEFAULT, there.experiment.clone(), None).await, 404);
    assert_eq!(export(TEAM, there.experiment.clone(), Some(here.run.clone())).await, 404);
    assert_eq!(export(TEAM, there.experiment.clone(), None).await, 200);
    assert_eq!(export(DEFAULT, here.experiment.clone(), None).await, 403, "that trace is elsewhere");
}
