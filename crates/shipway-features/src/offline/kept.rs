//! Batches kept in order for later: in memory while they are few, in one spill file otherwise. Answers that were made in memory
//! stay as they were made.

use std::{fmt, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    execution::{
        SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
        spill_file::SpillFile,
    },
    physical_plan::{
        SpillManager,
        metrics::{ExecutionPlanMetricsSet, SpillMetrics},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{Stream, StreamExt, stream};

use super::{OfflineError, grouped::Arranged};

/// Keeps the batches of `stream` to its end: at most `memory_bytes` of them in memory, less when the pool of `context` is
/// short, and otherwise all on disk. `what` names them in messages about memory.
pub(crate) async fn keep(
    mut stream: impl Stream<Item = Result<RecordBatch, OfflineError>> + Unpin,
    schema: SchemaRef,
    what: &'static str,
    memory_bytes: usize,
    context: &TaskContext,
) -> Result<Kept, OfflineError> {
    let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
    let manager = SpillManager::new(context.runtime_env(), metrics, schema);
    let reservation = MemoryConsumer::new(what).with_can_spill(true).register(context.memory_pool());
    let (mut batches, mut on_disk) = (Vec::new(), None);
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        if batch.num_rows() == 0 {
            continue;
        }
        if on_disk.is_none() {
            let bytes = batch.get_array_memory_size();
            batches.push(batch);
            if reservation.size() + bytes > memory_bytes || reservation.try_grow(bytes).is_err() {
                let file = on_disk.insert(manager.create_in_progress_file(what)?);
                for earlier in batches.drain(..) {
                    file.append_batch(&earlier)?;
                }
                reservation.free();
            }
        } else if let Some(file) = &mut on_disk {
            file.append_batch(&batch)?;
        }
    }
    let file = on_disk.map(|mut file| file.finish()).transpose()?.flatten();
    let place = match file {
        None => Place::Memory(batches, reservation),
        Some(file) => Place::Disk(file, Box::new(manager.clone())),
    };
    Ok(Kept { schema: Arc::clone(manager.schema()), place })
}

/// What was kept. Frees its memory and removes its file when dropped.
pub(crate) struct Kept {
    schema: SchemaRef,
    place: Place,
}

enum Place {
    Memory(Vec<RecordBatch>, MemoryReservation),
    Disk(Arc<dyn SpillFile>, Box<SpillManager>),
    /// Answers, and how many rows a batch of them has.
    Arranged(Arranged, usize),
}

impl Kept {
    /// Answers that are in memory already, to be read in batches of `batch_rows`.
    pub(crate) fn arranged(answers: Arranged, schema: SchemaRef, batch_rows: usize) -> Self {
        Self { schema, place: Place::Arranged(answers, batch_rows) }
    }

    /// The batches, in order, from the first.
    pub(crate) fn stream(&self) -> Result<SendableRecordBatchStream, OfflineError> {
        match &self.place {
            Place::Memory(batches, _) => {
                let batches = stream::iter(batches.clone()).map(Ok);
                let schema = Arc::clone(&self.schema);
                Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
            }
            Place::Disk(file, manager) => Ok(manager.read_spill_as_stream(Arc::clone(file), None)?),
            Place::Arranged(answers, batch_rows) => Ok(answers.stream(Arc::clone(&self.schema), *batch_rows)),
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Memory(batches, reservation) => {
                write!(formatter, "{} batches of {} bytes in memory", batches.len(), reservation.size())
            }
            Place::Arranged(answers, _) => {
                write!(formatter, "answers of {} bytes in memory", answers.bytes())
            }
            Place::Disk(..) => formatter.write_str("batches on disk"),
        }
    }
}
