//! Every answer, written to a Delta table off the hot path, and never dropped.
//!
//! An answer is queued before it is sent; a writer of its own gathers what is queued and appends it when enough rows wait
//! or the oldest has waited long enough. The queue is bounded in rows: when the table cannot be written, requests wait for
//! room, and are refused, unanswered, when there is none in time. Rows that wait are lost if the process is killed: at most
//! those of the last [`WRITE_AFTER`].
//!
//! - `schema`: the table's name, columns and types
//! - `shadow`: the tables of answers that nobody sees
//! - `tensors`: what models of tensors were given and gave, as its rows
//! - `batch`: answers as Arrow batches
//! - `writer`: the task that appends them

mod batch;
pub(crate) mod schema;
pub(crate) mod shadow;
pub(crate) mod tensors;
mod writer;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use shipway_core::{Digest, Name, Timestamp, Value};
use shipway_lake::Lake;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::{error::ServingError, launch::stage::Variant};
use schema::LogSchema;

/// Rows that may wait for the table.
pub const MAX_QUEUED_ROWS: usize = 16 * 1024;

/// How long the oldest row waits for others before it is written.
pub const WRITE_AFTER: Duration = Duration::from_secs(1);

/// How long a request waits for room in the queue.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(30);

/// The answer to one request.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) schema: Arc<LogSchema>,
    pub(crate) request_id: String,
    pub(crate) at: Timestamp,
    pub(crate) served_at: Timestamp,
    pub(crate) deployment: Name,
    pub(crate) model: String,
    pub(crate) version: u64,
    pub(crate) variant: Variant,
    pub(crate) artifact: Digest,
    pub(crate) service: Option<(Name, Digest)>,
    pub(crate) watermarks: BTreeMap<String, u64>,
    /// Per logged row, its number in the request, from 0.
    pub(crate) numbers: Vec<usize>,
    /// Per logged row, the features that it gave itself, as a JSON object; empty when no row gave one.
    pub(crate) overridden: Vec<Option<String>>,
    /// Per logged row, the values of the schema's own columns, in order.
    pub(crate) rows: Vec<Vec<Value>>,
    /// Per logged row.
    pub(crate) predictions: Vec<Vec<f64>>,
    pub(crate) latency_us: u64,
}

/// Room in the queue for the rows of one request; given back when they are written.
#[derive(Debug)]
pub(crate) struct Room {
    _permit: OwnedSemaphorePermit,
}

/// What the writer is told.
enum Command {
    Write(Box<Entry>, Room),
    Flush(oneshot::Sender<Result<(), ServingError>>),
    Stop(oneshot::Sender<Result<(), ServingError>>),
}

/// The queue in front of the writer.
#[derive(Debug, Clone)]
pub(crate) struct PredictionLog {
    commands: mpsc::UnboundedSender<Command>,
    room: Arc<Semaphore>,
    capacity: usize,
}

impl PredictionLog {
    /// Starts the writer.
    pub(crate) fn start(lake: Lake, tracker: &TaskTracker) -> Self {
        Self::with_capacity(lake, tracker, MAX_QUEUED_ROWS)
    }

    fn with_capacity(lake: Lake, tracker: &TaskTracker, capacity: usize) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        tracker.spawn(writer::Writer::new(lake).run(received));
        Self { commands, room: Arc::new(Semaphore::new(capacity)), capacity }
    }

    /// Waits until `rows` more rows fit.
    pub(crate) async fn room(&self, rows: usize) -> Result<Room, ServingError> {
        let permits = u32::try_from(rows.min(self.capacity)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.room).acquire_many_owned(permits);
        match tokio::time::timeout(WAIT_FOR_ROOM, permit).await {
            Ok(Ok(permit)) => Ok(Room { _permit: permit }),
            Ok(Err(_)) => Err(ServingError::ShuttingDown),
            Err(_) => Err(ServingError::LogFull),
        }
    }

    /// Room for `rows` more rows, if there is any now.
    pub(crate) fn room_now(&self, rows: usize) -> Option<Room> {
        let permits = u32::try_from(rows.min(self.capacity)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.room).try_acquire_many_owned(permits).ok()?;
        Some(Room { _permit: permit })
    }

    /// Queues an answer. After this, a flush includes it.
    pub(crate) fn write(&self, entry: Entry, room: Room) -> Result<(), ServingError> {
        let sent = self.commands.send(Command::Write(Box::new(entry), room));
        #[expect(clippy::cast_precision_loss, reason = "a gauge of some thousand rows")]
        metrics::gauge!("shipway_prediction_log_queue")
            .set((self.capacity - self.room.available_permits().min(self.capacity)) as f64);
        sent.map_err(|_| ServingError::ShuttingDown)
    }

    /// Returns when everything queued before is in the table, or with why it cannot be written now.
    pub(crate) async fn flush(&self) -> Result<(), ServingError> {
        self.ask(Command::Flush).await
    }

    /// Writes everything queued, then ends the writer. Later answers are refused.
    pub(crate) async fn stop(&self) -> Result<(), ServingError> {
        self.room.close();
        self.ask(Command::Stop).await
    }

    async fn ask(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), ServingError>>) -> Command,
    ) -> Result<(), ServingError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).map_err(|_| ServingError::ShuttingDown)?;
        answered.await.map_err(|_| ServingError::ShuttingDown)?
    }
}
