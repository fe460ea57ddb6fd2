//! The handle of the jobs: takes them in, runs as many at once as it may, stops them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use shipway_core::{Clock, failure::chain};
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{Job, JobError, JobFailure, JobHandler, JobState, NewJob, execution::execute, table};
use crate::{Store, StoreError};

/// After an error of the database the queue is looked at again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Bounds of the jobs of one server.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// Jobs that run at once; the others wait.
    pub concurrency: usize,
    /// How often a job is begun before it counts as the reason why its process ends.
    pub most_attempts: u32,
    /// Ended jobs that are kept.
    pub kept: u32,
    /// How long a cancelled handler may take to end by itself before it is dropped.
    pub patience: Duration,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self { concurrency: 2, most_attempts: 5, kept: 1_000, patience: Duration::from_secs(5) }
    }
}

/// The jobs of one server. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stopping: CancellationToken,
    pub(super) options: JobOptions,
    handlers: RwLock<HashMap<&'static str, Arc<dyn JobHandler>>>,
    running: Mutex<HashMap<String, CancellationToken>>,
    /// A job was queued, or one ended.
    work: Notify,
    /// Counts the ends of jobs, for those who wait for one.
    ended: watch::Sender<u64>,
    tasks: TaskTracker,
}

impl Shared {
    pub(super) fn handler(&self, kind: &str) -> Option<Arc<dyn JobHandler>> {
        self.handlers.read().unwrap_or_else(PoisonError::into_inner).get(kind).cloned()
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    /// Takes over the jobs that are recorded. Nothing runs before [`Jobs::start`], so that handlers can be registered first.
    pub async fn open(store: Store, clock: Arc<dyn Clock>, options: JobOptions) -> Result<Self, StoreError> {
        let JobFailure(problem) = JobError::Abandoned { attempts: options.most_attempts }.into();
        table::take_over(&store, options.most_attempts, &problem, clock.now()).await?;
        table::forget_old(&store, options.kept).await?;
        let shared = Shared {
            store,
            clock,
            stopping: CancellationToken::new(),
            options,
            handlers: RwLock::default(),
            running: Mutex::default(),
            work: Notify::new(),
            ended: watch::Sender::new(0),
            tasks: TaskTracker::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// From now on jobs of this kind are done by `handler`.
    pub fn register(&self, kind: &'static str, handler: Arc<dyn JobHandler>) {
        self.shared.handlers.write().unwrap_or_else(PoisonError::into_inner).insert(kind, handler);
    }

    /// Begins what waits, and goes on until [`Jobs::stop`].
    pub fn start(&self, tracker: &TaskTracker) {
        let (shared, tasks) = (Arc::clone(&self.shared), self.shared.tasks.clone());
        tracker.spawn(tasks.track_future(dispatch(shared, tracker.clone())));
    }

    /// Interrupts what runs, and waits until it has stopped. It is begun again at the next start.
    pub async fn stop(&self) {
        self.shared.stopping.cancel();
        self.shared.running().values().for_each(CancellationToken::cancel);
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Records a job; it is durable when this returns, and begins when it is its turn.
    ///
    /// While a job of this kind works on the same subject: the very same job is that one; another is refused.
    pub async fn submit(&self, job: NewJob) -> Result<Job, JobError> {
        let shared = &self.shared;
        if shared.stopping.is_cancelled() {
            return Err(JobError::Stopping);
        }
        if shared.handler(job.kind).is_none() {
            return Err(JobError::UnknownKind { kind: job.kind.to_owned() });
        }
        let mut transaction = shared.store.begin().await?;
        if let Some(active) = table::active(&mut transaction, job.kind, &job.subject).await? {
            let is_same = active.payload == job.payload && !active.cancel_requested;
            return if is_same {
                Ok(active)
            } else {
                Err(JobError::Busy { subject: job.subject, id: active.id })
            };
        }
        let id = Uuid::now_v7().to_string();
        table::insert(&mut transaction, &id, &job, shared.clock.now()).await?;
        transaction.commit().await?;
        shared.work.notify_one();
        self.find(&id).await
    }

    /// One job; unknown is an error.
    pub async fn find(&self, id: &str) -> Result<Job, JobError> {
        let found = table::find(&self.shared.store, id).await?;
        found.ok_or_else(|| JobError::Unknown { id: id.to_owned() })
    }

    /// The newest job of this kind on this subject, if there is one that is not forgotten.
    pub async fn latest(&self, kind: &str, subject: &str) -> Result<Option<Job>, JobError> {
        Ok(table::latest(&self.shared.store, kind, subject).await?)
    }

    /// The newest `limit` jobs, newest first; only those in `state`, if one is given.
    pub async fn list(&self, state: Option<JobState>, limit: u32) -> Result<Vec<Job>, JobError> {
        Ok(table::list(&self.shared.store, state, limit).await?)
    }

    /// Asks a job to end without a result, and returns it as it is now. A waiting one has ended then; a running one ends in
    /// a moment, or has just been done. One that has ended is an error, unless it was cancelled before.
    pub async fn cancel(&self, id: &str) -> Result<Job, JobError> {
        let before = self.find(id).await?;
        if before.state == JobState::Cancelled {
            return Ok(before);
        }
        if before.state.is_ended() {
            return Err(JobError::Ended { id: before.id, state: before.state.word() });
        }
        table::request_cancel(&self.shared.store, id, self.shared.clock.now()).await?;
        if let Some(token) = self.shared.running().get(id) {
            token.cancel();
        }
        self.shared.ended.send_modify(|ends| *ends += 1);
        self.find(id).await
    }

    /// Waits until the job has ended. While the server stops it may never return.
    pub async fn wait(&self, id: &str) -> Result<Job, JobError> {
        let mut ended = self.shared.ended.subscribe();
        loop {
            ended.borrow_and_update();
            let job = self.find(id).await?;
            if job.state.is_ended() {
                return Ok(job);
            }
            if ended.changed().await.is_err() {
                return Err(JobError::Stopping);
            }
        }
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Jobs").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

async fn dispatch(shared: Arc<Shared>, tracker: TaskTracker) {
    while !shared.stopping.is_cancelled() {
        let is_begun = match begin_one(&shared, &tracker).await {
            Ok(is_begun) => is_begun,
            Err(error) => {
                tracing::error!(error = chain(&error), "the queue of jobs cannot be read");
                tokio::select! {
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                    () = shared.stopping.cancelled() => {}
                }
                continue;
            }
        };
        if !is_begun {
            tokio::select! {
                () = shared.work.notified() => {}
                () = shared.stopping.cancelled() => {}
            }
        }
    }
}

/// Begins the next job if one waits and there is room.
async fn begin_one(shared: &Arc<Shared>, tracker: &TaskTracker) -> Result<bool, StoreError> {
    if shared.running().len() >= shared.options.concurrency.max(1) {
        return Ok(false);
    }
    let Some(job) = table::begin_next(&shared.store, &*shared.clock).await? else { return Ok(false) };
    let cancelled = CancellationToken::new();
    shared.running().insert(job.id.clone(), cancelled.clone());
    // Asked to stop or to cancel between the two lines above: whoever asked did not find the token.
    let is_unwanted = shared.stopping.is_cancelled()
        || table::find(&shared.store, &job.id).await?.is_some_and(|job| job.cancel_requested);
    if is_unwanted {
        cancelled.cancel();
    }
    let owner = Arc::clone(shared);
    tracker.spawn(shared.tasks.track_future(async move {
        let id = job.id.clone();
        execute(Arc::clone(&owner), job, cancelled).await;
        owner.running().remove(&id);
        owner.ended.send_modify(|ends| *ends += 1);
        owner.work.notify_one();
    }));
    Ok(true)
}
