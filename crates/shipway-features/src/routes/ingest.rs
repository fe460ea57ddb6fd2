//! `POST /api/v1/ingest/{source}`: events as JSON lines or as an Arrow IPC stream.

use axum::extract::State;
use http::{HeaderMap, header};
use shipway_web::{BodyBytes, Json, Path, Problem};

use crate::{Events, Features, IngestAnswer};

/// The media type of an Arrow IPC stream.
pub(crate) const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// Take in events of a source; answered when they are durable.
pub(crate) async fn ingest(
    State(features): State<Features>,
    Path(source): Path<String>,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> Result<Json<IngestAnswer>, Problem> {
    let is_arrow = headers
        .get(header::CONTENT_TYPE)
        .and_then(|media_type| media_type.to_str().ok())
        .is_some_and(|media_type| media_type.starts_with(ARROW_STREAM));
    let events = if is_arrow { Events::Arrow(body) } else { Events::JsonLines(body) };
    Ok(Json(features.ingest(&source, events).await?))
}
