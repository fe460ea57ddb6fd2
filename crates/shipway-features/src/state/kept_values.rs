//! Values kept beside a decoded state, so that reads of a hot key between two changes cost a copy.
//!
//! The values at a moment depend on which events are inside each window. While no event comes, that changes only when the tail
//! of some window moves on, which it does in hops: so the same values hold from one hop to the next, bit for bit. They are never
//! stored, and gone as soon as the state takes in an event or drops a tile.

use std::sync::{Arc, Mutex, PoisonError};

use shipway_core::{Timestamp, Value};

/// So many choices of features are kept of one state: services that share a view may take different ones.
const MOST_CHOICES: usize = 4;

/// The values of some features, and the moments at which they are theirs.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Positions of features.
    pub(crate) wanted: Box<[usize]>,
    /// What the answer may have left out; see `ActiveView`.
    pub(crate) built_from: i64,
    /// From this moment on.
    pub(crate) from: i64,
    /// Up to this one, exclusive.
    pub(crate) until: i64,
    /// As `wanted`.
    pub(crate) values: Arc<[Value]>,
}

/// The values kept of one state. Two states are equal whatever they keep.
#[derive(Debug, Default)]
pub(crate) struct KeptValues(Mutex<Vec<Arc<Kept>>>);

impl KeptValues {
    /// The values of `wanted` at `q`, if they are kept.
    pub(crate) fn at(&self, q: Timestamp, built_from: i64, wanted: &[usize]) -> Option<Arc<Kept>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = held.iter().find(|kept| {
            kept.from <= q.micros()
                && q.micros() < kept.until
                && kept.built_from == built_from
                && *kept.wanted == *wanted
        });
        found.cloned()
    }

    /// Keeps these values in place of those of the same features, or of those that were kept for longest.
    pub(crate) fn keep(&self, kept: Kept) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|old| old.wanted != kept.wanted);
        if held.len() >= MOST_CHOICES {
            held.remove(0);
        }
        held.push(Arc::new(kept));
    }

    /// Drops everything, because the state changes.
    pub(crate) fn forget(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A copy is made to be changed, so it begins with nothing.
impl Clone for KeptValues {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for KeptValues {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
