//! Predictions.

use axum::extract::State;
use shipway_web::{Json, JsonText, Path, Problem};

use crate::{
    model::prediction::{PredictRequest, Prediction},
    service::Serving,
};

/// Predict by ids, or by the model's own columns for a deployment without a feature service.
pub(super) async fn predict(
    State(serving): State<Serving>,
    Path(deployment): Path<String>,
    JsonText { value: mut request, text }: JsonText<PredictRequest>,
) -> Result<Json<Prediction>, Problem> {
    serving.restore_digits(&deployment, &mut request, &text).await?;
    Ok(Json(serving.predict(&deployment, request).await?))
}
