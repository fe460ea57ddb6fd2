//! What a candidate would decide otherwise.

use axum::extract::State;
use shipway_web::{Json, Path, Problem};

use crate::service::{Preview, PreviewRequest, Serving};

/// Run a candidate over what was served, and list the changed decisions.
pub(super) async fn preview(
    State(serving): State<Serving>,
    Path(name): Path<String>,
    Json(request): Json<PreviewRequest>,
) -> Result<Json<Preview>, Problem> {
    Ok(Json(serving.preview(&name, request).await?))
}
