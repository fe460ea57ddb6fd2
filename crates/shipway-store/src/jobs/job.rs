//! What is known about a job, and what its handler sees of it.

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;
use shipway_core::{Failure, Timestamp, failure::chain};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Is being done.
    Running,
    /// Ended with a result.
    Done,
    /// Ended with an error.
    Failed,
    /// Was cancelled.
    Cancelled,
}

impl JobState {
    /// The word that is stored and shown.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|state| state.word() == word)
    }

    /// Whether nothing will change any more.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// A job to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Which handler does it: `training_set`.
    pub kind: &'static str,
    /// What it works on: `table/training`. Of one kind, at most one job at a time works on a subject.
    pub subject: String,
    /// What its handler needs to know.
    pub payload: Value,
    /// Who asked for it.
    pub actor: String,
}

/// How far a running job has come, in its own unit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Progress {
    /// What it is doing now, in words; empty before it says.
    pub phase: String,
    /// Units done.
    pub done: u64,
    /// Units in all, where that is known.
    pub total: Option<u64>,
}

/// Why a job failed, as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobProblem {
    /// The stable code.
    pub code: String,
    /// What went wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// One job, as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// Its id. Later jobs have greater ids.
    pub id: String,
    /// Which handler does it.
    pub kind: String,
    /// What it works on.
    pub subject: String,
    /// What its handler was told.
    pub payload: Value,
    /// Who asked for it.
    pub actor: String,
    /// How far it is.
    pub state: JobState,
    /// How far the present or last attempt came.
    pub progress: Progress,
    /// Whether it is to be cancelled as soon as it can be.
    pub cancel_requested: bool,
    /// What it ended with, if it is done.
    pub result: Option<Value>,
    /// Why it failed, if it did.
    pub error: Option<JobProblem>,
    /// How often it was begun.
    pub attempts: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its present or last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it last showed that it is alive.
    pub heartbeat_at: Option<Timestamp>,
}

/// Does the jobs of one kind.
///
/// A job may be begun again after a crash, so a handler looks for what an earlier attempt left, and does every step so
/// that doing it twice is the same as once. It watches [`JobRun::cancelled`], and then ends within a second or so, with
/// any error; what it leaves then, it removes.
#[async_trait]
pub trait JobHandler: Send + Sync {
    /// Does the job to its end and answers with its result.
    async fn run(&self, run: JobRun) -> Result<Value, JobFailure>;
}

/// One attempt at a job, in the hands of its handler.
#[derive(Debug, Clone)]
pub struct JobRun {
    /// The job's id.
    pub id: String,
    /// What to do.
    pub payload: Value,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Raised when the attempt is to end: the job was cancelled, or the server stops.
    pub cancelled: CancellationToken,
    /// Raised, before `cancelled`, when it is the server that stops: the job will be begun again, so what helps it then may stay.
    pub stopping: CancellationToken,
    pub(crate) progress: Arc<watch::Sender<Progress>>,
}

impl JobRun {
    /// Says how far the attempt is. Cheap: it is recorded now and then, and always before the end.
    pub fn report(&self, phase: &str, done: u64, total: Option<u64>) {
        self.progress.send_modify(|progress| {
            if progress.phase != phase {
                phase.clone_into(&mut progress.phase);
            }
            (progress.done, progress.total) = (done, total);
        });
    }

    /// Whether the job was cancelled, rather than interrupted by a server that stops.
    pub fn is_abandoned(&self) -> bool {
        self.cancelled.is_cancelled() && !self.stopping.is_cancelled()
    }
}

/// Why an attempt failed: a failure of any capability, in words that can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFailure(pub JobProblem);

impl<F: Failure + 'static> From<F> for JobFailure {
    fn from(failure: F) -> Self {
        Self(JobProblem {
            code: failure.code().to_owned(),
            message: chain(&failure),
            hint: failure.hint().map(Cow::into_owned),
        })
    }
}
