//! The views put beside the spine again, row for row. A view out of step is an error, never a shifted column.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch},
    datatypes::{SchemaRef, UInt64Type},
};
use datafusion::{
    error::DataFusionError,
    execution::{SendableRecordBatchStream, async_try_stream},
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::StreamExt;

use super::{OfflineError, view_plan::ViewPlan};

/// A view's answers in the order of the spine, and the place in them.
pub(crate) struct Answers {
    view: Arc<ViewPlan>,
    stream: SendableRecordBatchStream,
    present: Option<RecordBatch>,
    taken: usize,
}

impl Answers {
    pub(crate) fn new(view: Arc<ViewPlan>, stream: SendableRecordBatchStream) -> Self {
        Self { view, stream, present: None, taken: 0 }
    }

    /// How many answers are at hand, at least one unless all are taken.
    async fn at_hand(&mut self) -> Result<usize, DataFusionError> {
        loop {
            let left = self.present.as_ref().map_or(0, |present| present.num_rows() - self.taken);
            if left > 0 {
                return Ok(left);
            }
            self.taken = 0;
            self.present = self.stream.next().await.transpose()?;
            if self.present.is_none() {
                return Ok(0);
            }
        }
    }

    /// The columns of the next `rows` answers, which must be those for the spine rows from `first` on.
    fn take(&mut self, first: u64, rows: usize) -> Result<Vec<ArrayRef>, OfflineError> {
        let slice = self.present.as_ref().map(|present| present.slice(self.taken, rows));
        let Some(slice) = slice else { return Err(self.out_of_step(first, "nothing".to_owned())) };
        let positions = slice.column(0).as_primitive::<UInt64Type>().values();
        for (expected, position) in (first..).zip(positions) {
            if expected != *position {
                return Err(self.out_of_step(expected, position.to_string()));
            }
        }
        self.taken += rows;
        Ok(slice.columns()[1..].to_vec())
    }

    fn out_of_step(&self, expected: u64, got: String) -> OfflineError {
        OfflineError::OutOfStep { view: self.view.name.to_string(), expected, got }
    }
}

/// The spine's columns, then each view's.
pub(crate) fn zip(
    schema: SchemaRef,
    mut spine: SendableRecordBatchStream,
    mut views: Vec<Answers>,
) -> SendableRecordBatchStream {
    let zipped_schema = Arc::clone(&schema);
    let zipped = async_try_stream(|mut emitter| async move {
        let mut first = 0;
        while let Some(batch) = spine.next().await.transpose()? {
            let mut done = 0;
            while done < batch.num_rows() {
                let mut rows = batch.num_rows() - done;
                for answers in &mut views {
                    match answers.at_hand().await? {
                        0 => return Err(answers.out_of_step(first, "nothing".to_owned()).into()),
                        at_hand => rows = rows.min(at_hand),
                    }
                }
                let mut columns = batch.slice(done, rows).columns().to_vec();
                for answers in &mut views {
                    columns.extend(answers.take(first, rows)?);
                }
                emitter.emit(RecordBatch::try_new(Arc::clone(&zipped_schema), columns)?).await;
                done += rows;
                first += rows as u64;
            }
        }
        for answers in &mut views {
            if answers.at_hand().await? > 0 {
                return Err(answers.out_of_step(first, "more answers than rows".to_owned()).into());
            }
        }
        Ok(())
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, zipped))
}
