//! Requests that wait for a model run together: whoever comes first is joined by those that fit, and each caller gets exactly
//! its own rows back.
//!
//! Nothing waits for company unless the deployment says so (`max_delay_us`): a batch is what came while the one before it ran.
//! The queue is bounded; what would wait longer than it may is refused at once. Several batches run at once where the deployment says
//! so (`instances`). An idle model holds no thread.
//!
//! - `queue`: who waits, in which order, and who goes together; pure
//! - `model`: what a model runs: rows, or tensors

mod model;
mod queue;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use shipway_web::spans::{self, Span};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub(crate) use model::{Done, ModelRunner, Work};
use queue::{Entry, Queue};

use crate::{
    error::ServingError,
    model::settings::{BatchingSettings, QueueSettings},
    statistics::{Phase, Statistics},
    told,
};

/// What runs batches.
pub(crate) trait Runner: Send + Sync + 'static {
    /// What one caller asks.
    type Work: Send + 'static;
    /// What it is answered.
    type Done: Send + 'static;

    /// Rows of a piece of work: what batches are limited in.
    fn rows(&self, work: &Self::Work) -> usize;

    /// Whether the two can run together.
    fn joins(&self, first: &Self::Work, other: &Self::Work) -> bool;

    /// Runs pieces of work that can run together; one answer for each, in order.
    fn run(&self, batch: Vec<Self::Work>, statistics: &Statistics) -> Vec<Result<Self::Done, ServingError>>;
}

/// How soon a caller wants its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Urgency {
    /// Lower numbers go first, from 1; 0 is the ordinary priority, behind all others.
    pub(crate) priority: u32,
    /// How long it may wait, instead of what the deployment says.
    pub(crate) timeout: Option<Duration>,
}

/// The queue of one model and what empties it.
pub(crate) struct Batcher<R: Runner> {
    shared: Arc<Shared<R>>,
    tracker: TaskTracker,
}

/// Somebody who waits for a runner.
type Waiting<R> = Entry<Caller<R>>;

/// What somebody asks, where the answer goes, and the span that it is asked under, if that is sampled.
struct Caller<R: Runner> {
    work: R::Work,
    reply: Reply<R>,
    span: Option<Span>,
}

type Reply<R> = oneshot::Sender<Result<<R as Runner>::Done, ServingError>>;

struct Shared<R: Runner> {
    runner: R,
    batching: BatchingSettings,
    limits: QueueSettings,
    statistics: Arc<Statistics>,
    state: Mutex<State<R>>,
    arrived: Condvar,
}

struct State<R: Runner> {
    queue: Queue<Caller<R>>,
    /// Threads that empty the queue: no more than batches may run at once.
    running: usize,
    /// How long a batch took lately, in nanoseconds; 0 before the first.
    batch_ns: u64,
}

impl<R: Runner> Batcher<R> {
    pub(crate) fn new(
        runner: R,
        batching: BatchingSettings,
        limits: QueueSettings,
        statistics: Arc<Statistics>,
        tracker: TaskTracker,
    ) -> Self {
        let state = State { queue: Queue::default(), running: 0, batch_ns: 0 };
        let shared = Shared {
            runner,
            batching,
            limits,
            statistics,
            state: Mutex::new(state),
            arrived: Condvar::new(),
        };
        Self { shared: Arc::new(shared), tracker }
    }

    /// Queues `work` and answers when it has run. Refused at once when the queue is full, or when what is in front of it takes
    /// longer than it may wait; refused later when its time runs out before its turn comes.
    pub(crate) async fn submit(&self, work: R::Work, urgency: Urgency) -> Result<R::Done, ServingError> {
        let (reply, answered) = oneshot::channel();
        let shared = &self.shared;
        let rows = shared.runner.rows(&work);
        let now = Instant::now();
        let timeout = urgency.timeout.unwrap_or(shared.limits.timeout());
        let start = {
            let mut state = shared.state();
            shared.admit(&state, timeout)?;
            state.queue.push(Entry {
                priority: urgency.priority,
                rows,
                since: now,
                deadline: now.checked_add(timeout),
                item: Caller { work, reply, span: spans::current() },
            });
            let start = state.running < shared.batching.instances;
            state.running += usize::from(start);
            start
        };
        if start {
            let shared = Arc::clone(shared);
            self.tracker.spawn_blocking(move || shared.empty());
        } else {
            shared.arrived.notify_one();
        }
        // The sender is dropped without a word only when the model broke down.
        answered.await.unwrap_or(Err(ServingError::ModelFailed))
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.state().queue.len()
    }
}

impl<R: Runner> Shared<R> {
    fn state(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, state: &State<R>, timeout: Duration) -> Result<(), ServingError> {
        let waiting = state.queue.len();
        if waiting >= self.limits.max_requests {
            self.statistics.refused();
            return Err(ServingError::QueueFull { waiting, limit: self.limits.max_requests });
        }
        let batches = state.queue.rows().div_ceil(self.batching.rows_at_once().max(1)) as u64;
        let turns = batches.div_ceil(self.batching.instances.max(1) as u64);
        let expected = Duration::from_nanos(state.batch_ns.saturating_mul(turns));
        if expected > timeout {
            self.statistics.refused();
            return Err(ServingError::TooLate { waited: Duration::ZERO, timeout });
        }
        Ok(())
    }

    /// Runs batches until nobody waits.
    fn empty(&self) {
        while let Some(batch) = self.next_batch() {
            let now = Instant::now();
            let (mut works, mut replies) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
            let mut together = told::Batch::default();
            for Entry { item: Caller { work, reply, span }, since, rows, .. } in batch {
                self.statistics.record(Phase::Queue, now.duration_since(since));
                together.joined(span, since, rows);
                works.push(work);
                replies.push(reply);
            }
            // A model that breaks down fails its callers, and the next batch runs.
            let run = AssertUnwindSafe(|| self.runner.run(works, &self.statistics));
            let answers = catch_unwind(run).unwrap_or_default();
            let ended = Instant::now();
            let took = u64::try_from(ended.duration_since(now).as_nanos()).unwrap_or(u64::MAX);
            {
                let mut state = self.state();
                state.batch_ns = match state.batch_ns {
                    0 => took,
                    before => before / 8 * 7 + took / 8,
                };
            }
            for (reply, answer) in replies.into_iter().zip(answers) {
                // A caller that has gone away is answered into nothing.
                let _ = reply.send(answer);
            }
            together.ran(now, ended);
        }
    }

    /// The next batch, after waiting for company as long as the deployment says; `None`, and the queue is nobody's, when nobody
    /// waits.
    fn next_batch(&self) -> Option<Vec<Waiting<R>>> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            for late in state.queue.take_expired(now) {
                self.statistics.refused();
                let waited = now.duration_since(late.since);
                let timeout = late.deadline.map_or(waited, |deadline| deadline.duration_since(late.since));
                let _ = late.item.reply.send(Err(ServingError::TooLate { waited, timeout }));
            }
            state.queue.drop_where(|entry| entry.item.reply.is_closed());
            let Some(since) = state.queue.oldest() else {
                state.running -= 1;
                return None;
            };
            let most = self.batching.rows_at_once();
            let wait = self.batching.delay().saturating_sub(now.duration_since(since));
            if wait.is_zero() || state.queue.rows() >= most {
                return Some(
                    state.queue.take(most, |first, other| self.runner.joins(&first.work, &other.work)),
                );
            }
            state = self.arrived.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests;
