//! Predictions.

use axum::extract::State;
use serde::Serialize;
use shipway_web::{Json, JsonText, Path, Problem};

use crate::{
    ensemble::status::EnsemblePrediction,
    model::prediction::{PredictRequest, Prediction},
    service::Serving,
};

/// The answer of a model, or of an ensemble.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Predicted {
    Model(Prediction),
    Ensemble(EnsemblePrediction),
}

/// Predict by ids, or by the model's own columns for a deployment without a feature service.
pub(super) async fn predict(
    State(serving): State<Serving>,
    Path(deployment): Path<String>,
    JsonText { value: mut request, text }: JsonText<PredictRequest>,
) -> Result<Json<Predicted>, Problem> {
    if let Some(ensemble) = serving.ensemble(&deployment) {
        Serving::restore_ensemble_digits(&ensemble, &mut request, &text)?;
        return Ok(Json(Predicted::Ensemble(serving.predict_ensemble(&ensemble, request).await?)));
    }
    serving.restore_digits(&deployment, &mut request, &text).await?;
    Ok(Json(Predicted::Model(serving.predict(&deployment, request).await?)))
}
