//! Makes rows of the words of calls and puts them into the store, in the order in which calls end. What cannot be put is tried a few
//! times, then shed and counted. Once an hour, what is older than it may be is taken out.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use shipway_core::{Clock, Timestamp};
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    CallContent, TraceStore,
    held::{Held, Room},
    row::Over,
};

/// Calls that are put together.
const AT_ONCE: usize = 2_000;
/// How long the first of them waits for others.
const COMPANY: Duration = Duration::from_secs(1);
/// After a round that took its time this many times as long is waited: calls need the processors and the disk more.
const PAUSE: u32 = 4;
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const TRIES: usize = 3;
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentLimits {
    /// The most bytes of words in memory, of calls that run and of those that wait to be written.
    pub most_bytes: u64,
    /// For how many days they are kept; 0: for ever.
    pub days: u32,
    /// Whether they are in the spans of calls too.
    pub in_spans: bool,
}

/// The words of calls on their way to the store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Contents {
    room: Arc<Room>,
    days: u32,
    in_spans: bool,
    queue: Arc<OnceLock<mpsc::UnboundedSender<Over>>>,
    store: Arc<OnceLock<Arc<dyn TraceStore>>>,
    stop: CancellationToken,
}

impl Contents {
    /// Nothing is kept until there is a store.
    pub(crate) fn new(limits: ContentLimits) -> Self {
        let room = Room::new(usize::try_from(limits.most_bytes).unwrap_or(usize::MAX));
        Self {
            room,
            days: limits.days,
            in_spans: limits.in_spans,
            queue: Arc::default(),
            store: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Where calls are found; none where nothing was plugged in.
    pub(crate) fn store(&self) -> Option<&Arc<dyn TraceStore>> {
        self.store.get()
    }

    pub(super) fn hold(&self, bytes: usize) -> Option<Held> {
        self.queue.get()?;
        Held::of(&self.room, bytes)
    }

    /// Hands the words of a call over. Returns at once.
    pub(crate) fn put(&self, mut over: Over) {
        if let Some((span, ended)) = over.span.take_if(|_| !self.in_spans) {
            span.end_at(ended);
        }
        if let Some(queue) = self.queue.get()
            && queue.send(over).is_err()
        {
            shed("not_written", 1);
        }
    }

    /// Plugs the store in, once, and begins to write.
    pub(crate) fn start(
        &self,
        store: Arc<dyn TraceStore>,
        clock: Arc<dyn Clock>,
        (tracker, later): (&TaskTracker, &Handle),
    ) {
        let (queue, waiting) = mpsc::unbounded_channel();
        if self.store.set(Arc::clone(&store)).is_err() || self.queue.set(queue).is_err() {
            return;
        }
        for reason in ["no_room", "not_written"] {
            shed(reason, 0);
        }
        let (days, room, tracker_of_reading) = (self.days, Arc::clone(&self.room), tracker.clone());
        let writer = Writer { store, waiting, clock, days, room, tracker: tracker_of_reading };
        tracker.spawn_on(writer.run(self.stop.clone()), later);
    }

    /// Writes what waits, and ends. Called after the last call is over.
    pub(crate) fn close(&self) {
        self.stop.cancel();
    }
}

/// Words that are lost, by why.
pub(crate) fn shed(reason: &'static str, calls: u64) {
    metrics::counter!("shipway_llm_contents_shed_total", "reason" => reason).increment(calls);
}

struct Writer {
    store: Arc<dyn TraceStore>,
    waiting: mpsc::UnboundedReceiver<Over>,
    clock: Arc<dyn Clock>,
    days: u32,
    room: Arc<Room>,
    tracker: TaskTracker,
}

impl Writer {
    async fn run(mut self, stop: CancellationToken) {
        let mut forgot: Option<Instant> = None;
        loop {
            if forgot.is_none_or(|forgot| forgot.elapsed() >= FORGET_EVERY) && !stop.is_cancelled() {
                self.forget().await;
                forgot = Some(Instant::now());
            }
            let mut taken = Vec::new();
            let next = tokio::time::timeout(FORGET_EVERY, self.waiting.recv_many(&mut taken, AT_ONCE));
            let is_stopping = stop.run_until_cancelled(next).await.is_none();
            if is_stopping {
                self.waiting.close();
                while self.waiting.recv_many(&mut taken, AT_ONCE).await > 0 {
                    self.write(std::mem::take(&mut taken)).await;
                }
                return;
            }
            if taken.is_empty() {
                continue;
            }
            let _ = stop.run_until_cancelled(tokio::time::sleep(COMPANY)).await;
            while taken.len() < AT_ONCE
                && let Ok(more) = self.waiting.try_recv()
            {
                taken.push(more);
            }
            let began = Instant::now();
            self.write(taken).await;
            let pause = began.elapsed().saturating_mul(PAUSE).min(LONGEST_PAUSE);
            let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    async fn write(&self, over: Vec<Over>) {
        let count = over.len() as u64;
        let read = self.tracker.spawn_blocking(move || -> (Vec<CallContent>, Vec<Held>) {
            over.into_iter().map(Over::read).unzip()
        });
        let Ok((rows, _held)) = read.await else { return shed("not_written", count) };
        metrics::gauge!("shipway_llm_contents_waiting_bytes").set(self.room.taken() as f64);
        for attempt in 1..=TRIES {
            match self.store.put(&rows).await {
                Ok(()) => {
                    metrics::counter!("shipway_llm_contents_total").increment(count);
                    return;
                }
                Err(error) if attempt < TRIES => {
                    tracing::debug!(error = %shipway_core::failure::chain(&*error), "words of calls could not be kept; it is tried again");
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
                Err(error) => {
                    tracing::warn!(error = %shipway_core::failure::chain(&*error), calls = count, "words of calls are lost: they could not be kept");
                }
            }
        }
        shed("not_written", count);
    }

    async fn forget(&self) {
        let kept_us = i64::from(self.days).saturating_mul(DAY_US);
        let now = self.clock.now();
        let before = (self.days > 0).then(|| Timestamp(now.0.saturating_sub(kept_us)));
        match self.store.tidy(before, now).await {
            Ok(0) => {}
            Ok(days) => {
                tracing::info!(days, "words of calls that are older than they are kept were taken out")
            }
            Err(error) => {
                tracing::warn!(error = %shipway_core::failure::chain(&*error), "words of calls that are too old could not be taken out; it is tried again");
            }
        }
    }
}
