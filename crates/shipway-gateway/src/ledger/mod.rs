//! The ledger: what every call cost, durable, in one order.
//!
//! Two entries for a call: `opened` when it reserves, `settled` when it is over. Both go to a topic of the event log; nobody waits for
//! them to be on disk. A call that was opened and never settled, because the process was killed, is settled at the next start with what
//! it had reserved: a crash never makes a call free. Entries before a snapshot of the books are in it; the rest is read again.
//!
//! - `entry`: the entries and their form, version 1
//! - `books`: what the entries come to; pure
//! - `carry`: settled calls are carried into a table
//! - `writer`: takes entries without waiting, appends them in groups, keeps what could not be written
//! - here: opening, and snapshots of the books

mod books;
mod carry;
mod entry;
mod writer;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use shipway_core::{Clock, Timestamp};
use shipway_log::{EventLog, Topic};
use shipway_store::Store;
use tokio::sync::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use books::Books;
pub use carry::{CallTable, CarryError};
pub use entry::{AttemptFact, CallFact, Entry, KeptAt, Opened, Outcome, Priced, TokenCounts, VerdictFact};
pub(crate) use writer::Ink;

use crate::{error::GatewayError, meter::Spent, model::Scope, store};

/// The topic of the event log.
const TOPIC: &str = "llm_ledger";
const RECORDS_AT_ONCE: usize = 10_000;
const BYTES_AT_ONCE: usize = 8 << 20;
/// How often the books are written down. What happened since then is read again at the next start.
pub(crate) const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// How long it is known where a response lies, in microseconds: longer than providers keep it.
const KEPT_FOR_US: i64 = 60 * 24 * 60 * 60 * 1_000_000;

/// The ledger. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    topic: Topic,
    store: Store,
    clock: Arc<dyn Clock>,
    ink: Ink,
    /// The books up to `Books::next`; they follow the topic.
    books: Arc<Mutex<Books>>,
    /// Up to which offset the books were written down.
    snapshot: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ledger").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger, settles what a crash left open, and starts what writes it.
    pub(crate) async fn open(
        log: &EventLog,
        store: Store,
        clock: &Arc<dyn Clock>,
        tracker: &TaskTracker,
    ) -> Result<Self, GatewayError> {
        let topic = log.topic(TOPIC)?;
        let mut books = store::books::read(&store).await?.unwrap_or_default();
        let snapshot = Arc::new(AtomicU64::new(books.next()));
        if books.next() > topic.end() {
            tracing::warn!(
                books = books.next(),
                ledger = topic.end(),
                "the ledger is shorter than its books: it was lost; what was spent goes on from the books"
            );
            books.go_on_from(topic.end());
            // At once: soon the new ledger is as long as the old one was.
            write(&store, &mut books, clock.now()).await?;
        }
        follow(&topic, &mut books).await?;
        let lost = books.settle_open(clock.now());
        if !lost.is_empty() {
            tracing::warn!(
                calls = lost.len(),
                "calls that a crash interrupted are charged what they had reserved"
            );
            let entries = lost
                .iter()
                .map(|fact| Entry::Settled(Box::new(fact.clone())).bytes())
                .collect::<Result<Vec<Bytes>, _>>()?;
            topic.append(entries).await?;
            follow(&topic, &mut books).await?;
        }
        if !books.kept().is_empty() {
            // What a crash left: it is nowhere else in reach.
            write(&store, &mut books, clock.now()).await?;
            snapshot.store(books.next(), Ordering::Release);
        }
        let stop = CancellationToken::new();
        let ink = Ink::start(topic.clone(), tracker);
        let clock = Arc::clone(clock);
        let ledger = Self { topic, store, clock, ink, books: Arc::new(Mutex::new(books)), snapshot, stop };
        tracker.spawn(ledger.clone().keep_books());
        Ok(ledger)
    }

    /// What writes entries.
    pub(crate) fn ink(&self) -> &Ink {
        &self.ink
    }

    /// Is cancelled when no call is to begin any more.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// What every key and group has spent, by the entries that are durable.
    pub(crate) async fn spent(&self) -> Result<HashMap<Scope, Spent>, GatewayError> {
        let mut books = self.books.lock().await;
        follow(&self.topic, &mut books).await?;
        Ok(books.spent().clone())
    }

    async fn keep_books(self) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(SNAPSHOT_EVERY) => {}
            }
            if let Err(error) = self.write_books().await {
                tracing::warn!(error = %shipway_core::failure::chain(&error), "the books of the ledger could not be written down");
            }
        }
    }

    async fn write_books(&self) -> Result<(), GatewayError> {
        let mut books = self.books.lock().await;
        let before = books.next();
        follow(&self.topic, &mut books).await?;
        if books.next() != before || before == 0 {
            write(&self.store, &mut books, self.clock.now()).await?;
            self.snapshot.store(books.next(), Ordering::Release);
        }
        Ok(())
    }

    /// Writes what waits and the books. Called after the last call is over.
    pub(crate) async fn close(&self) -> Result<(), GatewayError> {
        self.ink.close().await;
        // What carries and keeps the books goes round once more, with everything on disk.
        self.stop.cancel();
        self.write_books().await
    }
}

/// Writes the books down, and beside them which responses providers keep.
async fn write(store: &Store, books: &mut Books, now: Timestamp) -> Result<(), GatewayError> {
    let mut transaction = store.begin().await?;
    if !books.kept().is_empty() {
        store::responses::put(&mut transaction, books.kept()).await?;
        store::responses::forget_before(&mut transaction, Timestamp(now.0.saturating_sub(KEPT_FOR_US)))
            .await?;
    }
    store::books::write(&mut transaction, books).await?;
    transaction.commit().await?;
    books.forget_kept();
    Ok(())
}

/// Brings the books up to the end of the topic.
async fn follow(topic: &Topic, books: &mut Books) -> Result<(), GatewayError> {
    loop {
        let records = topic.read(books.next(), RECORDS_AT_ONCE, BYTES_AT_ONCE).await?;
        if records.is_empty() {
            return Ok(());
        }
        for record in records {
            let entry = Entry::read(&record.payload)
                .map_err(|source| GatewayError::Entry { offset: record.offset, source })?;
            books.enter(record.offset, entry);
        }
    }
}

/// Ids grow with time, so that calls of a moment lie together wherever they are sorted.
pub(crate) fn new_call_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

impl Books {
    /// Settles every call that is still open, as a start after a crash does.
    fn settle_open(&self, now: Timestamp) -> Vec<CallFact> {
        self.open().values().map(|opened| CallFact::lost(opened, now)).collect()
    }
}
