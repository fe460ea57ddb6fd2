//! One job from its begin to its end: the handler, its progress, its cancellation, and what is recorded of them.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use serde_json::Value;
use shipway_core::failure::chain;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Job, JobError, JobFailure, JobHandler, JobRun, JobState, Progress, runner::Shared, table};
use crate::StoreError;

/// How often progress is recorded, and the sign of life with it.
const BEAT: Duration = Duration::from_millis(500);

/// Runs `job` to the end of this attempt and records it.
pub(super) async fn execute(shared: Arc<Shared>, job: Job, cancelled: CancellationToken) {
    let id = job.id.clone();
    let outcome = match shared.handler(&job.kind) {
        Some(handler) => attempt(&shared, job, handler, &cancelled).await,
        None => Some(Err(JobError::UnknownKind { kind: job.kind }.into())),
    };
    if let Err(error) = record(&shared, &id, outcome, &cancelled).await {
        // The job stays recorded as running, so the next start begins it again.
        tracing::error!(job = id, error = chain(&error), "the end of a job could not be recorded");
    }
}

/// What the handler answered; `None` when it had to be dropped.
async fn attempt(
    shared: &Shared,
    job: Job,
    handler: Arc<dyn JobHandler>,
    cancelled: &CancellationToken,
) -> Option<Result<Value, JobFailure>> {
    let progress = Arc::new(watch::Sender::new(Progress::default()));
    let run = JobRun {
        id: job.id.clone(),
        payload: job.payload,
        attempt: job.attempts,
        cancelled: cancelled.clone(),
        stopping: shared.stopping.clone(),
        progress: Arc::clone(&progress),
    };
    let outcome = work_with_beats(shared, &job.id, handler.run(run), &progress, cancelled).await;
    let last = progress.borrow().clone();
    if let Err(error) = table::beat(&shared.store, &job.id, &last, shared.clock.now()).await {
        tracing::warn!(job = job.id, error = chain(&error), "the progress of a job could not be recorded");
    }
    outcome
}

/// Runs the work and the beats side by side. Both write to one database, which takes one writer at a time: neither may stand still
/// while the other waits, and neither may be there any more, with a connection in its hands, when the end is recorded.
async fn work_with_beats(
    shared: &Shared,
    id: &str,
    work: impl Future<Output = Result<Value, JobFailure>> + Send,
    progress: &watch::Sender<Progress>,
    cancelled: &CancellationToken,
) -> Option<Result<Value, JobFailure>> {
    let work = std::panic::AssertUnwindSafe(work).catch_unwind();
    let out_of_patience = async {
        cancelled.cancelled().await;
        tokio::time::sleep(shared.options.patience).await;
    };
    tokio::select! {
        biased;
        outcome = work => Some(outcome.unwrap_or_else(|_| Err(JobError::Broken.into()))),
        () = out_of_patience => None,
        () = beats(shared, id, progress) => None,
    }
}

/// Records how far the work is, again and again, until it is dropped.
async fn beats(shared: &Shared, id: &str, progress: &watch::Sender<Progress>) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let now = progress.borrow().clone();
        if let Err(error) = table::beat(&shared.store, id, &now, shared.clock.now()).await {
            tracing::warn!(job = id, error = chain(&error), "the progress of a job could not be recorded");
        }
    }
}

async fn record(
    shared: &Shared,
    id: &str,
    outcome: Option<Result<Value, JobFailure>>,
    cancelled: &CancellationToken,
) -> Result<(), StoreError> {
    let now = shared.clock.now();
    match outcome {
        Some(Ok(result)) => table::end(&shared.store, id, JobState::Done, Ok(&result), now).await,
        _ if cancelled.is_cancelled() => {
            let is_wanted = table::find(&shared.store, id).await?.is_some_and(|job| job.cancel_requested);
            if is_wanted {
                table::end(&shared.store, id, JobState::Cancelled, Err(None), now).await
            } else {
                table::put_back(&shared.store, id).await
            }
        }
        Some(Err(JobFailure(problem))) => {
            tracing::warn!(job = id, code = problem.code, error = problem.message, "a job failed");
            table::end(&shared.store, id, JobState::Failed, Err(Some(&problem)), now).await
        }
        None => Ok(()),
    }
}
