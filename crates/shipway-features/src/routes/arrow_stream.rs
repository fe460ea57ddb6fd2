//! Record batches as an Arrow IPC stream in the body of an answer, batch by batch.

use std::{collections::VecDeque, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef},
    ipc::writer::StreamWriter,
};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use datafusion::execution::SendableRecordBatchStream;
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderValue, header};

use crate::{error::FeaturesError, routes::ingest::ARROW_STREAM};

/// Answers with `batches`. An error after the first batch breaks the body off, so that nobody takes a part for the whole.
pub(crate) fn respond(batches: SendableRecordBatchStream) -> Result<Response, FeaturesError> {
    let mut response = Response::new(Body::from_stream(encode(batches)?));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(ARROW_STREAM));
    Ok(response)
}

/// The bytes of an Arrow IPC stream, as the batches come.
pub(crate) fn encode(
    batches: SendableRecordBatchStream,
) -> Result<impl Stream<Item = Result<Bytes, FeaturesError>> + Send, FeaturesError> {
    let encoder = Encoder { writer: Some(writer(&batches.schema())?), batches, ready: VecDeque::new() };
    Ok(stream::try_unfold(encoder, |mut encoder| async move {
        loop {
            if let Some(bytes) = encoder.ready.pop_front() {
                return Ok(Some((bytes, encoder)));
            }
            let Some(mut writer) = encoder.writer.take() else { return Ok(None) };
            match encoder.batches.next().await.transpose()? {
                Some(batch) => {
                    writer.write(&batch)?;
                    encoder.drain(&mut writer);
                    encoder.writer = Some(writer);
                }
                None => {
                    writer.finish()?;
                    encoder.drain(&mut writer);
                }
            }
        }
    }))
}

struct Encoder {
    batches: SendableRecordBatchStream,
    /// `None` after the end.
    writer: Option<StreamWriter<Vec<u8>>>,
    ready: VecDeque<Bytes>,
}

impl Encoder {
    fn drain(&mut self, writer: &mut StreamWriter<Vec<u8>>) {
        let bytes = std::mem::take(writer.get_mut());
        if !bytes.is_empty() {
            self.ready.push_back(Bytes::from(bytes));
        }
    }
}

fn writer(schema: &SchemaRef) -> Result<StreamWriter<Vec<u8>>, FeaturesError> {
    Ok(StreamWriter::try_new(Vec::new(), schema)?)
}

/// The rows of `batch` as JSON values, column by column in the order of the schema. Decimals are text, as in every answer.
pub(crate) fn json_rows(batch: &RecordBatch) -> Result<Vec<Vec<serde_json::Value>>, FeaturesError> {
    let batch = &decimals_as_text(batch)?;
    let mut bytes = Vec::new();
    let mut writer = arrow::json::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow::json::writer::LineDelimited>(&mut bytes);
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let row = |line: &[u8]| {
        let mut object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(line).unwrap_or_default();
        names.iter().map(|name| object.remove(name).unwrap_or_default()).collect()
    };
    Ok(lines.map(row).collect())
}

fn decimals_as_text(batch: &RecordBatch) -> Result<RecordBatch, FeaturesError> {
    let schema = batch.schema();
    let plain: Fields = schema.fields().iter().map(without_decimals).collect();
    if &plain == schema.fields() {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().zip(&plain);
    let columns = columns.map(|(column, field)| arrow::compute::cast(column, field.data_type()));
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(plain)), columns, &rows)?)
}

/// The field with text in the place of decimals, at any depth.
fn without_decimals(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        decimal if decimal.is_decimal() => DataType::Utf8,
        DataType::List(item) => DataType::List(without_decimals(item)),
        DataType::LargeList(item) => DataType::LargeList(without_decimals(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(without_decimals).collect()),
        DataType::Map(entries, sorted) => DataType::Map(without_decimals(entries), *sorted),
        _ => return Arc::clone(field),
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, Decimal128Array, Float64Array, ListArray, StructArray},
        buffer::OffsetBuffer,
        datatypes::Field,
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn decimals_are_text_with_every_digit_at_any_depth() {
        let most = 10_i128.pow(38) - 1;
        let decimals = Decimal128Array::from(vec![Some(-5), Some(most), None]);
        let decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(38, 2).unwrap());
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1.5, 2.5]));
        let pair = StructArray::try_from(vec![("price", decimals.clone()), ("delay", floats)]).unwrap();
        let item = Arc::new(Field::new("element", decimals.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths([2, 0, 1]);
        let lists = ListArray::new(item, offsets, decimals.clone(), None);
        let columns: [(&str, ArrayRef); 3] =
            [("price", decimals), ("pair", Arc::new(pair)), ("prices", Arc::new(lists))];
        let rows = json_rows(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        let text = "9".repeat(36) + ".99";
        assert_eq!(
            json!(rows),
            json!([
                ["-0.05", { "price": "-0.05", "delay": 0.5 }, ["-0.05", text]],
                [text, { "price": text, "delay": 1.5 }, []],
                [null, { "price": null, "delay": 2.5 }, [null]],
            ])
        );
    }
}
