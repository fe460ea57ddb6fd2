//! The materialiser: one consumer per source that keeps the online state of every key, and publishes it together with the
//! log offset that it stands for.
//!
//! States, seen event ids and the applied offset change in one atomic batch, so after a crash the log continues exactly
//! where the state stands.
//!
//! - `task`: follows the log; records in order, markers where they stand
//! - `batch`: a run of events into the states they touch
//! - `bulk`: history into states, at a load marker or a view marker, in steps that are never repeated
//! - `history`: which rows of a source's table had arrived before an offset
//! - `progress`: what is stored about how far the source has come
//! - `seen`: the event ids of the dedupe horizon
//! - `views`: the views that are kept, and what readers get

mod batch;
mod bulk;
pub(crate) mod history;
pub(crate) mod progress;
pub(crate) mod seen;
mod task;
pub(crate) mod views;

pub(crate) use bulk::{event_ids, off_the_executor};
pub(crate) use task::Materialiser;
pub(crate) use views::{ActiveView, Published};
