//! How the copy is, for people and for checks: as its owner knows it, or as a reader does.

use serde::Serialize;
use shipway_core::{Failure, Name, Timestamp};
use std::borrow::Cow;

/// What a server has to do with the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyRole {
    /// It writes the copy.
    Owner,
    /// It answers from the copy.
    Reader,
}

/// How the copy is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CopyStatus {
    /// What this server has to do with it.
    pub role: CopyRole,
    /// Where it is.
    pub address: String,
    /// What its keys begin with.
    pub prefix: String,
    /// Of an owner: `starting`, `copying`, `following`, `failing`, `taken_over`. Of a reader: `starting`, `reading`, `failing`.
    pub state: &'static str,
    /// Since when.
    pub since: Timestamp,
    /// Why it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<Cow<'static, str>>,
    /// When the owner last wrote that the copy stands as it does, by the owner's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<Timestamp>,
    /// The sources in the copy.
    pub sources: Vec<CopiedSource>,
    /// The last time that everything was copied; an owner knows it, since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_copy: Option<FullCopy>,
}

/// One source in the copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopiedSource {
    /// The source.
    pub source: Name,
    /// Every record of its log before this offset is in the copy; none while it is copied for the first time.
    pub applied: Option<u64>,
    /// Records that the owner's own reads see and the copy has not; only an owner knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// The newest event time in the copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Timestamp>,
    /// States that are copied beside, and how many of their rows are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copying: Option<(usize, u64)>,
}

/// A copy of everything.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FullCopy {
    /// When it was complete.
    pub ended: Timestamp,
    /// How many rows it had.
    pub rows: u64,
    /// How long it took.
    pub seconds: f64,
}

/// A failure, as a status tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) code: &'static str,
    pub(super) error: String,
    pub(super) hint: Option<Cow<'static, str>>,
}

impl Told {
    pub(super) fn of(failure: &(impl Failure + 'static)) -> Self {
        let error = shipway_core::failure::chain(failure);
        Self { code: failure.code(), error, hint: failure.hint() }
    }
}

/// What a server says of itself: a state, since when, and why.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) state: &'static str,
    pub(super) since: Timestamp,
    pub(super) told: Option<Told>,
}

impl Standing {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { state: "starting", since: now, told: None }
    }

    /// Changes the state; says whether it is another one, or for another reason.
    pub(super) fn turn(&mut self, state: &'static str, told: Option<Told>, now: Timestamp) -> bool {
        let code = |told: &Option<Told>| told.as_ref().map(|told| told.code);
        let is_other = self.state != state || code(&self.told) != code(&told);
        if self.state != state {
            self.since = now;
        }
        (self.state, self.told) = (state, told);
        is_other
    }
}
