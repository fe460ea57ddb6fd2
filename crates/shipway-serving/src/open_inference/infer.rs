//! Predictions over tensors, over REST.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use shipway_web::{BodyBytes, Path, Problem};

use super::{MAX_INFER_BYTES, body, call, packing};
use crate::{error::ServingError, service::Serving};

/// Predict with whatever version serves.
pub(super) async fn infer(
    State(serving): State<Serving>,
    Path(name): Path<String>,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> Result<Response, Problem> {
    Ok(answer(&serving, &name, None, &headers, body).await?)
}

/// Predict with one version, if it is the one that serves.
pub(super) async fn infer_version(
    State(serving): State<Serving>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> Result<Response, Problem> {
    Ok(answer(&serving, &name, Some(&version), &headers, body).await?)
}

async fn answer(
    serving: &Serving,
    name: &str,
    version: Option<&str>,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, ServingError> {
    let body = packing::unpacked(headers, body, MAX_INFER_BYTES)?;
    let (call, binary) = body::read(headers, &body)?;
    let reply = call::answer(serving, name, version, call).await?;
    let (bytes, json_length) = body::write(&reply, &binary)?;
    let (bytes, packing) = packing::packed(headers, bytes);
    let content_type = match json_length {
        Some(_) => "application/octet-stream",
        None => "application/json",
    };
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(length) = json_length {
        headers.insert(HeaderName::from_static(body::JSON_LENGTH), length);
    }
    if let Some(packing) = packing {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(packing));
    }
    Ok(response)
}
