//! Labels on their way to their table. Those that come while a commit is being made go together in the next one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::record_batch::RecordBatch;
use shipway_core::Name;
use shipway_lake::{AppendOptions, Lake, LakeError};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::error::ServingError;

/// The queues of all that labels came for, each made when the first did.
#[derive(Default)]
pub(super) struct LabelQueues(Mutex<HashMap<Name, Arc<LabelQueue>>>);

impl LabelQueues {
    pub(super) fn of(&self, deployment: &Name) -> Arc<LabelQueue> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(queues.entry(deployment.clone()).or_default())
    }
}

/// The labels of one deployment that wait.
#[derive(Default)]
pub(super) struct LabelQueue {
    waiting: Mutex<Vec<Waiting>>,
    /// Held by whoever makes a commit.
    committing: tokio::sync::Mutex<()>,
}

struct Waiting {
    batch: RecordBatch,
    written: oneshot::Sender<Result<(), LakeError>>,
}

impl LabelQueue {
    /// Appends a batch to `table`, and returns when it is there. It is written also when the caller goes away meanwhile.
    pub(super) async fn write(
        self: &Arc<Self>,
        (lake, tracker): (&Lake, &TaskTracker),
        table: &str,
        batch: RecordBatch,
    ) -> Result<(), ServingError> {
        let (written, outcome) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Waiting { batch, written });
        let (queue, lake, table) = (Arc::clone(self), lake.clone(), table.to_owned());
        tracker.spawn(async move {
            let _committing = queue.committing.lock().await;
            let together = std::mem::take(&mut *queue.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            // Whoever held the lock before may have taken this one along.
            if !together.is_empty() {
                commit(&lake, &table, together).await;
            }
        });
        Ok(outcome.await.map_err(|_| ServingError::ShuttingDown)??)
    }
}

/// Writes all in one commit. When that fails, each by itself, so that everybody learns of their own.
async fn commit(lake: &Lake, table: &str, together: Vec<Waiting>) {
    let append =
        async |batches| lake.append_batches(table, batches, AppendOptions::default()).await.map(|_| ());
    let all = append(together.iter().map(|waiting| waiting.batch.clone()).collect()).await;
    let is_one = together.len() == 1;
    let (is_written, mut failure) = (all.is_ok(), all.err());
    for Waiting { batch, written } in together {
        let answer = match failure.take_if(|_| is_one) {
            Some(failure) => Err(failure),
            None if is_written => Ok(()),
            None => append(vec![batch]).await,
        };
        // A caller that has gone away is answered into nothing.
        let _ = written.send(answer);
    }
}
