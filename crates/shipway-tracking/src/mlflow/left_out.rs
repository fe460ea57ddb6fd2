//! Endpoints that clients know and this server does not serve: each says so by its name, so that a client is told at once what it
//! asks for, and does not take this for a server that it does not understand.

use axum::extract::MatchedPath;
use http::Method;
use shipway_core::{Permission::Known, ResourceType};
use shipway_web::Routes;

use super::WireError;
use crate::{error::TrackingError, service::Tracking};

const GATEWAY: &str = "this server has no gateway to language models";
const ISSUES: &str = "this server keeps no issues";
const OPTIMIZATION: &str = "this server optimizes no prompts: run the optimizer in your own process";
const REVIEWS: &str = "this server has no queues for reviewers";
const SCORING: &str = "this server runs no scorers: run them in your own process";
const UPLOADS: &str = "files are sent and fetched in one piece under mlflow-artifacts/artifacts";
const TRACES: &str = "all traces are in one place here: traces/search finds them and traces/get shows them";

/// What an endpoint is called, and why it is not served.
type LeftOut = (Method, [&'static str; 2], &'static str, &'static str);

macro_rules! left_out {
    ($($method:ident $path:literal $name:ident $reason:ident,)*) => {
        /// Every endpoint that is left out, under both prefixes.
        const LEFT_OUT: &[LeftOut] = &[
            $((left_out!(@ $method), [concat!("/api/", $path), concat!("/ajax-api/", $path)], stringify!($name), $reason),)*
        ];
    };
    (@ get) => { Method::GET };
    (@ post) => { Method::POST };
    (@ put) => { Method::PUT };
    (@ patch) => { Method::PATCH };
    (@ delete) => { Method::DELETE };
}

left_out! {
    get "2.0/mlflow/unified-traces" SearchUnifiedTraces TRACES,
    get "2.0/mlflow/get-online-trace-details" GetOnlineTraceDetails TRACES,
    post "2.0/mlflow/artifacts/presigned-upload-url" CreatePresignedUploadUrl UPLOADS,
    post "2.0/mlflow/artifacts/presigned-download-url" CreatePresignedDownloadUrl UPLOADS,
    post "3.0/mlflow/issues" CreateIssue ISSUES,
    patch "3.0/mlflow/issues/{issue_id}" UpdateIssue ISSUES,
    get "3.0/mlflow/issues/{issue_id}" GetIssue ISSUES,
    post "3.0/mlflow/issues/search" SearchIssues ISSUES,
    post "3.0/mlflow/label-schemas/create" CreateLabelSchema REVIEWS,
    get "3.0/mlflow/label-schemas/get" GetLabelSchema REVIEWS,
    get "3.0/mlflow/label-schemas/get-by-name" GetLabelSchemaByName REVIEWS,
    get "3.0/mlflow/label-schemas/list" ListLabelSchemas REVIEWS,
    patch "3.0/mlflow/label-schemas/update" UpdateLabelSchema REVIEWS,
    delete "3.0/mlflow/label-schemas/delete" DeleteLabelSchema REVIEWS,
    post "3.0/mlflow/gateway/secrets/create" CreateGatewaySecret GATEWAY,
    get "3.0/mlflow/gateway/secrets/get" GetGatewaySecretInfo GATEWAY,
    post "3.0/mlflow/gateway/secrets/update" UpdateGatewaySecret GATEWAY,
    delete "3.0/mlflow/gateway/secrets/delete" DeleteGatewaySecret GATEWAY,
    get "3.0/mlflow/gateway/secrets/list" ListGatewaySecretInfos GATEWAY,
    post "3.0/mlflow/gateway/endpoints/create" CreateGatewayEndpoint GATEWAY,
    get "3.0/mlflow/gateway/endpoints/get" GetGatewayEndpoint GATEWAY,
    post "3.0/mlflow/gateway/endpoints/update" UpdateGatewayEndpoint GATEWAY,
    delete "3.0/mlflow/gateway/endpoints/delete" DeleteGatewayEndpoint GATEWAY,
    get "3.0/mlflow/gateway/endpoints/list" ListGatewayEndpoints GATEWAY,
    post "3.0/mlflow/gateway/model-definitions/create" CreateGatewayModelDefinition GATEWAY,
    get "3.0/mlflow/gateway/model-definitions/get" GetGatewayModelDefinition GATEWAY,
    get "3.0/mlflow/gateway/model-definitions/list" ListGatewayModelDefinitions GATEWAY,
    post "3.0/mlflow/gateway/model-definitions/update" UpdateGatewayModelDefinition GATEWAY,
    delete "3.0/mlflow/gateway/model-definitions/delete" DeleteGatewayModelDefinition GATEWAY,
    post "3.0/mlflow/gateway/endpoints/models/attach" AttachModelToGatewayEndpoint GATEWAY,
    post "3.0/mlflow/gateway/endpoints/models/detach" DetachModelFromGatewayEndpoint GATEWAY,
    post "3.0/mlflow/gateway/endpoints/bindings/create" CreateGatewayEndpointBinding GATEWAY,
    delete "3.0/mlflow/gateway/endpoints/bindings/delete" DeleteGatewayEndpointBinding GATEWAY,
    get "3.0/mlflow/gateway/endpoints/bindings/list" ListGatewayEndpointBindings GATEWAY,
    post "3.0/mlflow/gateway/endpoints/set-tag" SetGatewayEndpointTag GATEWAY,
    delete "3.0/mlflow/gateway/endpoints/delete-tag" DeleteGatewayEndpointTag GATEWAY,
    post "3.0/mlflow/gateway/budgets/create" CreateGatewayBudgetPolicy GATEWAY,
    get "3.0/mlflow/gateway/budgets/get" GetGatewayBudgetPolicy GATEWAY,
    post "3.0/mlflow/gateway/budgets/update" UpdateGatewayBudgetPolicy GATEWAY,
    delete "3.0/mlflow/gateway/budgets/delete" DeleteGatewayBudgetPolicy GATEWAY,
    get "3.0/mlflow/gateway/budgets/list" ListGatewayBudgetPolicies GATEWAY,
    get "3.0/mlflow/gateway/budgets/windows" ListGatewayBudgetWindows GATEWAY,
    post "3.0/mlflow/gateway/guardrails/create" CreateGatewayGuardrail GATEWAY,
    get "3.0/mlflow/gateway/guardrails/get" GetGatewayGuardrail GATEWAY,
    delete "3.0/mlflow/gateway/guardrails/delete" DeleteGatewayGuardrail GATEWAY,
    get "3.0/mlflow/gateway/guardrails/list" ListGatewayGuardrails GATEWAY,
    post "3.0/mlflow/gateway/guardrails/add-to-endpoint" AddGuardrailToEndpoint GATEWAY,
    delete "3.0/mlflow/gateway/guardrails/remove-from-endpoint" RemoveGuardrailFromEndpoint GATEWAY,
    get "3.0/mlflow/gateway/guardrails/list-for-endpoint" ListEndpointGuardrailConfigs GATEWAY,
    patch "3.0/mlflow/gateway/guardrails/update-config" UpdateEndpointGuardrailConfig GATEWAY,
    post "3.0/mlflow/prompt-optimization/jobs" CreatePromptOptimizationJob OPTIMIZATION,
    get "3.0/mlflow/prompt-optimization/jobs/{job_id}" GetPromptOptimizationJob OPTIMIZATION,
    post "3.0/mlflow/prompt-optimization/jobs/search" SearchPromptOptimizationJobs OPTIMIZATION,
    get "3.0/mlflow/prompt-optimization/jobs/search" SearchPromptOptimizationJobs OPTIMIZATION,
    post "3.0/mlflow/prompt-optimization/jobs/{job_id}/cancel" CancelPromptOptimizationJob OPTIMIZATION,
    delete "3.0/mlflow/prompt-optimization/jobs/{job_id}" DeletePromptOptimizationJob OPTIMIZATION,
    post "3.0/mlflow/review-queues/create" CreateReviewQueue REVIEWS,
    post "3.0/mlflow/review-queues/get-or-create-user" GetOrCreateUserQueue REVIEWS,
    get "3.0/mlflow/review-queues/get" GetReviewQueue REVIEWS,
    get "3.0/mlflow/review-queues/get-by-name" GetReviewQueueByName REVIEWS,
    get "3.0/mlflow/review-queues/list" ListReviewQueues REVIEWS,
    post "3.0/mlflow/review-queues/update" UpdateReviewQueue REVIEWS,
    post "3.0/mlflow/review-queues/delete" DeleteReviewQueue REVIEWS,
    post "3.0/mlflow/review-queues/items/add" AddItemsToReviewQueue REVIEWS,
    post "3.0/mlflow/review-queues/items/remove" RemoveItemsFromReviewQueue REVIEWS,
    get "3.0/mlflow/review-queues/items/list" ListReviewQueueItems REVIEWS,
    post "3.0/mlflow/review-queues/items/set-status" SetReviewQueueItemStatus REVIEWS,
    post "2.0/mlflow-artifacts/mpu/create/{*path}" CreateMultipartUpload UPLOADS,
    post "2.0/mlflow-artifacts/mpu/complete/{*path}" CompleteMultipartUpload UPLOADS,
    post "2.0/mlflow-artifacts/mpu/abort/{*path}" AbortMultipartUpload UPLOADS,
    get "2.0/mlflow-artifacts/presigned/{*path}" GetPresignedDownloadUrl UPLOADS,
    put "3.0/mlflow/scorers/online-config" UpsertOnlineScoringConfig SCORING,
}

pub(crate) fn routes() -> Routes<Tracking> {
    let mut routes = Routes::new();
    for (method, paths, ..) in LEFT_OUT {
        for path in paths {
            routes = match *method {
                Method::GET => routes.get(path, Known, refuse),
                Method::POST => routes.post(path, Known, refuse),
                Method::PUT => routes.put(path, Known, refuse),
                Method::PATCH => routes.patch(path, Known, refuse),
                _ => routes.delete(path, Known, refuse),
            };
        }
    }
    routes.about(ResourceType::Server)
}

async fn refuse(method: Method, path: MatchedPath) -> WireError {
    let asked = |one: &&LeftOut| one.0 == method && one.1.contains(&path.as_str());
    // The routes are made of the table, so the table has what was asked for.
    let (name, reason) = LEFT_OUT.iter().find(asked).map_or(("This endpoint", ""), |one| (one.2, one.3));
    TrackingError::NotImplemented { name, reason }.into()
}
