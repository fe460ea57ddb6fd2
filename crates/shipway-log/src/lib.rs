//! The embedded event log: what was acknowledged is on disk, in one order, for every reader.
//!
//! This crate decides when an event is durable and what is left of a log after a crash. A [`Topic`] is a sequence of
//! records numbered from 0. An append is acknowledged after `fdatasync`, together with all appends that waited beside
//! it (group commit); readers see durable records only. A tail that a crash tore is cut when the log opens; damage
//! anywhere else is an error that names the file and the byte, never a silent gap.
//!
//! ```text
//! <root>/lock                                  held while a process has the log open
//! <root>/<topic>/<first offset, 20 digits>.segment
//! <root>/<topic>/<first offset, 20 digits>.index     sidecar of a full segment; can be rebuilt, may be missing
//! ```
//!
//! - `log`: the folder, its lock and its topics
//! - `topic`: append, read, wait, trim
//! - `writer`: the thread per topic that commits groups and rolls segments
//! - `recovery`: what is left of a topic after a crash
//! - `segment`: one file of a topic, its extent and its cached handle
//! - `cursor`: walks the frames of a segment
//! - `format`: the bytes of a segment, format version 1
//! - `index`: the sparse index from offsets to bytes, and its sidecar file
//! - `disk`: the three ways in which the writer touches the disk
//! - `options`, `error`: the bounds, and what can go wrong

#![deny(missing_docs)]

mod cursor;
mod disk;
mod error;
#[cfg(test)]
mod fault_tests;
mod format;
mod index;
mod log;
mod options;
mod recovery;
mod segment;
mod topic;
mod writer;

pub use error::LogError;
pub use log::EventLog;
pub use options::LogOptions;
pub use topic::{Record, Topic};
