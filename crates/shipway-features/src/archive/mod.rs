//! The archiver: one consumer per source that writes the log to Delta tables, each record exactly once.
//!
//! It shares nothing with the materialiser but the log: either can be behind the other, or stand still. Each append carries
//! the offset behind it as its Delta application transaction, so a restart continues where the table itself stands.
//!
//! - `rows`: events as rows of history
//! - `task`: follows the log

mod rows;
mod task;

pub(crate) use task::Archiver;
