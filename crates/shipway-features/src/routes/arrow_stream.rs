//! Record batches as an Arrow IPC stream in the body of an answer, batch by batch.

use std::collections::VecDeque;

use arrow::{array::RecordBatch, datatypes::SchemaRef, ipc::writer::StreamWriter};
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

/// The rows of `batch` as JSON values, column by column in the order of the schema.
pub(crate) fn json_rows(batch: &RecordBatch) -> Result<Vec<Vec<serde_json::Value>>, FeaturesError> {
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
