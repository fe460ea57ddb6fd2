//! Taking an event out of a state that counts it.
//!
//! An event that is still kept one by one is simply left out. From tiles, sums are taken away exactly; what cannot be taken away
//! (the least, the last, distinct values, sketches) is noted, and made again in the end from the events that are left.

use std::collections::{BTreeMap, BTreeSet};

use shipway_core::Timestamp;

use crate::{
    error::FeaturesError,
    state::{
        AggregateState, Body, KeyState, LatestState, RecentEvent, ViewLayout,
        aggregates::{Tile, count, unmerge},
        layout::AggregateLayout,
    },
};

/// The events of one key that are left, ascending by (time, event id), those from a time on and before another.
pub(crate) trait Members {
    fn between(&self, from: i64, to: i64) -> Result<Vec<RecentEvent>, FeaturesError>;
}

/// What has to be made again from the events that are left.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    /// Tiles by their level and start.
    tiles: BTreeSet<(usize, i64)>,
    lifetime: bool,
    /// The greatest of the rows that are not kept one by one.
    base: bool,
    newest: bool,
}

impl KeyState {
    /// Takes `event`, which was counted, out again. The state is right after [`KeyState::make_again`].
    pub(crate) fn take_back(&mut self, layout: &ViewLayout, event: &RecentEvent, stale: &mut Stale) {
        match (self, &layout.body) {
            (Self::Aggregates(state), Body::Aggregates(aggregates)) => {
                state.take_back(aggregates, event, stale);
            }
            (Self::Latest(state), _) => state.take_back(event, stale),
            (Self::Aggregates(_), Body::Latest { .. }) => {}
        }
    }

    /// Makes again what is stale, from the events that are left, all changes of this key included.
    pub(crate) fn make_again(
        &mut self,
        layout: &ViewLayout,
        stale: &Stale,
        members: &impl Members,
    ) -> Result<(), FeaturesError> {
        match (self, &layout.body) {
            (Self::Aggregates(state), Body::Aggregates(aggregates)) => {
                state.make_again(aggregates, stale, members)
            }
            (Self::Latest(state), _) if stale.base => {
                let all = members.between(i64::MIN, i64::MAX)?;
                let folded = all.into_iter().rev().find(|row| !state.recent.has(row));
                state.base = folded;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl LatestState {
    fn take_back(&mut self, row: &RecentEvent, stale: &mut Stale) {
        if !self.recent.leave_out(row) {
            stale.base |= self.base.as_ref().is_some_and(|base| base.order() == row.order());
        }
    }
}

impl AggregateState {
    fn take_back(&mut self, layout: &AggregateLayout, event: &RecentEvent, stale: &mut Stale) {
        self.kept_values.forget();
        stale.newest = true;
        if self.recent.leave_out(event) {
            return;
        }
        let time = event.time.micros();
        for (position, (level, state)) in layout.levels.iter().zip(&mut self.levels).enumerate() {
            let start = event.time.floor_to(level.hop_us).micros();
            // Before this nothing is known, so nothing is there to be taken back.
            if start < state.pruned_before {
                continue;
            }
            let Ok(at) = state.tiles.binary_search_by_key(&start, |tile| tile.start) else { continue };
            self.merged.forget(position, start);
            let tile = &mut state.tiles[at];
            let mut is_whole = tile.newest != time;
            for (&slot, partial) in level.slots.iter().zip(&mut tile.partials) {
                is_whole &= unmerge(&layout.slots[slot], partial, event);
            }
            if !is_whole {
                stale.tiles.insert((position, start));
            }
        }
        if !layout.lifetime.is_empty() {
            let mut is_whole = self.lifetime.newest != time;
            for (&slot, partial) in layout.lifetime.iter().zip(&mut self.lifetime.partials) {
                is_whole &= unmerge(&layout.slots[slot], partial, event);
            }
            stale.lifetime |= !is_whole;
        }
    }

    fn make_again(
        &mut self,
        layout: &AggregateLayout,
        stale: &Stale,
        members: &impl Members,
    ) -> Result<(), FeaturesError> {
        self.kept_values.forget();
        let mut by_level: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
        stale.tiles.iter().for_each(|&(level, start)| by_level.entry(level).or_default().push(start));
        for (position, starts) in by_level {
            let level = &layout.levels[position];
            for start in starts {
                if start < self.levels[position].pruned_before {
                    continue;
                }
                let end = start.saturating_add(level.hop_us);
                let mut folded = members.between(start, end)?;
                folded.retain(|event| !self.recent.has(event));
                self.merged.forget(position, start);
                let tiles = &mut self.levels[position].tiles;
                let Ok(at) = tiles.binary_search_by_key(&start, |tile| tile.start) else { continue };
                let Some(newest) = folded.last().map(|event| event.time.micros()) else {
                    tiles.remove(at);
                    continue;
                };
                let mut partials: Box<[_]> =
                    level.slots.iter().map(|&slot| layout.slots[slot].aggregation.empty()).collect();
                for (&slot, partial) in level.slots.iter().zip(&mut partials) {
                    folded.iter().for_each(|event| count(&layout.slots[slot], partial, event));
                }
                tiles[at] = Tile { start, newest, partials };
            }
        }
        if stale.lifetime {
            let mut folded = members.between(i64::MIN, i64::MAX)?;
            folded.retain(|event| !self.recent.has(event));
            self.lifetime.newest = folded.last().map_or(i64::MIN, |event| event.time.micros());
            for (&slot, partial) in layout.lifetime.iter().zip(&mut self.lifetime.partials) {
                *partial = layout.slots[slot].aggregation.empty();
                folded.iter().for_each(|event| count(&layout.slots[slot], partial, event));
            }
        }
        if stale.newest {
            self.newest = self.newest_left(members)?;
        }
        Ok(())
    }

    fn newest_left(&self, members: &impl Members) -> Result<Option<Timestamp>, FeaturesError> {
        let in_tiles = self.levels.iter().flat_map(|level| &level.tiles).map(|tile| tile.newest).max();
        let kept = self.recent.last().map(|event| event.time.micros());
        if let Some(newest) = in_tiles.max(kept) {
            return Ok(Some(Timestamp(newest)));
        }
        Ok(members.between(i64::MIN, i64::MAX)?.last().map(|event| event.time))
    }
}
