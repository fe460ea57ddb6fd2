//! The materialiser: one consumer per source that keeps the online state of every key, and publishes it together with the
//! log offset that it stands for.
//!
//! States, seen event ids and the applied offset change in one atomic batch, so after a crash the log continues exactly
//! where the state stands.
//!
//! - `task`: follows the log; records in order, markers where they stand
//! - `batch`: a run of events into the states they touch
//! - `chain`: what the events of a run carry for chained views
//! - `corrected`: events that take the place of earlier ones; `afresh`: states made from what is left of them
//! - `bulk`: the rows of a load into states, at its marker, in steps that are never repeated
//! - `beside`: new states, built from history while events are counted in them already
//! - `begin_anew`: states that are gone, while the log no longer has all that they were made of
//! - `order`: what others ask of the writer
//! - `history`: which rows of a source's table had arrived before an offset
//! - `progress`: what is stored about how far the source has come
//! - `seen`: the event ids of the dedupe horizon
//! - `views`: the views that are kept, and what readers get

mod afresh;
mod batch;
pub(crate) mod begin_anew;
mod beside;
pub(crate) mod bulk;
mod chain;
mod corrected;
pub(crate) mod history;
pub(crate) mod order;
pub(crate) mod progress;
pub(crate) mod seen;
mod task;
pub(crate) mod views;

pub(crate) use bulk::{event_ids, off_the_executor};
pub(crate) use chain::ask;
pub(crate) use task::Materialiser;
pub(crate) use views::{ActiveView, Published};
