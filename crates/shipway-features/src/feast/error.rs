//! The body of a refusal: a JSON string that holds the JSON of an exception of theirs.

use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use shipway_web::Problem;

/// Their exception for a code of ours; their client raises it with our sentence.
fn exception(code: &str) -> &'static str {
    match code {
        "features.unknown_service" => "FeatureServiceNotFoundException",
        "features.unknown_view" => "FeatureViewNotFoundException",
        "features.unknown_feature" => "FeastObjectNotFoundException",
        "features.unknown_source" => "PushSourceNotFoundException",
        "features.feature_names_collide" => "FeatureNameCollisionError",
        "features.unknown_entity" => "EntityNotFoundException",
        _ => "FeastError",
    }
}

/// Answers with the status of the problem. The hint is part of the sentence, because an exception has no other place for it.
pub(super) fn render(problem: Problem) -> Response {
    let mut message = problem.detail().to_owned();
    if let Some(hint) = problem.hint() {
        message.push_str(" (");
        message.push_str(hint);
        message.push(')');
    }
    let detail = json!({
        "module": "feast.errors",
        "class": exception(problem.code()),
        "message": message,
        "code": problem.code(),
    });
    (problem.status(), axum::Json(detail.to_string())).into_response()
}

#[cfg(test)]
mod tests {
    use shipway_core::Kind;

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_a_string_that_holds_an_exception() {
        let problem = Problem::new(Kind::NotFound, "features.unknown_view", "view x does not exist");
        let response = render(problem.with_hint("did you mean y"));
        assert_eq!(response.status(), 404);
        let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
        let text: String = serde_json::from_slice(&body).unwrap();
        let detail: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(detail["class"], "FeatureViewNotFoundException");
        assert_eq!(detail["message"], "view x does not exist (did you mean y)");
    }
}
