//! Events as rows of a source's history.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::DataType as ArrowType;
use shipway_core::Value;

use crate::{
    error::FeaturesError,
    model::{columns, event::SourceEvent, schema::SourceSchema},
};

/// The rows of `events` with their offsets as arrival.
pub(crate) fn history(
    schema: &SourceSchema,
    events: &[&(u64, SourceEvent)],
) -> Result<RecordBatch, FeaturesError> {
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.columns.len() + 4);
    for (position, (_, data_type)) in schema.columns.iter().enumerate() {
        let values = events.iter().map(|(_, event)| event.values.get(position).unwrap_or(&Value::Null));
        arrays.push(columns::array(*data_type, values));
    }
    arrays.push(Arc::new(StringArray::from_iter_values(events.iter().map(|(_, event)| event.id.as_ref()))));
    arrays
        .push(Arc::new(Int64Array::from_iter_values(events.iter().map(|(offset, _)| offset.cast_signed()))));
    arrays.push(new_null_array(&ArrowType::Utf8, events.len()));
    let received = events.iter().map(|(_, event)| event.received.micros());
    arrays.push(Arc::new(TimestampMicrosecondArray::from_iter_values(received).with_timezone("UTC")));
    Ok(RecordBatch::try_new(schema.history(), arrays)?)
}
