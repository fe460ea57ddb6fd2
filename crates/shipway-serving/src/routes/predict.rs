//! Predictions.

use axum::extract::State;
use shipway_web::{Json, Path, Problem};

use crate::{
    model::prediction::{PredictRequest, Prediction},
    service::Serving,
};

/// Predict by ids, or by the model's own columns for a deployment without a feature service.
pub(super) async fn predict(
    State(serving): State<Serving>,
    Path(deployment): Path<String>,
    Json(request): Json<PredictRequest>,
) -> Result<Json<Prediction>, Problem> {
    Ok(Json(serving.predict(&deployment, request).await?))
}
