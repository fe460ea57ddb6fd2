//! Sums of tiles that are complete, kept beside a decoded state, so that reads of a hot key within one hop merge only what
//! is still open.
//!
//! A sum is kept for a level, a slot and the half-open range of tile starts that it covers. It is right for as long as no tile
//! in that range changes, and a state changes in two places only: folding an event into a tile drops the sums that cover
//! it, and what is pruned can not be asked for any more. Sums are never stored.

use std::sync::{Arc, Mutex, PoisonError};

use shipway_aggregate::Partial;

/// Merging fewer tiles than this is as cheap as finding their sum.
pub(crate) const WORTH_KEEPING_TILES: usize = 4;

/// The most sums kept of one state: the windows of a usual view over its slots.
const MOST_SUMS: usize = 64;

/// Which tiles a sum covers: those of `level` that start in `[from, to)`, and of them the partials of `slot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) level: usize,
    pub(crate) slot: usize,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Sum {
    pub(crate) range: Range,
    pub(crate) partial: Partial,
}

/// The sums of one state. Two states are equal whatever sums they keep.
#[derive(Debug, Default)]
pub(crate) struct MergedTiles(Mutex<Option<Arc<Vec<Sum>>>>);

impl MergedTiles {
    /// What is kept now: one lock for a whole question.
    pub(crate) fn kept(&self) -> Option<Arc<Vec<Sum>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps new sums in place of those whose windows they have moved on from: of the same level, slot and length.
    pub(crate) fn keep(&self, new: Vec<Sum>) {
        if new.is_empty() {
            return;
        }
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let moved_on = |old: &Sum| {
            new.iter().any(|new| {
                let (old, new) = (old.range, new.range);
                (old.level, old.slot, old.to - old.from) == (new.level, new.slot, new.to - new.from)
            })
        };
        let old = held.iter().flat_map(|held| held.iter());
        let mut sums: Vec<Sum> = old.filter(|old| !moved_on(old)).cloned().collect();
        sums.extend(new);
        let surplus = sums.len().saturating_sub(MOST_SUMS);
        sums.drain(..surplus);
        *held = Some(Arc::new(sums));
    }

    /// Drops the sums that cover the tile of `level` that starts at `start`, because it changes.
    pub(crate) fn forget(&mut self, level: usize, start: i64) {
        let Some(held) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner) else { return };
        let covers = |range: &Range| range.level == level && range.from <= start && start < range.to;
        if held.iter().any(|sum| covers(&sum.range)) {
            Arc::make_mut(held).retain(|sum| !covers(&sum.range));
        }
    }
}

impl Clone for MergedTiles {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.kept()))
    }
}

impl PartialEq for MergedTiles {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
