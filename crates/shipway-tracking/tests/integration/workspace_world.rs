//! One thing of each kind in a workspace, and how workspaces are asked.

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::app::{App, Response};

pub(crate) const DEFAULT: Option<&str> = None;
pub(crate) const TEAM: Option<&str> = Some("team-a");

impl App {
    pub(crate) async fn ask_in(&self, workspace: Option<&str>, method: Method, path: &str, body: &Value) -> Response {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(workspace.map(|name| ("x-mlflow-workspace", name)));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send_with(method, path, &headers, body).await
    }

    pub(crate) async fn post_in(&self, workspace: Option<&str>, path: &str, body: Value) -> Response {
        self.ask_in(workspace, Method::POST, &format!("/api/2.0/mlflow/{path}"), &body).await
    }

    pub(crate) async fn post_3_in(&self, workspace: Option<&str>, path: &str, body: Value) -> Response {
        self.ask_in(workspace, Method::POST, &format!("/api/3.0/mlflow/{path}"), &body).await
    }

    pub(crate) async fn get_in(&self, workspace: Option<&str>, path: &str) -> Response {
        self.ask_in(workspace, Method::GET, &format!("/api/2.0/mlflow/{path}"), &Value::Null).await
    }

    pub(crate) async fn has_workspace(&self, name: &str) {
        let made = self.call(Method::POST, "workspaces", json!({ "name": name })).await;
        assert_eq!(made.status, StatusCode::CREATED);
    }

    pub(crate) async fn deletes_workspace(&self, name: &str, mode: &str) -> Response {
        let path = format!("/api/3.0/mlflow/workspaces/{name}?mode={mode}");
        self.send(Method::DELETE, &path, Body::empty()).await
    }

    pub(crate) async fn experiment_in(&self, workspace: Option<&str>, name: &str) -> String {
        text(&self.post_in(workspace, "experiments/create", json!({ "name": name })).await.ok()["experiment_id"])
    }

    pub(crate) async fn names_in(&self, workspace: Option<&str>, what: &str, filter: &str) -> Vec<String> {
        let query: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let found = self.get_in(workspace, &format!("{what}/search?max_results=100&filter={query}")).await.ok();
        let list = found.as_object().unwrap().values().find_map(Value::as_array).cloned().unwrap_or_default();
        list.iter().map(|one| text(&one["name"])).collect()
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// One thing of each kind in a workspace.
pub(crate) struct World {
    pub(crate) experiment: String,
    pub(crate) run: String,
    pub(crate) model: String,
    pub(crate) trace: String,
    pub(crate) dataset: String,
    pub(crate) webhook: String,
    pub(crate) assessment: String,
    pub(crate) root: String,
}

impl World {
    pub(crate) async fn new(app: &App, workspace: Option<&str>) -> Self {
        let experiment = app.experiment_in(workspace, "flights").await;
        let body = json!({ "experiment_id": experiment, "start_time": 1 });
        let run = app.post_in(workspace, "runs/create", body).await.ok()["run"]["info"].clone();
        let metric = json!({ "key": "auc", "value": 0.5, "timestamp": 1 });
        let body = json!({ "run_id": run["run_id"], "metrics": [metric], "tags": [{ "key": "t", "value": "v" }] });
        app.post_in(workspace, "runs/log-batch", body).await.ok();
        let body = json!({ "experiment_id": experiment, "name": "trees", "source_run_id": run["run_id"] });
        let model = app.post_in(workspace, "logged-models", body).await.ok()["model"]["info"].clone();
        let root = text(&model["artifact_uri"]).trim_start_matches("mlflow-artifacts:/").to_owned();
        let file = format!("/api/2.0/mlflow-artifacts/artifacts/{root}/MLmodel");
        app.ask_in(workspace, Method::PUT, &file, &json!({ "flavors": {} })).await.ok();
        app.post_in(workspace, "registered-models/create", json!({ "name": "churn" })).await.ok();
        let model = text(&model["model_id"]);
        let body = json!({ "name": "churn", "source": format!("models:/{model}"), "model_id": model });
        app.post_in(workspace, "model-versions/create", body).await.ok();
        let alias = json!({ "name": "churn", "alias": "champion", "version": "1" });
        app.post_in(workspace, "registered-models/alias", alias).await.ok();
        let trace = format!("tr-{}", workspace.unwrap_or("default"));
        let place = json!({ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": experiment } });
        let info = json!({ "trace_id": trace, "request_time": "2023-11-14T00:00:00Z", "state": "OK", "trace_location": place });
        app.post_3_in(workspace, "traces", json!({ "trace": { "trace_info": info } })).await.ok();
        let body = json!({ "assessment": {
            "assessment_name": "good", "trace_id": trace, "feedback": { "value": true },
            "source": { "source_type": "HUMAN", "source_id": "ada" } } });
        let made = app.post_3_in(workspace, &format!("traces/{trace}/assessments"), body).await.ok();
        let assessment = text(&made["assessment"]["assessment_id"]);
        let made = app.post_3_in(workspace, "datasets/create", json!({ "name": "golden", "experiment_ids": [experiment] }));
        let dataset = text(&made.await.ok()["dataset"]["dataset_id"]);
        let body = json!({ "experiment_id": experiment, "name": "judge", "serialized_scorer": "{\"name\": \"judge\"}" });
        app.post_3_in(workspace, "scorers/register", body).await.ok();
        let body = json!({ "name": "hook", "url": "https://93.184.216.34/x", "events": [{ "entity": "REGISTERED_MODEL", "action": "CREATED" }] });
        let made = app.post_in(workspace, "webhooks", body).await.ok();
        let webhook = text(&made["webhook"]["webhook_id"]);
        let run = text(&run["run_id"]);
        Self { experiment, run, model, trace, dataset, webhook, assessment, root }
    }

    /// Puts what is there in the place of `$run` and the like.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("$experiment", &self.experiment)
            .replace("$run", &self.run)
            .replace("$model", &self.model)
            .replace("$trace", &self.trace)
            .replace("$dataset", &self.dataset)
            .replace("$webhook", &self.webhook)
            .replace("$assessment", &self.assessment)
            .replace("$root", &self.root)
    }
}
