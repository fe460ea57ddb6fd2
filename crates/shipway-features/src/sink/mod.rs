//! The rows of sinks: of the keys of a view whose events come, or of what a table gains.
//!
//! A sink is one more reader, with a place of its own that is kept. Rows of a view are not passed on from where they are written:
//! the sink reads the log, finds the keys that a stretch of it touched, waits until reads see the whole stretch, and reads these keys
//! as anybody would. So a row is what a read answers, a key that changed many times meanwhile costs one row, and whatever holds the
//! sink up holds up nothing else.
//!
//! - `book`: where each sink stands; what it keeps of the logs
//! - `keys`: the keys that a stretch of a log touches
//! - `lens`: one version of a view, as a sink looks at events and rows
//! - `of_view`: rows of a view; `resend` the row of every key once more
//! - `of_table`: rows that a table gains; `columns` their values
//! - `rows`: the rows of one sink, whatever they are of; into a table
//! - `service`: what others ask of all this

mod book;
mod columns;
mod keys;
mod lens;
mod of_table;
mod of_view;
mod resend;
mod rows;
mod service;

pub use book::{SinkStanding, SinkUnit};
pub use rows::{LeftOut, SinkRows, SinkRun};
pub use service::{SinkOrigin, SinkSpec};

pub(crate) use book::SinkBook;
