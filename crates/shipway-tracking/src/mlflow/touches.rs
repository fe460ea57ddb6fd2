//! Which things each endpoint touches: the fields, parameters and headers that name them.
//!
//! An endpoint that is not in this table touches everything, so callers who were granted single things cannot use it. What a request
//! names in any other way than its row says is not looked at by its handler either; whoever adds a field to a handler adds it here.

use super::locate::{
    Kind::{
        EvaluationDataset, Experiment, ExperimentName, File, LoggedModel, ModelKey, RegisteredModel, Run,
        Source, Trace, TraceToBe, Workspace,
    },
    Touch::{self, AllHere, Among, Names, Narrows, New, Reads},
    Where::{Each, Field, Header, Inner, InnerEach, Parameter, Query},
};

/// The row of a path, with its prefix, if it has one.
pub(super) fn touches_of(path: &str) -> Option<&'static [Touch]> {
    let below = path.strip_prefix("/ajax-api/").or_else(|| path.strip_prefix("/api/")).unwrap_or(path);
    TOUCHES.iter().find(|(row, _)| *row == below).map(|(_, touches)| *touches)
}

const OF_EXPERIMENT: &[Touch] = &[Names(Experiment, Field("experiment_id"))];
const OF_EXPERIMENTS: &[Touch] = &[Names(Experiment, Field("experiment_ids"))];
const AMONG_EXPERIMENTS: &[Touch] = &[Among(Experiment, Field("experiment_ids"))];
const OF_RUN: &[Touch] = &[Names(Run, Field("run_id")), Names(Run, Field("run_uuid"))];
/// Metrics and links of logged models are theirs as well as the run's.
const OF_RUN_AND_METRICS: &[Touch] = &[
    Names(Run, Field("run_id")),
    Names(Run, Field("run_uuid")),
    Names(LoggedModel, Field("model_id")),
    Names(LoggedModel, Each("metrics", "model_id")),
];
const OF_RUN_AND_MODELS: &[Touch] = &[
    Names(Run, Field("run_id")),
    Names(Run, Field("run_uuid")),
    Names(LoggedModel, Each("models", "model_id")),
];
const OF_LOGGED_MODEL: &[Touch] = &[Names(LoggedModel, Parameter("model_id"))];
const OF_TRACE: &[Touch] = &[Names(Trace, Parameter("trace_id"))];
const OF_LEGACY_TRACE: &[Touch] = &[Names(Trace, Parameter("request_id"))];
const OF_DATASET: &[Touch] = &[Names(EvaluationDataset, Parameter("dataset_id"))];
const OF_DATASET_AND_EXPERIMENTS: &[Touch] =
    &[Names(EvaluationDataset, Parameter("dataset_id")), Names(Experiment, Field("experiment_ids"))];
const OF_MODEL: &[Touch] = &[Names(RegisteredModel, Field("name"))];
const OF_MODEL_IN_PATH: &[Touch] = &[Names(ModelKey, Parameter("name"))];
const OF_WORKSPACE: &[Touch] = &[Names(Workspace, Parameter("workspace_name"))];
const ALL_HERE: &[Touch] = &[AllHere];

