//! The state of a view that is read beside the one that was built anew. Both count the same events, so each key must have the
//! same answers; where it has not, the state that is read is wrong, and the new one heals it.

use std::{collections::BTreeSet, iter::Peekable, sync::Arc};

use bytes::Bytes;
use shipway_core::{Timestamp, Value};
use shipway_online::{OnlineError, Snapshot};

use crate::{
    error::FeaturesError,
    materialise::{
        ActiveView,
        views::{decode, stored_states},
    },
    state::{AggregateState, Body, Inexact, KeyState, LatestState, Recent, ViewLayout, answer},
};

/// A key that at least one state has, and what each has stored of it.
struct Pair {
    key: Bytes,
    read: Option<Bytes>,
    built: Option<Bytes>,
}

type Stored = Box<dyn Iterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send>;

/// Two states of one view, gone through side by side.
pub(super) struct Comparison {
    layout: Arc<ViewLayout>,
    read: Peekable<Stored>,
    built: Peekable<Stored>,
    moments: Vec<Timestamp>,
    /// Rows before this were left out of the state that was built.
    rows_from: i64,
    pub(super) found: Found,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Found {
    /// Keys with a state.
    pub(super) keys: u64,
    /// Keys whose answers differ.
    pub(super) differing: u64,
}

/// Keys of which history says nothing any more, with what is still known of them.
pub(super) type Carried = Vec<(Bytes, KeyState)>;

impl Comparison {
    /// Both as they are in `snapshot`, in which the newest event of the source is at `watermark`.
    pub(super) fn new(
        snapshot: &Snapshot,
        read: &ActiveView,
        built: u32,
        watermark: Timestamp,
        rows_from: i64,
    ) -> Self {
        let layout = Arc::clone(&read.layout);
        let states = |generation| -> Stored { Box::new(stored_states(snapshot, &layout.hash, generation)) };
        Self {
            read: states(read.generation).peekable(),
            built: states(built).peekable(),
            moments: moments(&layout, watermark),
            layout,
            rows_from,
            found: Found::default(),
        }
    }

    /// Compares the next `most` keys. `None` when there are no more.
    pub(super) fn step(&mut self, most: usize) -> Result<Option<Carried>, FeaturesError> {
        let mut carried = Vec::new();
        for compared in 0..most {
            let Some(Pair { key, read, built }) = self.next_pair()? else {
                return Ok((compared > 0).then_some(carried));
            };
            self.found.keys += 1;
            let read = read.map(|stored| decode(&self.layout, &stored)).transpose()?;
            let built = built.map(|stored| decode(&self.layout, &stored)).transpose()?;
            if !self.agree(read.as_ref(), built.as_ref()) {
                self.found.differing += 1;
            } else if let (Some(read), None) = (read, built) {
                carried.extend(read.remnant(&self.layout, self.rows_from).map(|remnant| (key, remnant)));
            }
        }
        Ok(Some(carried))
    }

    /// The next key that either has, with the stored states that there are of it.
    fn next_pair(&mut self) -> Result<Option<Pair>, FeaturesError> {
        let key = |entry: Option<&Result<(Bytes, Bytes), OnlineError>>| match entry {
            Some(Ok((key, _))) => Some(key.clone()),
            // An error is taken out and returned below.
            Some(Err(_)) => Some(Bytes::new()),
            None => None,
        };
        let (read, built) = (key(self.read.peek()), key(self.built.peek()));
        let Some(least) = read.iter().chain(&built).min().cloned() else { return Ok(None) };
        let take = |from: &mut Peekable<Stored>, key: Option<Bytes>| {
            if key.as_ref() != Some(&least) {
                return Ok(None);
            }
            from.next().transpose().map(|entry| entry.map(|(_, stored)| stored))
        };
        let (read, built) = (take(&mut self.read, read)?, take(&mut self.built, built)?);
        Ok(Some(Pair { key: least, read, built }))
    }

    fn agree(&self, read: Option<&KeyState>, built: Option<&KeyState>) -> bool {
        let empty = KeyState::empty(&self.layout);
        let (read, built) = (read.unwrap_or(&empty), built.unwrap_or(&empty));
        self.moments.iter().all(|&q| answers(&self.layout, read, q) == answers(&self.layout, built, q))
    }
}

/// Moments at which the answers are compared: after every event, and while the windows move on over what is there.
fn moments(layout: &ViewLayout, watermark: Timestamp) -> Vec<Timestamp> {
    let mut later_us = BTreeSet::from([1]);
    if let Body::Aggregates(aggregates) = &layout.body {
        for level in &aggregates.levels {
            later_us.extend([1, 2, 3].map(|quarters| level.longest_us / 4 * quarters));
        }
    }
    later_us.into_iter().map(|later| Timestamp(watermark.micros().saturating_add(later.max(1)))).collect()
}

/// Every feature of the view, or why there is none.
fn answers(layout: &ViewLayout, state: &KeyState, q: Timestamp) -> Result<Vec<Value>, answer::NoValue> {
    match (state, &layout.body) {
        (KeyState::Aggregates(state), Body::Aggregates(aggregates)) => {
            let all: Vec<usize> = (0..aggregates.features.len()).collect();
            answer::values(aggregates, state, q, i64::MIN, &all, false).map(|values| values.to_vec())
        }
        (KeyState::Latest(state), Body::Latest { ttl_us, .. }) => {
            Ok(state.row_at(q, *ttl_us)?.map(|row| row.values.to_vec()).unwrap_or_default())
        }
        _ => Err(Inexact.into()),
    }
}

impl KeyState {
    /// What is known of a key that had no event at or after `rows_from`: when the last one was, and of a latest-value view its
    /// row. None of its features has a value because of it, but its age does.
    fn remnant(self, layout: &ViewLayout, rows_from: i64) -> Option<Self> {
        match (self, &layout.body) {
            (Self::Aggregates(state), Body::Aggregates(aggregates)) => {
                let newest = state.newest.filter(|newest| newest.micros() < rows_from)?;
                Some(Self::Aggregates(AggregateState {
                    newest: Some(newest),
                    ..AggregateState::empty(aggregates)
                }))
            }
            (Self::Latest(LatestState { base, mut recent }), _) => {
                let last = recent.pop().or(base).filter(|row| row.time.micros() < rows_from)?;
                Some(Self::Latest(LatestState { base: Some(last), recent: Recent::default() }))
            }
            (Self::Aggregates(_), Body::Latest { .. }) => None,
        }
    }
}
