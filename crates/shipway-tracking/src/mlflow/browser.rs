//! What MLflow's own interface asks, and no client does: files by what they belong to, and two questions about its surroundings.

use axum::response::Response;
use http::{HeaderMap, Uri};
use serde_json::json;
use shipway_core::{
    Permission::{Known, Public, Read, Write},
    ResourceType,
};
use shipway_web::{BodyStream, Path, Problem, Routes};

use super::{Answer, Body, WireError, artifacts, here::Here, message::Message, registry::model_key};
use crate::{artifact_path::ArtifactPath, error::TrackingError, service::Tracking};

/// The greatest file that a browser sends: notes and small pictures.
const UPLOAD_BYTES: u64 = 10 * 1024 * 1024;

pub(crate) fn routes() -> Routes<Tracking> {
    let of_models = Routes::new().get("/model-versions/get-artifact", Read, of_version);
    Routes::new()
        .get("/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files", Read, of_model)
        .post_with_limit("/ajax-api/2.0/mlflow/upload-artifact", Write, UPLOAD_BYTES, upload)
        .get("/ajax-api/2.0/mlflow/gateway-proxy", Known, no_gateway)
        .get("/ajax-api/3.0/mlflow/ui-telemetry", Public, no_telemetry)
        .post("/ajax-api/3.0/mlflow/ui-telemetry", Public, telemetry_is_off)
        .about(ResourceType::Experiment)
        .merge(of_models.about(ResourceType::RegisteredModel))
}

fn below(folders: &[&str], path: &str) -> Result<ArtifactPath, WireError> {
    let folders = folders.iter().filter(|folder| !folder.is_empty());
    // The part that the client gives is judged by itself: together with a folder it could be made to look harmless.
    let path = ArtifactPath::parse(path)?;
    let whole: Vec<&str> = folders.copied().chain([path.as_str()]).collect();
    Ok(ArtifactPath::parse(&whole.join("/"))?)
}

async fn of_version(
    Here(tracking): Here,
    headers: HeaderMap,
    message: Message,
) -> Result<Response, WireError> {
    let number = message.integer("version")?.ok_or_else(|| message.missing("version"))?;
    let version = tracking.model_version(&model_key(&tracking, &message)?, number).await?;
    if version.artifact_root.is_empty() {
        return Err(TrackingError::invalid("version", "it has no files").into());
    }
    let path = below(&[&version.artifact_root, &version.artifact_folder], &message.required_text("path")?)?;
    artifacts::send(&tracking, &headers, &path).await
}

async fn of_model(
    Here(tracking): Here,
    Path(model_id): Path<String>,
    headers: HeaderMap,
    message: Message,
) -> Result<Response, WireError> {
    let model = tracking.logged_model(&model_id).await?;
    let path = below(&[&model.artifact_root], &message.required_text("artifact_file_path")?)?;
    artifacts::send(&tracking, &headers, &path).await
}

async fn upload(Here(tracking): Here, uri: Uri, content: BodyStream) -> Result<Body, Problem> {
    let message = Message::from_query(uri.query().unwrap_or_default())?;
    let info = tracking.run_info(&message.run_id()?).await.map_err(WireError::from)?;
    let path = below(&[&info.artifact_root], &message.required_text("path")?)?;
    artifacts::put(&tracking, &path, content).await
}

/// Which endpoints of language models a gateway beside MLflow has: none.
async fn no_gateway() -> Answer {
    Ok(Body(json!({ "endpoints": [] })))
}

/// The interface reports to its makers unless it is told not to.
async fn no_telemetry() -> Answer {
    Ok(Body(json!({ "disable_ui_telemetry": true, "disable_ui_events": [], "ui_rollout_percentage": 0 })))
}

async fn telemetry_is_off() -> Answer {
    Ok(Body(json!({ "status": "disabled" })))
}
