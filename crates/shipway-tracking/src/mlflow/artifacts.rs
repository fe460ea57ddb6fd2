//! Endpoints of artifacts: the proxy through which clients read and write files, and the listing of a run's files.

use axum::{
    body::Body as StreamBody,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use shipway_core::Permission::{Read, Write};
use shipway_web::{BodyError, BodyStream, Path, Problem, Routes};

use super::{Answer, Body, WireError, both, here::Here, message::Message, view};
use crate::{
    artifact_path::ArtifactPath,
    byte_range::{self, Wanted},
    error::TrackingError,
    service::Tracking,
};

/// The greatest file: 5 GiB. Files are streamed, so their size costs no memory.
const FILE_BYTES: u64 = 5 * 1024 * 1024 * 1024;

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, get, "2.0/mlflow/artifacts/list", Read, list_run);
    let routes = both!(routes, get, "2.0/mlflow-artifacts/artifacts", Read, list);
    let routes = both!(routes, get, "2.0/mlflow-artifacts/artifacts/{*path}", Read, download);
    let routes =
        both!(routes, put_with_limit, "2.0/mlflow-artifacts/artifacts/{*path}", Write, FILE_BYTES, upload);
    let routes = both!(routes, delete, "2.0/mlflow-artifacts/artifacts/{*path}", Write, delete);
    routes.get("/get-artifact", Read, download_of_run)
}

pub(super) async fn list_run(Here(tracking): Here, message: Message) -> Answer {
    let folder = ArtifactPath::parse(&message.text_or_empty("path")?)?;
    let (root, entries) = tracking.list_run_artifacts(&message.run_id()?, &folder).await?;
    let fields = view::Fields::default().set("root_uri", view::artifact_uri(&root));
    Ok(Body(fields.list("files", view::files(folder.as_str(), &entries)).value()))
}

async fn list(Here(tracking): Here, message: Message) -> Answer {
    let path = ArtifactPath::parse(&message.required_text("path")?)?;
    let entries = tracking.list_artifacts(&path).await?;
    Ok(Body(view::Fields::default().list("files", view::files("", &entries)).value()))
}

async fn download(
    Here(tracking): Here,
    headers: HeaderMap,
    Path(path): Path<String>,
) -> Result<Response, WireError> {
    send(&tracking, &headers, &ArtifactPath::parse(&path)?).await
}

async fn download_of_run(
    Here(tracking): Here,
    headers: HeaderMap,
    message: Message,
) -> Result<Response, WireError> {
    let path = ArtifactPath::parse(&message.required_text("path")?)?;
    let info = tracking.run_info(&message.run_id()?).await?;
    let path = ArtifactPath::parse(&format!("{}/{}", info.artifact_root, path.as_str()))?;
    send(&tracking, &headers, &path).await
}

/// Sends a file, or the part of it that the request asks for. It is sent as a download and never as something that a browser would run.
pub(super) async fn send(
    tracking: &Tracking,
    request: &HeaderMap,
    path: &ArtifactPath,
) -> Result<Response, WireError> {
    let (digest, size) = tracking.artifact(path).await?;
    let tag = format!("\"{digest}\"");
    let text = |name| request.get(name).and_then(|value| value.to_str().ok());
    // A part of another content than the one that the client has the beginning of would be of no use to it.
    let is_same = text(header::IF_RANGE).is_none_or(|known| known == tag);
    let range = text(header::RANGE).filter(|_| is_same);
    let (status, part) = match byte_range::wanted(range, size) {
        Wanted::Whole => (StatusCode::OK, None),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, Some(part)),
        Wanted::Nothing => {
            let headers = [(header::CONTENT_RANGE, format!("bytes */{size}")), (header::ETAG, tag)];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    let length = part.as_ref().map_or(size, |part| part.end - part.start);
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        // Should a browser show it all the same, it has no scripts and no origin.
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, tag),
    ];
    let place =
        part.as_ref().map(|part| format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1)));
    let content = StreamBody::from_stream(tracking.artifact_content(&digest, part).await?);
    let mut response = (status, headers, content).into_response();
    if let Some(place) = place.and_then(|place| HeaderValue::try_from(place).ok()) {
        response.headers_mut().insert(header::CONTENT_RANGE, place);
    }
    Ok(response)
}

async fn upload(
    Here(tracking): Here,
    Path(path): Path<String>,
    content: BodyStream,
) -> Result<Body, Problem> {
    put(&tracking, &ArtifactPath::parse(&path).map_err(WireError::from)?, content).await
}

/// A body that passes its limit while it is read is told so, as one that declared its length is.
pub(super) async fn put(
    tracking: &Tracking,
    path: &ArtifactPath,
    content: BodyStream,
) -> Result<Body, Problem> {
    match tracking.put_artifact(path, content).await {
        Ok(()) => Ok(Body::empty()),
        Err(TrackingError::Blob(blob)) => match blob.content::<BodyError>() {
            Some(BodyError::TooLarge { limit_bytes }) => {
                Err(BodyError::TooLarge { limit_bytes: *limit_bytes }.into())
            }
            _ => Err(WireError::from(blob).into()),
        },
        Err(error) => Err(WireError::from(error).into()),
    }
}

async fn delete(Here(tracking): Here, Path(path): Path<String>) -> Answer {
    tracking.delete_artifact(&ArtifactPath::parse(&path)?).await?;
    Ok(Body::empty())
}
