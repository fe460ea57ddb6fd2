//! The task that appends queued answers to their tables.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use arrow::record_batch::RecordBatch;
use shipway_core::failure::chain;
use shipway_lake::{AppendOptions, Lake};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant},
};

use super::{Command, Entry, Room, WRITE_AFTER, batch::record_batch};
use crate::error::ServingError;

/// Rows that are written without waiting for more.
const WRITE_AT_ROWS: usize = 4096;

/// How long after a failed write the next is tried.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Names the writer's transactions in each table, so that a write whose outcome was not learnt is not repeated.
const TRANSACTIONS: &str = "prediction_log";

/// Answers that wait, and what is known of the tables.
pub(super) struct Writer {
    lake: Lake,
    pending: Vec<(Box<Entry>, Room)>,
    pending_rows: usize,
    /// Batches whose rows are fixed, per table, oldest first: a write is repeated with the same rows or not at all.
    sealed: BTreeMap<String, VecDeque<Sealed>>,
    /// The transaction that was written last, per table.
    transactions: BTreeMap<String, i64>,
}

/// A batch on its way to its table.
struct Sealed {
    batch: RecordBatch,
    /// The transaction it was first tried under.
    transaction: Option<i64>,
    /// Room in the queue, given back when the batch is written.
    _rooms: Vec<Room>,
}

impl Writer {
    pub(super) fn new(lake: Lake) -> Self {
        Self {
            lake,
            pending: Vec::new(),
            pending_rows: 0,
            sealed: BTreeMap::new(),
            transactions: BTreeMap::new(),
        }
    }

    fn waiting_rows(&self) -> usize {
        let sealed = self.sealed.values().flatten().map(|sealed| sealed.batch.num_rows()).sum::<usize>();
        self.pending_rows + sealed
    }

    /// Runs until it is told to stop or nobody can tell it anything any more.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut write_at: Option<Instant> = None;
        loop {
            let command = match write_at {
                None => commands.recv().await,
                Some(moment) => match tokio::time::timeout_at(moment, commands.recv()).await {
                    Ok(command) => command,
                    Err(_) => {
                        write_at = self.write_or_retry().await;
                        continue;
                    }
                },
            };
            match command {
                Some(Command::Write(entry, room)) => {
                    self.pending_rows += entry.rows.len();
                    self.pending.push((entry, room));
                    let moment = *write_at.get_or_insert_with(|| Instant::now() + WRITE_AFTER);
                    // A full batch is written at once, unless the last write has just failed and its pause is not over.
                    if self.pending_rows >= WRITE_AT_ROWS && moment <= Instant::now() + WRITE_AFTER {
                        write_at = self.write_or_retry().await;
                    }
                }
                Some(Command::Flush(answer)) => write_at = self.write_and_tell(answer).await,
                Some(Command::Stop(answer)) => {
                    self.write_and_tell(answer).await;
                    return;
                }
                None => {
                    self.write_or_retry().await;
                    return;
                }
            }
        }
    }

    async fn write_and_tell(&mut self, answer: oneshot::Sender<Result<(), ServingError>>) -> Option<Instant> {
        let written = self.write().await;
        let retry = written.is_err().then(|| Instant::now() + RETRY_AFTER);
        // Whoever asked may have gone; the rows are written either way.
        let _ = answer.send(written.map_err(|error| ServingError::LogNotWritten {
            rows: self.waiting_rows(),
            reason: chain(&error),
        }));
        retry
    }

    /// The moment to try again, if the write failed.
    async fn write_or_retry(&mut self) -> Option<Instant> {
        match self.write().await {
            Ok(()) => None,
            Err(error) => {
                metrics::counter!("shipway_prediction_log_failures_total").increment(1);
                tracing::error!(
                    rows = self.waiting_rows(),
                    error = chain(&error),
                    "prediction log is not written"
                );
                Some(Instant::now() + RETRY_AFTER)
            }
        }
    }

    /// Writes all that waits, table by table; a table that fails keeps its batches and does not stop the others.
    async fn write(&mut self) -> Result<(), ServingError> {
        self.seal()?;
        let mut failure = None;
        let tables: Vec<String> = self.sealed.keys().cloned().collect();
        for table in tables {
            if let Err(error) = self.write_table(&table).await {
                failure = Some(error);
            }
        }
        self.sealed.retain(|_, batches| !batches.is_empty());
        #[expect(clippy::cast_precision_loss, reason = "a gauge of some thousand rows")]
        metrics::gauge!("shipway_prediction_log_queue").set(self.waiting_rows() as f64);
        failure.map_or(Ok(()), Err)
    }

    /// Makes batches of the answers that wait: one per table and schema, since the rows before and after a new version of a
    /// service have other columns.
    fn seal(&mut self) -> Result<(), ServingError> {
        let mut groups: Vec<Vec<(Box<Entry>, Room)>> = Vec::new();
        for (entry, room) in self.pending.drain(..) {
            let fits = |group: &&mut Vec<(Box<Entry>, Room)>| {
                group.first().is_some_and(|(first, _)| Arc::ptr_eq(&first.schema, &entry.schema))
            };
            match groups.iter_mut().find(fits) {
                Some(group) => group.push((entry, room)),
                None => groups.push(vec![(entry, room)]),
            }
        }
        self.pending_rows = 0;
        for group in groups {
            let (entries, rooms): (Vec<_>, Vec<_>) = group.into_iter().unzip();
            let Some(first) = entries.first() else { continue };
            let batch = record_batch(&first.schema, &entries)?;
            let table = first.schema.table.clone();
            self.sealed.entry(table).or_default().push_back(Sealed {
                batch,
                transaction: None,
                _rooms: rooms,
            });
        }
        Ok(())
    }

    async fn write_table(&mut self, table: &str) -> Result<(), ServingError> {
        let Some(batches) = self.sealed.get_mut(table) else { return Ok(()) };
        while let Some(sealed) = batches.front_mut() {
            let transaction = match sealed.transaction {
                Some(transaction) => {
                    // What failed before may have been the table: someone may have dropped it.
                    self.lake.ensure_table(table, sealed.batch.schema()).await?;
                    transaction
                }
                None => {
                    let last = match self.transactions.get(table) {
                        Some(last) => *last,
                        None => {
                            self.lake.ensure_table(table, sealed.batch.schema()).await?;
                            self.lake.transaction_version(table, TRANSACTIONS).await?.unwrap_or(0)
                        }
                    };
                    last + 1
                }
            };
            sealed.transaction = Some(transaction);
            let once = AppendOptions::once(TRANSACTIONS, transaction);
            self.lake.append_batches(table, vec![sealed.batch.clone()], once).await?;
            self.transactions.insert(table.to_owned(), transaction);
            batches.pop_front();
        }
        Ok(())
    }
}
