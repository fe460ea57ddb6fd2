//! History of a source that lies elsewhere: files and Delta tables, loaded as they come, each file or version once.
//!
//! A look for news is a durable job. It lists what there is, and loads what is new, one item after the other: an item is written
//! down before its rows can be in the table, together with the load id that its name and content decide; so a process killed at
//! any moment goes on where it was, and counts nothing twice. What is wrong with an item is written down beside it and does not
//! stop the others. Everything else is as in any load.
//!
//! - `ask`: a look is asked for: by a person, by what was applied, by the clock
//! - `look`: the job: what every look does
//! - `files`: news among files
//! - `versions`: news among the versions of a table
//! - `item`: one item on its way into the source
//! - `status`: what there is to say about it
//! - `error`: what can be refused

mod ask;
mod error;
mod files;
mod item;
mod look;
mod status;
mod versions;

pub use error::BatchError;
pub use look::{BATCH_JOB, Looked};
pub use status::{BatchCounts, BatchProblem, BatchStatus};

pub(crate) use ask::run;
pub(crate) use look::handler;
