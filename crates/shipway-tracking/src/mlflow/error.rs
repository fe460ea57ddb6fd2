//! The error body of this wire: `{error_code, message}`, with the code that clients branch on.

use std::{borrow::Cow, error::Error, fmt};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use shipway_core::{Failure, Kind};
use shipway_web::Problem;

use crate::error::{Thing, TrackingError};

/// A failure in the words that this wire's clients know, where they know any.
#[derive(Debug)]
pub(crate) struct WireError(TrackingError);

impl<E: Into<TrackingError>> From<E> for WireError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            TrackingError::Missing { thing, name, .. } => missing(*thing, name, formatter),
            TrackingError::Exists { thing: Thing::Experiment, name } => {
                write!(formatter, "Experiment(name={name}) already exists.")
            }
            TrackingError::Exists { thing: Thing::RegisteredModel, name } => {
                write!(formatter, "Registered Model (name={name}) already exists.")
            }
            TrackingError::WrongLifecycle { thing, name, wanted } => {
                let current = if *wanted == "active" { "deleted" } else { "active" };
                write!(
                    formatter,
                    "The {} {name} must be in the '{wanted}' state. Current state is {current}.",
                    thing.words()
                )
            }
            TrackingError::ParamChanged { owner, key, old, new } => write!(
                formatter,
                "Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' \
                 for run ID='{owner}'. Attempted logging new value '{new}'."
            ),
            TrackingError::SpansMissing { trace, reason } => {
                write!(formatter, "Trace with ID {trace} cannot be read: {reason}")
            }
            other => other.fmt(formatter),
        }
    }
}

fn missing(thing: Thing, name: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    match thing {
        Thing::Run => write!(formatter, "Run with id={name} not found"),
        Thing::Experiment => write!(formatter, "No Experiment with id={name} exists"),
        Thing::LoggedModel => write!(formatter, "Logged model with ID '{name}' not found."),
        Thing::RegisteredModel => write!(formatter, "Registered Model with name={name} not found"),
        Thing::ModelVersion => {
            let (model, version) = name.rsplit_once('/').unwrap_or((name, ""));
            write!(formatter, "Model Version (name={model}, version={version}) not found")
        }
        Thing::Alias => {
            let (_, alias) = name.rsplit_once('@').unwrap_or(("", name));
            write!(formatter, "Registered model alias {alias} not found.")
        }
        Thing::EvaluationDataset => {
            write!(formatter, "Evaluation dataset with id '{name}' not found")
        }
        Thing::Scorer => {
            let (scorer, experiment) = name.rsplit_once(" of experiment ").unwrap_or((name, ""));
            match scorer.rsplit_once(" version ") {
                Some((scorer, version)) => write!(
                    formatter,
                    "Scorer with name '{scorer}' and version {version} not found for experiment {experiment}."
                ),
                None => {
                    write!(formatter, "Scorer with name '{scorer}' not found for experiment {experiment}.")
                }
            }
        }
        Thing::Webhook => write!(formatter, "Webhook with ID {name} not found."),
        Thing::Trace => write!(formatter, "Trace with ID '{name}' not found."),
        Thing::Assessment => write!(formatter, "Assessment with ID '{name}' not found"),
        Thing::Workspace => write!(formatter, "Workspace '{name}' not found"),
        Thing::Artifact | Thing::Tag => write!(formatter, "No {} with name: {name}", thing.words()),
    }
}

impl Error for WireError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl Failure for WireError {
    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn code(&self) -> &'static str {
        self.0.code()
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        self.0.hint()
    }
}

impl IntoResponse for WireError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// Gives any problem of routes of this wire, also one of the guard or of a limit, its error body.
pub fn render(problem: Problem) -> Response {
    let (status, error_code) = status_and_code(&problem);
    let message = match problem.hint() {
        Some(hint) => format!("{} (hint: {hint})", problem.detail()),
        None => problem.detail().to_owned(),
    };
    (status, axum::Json(json!({ "error_code": error_code, "message": message }))).into_response()
}

fn status_and_code(problem: &Problem) -> (StatusCode, &'static str) {
    match problem.code() {
        "tracking.already_exists" | "access.exists" => (StatusCode::BAD_REQUEST, "RESOURCE_ALREADY_EXISTS"),
        // An alias that a model does not have is a wrong parameter here, and not a thing that is missing.
        "tracking.param_changed" | "tracking.wrong_lifecycle" | "tracking.alias_not_found" => {
            (StatusCode::BAD_REQUEST, "INVALID_PARAMETER_VALUE")
        }
        // A gate decides who may do it, so the client is told that it may not; the native API says that the version is not fit.
        "tracking.version_not_evaluated" | "tracking.gate_not_met" => {
            (StatusCode::FORBIDDEN, "PERMISSION_DENIED")
        }
        "tracking.workspace_in_use" => (StatusCode::BAD_REQUEST, "INVALID_STATE"),
        "tracking.not_implemented" => (StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED"),
        "web.unknown_path" | "web.wrong_method" => (problem.status(), "ENDPOINT_NOT_FOUND"),
        _ => {
            let code = match problem.kind() {
                Kind::Invalid | Kind::TooLarge => "INVALID_PARAMETER_VALUE",
                Kind::Unauthenticated => "UNAUTHENTICATED",
                Kind::Forbidden => "PERMISSION_DENIED",
                Kind::NotFound => "RESOURCE_DOES_NOT_EXIST",
                Kind::Conflict => "RESOURCE_CONFLICT",
                Kind::Exhausted => "RESOURCE_EXHAUSTED",
                Kind::Unavailable => "TEMPORARILY_UNAVAILABLE",
                Kind::Internal => "INTERNAL_ERROR",
            };
            (problem.status(), code)
        }
    }
}
