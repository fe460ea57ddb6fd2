//! Extractors whose refusals are problems that name the field and the line.

use axum::{
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::{Serialize, de::DeserializeOwned};
use shipway_core::Kind;

use crate::{BodyBytes, Problem, problem::innermost};

/// A JSON body, as a request or as a response. A request may leave its content type out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

/// A JSON body and the text that it was read from, for those who need the digits of its numbers.
#[derive(Debug, Clone, Default)]
pub struct JsonText<T> {
    /// What was read.
    pub value: T,
    /// The whole body.
    pub text: Bytes,
}

/// The parameters of the path.
#[derive(Debug, Clone, Copy, Default)]
pub struct Path<T>(pub T);

/// The parameters after the question mark.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

/// A JSON body that is not read yet, for handlers that know better than a type what to expect.
#[derive(Debug, Clone)]
pub struct JsonBody(pub Bytes);

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        check_content_type(request.headers())?;
        let BodyBytes(bytes) = BodyBytes::from_request(request, state).await?;
        Ok(Self(bytes))
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonText<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let body = JsonBody::from_request(request, state).await?;
        Ok(Self { value: body.parse()?, text: body.0 })
    }
}

impl JsonBody {
    /// The body as a value of this type; what does not fit is a problem that names the field.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        // Keeping track of the field costs as much as the rest, so that is done for bodies that are known to be wrong.
        if let Ok(value) = serde_json::from_slice(&self.0) {
            return Ok(value);
        }
        match axum::Json::from_bytes(&self.0) {
            Ok(axum::Json(value)) => Ok(value),
            Err(JsonRejection::JsonDataError(error)) => Err(Problem::new(
                Kind::Invalid,
                "web.invalid_body",
                format!("request body: {}", innermost(&error)),
            )),
            Err(error) => Err(Problem::new(
                Kind::Invalid,
                "web.invalid_json",
                format!("request body is not JSON: {}", innermost(&error)),
            )),
        }
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        JsonBody::from_request(request, state).await?.parse().map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error))
                if error.status() != StatusCode::INTERNAL_SERVER_ERROR =>
            {
                Err(Problem::new(Kind::Invalid, "web.invalid_path", format!("path: {}", error.into_kind())))
            }
            Err(error) => Err(Problem::new(Kind::Internal, "web.path_mismatch", error.to_string())),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(QueryRejection::FailedToDeserializeQueryString(error)) => {
                Err(Problem::new(Kind::Invalid, "web.invalid_query", format!("query: {}", innermost(&error))))
            }
            Err(error) => Err(Problem::new(Kind::Invalid, "web.invalid_query", error.to_string())),
        }
    }
}

/// A body that says it is something else than JSON is refused rather than guessed at.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = String::from_utf8_lossy(content_type.as_bytes()).to_ascii_lowercase();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    Err(Problem::new(Kind::Invalid, "web.not_json", format!("content type {essence}: this route takes JSON"))
        .with_hint("send the header `content-type: application/json`")
        .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}
