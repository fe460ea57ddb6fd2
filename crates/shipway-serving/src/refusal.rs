//! What the foreign wires have in common when they refuse: the words, and when to come again.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use serde_json::Value;
use shipway_core::Kind;
use shipway_web::Problem;

/// The sentence of a problem, and its remedy behind it.
pub(crate) fn sentence(problem: &Problem) -> String {
    match problem.hint() {
        Some(hint) => format!("{} ({hint})", problem.detail()),
        None => problem.detail().to_owned(),
    }
}

/// The problem's status with the body of a wire; what may succeed later says when to try again.
pub(crate) fn respond(problem: &Problem, body: Value) -> Response {
    let mut response = (problem.status(), Json(body)).into_response();
    if matches!(problem.kind(), Kind::Exhausted | Kind::Unavailable) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
