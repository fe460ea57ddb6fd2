//! `POST /graphql`: what MLflow's own interface asks beside REST. Queries only; nothing is changed by them.
//!
//! - `schema`: the types
//! - `query`: a query, and what it selects
//!
//! Each field at the top is answered by the endpoint of the REST wire that means the same, so both say the same.

mod query;
mod schema;

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use shipway_core::Permission::Read;
use shipway_web::{Caller, Problem, Routes};

use super::{
    Answer, Body, WireError, artifacts, experiments, here::Here, locate::must_be_allowed_to,
    message::Message, metrics, runs, versions,
};
use crate::service::Tracking;
use query::{Query, RootField};

/// Runs whose model versions are looked for in one search.
const RUNS_AT_ONCE: usize = 200;

/// The endpoint whose question each field at the top asks. What searches model versions leaves out what its caller may not see.
const ENDPOINTS: [(&str, &str); 6] = [
    ("mlflowGetExperiment", "2.0/mlflow/experiments/get"),
    ("mlflowGetMetricHistoryBulkInterval", "2.0/mlflow/metrics/get-history-bulk-interval"),
    ("mlflowGetRun", "2.0/mlflow/runs/get"),
    ("mlflowListArtifacts", "2.0/mlflow/artifacts/list"),
    ("mlflowSearchDatasets", "2.0/mlflow/experiments/search-datasets"),
    ("mlflowSearchRuns", "2.0/mlflow/runs/search"),
];

pub(super) fn routes() -> Routes<Tracking> {
    Routes::new().post("/graphql", Read, answer)
}

async fn answer(Here(tracking): Here, caller: Caller, message: Message) -> Answer {
    let text = message.required_text("query")?;
    let operation = message.text("operation_name")?.filter(|name| !name.is_empty());
    let variables = message.object("variables")?;
    let refused = |reason: String| Ok(Body(json!({ "data": null, "errors": [{ "message": reason }] })));
    let query = match Query::read(&text, operation.as_deref(), variables) {
        Ok(query) => query,
        Err(reason) => return refused(reason),
    };
    let roots = match query.roots() {
        Ok(roots) => roots,
        Err(reason) => return refused(reason),
    };
    let (mut data, mut errors) = (Map::new(), Vec::new());
    for root in &roots {
        let picked = match of_root(&tracking, &caller, &query, root).await {
            Ok(found) => query.pick(root, &found),
            Err(problem) => Err(problem.detail().to_owned()),
        };
        let value = picked.unwrap_or_else(|reason| {
            errors.push(json!({ "message": reason, "path": [root.answer_name] }));
            Value::Null
        });
        data.insert(root.answer_name.to_owned(), value);
    }
    let errors = if errors.is_empty() { Value::Null } else { Value::Array(errors) };
    Ok(Body(json!({ "data": data, "errors": errors })))
}

/// The answer of the REST wire to a field at the top.
async fn of_root(
    tracking: &Tracking,
    caller: &Caller,
    query: &Query,
    root: &RootField<'_>,
) -> Result<Value, Problem> {
    let message = Message::of(root.input.clone())?;
    if let Some((_, path)) = ENDPOINTS.iter().find(|(name, _)| *name == root.name) {
        must_be_allowed_to(caller, tracking, path, &message).await?;
    }
    let state = Here(tracking.clone());
    let Body(mut found) = match root.name {
        "mlflowGetExperiment" => experiments::get(state, message).await?,
        "mlflowGetMetricHistoryBulkInterval" => metrics::get_history_bulk_interval(state, message).await?,
        "mlflowGetRun" => runs::get_value(tracking, &message).await?,
        "mlflowListArtifacts" => artifacts::list_run(state, message).await?,
        "mlflowSearchDatasets" => experiments::search_datasets(state, message).await?,
        "mlflowSearchModelVersions" => versions::search(state, caller.clone(), message).await?,
        "mlflowSearchRuns" => runs::search_value(tracking, &message).await?,
        _ => Body::empty(),
    };
    let path = if root.name == "mlflowGetRun" { "run" } else { "runs" };
    let mut runs: Vec<&mut Value> = match found.get_mut(path) {
        Some(Value::Array(runs)) => runs.iter_mut().collect(),
        Some(run) => vec![run],
        None => Vec::new(),
    };
    if query.selects(root, &[path, "experiment"]) {
        add_experiments(tracking, &mut runs).await?;
    }
    if query.selects(root, &[path, "modelVersions"]) {
        add_model_versions(tracking, caller, &mut runs).await?;
    }
    Ok(found)
}

fn text_of(run: &Value, name: &str) -> String {
    run["info"][name].as_str().unwrap_or_default().to_owned()
}

async fn add_experiments(tracking: &Tracking, runs: &mut [&mut Value]) -> Result<(), WireError> {
    let mut known: HashMap<String, Value> = HashMap::new();
    for run in runs {
        let id = text_of(run, "experiment_id");
        if !known.contains_key(&id) {
            let asked = Message::of(Map::from_iter([("experiment_id".to_owned(), json!(id))]))?;
            let Body(mut found) = experiments::get(Here(tracking.clone()), asked).await?;
            known.insert(id.clone(), found["experiment"].take());
        }
        run["experiment"] = known.get(&id).cloned().unwrap_or_default();
    }
    Ok(())
}

async fn add_model_versions(
    tracking: &Tracking,
    caller: &Caller,
    runs: &mut [&mut Value],
) -> Result<(), WireError> {
    let mut by_run: HashMap<String, Vec<Value>> = HashMap::new();
    let ids: Vec<String> = runs.iter().map(|run| text_of(run, "run_id")).collect();
    for some in ids.chunks(RUNS_AT_ONCE) {
        let listed = some.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
        let asked = Map::from_iter([("filter".to_owned(), json!(format!("run_id IN ({listed})")))]);
        let Body(mut found) =
            versions::search(Here(tracking.clone()), caller.clone(), Message::of(asked)?).await?;
        let Value::Array(versions) = found["model_versions"].take() else { continue };
        for version in versions {
            by_run
                .entry(version["run_id"].as_str().unwrap_or_default().to_owned())
                .or_default()
                .push(version);
        }
    }
    for run in runs {
        run["model_versions"] = json!(by_run.remove(&text_of(run, "run_id")).unwrap_or_default());
    }
    Ok(())
}
