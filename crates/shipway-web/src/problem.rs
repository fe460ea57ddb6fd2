//! The body of every refusal: RFC 9457 problem details, made from any domain error.
//!
//! A problem travels to the edge inside the response, so that the routes of a foreign wire can give it that wire's body
//! without their handlers knowing (`Routes::with_problem_renderer`).

use std::{borrow::Cow, error::Error};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};
use shipway_core::{Failure, Kind, failure::chain};

/// Turns a problem into the response of one wire.
pub type ProblemRenderer = fn(Problem) -> Response;

/// A refusal or a failure, ready to be answered: `{type, title, status, detail, code, hint}`.
#[derive(Debug, Clone)]
pub struct Problem(Box<Content>);

#[derive(Debug, Clone)]
struct Content {
    kind: Kind,
    status: StatusCode,
    code: &'static str,
    detail: String,
    hint: Option<Cow<'static, str>>,
    members: Map<String, Value>,
}

/// The HTTP status of a kind of failure: the only place that decides it.
pub const fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Problem {
    /// A problem of the edge itself. A domain error becomes a problem by `From` instead.
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Content {
            kind,
            status: status_of(kind),
            code,
            detail: detail.into(),
            hint: None,
            members: Map::new(),
        }))
    }

    /// The same problem with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same problem with an extension member, such as `errors` for a list of everything that is wrong. The members
    /// of the standard and our own keep their meaning: a member of the same name is not written.
    #[must_use]
    pub fn with_member(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.into(), value.into());
        self
    }

    /// The same problem under a status that no kind of failure has (405, 415).
    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The HTTP status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code, `area.what_happened`.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The sentence for a person.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The remedy, if there is one.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The body, as it is sent.
    pub fn body(&self) -> Value {
        let content = &self.0;
        let mut body = content.members.clone();
        body.insert("type".into(), format!("urn:shipway:problem:{}", content.code).into());
        body.insert("title".into(), content.status.canonical_reason().unwrap_or("Error").into());
        body.insert("status".into(), content.status.as_u16().into());
        body.insert("detail".into(), content.detail.as_str().into());
        body.insert("code".into(), content.code.into());
        if let Some(hint) = &content.hint {
            body.insert("hint".into(), hint.as_ref().into());
        }
        Value::Object(body)
    }

    /// The response that the native API gives: `application/problem+json`.
    pub fn render(self) -> Response {
        let body = self.body().to_string();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.kind() {
            // Bearer and not Basic: Basic would make browsers ask for a password, keep it, and send it unasked.
            Kind::Unauthenticated => {
                headers
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"shipway\""));
            }
            Kind::Unavailable | Kind::Exhausted => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// Takes the sentence, the code and the hint of a domain error; its sources stay on this side.
///
/// A failure of ours is logged here with all its sources, once: this is the boundary where it stops being an error.
impl<F: Failure + Send + Sync + 'static> From<F> for Problem {
    fn from(failure: F) -> Self {
        let (kind, code) = (failure.kind(), failure.code());
        match kind {
            Kind::Internal => tracing::error!(code, error = chain(&failure), "a request failed"),
            Kind::Unavailable => {
                tracing::warn!(code, error = chain(&failure), "a request could not be served")
            }
            _ => {}
        }
        let mut problem = Self::new(kind, code, failure.to_string());
        problem.0.hint = failure.hint();
        problem
    }
}

/// The problem stays in the extensions of the response, where the gate of its route finds it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.clone().render();
        response.extensions_mut().insert(self);
        response
    }
}

/// The innermost sentence of an error: the one that knows the field and the line.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("disk {disk} is on fire")]
    struct OnFire {
        disk: &'static str,
        source: std::io::Error,
    }

    impl Failure for OnFire {
        fn kind(&self) -> Kind {
            Kind::Internal
        }

        fn code(&self) -> &'static str {
            "store.on_fire"
        }

        fn hint(&self) -> Option<Cow<'static, str>> {
            Some("call the fire brigade".into())
        }
    }

    #[test]
    fn a_domain_error_becomes_a_problem_without_its_sources() {
        let problem = Problem::from(OnFire { disk: "sda", source: std::io::Error::other("secret path") });
        assert_eq!(
            problem.body(),
            json!({
                "type": "urn:shipway:problem:store.on_fire",
                "title": "Internal Server Error",
                "status": 500,
                "detail": "disk sda is on fire",
                "code": "store.on_fire",
                "hint": "call the fire brigade",
            })
        );
    }

    #[test]
    fn a_member_cannot_replace_the_meaning_of_the_standard() {
        let problem = Problem::new(Kind::Invalid, "definitions.invalid", "two errors")
            .with_member("errors", json!(["one", "two"]))
            .with_member("status", 200);
        assert_eq!(problem.body()["errors"], json!(["one", "two"]));
        assert_eq!(problem.body()["status"], 400);
    }

    #[test]
    fn each_kind_has_its_own_status() {
        let kinds = [
            Kind::Invalid,
            Kind::Unauthenticated,
            Kind::Forbidden,
            Kind::NotFound,
            Kind::Conflict,
            Kind::TooLarge,
            Kind::Exhausted,
            Kind::Unavailable,
            Kind::Internal,
        ];
        let statuses: std::collections::BTreeSet<u16> = kinds.map(|kind| status_of(kind).as_u16()).into();
        assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [400, 401, 403, 404, 409, 413, 429, 500, 503]);
    }
}
