//! States of views, built from history beside the live flow: for a view that is new, and for one that is checked.
//!
//! The writer of a source (`materialise::beside`) counts live events in a state from the moment at which its build begins.
//! What had arrived before is brought in from here: history is divided by key into buckets that fit into memory, each bucket
//! becomes states, and the writer merges them part by part, with a note of how far that is. A crash repeats no part.
//!
//! - `spool`: the rows of history, narrowed to what the view keeps, by bucket
//! - `drive`: one build from where it stands to its end
//! - `compare`: the state that is read beside the one that was built anew
//! - `foreman`: sees to it that somebody drives every build: a job, or a task
//! - `job`: builds as durable jobs
//! - `status`: which views have their state, for people
//! - `keeper`: looks after the states that there are: retires, brings back, heals
//! - `need`: which versions are needed
//! - `clear`: removes states that nobody reads any more

mod clear;
mod compare;
mod drive;
mod foreman;
mod job;
mod keeper;
mod need;
mod spool;
mod status;

pub(crate) use clear::run as clear_leftovers;
pub(crate) use foreman::run as foreman;
pub(crate) use job::register;
pub use job::{BACKFILL_JOB, ViewBuild};
pub use keeper::{ServiceDemand, ViewCare};
pub use status::{BuildRecord, StateStatus, ViewState};
