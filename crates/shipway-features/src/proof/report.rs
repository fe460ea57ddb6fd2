//! What a verification tells.

use std::collections::BTreeMap;

use serde::Serialize;
use shipway_core::{Timestamp, Value};

/// How many differences are listed, and how many late vectors.
pub(crate) const LISTED: usize = 100;

/// The outcome of a replay.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct VerificationReport {
    /// Vectors replayed and compared.
    pub compared: u64,
    /// Vectors with at least one value that differs from its replay.
    pub differing: u64,
    /// Vectors that were right when they were served and would be another today, because events arrived since then for
    /// moments before theirs. Information, not a difference.
    pub late_events: u64,
    /// The first differences, at most 100.
    pub differences: Vec<Difference>,
    /// The first values that late events changed, at most 100: `replayed` is the value as known now.
    pub late: Vec<Difference>,
    /// Values compared and differing for each view.
    pub views: BTreeMap<String, ViewCounts>,
}

/// Values of one view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ViewCounts {
    /// Values compared.
    pub compared: u64,
    /// Values that differ from their replay.
    pub differing: u64,
}

/// One value that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The request.
    pub request_id: String,
    /// The row of the request, from 0.
    pub row: i64,
    /// The query time.
    pub at: Timestamp,
    /// The view.
    pub view: String,
    /// The feature.
    pub feature: String,
    /// The value that was served.
    pub served: Value,
    /// The value that history gives.
    pub replayed: Value,
    /// Why they differ.
    pub cause: Cause,
}

/// Why a value differs from what was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// An event arrived after the watermark that was served, so the value known now is another. Serving was right.
    LateEvent,
    /// The value served holds events that had arrived only after the watermark served with it: state and watermark were
    /// not read at one moment.
    StoreLag,
    /// Neither history as of arrival nor history as known now gives this value.
    Defect,
}
