//! How often each guardrail looked and found something, and how long it took, since the server started.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::model::Side;

/// The counts of a guardrail.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    sides: [OneSide; 2],
}

#[derive(Debug, Default)]
struct OneSide {
    looked: AtomicU64,
    found: AtomicU64,
    findings: AtomicU64,
    failed: AtomicU64,
    took_ns: AtomicU64,
}

/// What a guardrail has done on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Requests or answers that it looked at.
    pub(crate) looked: u64,
    /// Those in which it found something.
    pub(crate) found: u64,
    /// What it found in them, all together.
    pub(crate) findings: u64,
    /// Those that another model should have judged and did not.
    pub(crate) failed: u64,
    /// How long that took, all together.
    pub(crate) took: Duration,
}

impl Counts {
    pub(super) fn add(&self, side: Side, (findings, failures): (u64, u64), took: Duration) {
        let counts = &self.sides[side as usize];
        counts.looked.fetch_add(1, Ordering::Relaxed);
        counts.found.fetch_add(u64::from(findings > 0), Ordering::Relaxed);
        counts.findings.fetch_add(findings, Ordering::Relaxed);
        counts.failed.fetch_add(u64::from(failures > 0), Ordering::Relaxed);
        counts.took_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn tally(&self, side: Side) -> Tally {
        let counts = &self.sides[side as usize];
        Tally {
            looked: counts.looked.load(Ordering::Relaxed),
            found: counts.found.load(Ordering::Relaxed),
            findings: counts.findings.load(Ordering::Relaxed),
            failed: counts.failed.load(Ordering::Relaxed),
            took: Duration::from_nanos(counts.took_ns.load(Ordering::Relaxed)),
        }
    }
}
