//! Rows that are sent on: from a view, a prediction log or a table, to a topic or to a table.
//!
//! A sink takes a run of rows, sends it, and only then says that it is sent. So nothing is left out, and after a crash or a failure the
//! last run comes again: to a topic at least once, and into a table, whose transactions say what is in it, exactly once.
//!
//! - `port`: what this needs of the feature platform
//! - `sinks`: the handle: starts and stops a runner for each sink
//! - `runner`: one sink: takes rows, has them sent, again after any failure
//! - `writer`: rows as messages of a topic
//! - `producers`: who writes for whom
//! - `board`: how a sink is

mod board;
mod port;
mod producers;
mod runner;
mod sinks;
mod writer;

pub use board::{SinkDestination, SinkState, SinkStatus};
pub use port::{LeftOut, Outflow, Outlet, Rows, Standing};
pub use sinks::Sinks;
