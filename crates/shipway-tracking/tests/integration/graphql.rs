//! What MLflow's own interface asks: its queries, as it words them, say what the REST wire says.

use serde_json::{Value, json};

use super::app::App;

async fn ask(app: &App, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables, "operationName": null });
    app.send(http::Method::POST, "/graphql", body.to_string()).await.ok()
}

async fn run_with_everything(app: &App) -> String {
    let run = app.post("runs/create", json!({ "experiment_id": "0", "run_name": "first", "start_time": 5 })).await.ok();
    let run_id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let batch = json!({
        "run_id": run_id,
        "metrics": [{ "key": "auc", "value": 0.5, "timestamp": 1, "step": 3 }, { "key": "loss", "value": "NaN", "timestamp": 1 }],
        "params": [{ "key": "rate", "value": "0.1" }],
    });
    app.post("runs/log-batch", batch).await.ok();
    let dataset = json!({ "name": "flights", "digest": "d", "source_type": "local", "source": "x" });
    app.post("runs/log-inputs", json!({ "run_id": run_id, "datasets": [{ "dataset": dataset }] })).await.ok();
    run_id
}

#[tokio::test]
async fn a_run_is_shown_with_its_experiment_and_its_model_versions() {
    let app = App::new().await;
    let run_id = run_with_everything(&app).await;
    app.post("registered-models/create", json!({ "name": "late" })).await.ok();
    let version = json!({ "name": "late", "source": format!("runs:/{run_id}/model"), "run_id": run_id });
    app.post("model-versions/create", version).await.ok();
    let query = "query GetRun($data: MlflowGetRunInput!) @component(name: \"MLflow.ExperimentRunTracking\") {
        mlflowGetRun(input: $data) { apiError { helpUrl code message } run {
            info { runName status runUuid experimentId artifactUri endTime lifecycleStage startTime userId }
            experiment { experimentId name tags { key value } lastUpdateTime }
            modelVersions { status version name source }
            data { metrics { key value step timestamp } params { key value } }
            inputs { datasetInputs { dataset { digest name } tags { key value } } modelInputs { modelId } }
            outputs { modelOutputs { modelId step } } } } }";
    let answer = ask(&app, query, json!({ "data": { "runId": run_id } })).await;
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    let run = &answer["data"]["mlflowGetRun"]["run"];
    assert_eq!(run["info"]["runUuid"], json!(run_id));
    assert_eq!((&run["info"]["startTime"], &run["info"]["status"]), (&json!("5"), &json!("RUNNING")));
    assert_eq!(run["experiment"]["name"], "Default");
    assert_eq!(run["modelVersions"][0]["version"], "1");
    let metrics = json!([
        { "key": "auc", "value": 0.5, "step": "3", "timestamp": "1" },
        { "key": "loss", "value": null, "step": "0", "timestamp": "1" },
    ]);
    assert_eq!(run["data"]["metrics"], metrics);
    assert_eq!(run["inputs"]["datasetInputs"][0]["dataset"]["name"], "flights");
    assert_eq!(run["outputs"]["modelOutputs"], json!([]));
}

#[tokio::test]
async fn runs_are_searched_and_histories_sampled_and_artifacts_listed() {
    let app = App::new().await;
    let run_id = run_with_everything(&app).await;
    let query = "query SearchRuns($data: MlflowSearchRunsInput!) {
        mlflowSearchRuns(input: $data) { runs { info { runName } experiment { name } } nextPageToken } }";
    let data = json!({ "experimentIds": ["0"], "filter": "metrics.auc > 0.1", "runViewType": "ACTIVE_ONLY", "maxResults": 5 });
    let answer = ask(&app, query, json!({ "data": data })).await;
    let expected = json!([{ "info": { "runName": "first" }, "experiment": { "name": "Default" } }]);
    assert_eq!(answer["data"]["mlflowSearchRuns"]["runs"], expected, "{answer}");

    let query = "query H($data: MlflowGetMetricHistoryBulkIntervalInput!) { mlflowGetMetricHistoryBulkInterval(input: $data) {
        __typename metrics { timestamp step runId key value } } }";
    let data = json!({ "runIds": [run_id], "metricKey": "auc", "maxResults": 100 });
    let answer = ask(&app, query, json!({ "data": data })).await;
    let point = &answer["data"]["mlflowGetMetricHistoryBulkInterval"]["metrics"][0];
    assert_eq!(*point, json!({ "timestamp": "1", "step": "3", "runId": run_id, "key": "auc", "value": 0.5 }), "{answer}");

    let query = "{ mlflowListArtifacts(input: {runId: \"ID\"}) { rootUri files { path isDir fileSize } }
        mlflowGetExperiment(input: {experimentId: \"0\"}) { experiment { name creationTime } } }";
    let answer = ask(&app, &query.replace("ID", &run_id), json!({})).await;
    assert_eq!(answer["data"]["mlflowListArtifacts"]["files"], json!([]), "{answer}");
    assert_eq!(answer["data"]["mlflowGetExperiment"]["experiment"]["name"], "Default");
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_an_error_beside_what_was_found() {
    let app = App::new().await;
    let query = "{ a: mlflowGetRun(input: {runId: \"nobody\"}) { run { info { runName } } }
        b: mlflowGetExperiment(input: {experimentId: \"0\"}) { experiment { name } } }";
    let answer = ask(&app, query, json!({})).await;
    assert_eq!(answer["data"], json!({ "a": null, "b": { "experiment": { "name": "Default" } } }));
    assert_eq!(answer["errors"][0]["message"], "Run with id=nobody not found");

    let many: String = (0..11).map(|n| format!("a{n}: mlflowGetExperiment {{ experiment {{ name }} }} ")).collect();
    let answer = ask(&app, &format!("{{ {many} }}"), json!({})).await;
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("at most 10 fields"), "{answer}");
    let batch = json!([{ "query": "{ mlflowGetExperiment { experiment { name } } }" }]);
    let refused = app.send(http::Method::POST, "/graphql", batch.to_string()).await;
    assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
}
