//! Every endpoint that clients know is served, or says by its name that it is not: none is forgotten.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{Method, StatusCode};

use super::app::App;

/// What becomes of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Served,
    LeftOut,
}

use State::{LeftOut, Served};

/// Method, path and name of every endpoint of the protocol at version 3.17.2, and what becomes of it.
pub(crate) const ENDPOINTS: &[(&str, &str, &str, State)] = &[
    ("GET", "2.0/mlflow/experiments/get-by-name", "GetExperimentByName", Served),
    ("POST", "2.0/mlflow/experiments/create", "CreateExperiment", Served),
    ("POST", "2.0/mlflow/experiments/search", "SearchExperiments", Served),
    ("GET", "2.0/mlflow/experiments/search", "SearchExperiments", Served),
    ("GET", "2.0/mlflow/experiments/get", "GetExperiment", Served),
    ("POST", "2.0/mlflow/experiments/delete", "DeleteExperiment", Served),
    ("POST", "2.0/mlflow/experiments/restore", "RestoreExperiment", Served),
    ("POST", "2.0/mlflow/experiments/update", "UpdateExperiment", Served),
    ("POST", "2.0/mlflow/runs/create", "CreateRun", Served),
    ("POST", "2.0/mlflow/runs/update", "UpdateRun", Served),
    ("POST", "2.0/mlflow/runs/delete", "DeleteRun", Served),
    ("POST", "2.0/mlflow/runs/restore", "RestoreRun", Served),
    ("POST", "2.0/mlflow/runs/log-metric", "LogMetric", Served),
    ("POST", "2.0/mlflow/runs/log-parameter", "LogParam", Served),
    ("POST", "2.0/mlflow/experiments/set-experiment-tag", "SetExperimentTag", Served),
    ("POST", "2.0/mlflow/experiments/delete-experiment-tag", "DeleteExperimentTag", Served),
    ("POST", "2.0/mlflow/runs/set-tag", "SetTag", Served),
    ("PATCH", "2.0/mlflow/traces/{request_id}/tags", "SetTraceTag", Served),
    ("PATCH", "3.0/mlflow/traces/{trace_id}/tags", "SetTraceTagV3", Served),
    ("DELETE", "2.0/mlflow/traces/{request_id}/tags", "DeleteTraceTag", Served),
    ("DELETE", "3.0/mlflow/traces/{trace_id}/tags", "DeleteTraceTagV3", Served),
    ("POST", "2.0/mlflow/runs/delete-tag", "DeleteTag", Served),
    ("GET", "2.0/mlflow/runs/get", "GetRun", Served),
    ("POST", "2.0/mlflow/runs/search", "SearchRuns", Served),
    ("GET", "2.0/mlflow/artifacts/list", "ListArtifacts", Served),
    ("POST", "2.0/mlflow/artifacts/presigned-upload-url", "CreatePresignedUploadUrl", LeftOut),
    ("POST", "2.0/mlflow/artifacts/presigned-download-url", "CreatePresignedDownloadUrl", LeftOut),
    ("GET", "2.0/mlflow/metrics/get-history", "GetMetricHistory", Served),
    ("GET", "2.0/mlflow/metrics/get-history-bulk-interval", "GetMetricHistoryBulkInterval", Served),
    ("POST", "2.0/mlflow/runs/log-batch", "LogBatch", Served),
    ("POST", "2.0/mlflow/runs/log-model", "LogModel", Served),
    ("POST", "2.0/mlflow/runs/log-inputs", "LogInputs", Served),
    ("POST", "2.0/mlflow/runs/outputs", "LogOutputs", Served),
    ("POST", "2.0/mlflow/experiments/search-datasets", "SearchDatasets", Served),
    ("POST", "2.0/mlflow/traces", "StartTrace", Served),
    ("PATCH", "2.0/mlflow/traces/{request_id}", "EndTrace", Served),
    ("GET", "2.0/mlflow/traces/{request_id}/info", "GetTraceInfo", Served),
    ("GET", "3.0/mlflow/traces/{trace_id}", "GetTraceInfoV3", Served),
    ("GET", "3.0/mlflow/traces/get", "GetTrace", Served),
    ("GET", "3.0/mlflow/traces/batchGet", "BatchGetTraces", Served),
    ("POST", "3.0/mlflow/traces/batchGetInfos", "BatchGetTraceInfos", Served),
    ("GET", "2.0/mlflow/traces", "SearchTraces", Served),
    ("POST", "3.0/mlflow/traces/search", "SearchTracesV3", Served),
    ("POST", "3.0/mlflow/traces", "StartTraceV3", Served),
    ("POST", "2.0/mlflow/traces/link-to-run", "LinkTracesToRun", Served),
    ("POST", "2.0/mlflow/traces/link-prompts", "LinkPromptsToTrace", Served),
    ("GET", "2.0/mlflow/unified-traces", "SearchUnifiedTraces", LeftOut),
    ("GET", "2.0/mlflow/get-online-trace-details", "GetOnlineTraceDetails", LeftOut),
    ("POST", "2.0/mlflow/traces/delete-traces", "DeleteTraces", Served),
    ("POST", "3.0/mlflow/traces/delete-traces", "DeleteTracesV3", Served),
    ("POST", "3.0/mlflow/traces/calculate-filter-correlation", "CalculateTraceFilterCorrelation", Served),
    ("POST", "3.0/mlflow/traces/metrics", "QueryTraceMetrics", Served),
    ("GET", "3.0/mlflow/workspaces", "ListWorkspaces", Served),
    ("POST", "3.0/mlflow/workspaces", "CreateWorkspace", Served),
    ("GET", "3.0/mlflow/workspaces/{workspace_name}", "GetWorkspace", Served),
    ("PATCH", "3.0/mlflow/workspaces/{workspace_name}", "UpdateWorkspace", Served),
    ("DELETE", "3.0/mlflow/workspaces/{workspace_name}", "DeleteWorkspace", Served),
    ("POST", "2.0/mlflow/logged-models", "CreateLoggedModel", Served),
    ("PATCH", "2.0/mlflow/logged-models/{model_id}", "FinalizeLoggedModel", Served),
    ("GET", "2.0/mlflow/logged-models/{model_id}", "GetLoggedModel", Served),
    ("DELETE", "2.0/mlflow/logged-models/{model_id}", "DeleteLoggedModel", Served),
    ("POST", "2.0/mlflow/logged-models/search", "SearchLoggedModels", Served),
    ("PATCH", "2.0/mlflow/logged-models/{model_id}/tags", "SetLoggedModelTags", Served),
    ("DELETE", "2.0/mlflow/logged-models/{model_id}/tags/{tag_key}", "DeleteLoggedModelTag", Served),
    ("GET", "2.0/mlflow/logged-models/{model_id}/artifacts/directories", "ListLoggedModelArtifacts", Served),
    ("POST", "2.0/mlflow/logged-models/{model_id}/params", "LogLoggedModelParamsRequest", Served),
    ("GET", "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", "GetAssessmentRequest", Served),
    ("POST", "3.0/mlflow/traces/{assessment.trace_id}/assessments", "CreateAssessment", Served),
    ("PATCH", "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", "UpdateAssessment", Served),
    ("DELETE", "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", "DeleteAssessment", Served),
    ("POST", "3.0/mlflow/issues", "CreateIssue", LeftOut),
    ("PATCH", "3.0/mlflow/issues/{issue_id}", "UpdateIssue", LeftOut),
    ("GET", "3.0/mlflow/issues/{issue_id}", "GetIssue", LeftOut),
    ("POST", "3.0/mlflow/issues/search", "SearchIssues", LeftOut),
    ("POST", "3.0/mlflow/label-schemas/create", "CreateLabelSchema", LeftOut),
    ("GET", "3.0/mlflow/label-schemas/get", "GetLabelSchema", LeftOut),
    ("GET", "3.0/mlflow/label-schemas/get-by-name", "GetLabelSchemaByName", LeftOut),
    ("GET", "3.0/mlflow/label-schemas/list", "ListLabelSchemas", LeftOut),
    ("PATCH", "3.0/mlflow/label-schemas/update", "UpdateLabelSchema", LeftOut),
    ("DELETE", "3.0/mlflow/label-schemas/delete", "DeleteLabelSchema", LeftOut),
    ("POST", "3.0/mlflow/datasets/create", "CreateDataset", Served),
    ("GET", "3.0/mlflow/datasets/{dataset_id}", "GetDataset", Served),
    ("DELETE", "3.0/mlflow/datasets/{dataset_id}", "DeleteDataset", Served),
    ("POST", "3.0/mlflow/datasets/search", "SearchEvaluationDatasets", Served),
    ("GET", "3.0/mlflow/datasets/search", "SearchEvaluationDatasets", Served),
    ("PATCH", "3.0/mlflow/datasets/{dataset_id}/tags", "SetDatasetTags", Served),
    ("DELETE", "3.0/mlflow/datasets/{dataset_id}/tags/{key}", "DeleteDatasetTag", Served),
    ("POST", "3.0/mlflow/datasets/{dataset_id}/records", "UpsertDatasetRecords", Served),
    ("GET", "3.0/mlflow/datasets/{dataset_id}/experiment-ids", "GetDatasetExperimentIds", Served),
    ("POST", "3.0/mlflow/scorers/register", "RegisterScorer", Served),
    ("GET", "3.0/mlflow/scorers/list", "ListScorers", Served),
    ("GET", "3.0/mlflow/scorers/versions", "ListScorerVersions", Served),
    ("GET", "3.0/mlflow/scorers/get", "GetScorer", Served),
    ("DELETE", "3.0/mlflow/scorers/delete", "DeleteScorer", Served),
    ("GET", "3.0/mlflow/datasets/{dataset_id}/records", "GetDatasetRecords", Served),
    ("DELETE", "3.0/mlflow/datasets/{dataset_id}/records", "DeleteDatasetRecords", Served),
    ("POST", "3.0/mlflow/datasets/{dataset_id}/add-experiments", "AddDatasetToExperiments", Served),
    ("POST", "3.0/mlflow/datasets/{dataset_id}/remove-experiments", "RemoveDatasetFromExperiments", Served),
    ("POST", "3.0/mlflow/gateway/secrets/create", "CreateGatewaySecret", LeftOut),
    ("GET", "3.0/mlflow/gateway/secrets/get", "GetGatewaySecretInfo", LeftOut),
    ("POST", "3.0/mlflow/gateway/secrets/update", "UpdateGatewaySecret", LeftOut),
    ("DELETE", "3.0/mlflow/gateway/secrets/delete", "DeleteGatewaySecret", LeftOut),
    ("GET", "3.0/mlflow/gateway/secrets/list", "ListGatewaySecretInfos", LeftOut),
    ("POST", "3.0/mlflow/gateway/endpoints/create", "CreateGatewayEndpoint", LeftOut),
    ("GET", "3.0/mlflow/gateway/endpoints/get", "GetGatewayEndpoint", LeftOut),
    ("POST", "3.0/mlflow/gateway/endpoints/update", "UpdateGatewayEndpoint", LeftOut),
    ("DELETE", "3.0/mlflow/gateway/endpoints/delete", "DeleteGatewayEndpoint", LeftOut),
    ("GET", "3.0/mlflow/gateway/endpoints/list", "ListGatewayEndpoints", LeftOut),
    ("POST", "3.0/mlflow/gateway/model-definitions/create", "CreateGatewayModelDefinition", LeftOut),
    ("GET", "3.0/mlflow/gateway/model-definitions/get", "GetGatewayModelDefinition", LeftOut),
    ("GET", "3.0/mlflow/gateway/model-definitions/list", "ListGatewayModelDefinitions", LeftOut),
    ("POST", "3.0/mlflow/gateway/model-definitions/update", "UpdateGatewayModelDefinition", LeftOut),
    ("DELETE", "3.0/mlflow/gateway/model-definitions/delete", "DeleteGatewayModelDefinition", LeftOut),
    ("POST", "3.0/mlflow/gateway/endpoints/models/attach", "AttachModelToGatewayEndpoint", LeftOut),
    ("POST", "3.0/mlflow/gateway/endpoints/models/detach", "DetachModelFromGatewayEndpoint", LeftOut),
    ("POST", "3.0/mlflow/gateway/endpoints/bindings/create", "CreateGatewayEndpointBinding", LeftOut),
    ("DELETE", "3.0/mlflow/gateway/endpoints/bindings/delete", "DeleteGatewayEndpointBinding", LeftOut),
    ("GET", "3.0/mlflow/gateway/endpoints/bindings/list", "ListGatewayEndpointBindings", LeftOut),
    ("POST", "3.0/mlflow/gateway/endpoints/set-tag", "SetGatewayEndpointTag", LeftOut),
    ("DELETE", "3.0/mlflow/gateway/endpoints/delete-tag", "DeleteGatewayEndpointTag", LeftOut),
    ("POST", "3.0/mlflow/gateway/budgets/create", "CreateGatewayBudgetPolicy", LeftOut),
    ("GET", "3.0/mlflow/gateway/budgets/get", "GetGatewayBudgetPolicy", LeftOut),
    ("POST", "3.0/mlflow/gateway/budgets/update", "UpdateGatewayBudgetPolicy", LeftOut),
    ("DELETE", "3.0/mlflow/gateway/budgets/delete", "DeleteGatewayBudgetPolicy", LeftOut),
    ("GET", "3.0/mlflow/gateway/budgets/list", "ListGatewayBudgetPolicies", LeftOut),
    ("GET", "3.0/mlflow/gateway/budgets/windows", "ListGatewayBudgetWindows", LeftOut),
    ("POST", "3.0/mlflow/gateway/guardrails/create", "CreateGatewayGuardrail", LeftOut),
    ("GET", "3.0/mlflow/gateway/guardrails/get", "GetGatewayGuardrail", LeftOut),
    ("DELETE", "3.0/mlflow/gateway/guardrails/delete", "DeleteGatewayGuardrail", LeftOut),
    ("GET", "3.0/mlflow/gateway/guardrails/list", "ListGatewayGuardrails", LeftOut),
    ("POST", "3.0/mlflow/gateway/guardrails/add-to-endpoint", "AddGuardrailToEndpoint", LeftOut),
    ("DELETE", "3.0/mlflow/gateway/guardrails/remove-from-endpoint", "RemoveGuardrailFromEndpoint", LeftOut),
    ("GET", "3.0/mlflow/gateway/guardrails/list-for-endpoint", "ListEndpointGuardrailConfigs", LeftOut),
    ("PATCH", "3.0/mlflow/gateway/guardrails/update-config", "UpdateEndpointGuardrailConfig", LeftOut),
    ("POST", "3.0/mlflow/prompt-optimization/jobs", "CreatePromptOptimizationJob", LeftOut),
    ("GET", "3.0/mlflow/prompt-optimization/jobs/{job_id}", "GetPromptOptimizationJob", LeftOut),
    ("POST", "3.0/mlflow/prompt-optimization/jobs/search", "SearchPromptOptimizationJobs", LeftOut),
    ("GET", "3.0/mlflow/prompt-optimization/jobs/search", "SearchPromptOptimizationJobs", LeftOut),
    ("POST", "3.0/mlflow/prompt-optimization/jobs/{job_id}/cancel", "CancelPromptOptimizationJob", LeftOut),
    ("DELETE", "3.0/mlflow/prompt-optimization/jobs/{job_id}", "DeletePromptOptimizationJob", LeftOut),
    ("POST", "3.0/mlflow/review-queues/create", "CreateReviewQueue", LeftOut),
    ("POST", "3.0/mlflow/review-queues/get-or-create-user", "GetOrCreateUserQueue", LeftOut),
    ("GET", "3.0/mlflow/review-queues/get", "GetReviewQueue", LeftOut),
    ("GET", "3.0/mlflow/review-queues/get-by-name", "GetReviewQueueByName", LeftOut),
    ("GET", "3.0/mlflow/review-queues/list", "ListReviewQueues", LeftOut),
    ("POST", "3.0/mlflow/review-queues/update", "UpdateReviewQueue", LeftOut),
    ("POST", "3.0/mlflow/review-queues/delete", "DeleteReviewQueue", LeftOut),
    ("POST", "3.0/mlflow/review-queues/items/add", "AddItemsToReviewQueue", LeftOut),
    ("POST", "3.0/mlflow/review-queues/items/remove", "RemoveItemsFromReviewQueue", LeftOut),
    ("GET", "3.0/mlflow/review-queues/items/list", "ListReviewQueueItems", LeftOut),
    ("POST", "3.0/mlflow/review-queues/items/set-status", "SetReviewQueueItemStatus", LeftOut),
    ("POST", "2.0/mlflow/registered-models/create", "CreateRegisteredModel", Served),
    ("POST", "2.0/mlflow/registered-models/rename", "RenameRegisteredModel", Served),
    ("PATCH", "2.0/mlflow/registered-models/update", "UpdateRegisteredModel", Served),
    ("DELETE", "2.0/mlflow/registered-models/delete", "DeleteRegisteredModel", Served),
    ("GET", "2.0/mlflow/registered-models/get", "GetRegisteredModel", Served),
    ("GET", "2.0/mlflow/registered-models/search", "SearchRegisteredModels", Served),
    ("POST", "2.0/mlflow/registered-models/get-latest-versions", "GetLatestVersions", Served),
    ("GET", "2.0/mlflow/registered-models/get-latest-versions", "GetLatestVersions", Served),
    ("POST", "2.0/mlflow/model-versions/create", "CreateModelVersion", Served),
    ("PATCH", "2.0/mlflow/model-versions/update", "UpdateModelVersion", Served),
    ("POST", "2.0/mlflow/model-versions/transition-stage", "TransitionModelVersionStage", Served),
    ("DELETE", "2.0/mlflow/model-versions/delete", "DeleteModelVersion", Served),
    ("GET", "2.0/mlflow/model-versions/get", "GetModelVersion", Served),
    ("GET", "2.0/mlflow/model-versions/search", "SearchModelVersions", Served),
    ("GET", "2.0/mlflow/model-versions/get-download-uri", "GetModelVersionDownloadUri", Served),
    ("POST", "2.0/mlflow/registered-models/set-tag", "SetRegisteredModelTag", Served),
    ("POST", "2.0/mlflow/model-versions/set-tag", "SetModelVersionTag", Served),
    ("DELETE", "2.0/mlflow/registered-models/delete-tag", "DeleteRegisteredModelTag", Served),
    ("DELETE", "2.0/mlflow/model-versions/delete-tag", "DeleteModelVersionTag", Served),
    ("POST", "2.0/mlflow/registered-models/alias", "SetRegisteredModelAlias", Served),
    ("DELETE", "2.0/mlflow/registered-models/alias", "DeleteRegisteredModelAlias", Served),
    ("GET", "2.0/mlflow/registered-models/alias", "GetModelVersionByAlias", Served),
    ("GET", "2.0/mlflow-artifacts/artifacts/{*path}", "DownloadArtifact", Served),
    ("PUT", "2.0/mlflow-artifacts/artifacts/{*path}", "UploadArtifact", Served),
    ("GET", "2.0/mlflow-artifacts/artifacts", "ListArtifacts", Served),
    ("DELETE", "2.0/mlflow-artifacts/artifacts/{*path}", "DeleteArtifact", Served),
    ("POST", "2.0/mlflow-artifacts/mpu/create/{*path}", "CreateMultipartUpload", LeftOut),
    ("POST", "2.0/mlflow-artifacts/mpu/complete/{*path}", "CompleteMultipartUpload", LeftOut),
    ("POST", "2.0/mlflow-artifacts/mpu/abort/{*path}", "AbortMultipartUpload", LeftOut),
    ("GET", "2.0/mlflow-artifacts/presigned/{*path}", "GetPresignedDownloadUrl", LeftOut),
    ("POST", "2.0/mlflow/webhooks", "CreateWebhook", Served),
    ("GET", "2.0/mlflow/webhooks", "ListWebhooks", Served),
    ("GET", "2.0/mlflow/webhooks/{webhook_id}", "GetWebhook", Served),
    ("PATCH", "2.0/mlflow/webhooks/{webhook_id}", "UpdateWebhook", Served),
    ("DELETE", "2.0/mlflow/webhooks/{webhook_id}", "DeleteWebhook", Served),
    ("POST", "2.0/mlflow/webhooks/{webhook_id}/test", "TestWebhook", Served),
    // What clients call beside the declared ones.
    ("GET", "3.0/mlflow/server-info", "ServerInfo", Served),
    ("GET", "3.0/mlflow/scorers/online-configs", "GetOnlineScoringConfigs", Served),
    ("PUT", "3.0/mlflow/scorers/online-config", "UpsertOnlineScoringConfig", LeftOut),
];

