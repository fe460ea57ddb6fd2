//! Durable jobs: work that outlives the request that asked for it, and the process that began it.
//!
//! A capability registers a handler for each kind of job that it can do; anybody may ask for one. What was asked for is
//! recorded before it begins, so that a crash loses nothing: what was queued or running is begun again at the next start,
//! and a handler finds what its earlier attempt left. A job ends once: done with a result, failed with a code and a hint,
//! or cancelled. The number of jobs that run at once is bounded.
//!
//! - `job`: what is known about a job, and what its handler sees of it
//! - `error`: what can be refused
//! - `table`: the rows of the jobs
//! - `runner`: the handle: takes jobs in, runs them, stops them
//! - `execution`: one job from its begin to its end

mod error;
mod execution;
mod job;
mod runner;
mod table;

pub use error::JobError;
pub use job::{Job, JobFailure, JobHandler, JobProblem, JobRun, JobState, NewJob, Progress};
pub use runner::{JobOptions, Jobs};
