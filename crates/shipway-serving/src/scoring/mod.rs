//! The scoring protocol of MLflow model servers, which SageMaker containers share: a caller changes its URL, and nothing else.
//!
//! What such a server has at its root, a deployment has under `/endpoints/{deployment}`, the path that SageMaker's own client asks:
//! `invocations`, `ping`, `health`, `version`.
//!
//! - `frame`: the forms of a data frame: split, records, instances, inputs, CSV; pure
//! - `tensors`: the same forms for models of tensors; pure
//! - `ensembles`: the same for ensembles
//! - `invocations`: predictions

mod ensembles;
pub(crate) mod frame;
mod invocations;
pub(crate) mod tensors;

use axum::{extract::State, response::Response};
use serde_json::json;
use shipway_core::{Kind, Permission};
use shipway_web::{Path, Problem, Routes};

use crate::{refusal, service::Serving};

/// The version of MLflow whose protocol this is.
const MLFLOW_VERSION: &str = "3.17.2";

/// The most bytes of a request.
const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;

/// The routes of the protocol.
pub(crate) fn routes() -> Routes<Serving> {
    Routes::new()
        .post_with_limit(
            "/endpoints/{deployment}/invocations",
            Permission::Use,
            MAX_BODY_BYTES,
            invocations::invocations,
        )
        .get("/endpoints/{deployment}/ping", Permission::Read, ping)
        .get("/endpoints/{deployment}/health", Permission::Read, ping)
        .get("/endpoints/{deployment}/version", Permission::Read, version)
        .with_problem_renderer(refusal)
        .with_unknown_path_renderer("/endpoints/", refusal)
}

/// Whether the deployment answers.
async fn ping(State(serving): State<Serving>, Path(name): Path<String>) -> Result<&'static str, Problem> {
    if !serving.is_ready(&name, None)? {
        serving.must_answer(&name, None)?;
    }
    Ok("\n")
}

/// The version of the protocol.
async fn version(State(serving): State<Serving>, Path(name): Path<String>) -> Result<&'static str, Problem> {
    serving.name_of(&name)?;
    Ok(MLFLOW_VERSION)
}

/// Why a request was refused, as this protocol says it.
#[expect(clippy::needless_pass_by_value, reason = "a renderer takes the problem")]
fn refusal(problem: Problem) -> Response {
    let code = match problem.kind() {
        Kind::Invalid | Kind::TooLarge => "BAD_REQUEST",
        Kind::Unauthenticated => "UNAUTHENTICATED",
        Kind::Forbidden => "PERMISSION_DENIED",
        Kind::NotFound => "RESOURCE_DOES_NOT_EXIST",
        Kind::Conflict => "INVALID_STATE",
        Kind::Exhausted => "REQUEST_LIMIT_EXCEEDED",
        Kind::Unavailable => "TEMPORARILY_UNAVAILABLE",
        Kind::Internal => "INTERNAL_ERROR",
    };
    refusal::respond(&problem, json!({ "error_code": code, "message": refusal::sentence(&problem) }))
}
