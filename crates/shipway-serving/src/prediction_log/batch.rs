//! Answers as Arrow batches in the columns of their table.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Float64Array, Float64Builder, Int64Array, ListBuilder, StringArray,
        TimestampMicrosecondArray,
    },
    record_batch::RecordBatch,
};
use shipway_core::{DataType, Value};
use shipway_lake::UTC;

use super::{
    Entry,
    schema::{LogSchema, number_list},
};
use crate::error::ServingError;

/// One batch of all rows of `entries`, which have `schema`.
pub(super) fn record_batch(schema: &LogSchema, entries: &[Box<Entry>]) -> Result<RecordBatch, ServingError> {
    let mut columns = fixed_columns(entries)?;
    for (place, (_, data_type)) in schema.columns.iter().enumerate() {
        let values =
            entries.iter().flat_map(|entry| &entry.rows).map(|row| row.get(place).unwrap_or(&Value::Null));
        columns.push(array(*data_type, values));
    }
    RecordBatch::try_new(Arc::clone(&schema.arrow), columns)
        .map_err(|error| ServingError::LogBatch(error.to_string()))
}

/// The columns that every log has, in the order of the schema.
fn fixed_columns(entries: &[Box<Entry>]) -> Result<Vec<ArrayRef>, ServingError> {
    let text = |read: &dyn Fn(&Entry) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(per_row(entries, |entry, _| read(entry))))
    };
    let moment = |read: &dyn Fn(&Entry) -> i64| -> ArrayRef {
        let moments: Vec<i64> = per_row(entries, |entry, _| read(entry)).collect();
        Arc::new(TimestampMicrosecondArray::from(moments).with_timezone(UTC))
    };
    let number = |read: &dyn Fn(&Entry, usize) -> u64| -> ArrayRef {
        let numbers = per_row(entries, |entry, row| i64::try_from(read(entry, row)).unwrap_or(i64::MAX));
        Arc::new(Int64Array::from_iter_values(numbers))
    };
    let mut predictions = ListBuilder::new(Float64Builder::new()).with_field(number_list());
    for numbers in entries.iter().flat_map(|entry| &entry.predictions) {
        predictions.append_value(numbers.iter().copied().map(Some));
    }
    let mut watermarks = Vec::with_capacity(entries.len());
    for entry in entries {
        let json = serde_json::to_string(&entry.watermarks)
            .map_err(|error| ServingError::LogBatch(error.to_string()))?;
        watermarks.extend(std::iter::repeat_n(json, entry.rows.len()));
    }
    Ok(vec![
        text(&|entry| Some(entry.request_id.clone())),
        number(&|entry, row| entry.numbers.get(row).map_or(u64::MAX, |number| *number as u64)),
        moment(&|entry| entry.at.micros()),
        moment(&|entry| entry.served_at.micros()),
        text(&|entry| Some(entry.deployment.to_string())),
        text(&|entry| Some(entry.model.clone())),
        number(&|entry, _| entry.version),
        text(&|entry| Some(entry.artifact.to_string())),
        text(&|entry| entry.service.as_ref().map(|(name, _)| name.to_string())),
        text(&|entry| entry.service.as_ref().map(|(_, hash)| hash.to_string())),
        Arc::new(StringArray::from(watermarks)),
        Arc::new(predictions.finish()),
        number(&|entry, _| entry.latency_us),
        Arc::new(StringArray::from_iter(per_row(entries, |entry, row| {
            entry.overridden.get(row).cloned().flatten()
        }))),
        text(&|entry| Some(entry.variant.word().to_owned())),
    ])
}

fn per_row<'entries, T>(
    entries: &'entries [Box<Entry>],
    read: impl Fn(&'entries Entry, usize) -> T + 'entries,
) -> impl Iterator<Item = T> + 'entries {
    entries
        .iter()
        .flat_map(|entry| (0..entry.rows.len()).map(move |row| (entry.as_ref(), row)))
        .map(move |(entry, row)| read(entry, row))
}

/// A column of values. A value of another type than the column's is kept where it has a place (a number as text, an
/// integer as a float) and is null where it has none; types were checked when the model was bound.
fn array<'values>(data_type: DataType, values: impl Iterator<Item = &'values Value>) -> ArrayRef {
    match data_type {
        DataType::Bool => Arc::new(BooleanArray::from_iter(values.map(|value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }))),
        DataType::Int => Arc::new(Int64Array::from_iter(values.map(|value| match value {
            Value::Int(number) => Some(*number),
            _ => None,
        }))),
        DataType::Float => Arc::new(Float64Array::from_iter(values.map(as_float))),
        DataType::Text => Arc::new(StringArray::from_iter(values.map(as_text))),
        DataType::Timestamp => Arc::new(
            TimestampMicrosecondArray::from_iter(values.map(|value| match value {
                Value::Timestamp(moment) => Some(moment.micros()),
                _ => None,
            }))
            .with_timezone(UTC),
        ) as Arc<dyn Array>,
        DataType::Decimal(_) | DataType::List(_) | DataType::Map(_) => {
            shipway_lake::array_of(data_type, &values.collect::<Vec<_>>())
        }
    }
}

fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        #[expect(
            clippy::cast_precision_loss,
            reason = "the column is of floats: the model saw the same rounding"
        )]
        Value::Int(number) => Some(*number as f64),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Decimal(number) => Some(number.to_float()),
        Value::Null | Value::Text(_) | Value::Timestamp(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Text(text) => Some(text.to_string()),
        Value::Decimal(number) => Some(number.to_string()),
        other => Some(other.to_json().to_string()),
    }
}
