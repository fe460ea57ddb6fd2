//! Reads in Arrow: a batch of keys in, a batch of features out.

use std::{collections::HashMap, str::FromStr, sync::Arc};

use arrow::{
    array::{ArrayRef, ListArray, RecordBatch, RecordBatchOptions},
    buffer::OffsetBuffer,
    datatypes::{Field, Schema},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use bytes::Bytes;
use shipway_core::{DataType, Timestamp, Value};

use crate::{
    error::{FeaturesError, invalid},
    model::columns::array,
    read::{
        columnar::{RowsBuilder, add_batch},
        lists::{Cell, ListedAnswer},
        plan::ReadPlan,
        rows::RequestRows,
        service::{AnswerHead, ReadAnswer, ViewFreshness},
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

/// The rows of an Arrow IPC stream; at most `limit` come of them.
pub(crate) fn read_rows(plan: &ReadPlan, body: &[u8], limit: usize) -> Result<RequestRows, FeaturesError> {
    let mut rows = RowsBuilder::new(plan, limit);
    for batch in StreamReader::try_new(body, None)? {
        add_batch(plan, &batch?, &mut rows)?;
    }
    Ok(rows.finish())
}

/// The answer as an Arrow IPC stream of one batch. What belongs to the whole answer is in the metadata of its schema.
pub(crate) fn write(plan: &ReadPlan, answer: &ReadAnswer, include: Include) -> Result<Bytes, FeaturesError> {
    encode(&to_batch(plan, answer, include)?)
}

/// As [`write`], for an answer some of whose rows hold lists: a column is one of lists where a key of its view came as a list in
/// any row, and a row that gave one key has a list of one there.
pub(crate) fn write_listed(
    plan: &ReadPlan,
    answer: &ListedAnswer,
    include: Include,
) -> Result<Bytes, FeaturesError> {
    encode(&listed_batch(plan, answer, include)?)
}

fn encode(batch: &RecordBatch) -> Result<Bytes, FeaturesError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner()?.into())
}

/// The columns of an answer as they come together.
#[derive(Default)]
struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    fn add(&mut self, name: impl Into<String>, array: ArrayRef) {
        self.fields.push(Field::new(name, array.data_type().clone(), true));
        self.arrays.push(array);
    }

    fn batch(self, rows: usize, metadata: HashMap<String, String>) -> Result<RecordBatch, FeaturesError> {
        let schema = Schema::new_with_metadata(self.fields, metadata);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::new(schema), self.arrays, &options)?)
    }
}

/// What is told of one view's freshness, one value for each key: name, and how to read it.
type Told = (&'static str, DataType, fn(&ViewFreshness) -> Value);

impl Include {
    fn told(self) -> impl Iterator<Item = Told> {
        let all: [(bool, Told); 3] = [
            (
                self.event_time,
                ("event_time", DataType::Timestamp, |held| {
                    held.event_time.map_or(Value::Null, Value::Timestamp)
                }),
            ),
            (self.age, ("age_us", DataType::Int, |held| held.age_us.map_or(Value::Null, Value::Int))),
            (self.fresh, ("fresh", DataType::Bool, |held| Value::Bool(held.fresh))),
        ];
        all.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, told)| told)
    }
}

/// The answer as a batch: its columns, then those about freshness.
pub(crate) fn to_batch(
    plan: &ReadPlan,
    answer: &ReadAnswer,
    include: Include,
) -> Result<RecordBatch, FeaturesError> {
    let mut columns = Columns::default();
    for (position, (name, data_type)) in plan.columns.iter().zip(plan.types.iter()).enumerate() {
        let values = answer.rows.iter().map(|row| row.values.get(position).unwrap_or(&Value::Null));
        columns.add(name, array(*data_type, values));
    }
    for (position, view) in plan.views.iter().enumerate() {
        for (what, data_type, read) in include.told() {
            let freshness = answer.rows.iter().filter_map(|row| row.views.get(position));
            let values: Vec<Value> = freshness.map(read).collect();
            columns.add(format!("{}:{what}", view.name), array(data_type, values.iter()));
        }
    }
    columns.batch(answer.rows.len(), metadata(&answer.head())?)
}

fn listed_batch(
    plan: &ReadPlan,
    answer: &ListedAnswer,
    include: Include,
) -> Result<RecordBatch, FeaturesError> {
    let mut columns = Columns::default();
    for (position, (name, data_type)) in plan.columns.iter().zip(plan.types.iter()).enumerate() {
        let cells: Vec<&Cell<Value>> =
            answer.rows.iter().filter_map(|row| row.values.get(position)).collect();
        columns.add(name, cells_array(*data_type, &cells, |value| value.clone())?);
    }
    for (position, view) in plan.views.iter().enumerate() {
        for (what, data_type, read) in include.told() {
            let cells: Vec<&Cell<ViewFreshness>> =
                answer.rows.iter().filter_map(|row| Some(&row.views.get(position)?.cell)).collect();
            columns.add(format!("{}:{what}", view.name), cells_array(data_type, &cells, read)?);
        }
    }
    columns.batch(answer.rows.len(), metadata(&answer.head())?)
}

/// An array of values, or of lists of them where any cell is a list.
fn cells_array<T>(
    data_type: DataType,
    cells: &[&Cell<T>],
    read: impl Fn(&T) -> Value,
) -> Result<ArrayRef, FeaturesError> {
    let values: Vec<Value> = cells.iter().flat_map(|cell| cell.items()).map(read).collect();
    let items = array(data_type, values.iter());
    if cells.iter().all(|cell| matches!(cell, Cell::One(_))) {
        return Ok(items);
    }
    let field = Arc::new(Field::new("element", items.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths(cells.iter().map(|cell| cell.items().len()));
    Ok(Arc::new(ListArray::try_new(field, offsets, items, None)?))
}

fn metadata(answer: &AnswerHead<'_>) -> Result<HashMap<String, String>, FeaturesError> {
    let at: Timestamp = answer.at;
    let watermarks = serde_json::to_string(answer.watermarks)
        .map_err(|error| arrow::error::ArrowError::ExternalError(Box::new(error)))?;
    Ok(HashMap::from([
        ("shipway.service".to_owned(), answer.service.to_string()),
        ("shipway.service_hash".to_owned(), answer.service_hash.to_string()),
        ("shipway.at".to_owned(), at.to_string()),
        ("shipway.watermarks".to_owned(), watermarks),
    ]))
}
