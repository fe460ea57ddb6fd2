//! The digest of a training set's content: columns by name and type, then every row in order, whatever the batches.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    row::{RowConverter, SortField},
    util::display::{ArrayFormatter, FormatOptions},
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::StreamExt;
use sha2::{Digest as _, Sha256};
use shipway_core::Digest;
use tokio_util::sync::CancellationToken;

use super::StoredError;
use crate::offline::OfflineError;

/// Takes in batches and gives their digest. The bits of floats count: -0.0 is not 0.0.
struct ContentDigest {
    hasher: Sha256,
    converter: RowConverter,
    /// The columns that the row format knows; the others go in as text.
    known: Vec<usize>,
    others: Vec<usize>,
}

impl ContentDigest {
    fn new(schema: &SchemaRef) -> Result<Self, DataFusionError> {
        let mut hasher = Sha256::new();
        let (mut known, mut others, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        for (index, field) in schema.fields().iter().enumerate() {
            hasher.update(format!("{} {}\n", field.name(), field.data_type()));
            let sorted = SortField::new(field.data_type().clone());
            if RowConverter::supports_fields(std::slice::from_ref(&sorted)) {
                known.push(index);
                fields.push(sorted);
            } else {
                others.push(index);
            }
        }
        Ok(Self { hasher, converter: RowConverter::new(fields)?, known, others })
    }

    fn update(&mut self, batch: &RecordBatch) -> Result<(), DataFusionError> {
        let known = batch.project(&self.known)?;
        let rows = self.converter.convert_columns(known.columns())?;
        let options = FormatOptions::new().with_null("\u{0}");
        let mut texts = Vec::with_capacity(self.others.len());
        for index in &self.others {
            texts.push(ArrayFormatter::try_new(batch.column(*index), &options)?);
        }
        for row in 0..batch.num_rows() {
            if !self.known.is_empty() {
                let bytes = rows.row(row);
                self.hasher.update((bytes.as_ref().len() as u64).to_le_bytes());
                self.hasher.update(bytes);
            }
            for text in &texts {
                let text = text.value(row).to_string();
                self.hasher.update((text.len() as u64).to_le_bytes());
                self.hasher.update(text);
            }
        }
        Ok(())
    }
}

/// What is known about a stream that was read to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<Digest>>>);

impl Seen {
    /// The digest of all rows; `None` before the end.
    pub(super) fn content(&self) -> Option<Digest> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same batches, their digest in `seen` when the last has gone by. `report` is told how many rows have gone by. The stream
/// ends with an error when `cancelled` is raised, and when the digest of all rows is not the `expected` one.
pub(super) fn watched(
    batches: SendableRecordBatchStream,
    seen: &Seen,
    cancelled: CancellationToken,
    expected: Option<Digest>,
    report: impl Fn(u64) + Send + 'static,
) -> Result<SendableRecordBatchStream, DataFusionError> {
    let schema = batches.schema();
    let state = (batches, ContentDigest::new(&schema)?, 0_u64, false);
    let (seen, report) = (seen.clone(), Arc::new(Mutex::new(report)));
    let watched = futures::stream::unfold(state, move |(mut batches, mut digest, mut rows, ended)| {
        let (seen, cancelled, report) = (seen.clone(), cancelled.clone(), Arc::clone(&report));
        async move {
            if ended {
                return None;
            }
            let next = tokio::select! {
                biased;
                () = cancelled.cancelled() => Some(Err(OfflineError::Cancelled.into())),
                next = batches.next() => next,
            };
            let outcome = match next {
                Some(Ok(batch)) => digest.update(&batch).map(|()| {
                    rows += batch.num_rows() as u64;
                    report.lock().unwrap_or_else(PoisonError::into_inner)(rows);
                    batch
                }),
                Some(Err(error)) => Err(error),
                None => {
                    let content = Digest::from_bytes(digest.hasher.clone().finalize().into());
                    *seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(content);
                    match expected {
                        Some(expected) if expected != content => {
                            Err(DataFusionError::External(Box::new(StoredError::Differs {
                                expected,
                                content,
                            })))
                        }
                        _ => return None,
                    }
                }
            };
            let ended = outcome.is_err();
            Some((outcome, (batches, digest, rows, ended)))
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, watched)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Float64Array, Int64Array};

    use super::*;

    fn digest(batches: &[RecordBatch]) -> Digest {
        let mut digest = ContentDigest::new(&batches[0].schema()).unwrap();
        batches.iter().for_each(|batch| digest.update(batch).unwrap());
        Digest::from_bytes(digest.hasher.finalize().into())
    }

    fn batch(numbers: &[i64], floats: &[f64]) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        let floats: ArrayRef = Arc::new(Float64Array::from(floats.to_vec()));
        RecordBatch::try_from_iter([("n", numbers), ("f", floats)]).unwrap()
    }

    #[test]
    fn the_rows_and_their_order_count_and_the_batches_do_not() {
        let whole = digest(&[batch(&[1, 2, 3], &[0.0, 1.0, 2.0])]);
        assert_eq!(digest(&[batch(&[1], &[0.0]), batch(&[2, 3], &[1.0, 2.0])]), whole);
        assert_ne!(digest(&[batch(&[2, 1, 3], &[1.0, 0.0, 2.0])]), whole);
        assert_ne!(digest(&[batch(&[1, 2, 3], &[-0.0, 1.0, 2.0])]), whole, "every bit counts");
    }
}
