//! What can be refused about a job, and what ends one that its handler did not end.

use std::borrow::Cow;

use shipway_core::{Failure, Kind};

use crate::StoreError;

/// A refused request about a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// There is no job of that id.
    #[error("job {id} does not exist")]
    Unknown {
        /// The id asked for.
        id: String,
    },
    /// This program cannot do such a job.
    #[error("jobs of kind {kind} cannot be done by this server")]
    UnknownKind {
        /// The kind asked for.
        kind: String,
    },
    /// The job has ended, so it cannot be cancelled.
    #[error("job {id} has ended: it is {state}")]
    Ended {
        /// The job.
        id: String,
        /// How it ended.
        state: &'static str,
    },
    /// Another job is at work on the same thing.
    #[error("{subject} is being worked on by job {id}")]
    Busy {
        /// The thing.
        subject: String,
        /// The job that works on it.
        id: String,
    },
    /// The process ended during every attempt.
    #[error("the server stopped in the middle of this job {attempts} times")]
    Abandoned {
        /// How often it was begun.
        attempts: u32,
    },
    /// The handler of the job ended without an answer: a defect.
    #[error("the handler of this job broke off")]
    Broken,
    /// The jobs are stopping with the server.
    #[error("the server is stopping and takes no jobs")]
    Stopping,
    /// The metadata database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure for JobError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown { .. } => Kind::NotFound,
            Self::UnknownKind { .. } => Kind::Invalid,
            Self::Ended { .. } | Self::Busy { .. } | Self::Abandoned { .. } => Kind::Conflict,
            Self::Broken => Kind::Internal,
            Self::Stopping => Kind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "jobs.unknown",
            Self::UnknownKind { .. } => "jobs.unknown_kind",
            Self::Ended { .. } => "jobs.ended",
            Self::Busy { .. } => "jobs.busy",
            Self::Abandoned { .. } => "jobs.abandoned",
            Self::Broken => "jobs.broken",
            Self::Stopping => "jobs.stopping",
            Self::Store(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Unknown { .. } => {
                "`shipway jobs list` shows the jobs; ended ones are kept for a while only"
            }
            Self::Busy { .. } => "wait for that job, or cancel it",
            Self::Abandoned { .. } => "the server's log says why it stopped; ask for the job again",
            Self::Broken => "the server's log says why",
            Self::Stopping => "ask again when the server is back",
            Self::Store(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.into())
    }
}