#[tokio::test]
async fn every_endpoint_is_served_or_says_that_it_is_not() {
    let app = App::new().await;
    let mut wrong = Vec::new();
    for (method, path, name, state) in ENDPOINTS {
        let asked = path.replace("{*path}", "0/x/artifacts/y");
        let asked: String = asked
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        for prefix in ["api", "ajax-api"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = app.send(method, &format!("/{prefix}/{asked}"), Body::empty()).await;
            let code = if answer.status == StatusCode::OK { String::new() } else { answer.refused().1 };
            let holds = match state {
                Served => code != "ENDPOINT_NOT_FOUND" && code != "NOT_IMPLEMENTED",
                LeftOut => {
                    answer.status == StatusCode::NOT_IMPLEMENTED
                        && code == "NOT_IMPLEMENTED"
                        && answer.message().starts_with(&format!("{name} is not implemented: "))
                }
            };
            if !holds {
                wrong.push(format!("{state:?} {prefix}/{path}: {} {code}", answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_is_whole() {
    let distinct: BTreeSet<_> = ENDPOINTS.iter().map(|(method, path, ..)| (method, path)).collect();
    assert_eq!(distinct.len(), ENDPOINTS.len(), "an endpoint is there twice");
    assert_eq!(ENDPOINTS.len(), 190);
}
