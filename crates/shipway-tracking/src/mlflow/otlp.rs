//! The endpoint that takes spans over the OpenTelemetry protocol.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, header};
use shipway_core::Permission::Write;
use shipway_web::{BodyBytes, Caller, Routes};

use super::{WireError, here::Here};
use crate::{
    error::TrackingError,
    otlp::{self, Encoding, OtlpError, Packing},
    service::Tracking,
};

/// The path of exports. Their bodies come as they were sent, packed or not: senders pack in more ways than this server unpacks
/// elsewhere.
pub const UNPACKING_PATH: &str = "/v1/traces";

const EXPERIMENT: &str = "x-mlflow-experiment-id";
const RUN: &str = "x-mlflow-run-id";

pub(crate) fn routes() -> Routes<Tracking> {
    Routes::new().post_with_limit(UNPACKING_PATH, Write, otlp::BODY_BYTES, export)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty())
}

fn unreadable(reason: String) -> TrackingError {
    OtlpError::Unreadable { reason }.into()
}

/// Takes all spans of an export or none of those that cannot be read; the answer is empty, in the encoding of the request.
async fn export(
    Here(tracking): Here,
    caller: Caller,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> Result<Response, WireError> {
    let content_type = text(&headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let encoding = Encoding::of(content_type).ok_or_else(|| {
        unreadable(format!(
            "Invalid Content-Type: {content_type}. Expected: application/x-protobuf or application/json"
        ))
    })?;
    let packed = text(&headers, header::CONTENT_ENCODING.as_str()).unwrap_or_default();
    let packing =
        Packing::of(packed).ok_or_else(|| unreadable(format!("Unsupported Content-Encoding: {packed}")))?;
    let experiment = text(&headers, EXPERIMENT).ok_or_else(|| {
        TrackingError::invalid(EXPERIMENT, format!("the header {EXPERIMENT} is required and missing"))
    })?;
    let reading = tokio::task::spawn_blocking(move || otlp::received(otlp::read(&body, packing, encoding)?));
    let spans = match reading.await {
        Ok(read) => read.map_err(TrackingError::from)?,
        // A defect is one here too, so that it is answered and counted as any other.
        Err(stopped) => match stopped.try_into_panic() {
            Ok(defect) => std::panic::resume_unwind(defect),
            Err(_) => return Err(TrackingError::from(OtlpError::Stopped).into()),
        },
    };
    tracking.record_spans(experiment, spans, text(&headers, RUN), &caller.access).await?;
    let body = match encoding {
        Encoding::Protobuf => "",
        Encoding::Json => "{}",
    };
    Ok(([(header::CONTENT_TYPE, encoding.content_type())], body).into_response())
}
