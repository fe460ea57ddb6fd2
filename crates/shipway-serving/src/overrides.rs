//! Features that a caller gives itself, instead of those that are read. Pure.
//!
//! A row that is asked by ids names a feature to override it. The model sees what was given; the prediction log keeps what was read, so
//! that it can be replayed, and beside it what was given.

use serde_json::{Map, Value as Json};
use shipway_core::Value;

use crate::{error::ServingError, ports::ServiceShape};

/// What each row overrides: features by their names.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    rows: Vec<Map<String, Json>>,
}

/// Takes the features out of rows of ids and request columns. Nothing is copied when there are none.
pub(crate) fn taken_out(shape: &ServiceShape, rows: &mut [Map<String, Json>]) -> Overrides {
    let is_asked = |name: &str| shape.keys.iter().chain(&shape.request).any(|(asked, _)| asked == name);
    let is_feature = |name: &str| !is_asked(name) && shape.columns.iter().any(|(column, _)| column == name);
    if !rows.iter().any(|row| row.keys().any(|name| is_feature(name))) {
        return Overrides::default();
    }
    let out = |row: &mut Map<String, Json>| {
        let names: Vec<String> = row.keys().filter(|name| is_feature(name)).cloned().collect();
        names.into_iter().filter_map(|name| row.remove_entry(&name)).collect()
    };
    Overrides { rows: rows.iter_mut().map(out).collect() }
}

impl Overrides {
    /// Whether no row overrides anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The values that the model is given: those that were read, in the order of `columns`, but where a row says otherwise.
    pub(crate) fn over(
        &self,
        shape: &ServiceShape,
        columns: &[String],
        read: &[Vec<Value>],
    ) -> Result<Vec<Vec<Value>>, ServingError> {
        let mut given = read.to_vec();
        for (place, (row, values)) in self.rows.iter().zip(&mut given).enumerate() {
            for (name, json) in row {
                let wrong =
                    |reason: String| ServingError::WrongValue { row: place, column: name.clone(), reason };
                let column = shape.columns.iter().find(|(column, _)| column == name);
                let at = columns.iter().position(|column| column == name);
                let (Some((_, data_type)), Some(at)) = (column, at) else {
                    return Err(wrong("the service no longer gives this feature".to_owned()));
                };
                let value =
                    Value::from_json(json, *data_type).map_err(|mismatch| wrong(mismatch.to_string()))?;
                if let Some(into) = values.get_mut(at) {
                    *into = value;
                }
            }
        }
        Ok(given)
    }

    /// Per row, what it overrides as the log has it: JSON, and nothing for a row that overrides nothing.
    pub(crate) fn logged(&self) -> Vec<Option<String>> {
        let one = |row: &Map<String, Json>| (!row.is_empty()).then(|| Json::Object(row.clone()).to_string());
        self.rows.iter().map(one).collect()
    }

    /// Per row, the features that it overrides.
    pub(crate) fn names(&self) -> Vec<Vec<String>> {
        self.rows.iter().map(|row| row.keys().cloned().collect()).collect()
    }
}
