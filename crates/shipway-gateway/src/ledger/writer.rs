//! Takes entries without waiting and appends them in groups. What the disk refuses is kept and tried again; until then no new call begins.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use shipway_log::Topic;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::Entry;

/// More entries than this that are not on disk: something is wrong with the disk, and no new call is let in.
const MOST_WAITING: usize = 100_000;
const ENTRIES_AT_ONCE: usize = 4_096;
/// Entries of so long share a write and its way to the disk: nobody waits for it, and one for every few entries takes a tenth of a core.
const GATHER: Duration = Duration::from_millis(1);
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Where entries go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Ink {
    entries: mpsc::UnboundedSender<Waiting>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: AtomicUsize,
    is_failing: AtomicBool,
}

#[derive(Debug)]
enum Waiting {
    Entry(Bytes),
    Close(oneshot::Sender<()>),
}

impl Ink {
    /// Starts the task that appends.
    pub(crate) fn start(topic: Topic, tracker: &TaskTracker) -> Self {
        let (entries, waiting) = mpsc::unbounded_channel();
        let state = Arc::new(State::default());
        tracker.spawn(write(topic, waiting, Arc::clone(&state)));
        Self { entries, state }
    }

    /// Enters an entry. Returns at once; the entry is on disk soon after.
    pub(crate) fn enter(&self, entry: &Entry) {
        match entry.bytes() {
            Ok(bytes) => {
                self.state.waiting.fetch_add(1, Ordering::Relaxed);
                // The task ends with the server only.
                let _ = self.entries.send(Waiting::Entry(bytes));
            }
            Err(error) => tracing::error!(%error, "an entry of the ledger could not be written as JSON"),
        }
    }

    /// Whether entries reach the disk; if not, a call that begins now might never be charged.
    pub(crate) fn flows(&self) -> bool {
        !self.state.is_failing.load(Ordering::Relaxed)
            && self.state.waiting.load(Ordering::Relaxed) < MOST_WAITING
    }

    /// Returns when everything that was entered before is on disk, and ends the task.
    pub(crate) async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if self.entries.send(Waiting::Close(answer)).is_ok() {
            let _ = closed.await;
        }
    }
}

async fn write(topic: Topic, mut waiting: mpsc::UnboundedReceiver<Waiting>, state: Arc<State>) {
    let mut taken = Vec::with_capacity(ENTRIES_AT_ONCE);
    while waiting.recv_many(&mut taken, ENTRIES_AT_ONCE).await > 0 {
        let (mut entries, mut closing) = (Vec::with_capacity(taken.len()), None);
        for item in taken.drain(..) {
            match item {
                Waiting::Entry(bytes) => entries.push(bytes),
                Waiting::Close(answer) => closing = Some(answer),
            }
        }
        let count = entries.len();
        let is_written = append(&topic, entries, &state, closing.is_some()).await;
        state.waiting.fetch_sub(count, Ordering::Relaxed);
        metrics::gauge!("shipway_llm_ledger_waiting").set(state.waiting.load(Ordering::Relaxed) as f64);
        if !is_written {
            tracing::error!(
                entries = count,
                "entries of the ledger are lost: the disk refused them to the end"
            );
        }
        if let Some(answer) = closing {
            let _ = answer.send(());
            return;
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Appends, again and again until it succeeds; once only when the server stops.
async fn append(topic: &Topic, entries: Vec<Bytes>, state: &State, is_last: bool) -> bool {
    if entries.is_empty() {
        return true;
    }
    loop {
        match topic.append(entries.clone()).await {
            Ok(_) => {
                state.is_failing.store(false, Ordering::Relaxed);
                return true;
            }
            Err(error) => {
                if !state.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(error = %shipway_core::failure::chain(&error), "the ledger cannot be written; calls are refused until it can");
                }
                if is_last {
                    return false;
                }
            }
        }
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
    }
}
