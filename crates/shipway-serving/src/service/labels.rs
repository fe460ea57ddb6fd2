//! What came true: labels of predictions, that come late, are kept beside the prediction log and are joined to it by request id.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType as ArrowType, Field, Schema, SchemaRef},
    error::ArrowError,
    record_batch::RecordBatch,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use shipway_core::{Name, Timestamp};
use shipway_lake::timestamp_type;
use uuid::Uuid;

use super::Serving;
use crate::error::ServingError;

/// The most labels of one request.
pub(crate) const MAX_LABELS: usize = 10_000;

/// The longest text that a label may be, in bytes.
const MAX_TEXT_BYTES: usize = 1_024;

/// Labels of a deployment's predictions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// In any order; of several for one row, the one received last is valid.
    pub labels: Vec<Label>,
}

/// What came true of one row.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// What the prediction's answer said.
    pub request_id: Uuid,
    /// The row of the request, from 0.
    #[serde(default)]
    pub row: u32,
    /// A number, true or false, or text; null takes an earlier label back.
    pub label: Json,
    /// When it came true; the present without it.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// Labels that are kept.
#[derive(Debug, Clone, Serialize)]
pub struct LabelsKept {
    /// The table they are in.
    pub table: String,
    /// How many there were.
    pub kept: usize,
}

/// The Delta table of the labels of a deployment's predictions.
pub fn label_table_of(deployment: &Name) -> String {
    format!("labels__{deployment}")
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type: ArrowType| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        field("request_id", ArrowType::Utf8),
        field("row", ArrowType::Int64),
        field("label", ArrowType::Float64),
        field("label_text", ArrowType::Utf8),
        field("at", timestamp_type()),
        field("received_at", timestamp_type()),
        field("received_from", ArrowType::Utf8),
    ]))
}

impl Serving {
    /// Keeps labels: on disk, all or none, when this returns. Whether their predictions exist is not asked, since a prediction may be
    /// logged later than its label comes.
    pub async fn label(
        &self,
        caller: &str,
        deployment: &str,
        labels: Labels,
    ) -> Result<LabelsKept, ServingError> {
        let deployment = self.name_of(deployment)?;
        check(&labels)?;
        let table = label_table_of(&deployment);
        let batch = batch(&labels, caller, self.inner.clock.now())
            .map_err(|error| ServingError::LogBatch(error.to_string()))?;
        self.inner.lake.ensure_table(&table, schema()).await?;
        let queue = self.inner.labels.of(&deployment);
        queue.write((&self.inner.lake, &self.inner.tracker), &table, batch).await?;
        Ok(LabelsKept { table, kept: labels.labels.len() })
    }
}

fn check(labels: &Labels) -> Result<(), ServingError> {
    let labels = &labels.labels;
    if labels.is_empty() || labels.len() > MAX_LABELS {
        let got = labels.len();
        return Err(ServingError::WrongRequest(format!("a request has 1 to {MAX_LABELS} labels, got {got}")));
    }
    let mut seen = HashSet::new();
    for (place, label) in labels.iter().enumerate() {
        let wrong = |reason: String| ServingError::WrongRequest(format!("label {place}: {reason}"));
        match &label.label {
            Json::Array(_) | Json::Object(_) => {
                return Err(wrong("expected a number, true, false, text or null".to_owned()));
            }
            Json::String(text) if text.len() > MAX_TEXT_BYTES => {
                return Err(wrong(format!("text of more than {MAX_TEXT_BYTES} bytes")));
            }
            _ => {}
        }
        if !seen.insert((label.request_id, label.row)) {
            return Err(wrong(format!("row {} of request {} comes twice", label.row, label.request_id)));
        }
    }
    Ok(())
}

fn batch(labels: &Labels, caller: &str, now: Timestamp) -> Result<RecordBatch, ArrowError> {
    let labels = &labels.labels;
    let number = |label: &Label| match &label.label {
        Json::Bool(flag) => Some(f64::from(u8::from(*flag))),
        other => other.as_f64(),
    };
    let moment = |moments: Vec<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(moments).with_timezone("UTC"))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(labels.iter().map(|label| label.request_id.to_string()))),
        Arc::new(Int64Array::from_iter_values(labels.iter().map(|label| i64::from(label.row)))),
        Arc::new(Float64Array::from_iter(labels.iter().map(number))),
        Arc::new(StringArray::from_iter(labels.iter().map(|label| label.label.as_str()))),
        moment(labels.iter().map(|label| label.at.unwrap_or(now).micros()).collect()),
        moment(vec![now.micros(); labels.len()]),
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(caller, labels.len()))),
    ];
    RecordBatch::try_new(schema(), columns)
}
