//! Files come in, in bulk, exactly once under their load id.
//!
//! For a source: the rows go into its Delta table under the Delta transaction of the load, then a marker goes into its log;
//! the marker's offset is the arrival of all rows. A crash between the two is finished by the next start. Event ids are
//! claimed while the rows are written, so a live event with the same id counts once whichever comes first.
//!
//! - `spool`: the body of a request into a file, with its digest
//! - `screen`: rows of a file to rows of history
//! - `service`: the use case
//! - `finish`: from rows in the table to a marker in the log; also after a crash

mod finish;
mod screen;
mod service;
mod spool;

pub(crate) use finish::{application, note_ids, recover};
pub use service::{LoadAnswer, LoadRequest};
pub(crate) use spool::clear;
