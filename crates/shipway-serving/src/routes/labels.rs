//! Labels of predictions.

use axum::extract::State;
use shipway_web::{Caller, Json, Path, Problem};

use crate::service::{Labels, LabelsKept, Serving};

/// Keep what came true of predictions.
pub(super) async fn post(
    State(serving): State<Serving>,
    caller: Caller,
    Path(deployment): Path<String>,
    Json(labels): Json<Labels>,
) -> Result<Json<LabelsKept>, Problem> {
    Ok(Json(serving.label(&caller.name, &deployment, labels).await?))
}
