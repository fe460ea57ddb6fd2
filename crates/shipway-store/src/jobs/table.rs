//! The rows of the jobs. Every change names the state that it expects, so that a job ends once.

use serde_json::Value;
use shipway_core::{Clock, Timestamp};

use super::{Job, JobProblem, JobState, NewJob, Progress};
use crate::{Row, Store, StoreError, Transaction, parameters};

const COLUMNS: &str = "id, kind, subject, payload, actor, state, phase, progress_done, progress_total, result, error_code, \
     error_message, error_hint, attempts, cancel_requested, created_us, started_us, ended_us, heartbeat_us";

fn read(row: &Row) -> Result<Job, StoreError> {
    let json = |text: String| -> Result<Value, StoreError> {
        serde_json::from_str(&text).map_err(|error| StoreError::Damaged(error.into()))
    };
    let state = row.text("state")?;
    let error = match row.optional_text("error_code")? {
        Some(code) => Some(JobProblem {
            code,
            message: row.optional_text("error_message")?.unwrap_or_default(),
            hint: row.optional_text("error_hint")?,
        }),
        None => None,
    };
    Ok(Job {
        id: row.text("id")?,
        kind: row.text("kind")?,
        subject: row.text("subject")?,
        payload: json(row.text("payload")?)?,
        actor: row.text("actor")?,
        state: JobState::from_word(&state)
            .ok_or_else(|| StoreError::Damaged(format!("a job is {state}").into()))?,
        progress: Progress {
            phase: row.text("phase")?,
            done: row.int("progress_done")?.unsigned_abs(),
            total: row.optional_int("progress_total")?.map(i64::unsigned_abs),
        },
        cancel_requested: row.boolean("cancel_requested")?,
        result: row.optional_text("result")?.map(json).transpose()?,
        error,
        attempts: u32::try_from(row.int("attempts")?).unwrap_or(u32::MAX),
        created_at: row.timestamp("created_us")?,
        started_at: row.optional_timestamp("started_us")?,
        ended_at: row.optional_timestamp("ended_us")?,
        heartbeat_at: row.optional_timestamp("heartbeat_us")?,
    })
}

pub(super) async fn insert(
    transaction: &mut Transaction,
    id: &str,
    job: &NewJob,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO jobs (id, kind, subject, payload, actor, state, phase, progress_done, attempts, cancel_requested, \
               created_us) VALUES ($1, $2, $3, $4, $5, 'queued', '', 0, 0, 0, $6)";
    let parameters = parameters![id, job.kind, &job.subject, job.payload.to_string(), &job.actor, now];
    transaction.execute(sql, parameters).await.map(|_| ())
}

/// The job of this kind that waits or works on `subject`.
pub(super) async fn active(
    transaction: &mut Transaction,
    kind: &str,
    subject: &str,
) -> Result<Option<Job>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs WHERE kind = $1 AND subject = $2 AND state IN ('queued', 'running') ORDER BY id"
    );
    transaction.fetch_optional(&sql, parameters![kind, subject]).await?.as_ref().map(read).transpose()
}

pub(super) async fn find(store: &Store, id: &str) -> Result<Option<Job>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = $1");
    store.fetch_optional(&sql, parameters![id]).await?.as_ref().map(read).transpose()
}

/// The newest job of this kind on `subject`.
pub(super) async fn latest(store: &Store, kind: &str, subject: &str) -> Result<Option<Job>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE kind = $1 AND subject = $2 ORDER BY id DESC LIMIT 1");
    store.fetch_optional(&sql, parameters![kind, subject]).await?.as_ref().map(read).transpose()
}

/// The newest jobs first; only those in `state`, if one is given.
pub(super) async fn list(store: &Store, state: Option<JobState>, limit: u32) -> Result<Vec<Job>, StoreError> {
    let rows = match state {
        Some(state) => {
            let sql = format!("SELECT {COLUMNS} FROM jobs WHERE state = $1 ORDER BY id DESC LIMIT $2");
            store.fetch_all(&sql, parameters![state.word(), limit]).await?
        }
        None => {
            let sql = format!("SELECT {COLUMNS} FROM jobs ORDER BY id DESC LIMIT $1");
            store.fetch_all(&sql, parameters![limit]).await?
        }
    };
    rows.iter().map(read).collect()
}

