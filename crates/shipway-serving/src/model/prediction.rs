//! What is asked of a deployment and what it answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use shipway_core::{Digest, Name, Timestamp, Value};

use crate::{error::ServingError, launch::stage::Variant, ports::ViewFreshness};

/// The most rows of one request.
pub const MAX_ROWS: usize = 1024;

/// A question for predictions.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictRequest {
    /// With a service: the ids and request columns of each row, and any feature that the row gives itself instead of the one that is
    /// read. Without: all columns of the model.
    pub rows: Vec<Map<String, Json>>,
    /// The moment to predict for; the present without it. Needs a service.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// What an ingest answered: the prediction waits, bounded, until its events are visible. Needs a service.
    #[serde(default)]
    pub token: Option<String>,
    /// Who goes first where requests wait for the model: lower numbers, from 1; 0, as without it, goes behind all others.
    #[serde(default)]
    pub priority: u32,
    /// How long it may wait for the model, in milliseconds, instead of what the deployment says.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Who asks, where a launch decides by key: the same key is answered by the same version. Without it, the launch looks for its column
    /// in the first row.
    #[serde(default)]
    pub key: Option<String>,
}

/// Checks the number of rows of a request.
pub(crate) fn check_rows(rows: usize) -> Result<(), ServingError> {
    match rows {
        1..=MAX_ROWS => Ok(()),
        got => Err(ServingError::RowCount { got, limit: MAX_ROWS }),
    }
}

/// Predictions, one per row asked for, in order.
#[derive(Debug, Clone, Serialize)]
pub struct Prediction {
    /// Who answered.
    pub deployment: Name,
    /// The model behind it.
    pub model: String,
    /// The model's version.
    pub version: u64,
    /// As what that version answered: as the one that serves, or as the candidate of a launch.
    pub variant: Variant,
    /// The version of the feature service; none without a service.
    pub service_hash: Option<Digest>,
    /// The moment the features were read for.
    pub at: Timestamp,
    /// Per row: a number, or a list of numbers if the model has several outputs.
    #[serde(serialize_with = "as_numbers_or_lists")]
    pub predictions: Vec<Vec<f64>>,
    /// Names this answer in the prediction log.
    pub request_id: String,
    /// Per row, how fresh each view was; empty without a service.
    pub feature_age: Vec<Vec<ViewFreshness>>,
    /// Per row, the features that it gave itself; left out when no row gave one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overridden: Vec<Vec<String>>,
}

fn as_numbers_or_lists<S: serde::Serializer>(
    predictions: &[Vec<f64>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(predictions.iter().map(|row| number_or_list(row)))
}

/// The prediction of a row: a number, or a list of numbers if the model has several outputs.
pub(crate) fn number_or_list(row: &[f64]) -> Json {
    let json = |number: &f64| Value::Float(*number).to_json();
    match row {
        [number] => json(number),
        numbers => numbers.iter().map(json).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_between_one_and_the_bound_of_rows() {
        assert!(check_rows(1).is_ok());
        assert!(check_rows(MAX_ROWS).is_ok());
        for rows in [0, MAX_ROWS + 1] {
            assert!(matches!(check_rows(rows), Err(ServingError::RowCount { .. })), "{rows}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(serde_json::from_str::<PredictRequest>(r#"{"rows": [], "time": "2013-01-01"}"#).is_err());
    }
}
