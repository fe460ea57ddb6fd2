//! Events as rows of a source's history.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use shipway_core::{DataType, Timestamp, Value};

use crate::{
    error::FeaturesError,
    model::{
        columns,
        dead_letter::DeadLetter,
        event::{SourceEvent, Standing},
        schema::{ARRIVAL_COLUMN, SourceSchema, arrow_type},
    },
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
    if schema.corrections.is_some() {
        let deleted = events.iter().map(|(_, event)| Some(event.standing == Standing::Deletion));
        arrays.push(Arc::new(deleted.collect::<BooleanArray>()));
    }
    Ok(RecordBatch::try_new(schema.history(), arrays)?)
}

/// The columns of a table of dead letters. `message` is what the broker had, `text` the same where it is text.
pub(crate) fn dead_letter_schema() -> SchemaRef {
    let moment = arrow_type(DataType::Timestamp);
    let columns = [
        (ARRIVAL_COLUMN, ArrowType::Int64),
        ("topic", ArrowType::Utf8),
        ("partition", ArrowType::Int64),
        ("offset", ArrowType::Int64),
        ("sent", moment.clone()),
        ("received", moment),
        ("code", ArrowType::Utf8),
        ("reason", ArrowType::Utf8),
        ("text", ArrowType::Utf8),
        ("key", ArrowType::Binary),
        ("message", ArrowType::Binary),
    ];
    let fields: Vec<Field> =
        columns.into_iter().map(|(name, arrow_type)| Field::new(name, arrow_type, true)).collect();
    Arc::new(Schema::new(fields))
}

/// The rows of dead letters, each with its offset as arrival.
pub(crate) fn dead_letters(letters: &[&(u64, DeadLetter)]) -> Result<RecordBatch, FeaturesError> {
    let all = || letters.iter().map(|(_, letter)| letter);
    let words = |word: fn(&DeadLetter) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(all().map(word)))
    };
    let bytes = |part: fn(&DeadLetter) -> Option<&[u8]>| -> ArrayRef {
        Arc::new(BinaryArray::from_iter(all().map(part)))
    };
    let moments = |moment: fn(&DeadLetter) -> Option<Timestamp>| -> ArrayRef {
        let micros = all().map(|letter| moment(letter).map(Timestamp::micros));
        Arc::new(TimestampMicrosecondArray::from_iter(micros).with_timezone("UTC"))
    };
    let numbers = |number: fn(&(u64, DeadLetter)) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(letters.iter().map(|letter| number(letter).cast_signed())))
    };
    let text = |letter: &DeadLetter| {
        letter.message.as_deref().and_then(|message| std::str::from_utf8(message).ok()).map(str::to_owned)
    };
    let arrays = vec![
        numbers(|(arrival, _)| *arrival),
        words(|letter| &letter.topic),
        numbers(|(_, letter)| letter.origin.partition.into()),
        numbers(|(_, letter)| letter.origin.offset),
        moments(|letter| letter.sent),
        moments(|letter| Some(letter.received)),
        words(|letter| &letter.code),
        words(|letter| &letter.reason),
        Arc::new(StringArray::from_iter(all().map(text))),
        bytes(|letter| letter.key.as_deref()),
        bytes(|letter| letter.message.as_deref()),
    ];
    Ok(RecordBatch::try_new(dead_letter_schema(), arrays)?)
}
