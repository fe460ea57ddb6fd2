//! Ensembles in the scoring protocol: a frame of inputs comes, a record of outputs goes for each row.

use std::{sync::Arc, time::Instant};

use serde_json::Value;
use shipway_core::DataType;

use super::frame::Frame;
use crate::{
    error::ServingError,
    service::{Ensemble, EnsembleQuestion, Serving},
};

/// What was answered: the request's id, the ensemble's version, and the outputs of each row.
pub(super) type Scored = (String, u64, Value);

/// Scores the rows of a frame. `question` has everything but the rows.
pub(super) async fn score(
    serving: &Serving,
    ensemble: &Arc<Ensemble>,
    frame: Frame<'_>,
    question: EnsembleQuestion,
    started: Instant,
) -> Result<Scored, ServingError> {
    if ensemble.spec.service.is_some() {
        // It knows what it takes once it is planned.
        serving.ready_ensemble(ensemble).await?;
    }
    let taken = ensemble.taken();
    let named = |(name, _): &(String, DataType)| name.clone();
    let positions: Vec<String> = taken.iter().map(named).collect();
    let is_text = |(_, data_type): &&(String, DataType)| {
        matches!(data_type, DataType::Text | DataType::Timestamp | DataType::Decimal(_))
    };
    let texts: Vec<String> = taken.iter().filter(is_text).map(named).collect();
    let question = EnsembleQuestion { rows: frame.rows(&positions, &texts)?, ..question };
    let answer = serving.ask_ensemble(ensemble, question, started).await?;
    let predictions = answer.records().into_iter().map(Value::Object).collect();
    Ok((answer.request_id, answer.version, predictions))
}
