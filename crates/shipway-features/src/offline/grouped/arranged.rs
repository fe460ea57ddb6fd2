//! Answers in the order of the shares, taken in the order of the spine.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, UInt64Array},
    compute::take,
    datatypes::SchemaRef,
};
use datafusion::{
    error::DataFusionError,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    physical_plan::stream::RecordBatchStreamAdapter,
};

use super::directory::Directory;

/// The answers of one view. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Arranged {
    /// As the view's outputs, by slot.
    columns: Arc<[ArrayRef]>,
    directory: Arc<Directory>,
    memory: Arc<MemoryReservation>,
}

impl Arranged {
    pub(super) fn new(columns: Vec<ArrayRef>, directory: Arc<Directory>, memory: MemoryReservation) -> Self {
        Self { columns: columns.into(), directory, memory: Arc::new(memory) }
    }

    /// What the answers hold of the memory's reservation.
    pub(crate) fn bytes(&self) -> usize {
        self.memory.size()
    }

    /// Position, then the answers, in the order of the spine.
    pub(crate) fn stream(&self, schema: SchemaRef, batch_rows: usize) -> SendableRecordBatchStream {
        let (answers, of_batches) = (self.clone(), Arc::clone(&schema));
        let rows = self.directory.rows();
        let batches = (0..rows).step_by(batch_rows.max(1)).map(move |first| {
            let length = batch_rows.max(1).min(rows - first);
            let slots = answers.directory.slots().slice(first, length);
            let positions = UInt64Array::from_iter_values(first as u64..(first + length) as u64);
            let mut columns: Vec<ArrayRef> = Vec::with_capacity(answers.columns.len() + 1);
            columns.push(Arc::new(positions));
            for column in answers.columns.iter() {
                columns.push(take(column, &slots, None)?);
            }
            RecordBatch::try_new(Arc::clone(&of_batches), columns).map_err(DataFusionError::from)
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches)))
    }
}
