//! The Open Inference protocol, version 2, over JSON: its types, its error body, its routes. It holds no rules.
//!
//! A deployment is a model of the protocol; its version is the number of the model version that serves. With a feature
//! service, the inputs are ids and request columns; without, the model's columns, or one matrix of them.
//!
//! - `metadata`: server, health, models
//! - `infer`: predictions

mod infer;
mod metadata;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde_json::json;
use shipway_core::Permission;
use shipway_web::{Problem, Routes};

use crate::service::Serving;

/// Why a request was refused, as this protocol says it.
fn refusal(problem: Problem) -> Response {
    let words = match problem.hint() {
        Some(hint) => format!("{} ({hint})", problem.detail()),
        None => problem.detail().to_owned(),
    };
    (problem.status(), Json(json!({ "error": words }))).into_response()
}

/// The routes of the protocol.
pub(crate) fn routes() -> Routes<Serving> {
    Routes::new()
        .get("/v2", Permission::Public, metadata::server)
        .get("/v2/health/live", Permission::Public, metadata::live)
        .get("/v2/health/ready", Permission::Public, metadata::ready)
        .get("/v2/models", Permission::Read, metadata::models)
        .get("/v2/models/{model}", Permission::Read, metadata::model)
        .get("/v2/models/{model}/ready", Permission::Read, metadata::model_ready)
        .get("/v2/models/{model}/versions/{version}", Permission::Read, metadata::version)
        .get("/v2/models/{model}/versions/{version}/ready", Permission::Read, metadata::version_ready)
        .post("/v2/models/{model}/infer", Permission::Use, infer::infer)
        .post("/v2/models/{model}/versions/{version}/infer", Permission::Use, infer::infer_version)
        .with_problem_renderer(refusal)
        .with_unknown_path_renderer("/v2/", refusal)
}