/// Begins the job that has waited longest and is not cancelled; counts the attempt.
pub(super) async fn begin_next(store: &Store, clock: &dyn Clock) -> Result<Option<Job>, StoreError> {
    let sql = format!(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, started_us = $1, heartbeat_us = $1, phase = '', \
         progress_done = 0, progress_total = NULL WHERE id = \
         (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1) RETURNING {COLUMNS}"
    );
    let mut transaction = store.begin().await?;
    // Asked only now: the job may have been queued while this waited for its turn to write.
    let begun = transaction.fetch_optional(&sql, parameters![clock.now()]).await?;
    transaction.commit().await?;
    begun.as_ref().map(read).transpose()
}

pub(super) async fn beat(
    store: &Store,
    id: &str,
    progress: &Progress,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET phase = $2, progress_done = $3, progress_total = $4, heartbeat_us = $5 \
               WHERE id = $1 AND state = 'running'";
    let parameters = parameters![
        id,
        &progress.phase,
        progress.done.cast_signed(),
        progress.total.map(u64::cast_signed),
        now
    ];
    store.execute(sql, parameters).await.map(|_| ())
}

/// Ends a job. One that has ended stays as it is.
pub(super) async fn end(
    store: &Store,
    id: &str,
    state: JobState,
    outcome: Result<&Value, Option<&JobProblem>>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET state = $2, result = $3, error_code = $4, error_message = $5, error_hint = $6, ended_us = $7 \
               WHERE id = $1 AND state IN ('queued', 'running')";
    let problem = outcome.err().flatten();
    let parameters = parameters![
        id,
        state.word(),
        outcome.ok().map(Value::to_string),
        problem.map(|problem| problem.code.as_str()),
        problem.map(|problem| problem.message.as_str()),
        problem.and_then(|problem| problem.hint.as_deref()),
        now
    ];
    store.execute(sql, parameters).await.map(|_| ())
}

/// Puts an interrupted job back into the queue. The attempt does not count against it.
pub(super) async fn put_back(store: &Store, id: &str) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET state = 'queued', attempts = attempts - 1 WHERE id = $1 AND state = 'running'";
    store.execute(sql, parameters![id]).await.map(|_| ())
}

/// Notes that a job is to be cancelled; one that still waits is cancelled at once.
pub(super) async fn request_cancel(store: &Store, id: &str, now: Timestamp) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    let waiting = "UPDATE jobs SET state = 'cancelled', cancel_requested = 1, ended_us = $2 \
                   WHERE id = $1 AND state = 'queued'";
    let running = "UPDATE jobs SET cancel_requested = 1 WHERE id = $1 AND state = 'running'";
    transaction.execute(waiting, parameters![id, now]).await?;
    transaction.execute(running, parameters![id]).await?;
    transaction.commit().await
}

/// Queues what a process that is gone left running, and cancels what it had been asked to cancel. Those with `most_attempts`
/// behind them fail with `problem`.
pub(super) async fn take_over(
    store: &Store,
    most_attempts: u32,
    problem: &JobProblem,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    let cancelled = "UPDATE jobs SET state = 'cancelled', ended_us = $1 \
                     WHERE state IN ('queued', 'running') AND cancel_requested = 1";
    transaction.execute(cancelled, parameters![now]).await?;
    let failed = "UPDATE jobs SET state = 'failed', ended_us = $1, error_code = $2, error_message = $3, error_hint = $4 \
                  WHERE state = 'running' AND attempts >= $5";
    let parameters = parameters![
        now,
        problem.code.as_str(),
        problem.message.as_str(),
        problem.hint.as_deref(),
        most_attempts
    ];
    transaction.execute(failed, parameters).await?;
    transaction.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'", vec![]).await?;
    transaction.commit().await
}

/// Forgets the ended jobs beyond the newest `kept`.
pub(super) async fn forget_old(store: &Store, kept: u32) -> Result<(), StoreError> {
    let sql = "DELETE FROM jobs WHERE state IN ('done', 'failed', 'cancelled') AND id NOT IN \
               (SELECT id FROM jobs WHERE state IN ('done', 'failed', 'cancelled') ORDER BY id DESC LIMIT $1)";
    store.execute(sql, parameters![kept]).await.map(|_| ())
}