/// Paths without their prefix, and what a request to them touches.
pub(super) const TOUCHES: &[(&str, &[Touch])] = &[
    ("2.0/mlflow/experiments/create", &[New]),
    ("2.0/mlflow/experiments/search", &[Narrows]),
    ("2.0/mlflow/experiments/get", OF_EXPERIMENT),
    ("2.0/mlflow/experiments/get-by-name", &[Names(ExperimentName, Field("experiment_name"))]),
    ("2.0/mlflow/experiments/delete", OF_EXPERIMENT),
    ("2.0/mlflow/experiments/restore", OF_EXPERIMENT),
    ("2.0/mlflow/experiments/update", OF_EXPERIMENT),
    ("2.0/mlflow/experiments/set-experiment-tag", OF_EXPERIMENT),
    ("2.0/mlflow/experiments/delete-experiment-tag", OF_EXPERIMENT),
    ("2.0/mlflow/experiments/search-datasets", AMONG_EXPERIMENTS),
    ("2.0/mlflow/runs/create", OF_EXPERIMENT),
    ("2.0/mlflow/runs/search", AMONG_EXPERIMENTS),
    ("2.0/mlflow/runs/get", OF_RUN),
    ("2.0/mlflow/runs/update", OF_RUN),
    ("2.0/mlflow/runs/delete", OF_RUN),
    ("2.0/mlflow/runs/restore", OF_RUN),
    ("2.0/mlflow/runs/delete-tag", OF_RUN),
    ("2.0/mlflow/runs/log-metric", OF_RUN_AND_METRICS),
    ("2.0/mlflow/runs/log-parameter", OF_RUN),
    ("2.0/mlflow/runs/set-tag", OF_RUN),
    ("2.0/mlflow/runs/log-batch", OF_RUN_AND_METRICS),
    ("2.0/mlflow/runs/log-inputs", OF_RUN_AND_MODELS),
    ("2.0/mlflow/runs/log-model", OF_RUN),
    ("2.0/mlflow/runs/outputs", OF_RUN_AND_MODELS),
    ("2.0/mlflow/metrics/get-history", OF_RUN),
    ("2.0/mlflow/metrics/get-history-bulk-interval", &[Names(Run, Field("run_ids"))]),
    ("2.0/mlflow/metrics/get-history-bulk", &[Names(Run, Field("run_id"))]),
    ("2.0/mlflow/artifacts/list", OF_RUN),
    ("/get-artifact", OF_RUN),
    ("2.0/mlflow/upload-artifact", &[Names(Run, Query("run_id")), Names(Run, Query("run_uuid"))]),
    ("2.0/mlflow-artifacts/artifacts", &[Names(File, Field("path"))]),
    ("2.0/mlflow-artifacts/artifacts/{*path}", &[Names(File, Parameter("path"))]),
    (
        "2.0/mlflow/logged-models",
        &[Names(Experiment, Field("experiment_id")), Names(Run, Field("source_run_id"))],
    ),
    ("2.0/mlflow/logged-models/search", AMONG_EXPERIMENTS),
    ("2.0/mlflow/logged-models/{model_id}", OF_LOGGED_MODEL),
    ("2.0/mlflow/logged-models/{model_id}/tags", OF_LOGGED_MODEL),
    ("2.0/mlflow/logged-models/{model_id}/tags/{tag_key}", OF_LOGGED_MODEL),
    ("2.0/mlflow/logged-models/{model_id}/artifacts/directories", OF_LOGGED_MODEL),
    ("2.0/mlflow/logged-models/{model_id}/artifacts/files", OF_LOGGED_MODEL),
    ("2.0/mlflow/logged-models/{model_id}/params", OF_LOGGED_MODEL),
    (
        "3.0/mlflow/traces",
        &[
            Names(
                Experiment,
                Inner(&["trace", "trace_info", "trace_location", "mlflow_experiment"], "experiment_id"),
            ),
            Names(TraceToBe, Inner(&["trace", "trace_info"], "trace_id")),
        ],
    ),
    (
        "3.0/mlflow/traces/search",
        &[Among(Experiment, InnerEach("locations", "mlflow_experiment", "experiment_id"))],
    ),
    ("3.0/mlflow/traces/get", &[Names(Trace, Field("trace_id"))]),
    ("3.0/mlflow/traces/batchGet", &[Names(Trace, Field("trace_ids"))]),
    ("3.0/mlflow/traces/batchGetInfos", &[Names(Trace, Field("trace_ids"))]),
    ("3.0/mlflow/traces/{trace_id}", OF_TRACE),
    ("3.0/mlflow/traces/{trace_id}/tags", OF_TRACE),
    ("2.0/mlflow/traces/{request_id}/tags", OF_LEGACY_TRACE),
    ("3.0/mlflow/traces/delete-traces", OF_EXPERIMENT),
    ("2.0/mlflow/traces/delete-traces", OF_EXPERIMENT),
    ("2.0/mlflow/traces/link-to-run", &[Names(Trace, Field("trace_ids")), Names(Run, Field("run_id"))]),
    ("2.0/mlflow/traces/link-prompts", &[Names(Trace, Field("trace_id"))]),
    ("2.0/mlflow/get-trace-artifact", &[Names(Trace, Field("request_id"))]),
    ("3.0/mlflow/get-trace-artifact", &[Names(Trace, Field("request_id"))]),
    ("3.0/mlflow/traces/{trace_id}/assessments", OF_TRACE),
    ("3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", OF_TRACE),
    ("3.0/mlflow/traces/metrics", AMONG_EXPERIMENTS),
    ("3.0/mlflow/traces/calculate-filter-correlation", AMONG_EXPERIMENTS),
    (
        "2.0/mlflow/traces",
        &[Names(Experiment, Field("experiment_id")), Among(Experiment, Field("experiment_ids"))],
    ),
    ("2.0/mlflow/traces/{request_id}", OF_LEGACY_TRACE),
    ("2.0/mlflow/traces/{request_id}/info", OF_LEGACY_TRACE),
    (
        "/v1/traces",
        &[Names(Experiment, Header("x-mlflow-experiment-id")), Names(Run, Header("x-mlflow-run-id"))],
    ),
    ("3.0/mlflow/datasets/create", OF_EXPERIMENTS),
    ("3.0/mlflow/datasets/search", AMONG_EXPERIMENTS),
    ("3.0/mlflow/datasets/{dataset_id}", OF_DATASET),
    ("3.0/mlflow/datasets/{dataset_id}/tags", OF_DATASET),
    ("3.0/mlflow/datasets/{dataset_id}/tags/{key}", OF_DATASET),
    ("3.0/mlflow/datasets/{dataset_id}/records", OF_DATASET),
    ("3.0/mlflow/datasets/{dataset_id}/experiment-ids", OF_DATASET),
    ("3.0/mlflow/datasets/{dataset_id}/add-experiments", OF_DATASET_AND_EXPERIMENTS),
    ("3.0/mlflow/datasets/{dataset_id}/remove-experiments", OF_DATASET_AND_EXPERIMENTS),
    ("3.0/mlflow/scorers/register", OF_EXPERIMENT),
    (
        "3.0/mlflow/scorers/list",
        &[Names(Experiment, Field("experiment_id")), Among(Experiment, Field("experiment_ids"))],
    ),
    ("3.0/mlflow/scorers/versions", OF_EXPERIMENT),
    ("3.0/mlflow/scorers/get", OF_EXPERIMENT),
    ("3.0/mlflow/scorers/delete", OF_EXPERIMENT),
    ("/graphql", &[Narrows]),
    ("2.0/mlflow/registered-models/create", &[New]),
    ("2.0/mlflow/registered-models/search", &[Narrows]),
    ("2.0/mlflow/registered-models/get", OF_MODEL),
    ("2.0/mlflow/registered-models/rename", OF_MODEL),
    ("2.0/mlflow/registered-models/update", OF_MODEL),
    ("2.0/mlflow/registered-models/delete", OF_MODEL),
    ("2.0/mlflow/registered-models/set-tag", OF_MODEL),
    ("2.0/mlflow/registered-models/delete-tag", OF_MODEL),
    ("2.0/mlflow/registered-models/alias", OF_MODEL),
    ("2.0/mlflow/registered-models/get-latest-versions", OF_MODEL),
    (
        "2.0/mlflow/model-versions/create",
        &[
            Names(RegisteredModel, Field("name")),
            Reads(Source, Field("source")),
            Reads(Run, Field("run_id")),
            Reads(LoggedModel, Field("model_id")),
        ],
    ),
    ("2.0/mlflow/model-versions/search", &[Narrows]),
    ("2.0/mlflow/model-versions/get", OF_MODEL),
    ("2.0/mlflow/model-versions/get-download-uri", OF_MODEL),
    ("2.0/mlflow/model-versions/update", OF_MODEL),
    ("2.0/mlflow/model-versions/transition-stage", OF_MODEL),
    ("2.0/mlflow/model-versions/delete", OF_MODEL),
    ("2.0/mlflow/model-versions/set-tag", OF_MODEL),
    ("2.0/mlflow/model-versions/delete-tag", OF_MODEL),
    ("/model-versions/get-artifact", OF_MODEL),
    ("3.0/mlflow/workspaces/{workspace_name}", OF_WORKSPACE),
    ("2.0/mlflow/webhooks", ALL_HERE),
    ("2.0/mlflow/webhooks/{webhook_id}", ALL_HERE),
    ("2.0/mlflow/webhooks/{webhook_id}/test", ALL_HERE),
    ("v1/workspaces/{workspace_name}", OF_WORKSPACE),
    ("v1/models", &[Narrows]),
    ("v1/models/{name}", OF_MODEL_IN_PATH),
    ("v1/models/{name}/aliases/{alias}", OF_MODEL_IN_PATH),
];
