//! Embeddings as OpenAI's API has them: its types, its errors, its routes. It holds no rules.
//!
//! A deployment of a model of text that embeds is a model of this API; its clients change their URL and their key, which is a token of
//! this server.
//!
//! - `request`: what is asked; pure
//! - `embeddings`: the answer
//! - `models`: which deployments can be asked

mod embeddings;
mod models;
mod request;

use axum::response::Response;
use serde_json::json;
use shipway_core::{Kind, Permission};
use shipway_web::{Problem, Routes};

use crate::{error::ServingError, refusal, service::Serving};
pub(crate) use request::Inputs;

/// The routes of the API.
pub(crate) fn routes() -> Routes<Serving> {
    Routes::new()
        .post("/v1/embeddings", Permission::Use, embeddings::embeddings)
        .get("/v1/models", Permission::Read, models::list)
        .get("/v1/models/{model}", Permission::Read, models::show)
        .with_problem_renderer(refusal)
        .with_unknown_path_renderer("/v1/", refusal)
}

/// Why a request was refused, and by which of its parameters.
#[derive(Debug)]
struct Refusal {
    error: ServingError,
    parameter: Option<&'static str>,
}

impl From<ServingError> for Refusal {
    fn from(error: ServingError) -> Self {
        let parameter = match &error {
            ServingError::UnknownDeployment { .. } | ServingError::NoEmbeddings(_) => Some("model"),
            ServingError::TooManyTokens { .. } | ServingError::Runtime(_) => Some("input"),
            _ => None,
        };
        Self { error, parameter }
    }
}

impl Refusal {
    fn of(parameter: &'static str, reason: impl Into<String>) -> Self {
        Self { error: ServingError::WrongRequest(reason.into()), parameter: Some(parameter) }
    }

    fn answer(self) -> Response {
        answer(&Problem::from(self.error), self.parameter)
    }
}

/// Why a request was refused before its handler saw it.
#[expect(clippy::needless_pass_by_value, reason = "a renderer takes the problem")]
fn refusal(problem: Problem) -> Response {
    answer(&problem, None)
}

fn answer(problem: &Problem, parameter: Option<&str>) -> Response {
    let kind = match problem.kind() {
        Kind::Exhausted => "rate_limit_error",
        Kind::Unavailable | Kind::Internal => "server_error",
        Kind::Forbidden => "permission_error",
        Kind::Unauthenticated => "authentication_error",
        Kind::Invalid | Kind::TooLarge | Kind::NotFound | Kind::Conflict => "invalid_request_error",
    };
    let code = match problem.code() {
        "serving.unknown_deployment" => "model_not_found",
        code => code,
    };
    let message = refusal::sentence(problem);
    refusal::respond(
        problem,
        json!({ "error": { "message": message, "type": kind, "param": parameter, "code": code } }),
    )
}
