//! One event of a source, checked.

use std::sync::Arc;

use shipway_core::{Timestamp, Value};

/// Event times outside these are refused: years 1 to 9999, so that no arithmetic with windows can overflow.
pub(crate) const EARLIEST_US: i64 = -62_135_596_800_000_000;
/// The end of year 9999.
pub(crate) const LATEST_US: i64 = 253_402_300_799_999_999;

/// Whether `moment` lies in the years that this platform computes with.
pub(crate) fn is_computable(moment: Timestamp) -> bool {
    (EARLIEST_US..=LATEST_US).contains(&moment.micros())
}

/// Where an accepted event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Into the history and the state.
    Regular,
    /// Too far in the future: into the quarantine table, and it moves no watermark.
    Quarantined,
    /// Older than the retention: into the side table for late events.
    Late,
    /// It only takes away the event that has its id: into the history and the state. It has no time of its own.
    Deletion,
}

/// One event, its values in the order of its source's columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceEvent {
    pub(crate) id: Arc<str>,
    pub(crate) time: Timestamp,
    /// Wall time at which the server took it in; the dedupe horizon counts from here.
    pub(crate) received: Timestamp,
    pub(crate) standing: Standing,
    pub(crate) values: Vec<Value>,
}
