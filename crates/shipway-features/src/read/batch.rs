//! Reads in Arrow: a batch of keys in, a batch of features out.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions},
    datatypes::{DataType as ArrowType, Field, Schema},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use bytes::Bytes;
use shipway_core::{DataType, Timestamp, Value};

use crate::{
    error::{FeaturesError, invalid},
    model::{columns::array, schema::arrow_type},
    read::{
        plan::ReadPlan,
        rows::{RequestRow, check_count, parse_batch},
        service::{ReadAnswer, ViewFreshness},
    },
};

/// Which columns about freshness an answer carries beside the features, one per view: `view:event_time` (a timestamp),
/// `view:age_us` and `view:fresh`. No feature has a colon in its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Include {
    event_time: bool,
    age: bool,
    fresh: bool,
}

impl FromStr for Include {
    type Err = FeaturesError;

    /// Reads words joined by commas: `event_time`, `age`, `fresh`.
    fn from_str(text: &str) -> Result<Self, FeaturesError> {
        let mut include = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "event_time" => include.event_time = true,
                "age" => include.age = true,
                "fresh" => include.fresh = true,
                _ => return Err(invalid(format!("include {word}: expected event_time, age or fresh"))),
            }
        }
        Ok(include)
    }
}

/// The rows of an Arrow IPC stream; at most `limit` of them.
pub(crate) fn read_rows(
    plan: &ReadPlan,
    body: &[u8],
    limit: usize,
) -> Result<Vec<RequestRow>, FeaturesError> {
    let mut rows = Vec::new();
    for batch in StreamReader::try_new(body, None)? {
        let batch = batch?;
        check_count(rows.len() + batch.num_rows(), limit)?;
        rows.extend(parse_batch(plan, &batch)?);
    }
    Ok(rows)
}

/// The answer as an Arrow IPC stream of one batch. What belongs to the whole answer is in the metadata of its schema.
pub(crate) fn write(plan: &ReadPlan, answer: &ReadAnswer, include: Include) -> Result<Bytes, FeaturesError> {
    let batch = to_batch(plan, answer, include)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    writer.finish()?;
    Ok(writer.into_inner()?.into())
}

/// The answer as a batch: its columns, then those about freshness.
pub(crate) fn to_batch(
    plan: &ReadPlan,
    answer: &ReadAnswer,
    include: Include,
) -> Result<RecordBatch, FeaturesError> {
    let mut fields = Vec::with_capacity(plan.columns.len());
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(plan.columns.len());
    for (position, (name, data_type)) in plan.columns.iter().zip(&plan.types).enumerate() {
        fields.push(Field::new(name, arrow_type(*data_type), true));
        let values = answer.rows.iter().map(|row| row.values.get(position).unwrap_or(&Value::Null));
        arrays.push(array(*data_type, values));
    }
    for (position, view) in plan.views.iter().enumerate() {
        let freshness = || answer.rows.iter().filter_map(move |row| row.views.get(position));
        let mut add = |what: &str, data_type: ArrowType, array: ArrayRef| {
            fields.push(Field::new(format!("{}:{what}", view.name), data_type, true));
            arrays.push(array);
        };
        if include.event_time {
            let times: Vec<Value> =
                freshness().map(|held| held.event_time.map_or(Value::Null, Value::Timestamp)).collect();
            add("event_time", arrow_type(DataType::Timestamp), array(DataType::Timestamp, times.iter()));
        }
        if include.age {
            let ages: Int64Array = freshness().map(|held| held.age_us).collect();
            add("age_us", ArrowType::Int64, Arc::new(ages));
        }
        if include.fresh {
            let fresh: BooleanArray = freshness().map(|held: &ViewFreshness| Some(held.fresh)).collect();
            add("fresh", ArrowType::Boolean, Arc::new(fresh));
        }
    }
    let schema = Schema::new_with_metadata(fields, metadata(answer)?);
    let rows = RecordBatchOptions::new().with_row_count(Some(answer.rows.len()));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema), arrays, &rows)?)
}

fn metadata(answer: &ReadAnswer) -> Result<HashMap<String, String>, FeaturesError> {
    let at: Timestamp = answer.at;
    let watermarks = serde_json::to_string(&answer.watermarks)
        .map_err(|error| arrow::error::ArrowError::ExternalError(Box::new(error)))?;
    Ok(HashMap::from([
        ("shipway.service".to_owned(), answer.service.to_string()),
        ("shipway.service_hash".to_owned(), answer.service_hash.to_string()),
        ("shipway.at".to_owned(), at.to_string()),
        ("shipway.watermarks".to_owned(), watermarks),
    ]))
}
