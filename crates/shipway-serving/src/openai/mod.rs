//! Embeddings as OpenAI's API has them: its types, its errors. It holds no rules.
//!
//! A deployment of a model of text that embeds is a model of this API; its clients change their URL and their key, which is a token of
//! this server. Models that are served elsewhere lie under the same paths, so whoever has the routes asks here for those of this server.
//!
//! - `request`: what is asked; pure
//! - `embeddings`: the answer
//! - `models`: which deployments can be asked

mod embeddings;
mod models;
mod request;

use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use shipway_core::Kind;
use shipway_web::{JsonBody, Problem};

use crate::{error::ServingError, refusal, service::Serving};
pub(crate) use request::Inputs;

/// The deployments that can be asked under OpenAI's API. Whether a caller may ask them is judged by whoever has the routes.
#[derive(Clone)]
pub struct OpenAiModels(pub Serving);

impl OpenAiModels {
    /// Whether there is a deployment of this name, whatever it does.
    pub fn has(&self, name: &str) -> bool {
        self.0.deployments().iter().any(|status| status.name.as_str() == name)
    }

    /// The deployments that embed and are loaded, by name, as the API shows models.
    pub fn list(&self) -> Vec<Value> {
        models::list(&self.0)
    }

    /// One of them, or a refusal.
    pub async fn show(&self, name: &str) -> Response {
        models::show(&self.0, name).await
    }

    /// Answers for embeddings. Refusals are answers too, in the words of the API.
    pub async fn embeddings(&self, body: Bytes) -> Response {
        match JsonBody(body).parse() {
            Ok(body) => embeddings::embeddings(&self.0, body).await,
            Err(problem) => answer(&problem, None),
        }
    }
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
