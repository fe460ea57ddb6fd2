//! The state of one key of a view of aggregates: tiles per level, one running state for lifetime windows, and the newest
//! events one by one.
//!
//! An event is in exactly one place: among the recent ones, or folded into every level's tile. Folding never depends on
//! the order in which events came, so any order and any split into batches gives the same answers.

use shipway_aggregate::{Aggregation, Partial};
use shipway_core::{Timestamp, Value};

use crate::state::{
    Recent, RecentEvent,
    kept_values::KeptValues,
    layout::{AggregateLayout, Reach, Slot},
    merged::MergedTiles,
};

/// Everything that is kept of one key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AggregateState {
    /// Time of the newest event ever counted.
    pub(crate) newest: Option<Timestamp>,
    /// As the layout's levels.
    pub(crate) levels: Vec<LevelState>,
    /// As the layout's lifetime slots; unused without any.
    pub(crate) lifetime: LifetimeState,
    /// Sorted by (time, event id).
    pub(crate) recent: Recent,
    /// Sums of tiles, for the next read.
    pub(crate) merged: MergedTiles,
    /// Values that hold until the next hop or change.
    pub(crate) kept_values: KeptValues,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LevelState {
    /// Sorted by start.
    pub(crate) tiles: Vec<Tile>,
    /// Nothing is known about events before this: they were dropped.
    pub(crate) pruned_before: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tile {
    pub(crate) start: i64,
    /// Time of the newest event in it.
    pub(crate) newest: i64,
    /// As the level's slots.
    pub(crate) partials: Box<[Partial]>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LifetimeState {
    pub(crate) newest: i64,
    pub(crate) partials: Vec<Partial>,
}

impl AggregateState {
    pub(crate) fn empty(layout: &AggregateLayout) -> Self {
        Self {
            newest: None,
            levels: layout
                .levels
                .iter()
                .map(|_| LevelState { tiles: Vec::new(), pruned_before: i64::MIN })
                .collect(),
            lifetime: LifetimeState {
                newest: i64::MIN,
                partials: layout
                    .lifetime
                    .iter()
                    .map(|&slot| layout.slots[slot].aggregation.empty())
                    .collect(),
            },
            recent: Recent::default(),
            merged: MergedTiles::default(),
            kept_values: KeptValues::default(),
        }
    }

    pub(crate) fn apply(&mut self, layout: &AggregateLayout, reach: &Reach, event: RecentEvent) {
        self.kept_values.forget();
        self.newest = self.newest.max(Some(event.time));
        if let Some(oldest) = self.recent.insert(event) {
            self.fold(layout, reach, &oldest);
        }
    }

    pub(super) fn fold(&mut self, layout: &AggregateLayout, reach: &Reach, event: &RecentEvent) {
        let time = event.time.micros();
        let levels = layout.levels.iter().zip(&mut self.levels).zip(&reach.levels);
        for (position, ((level, state), &reach)) in levels.enumerate() {
            let start = event.time.floor_to(level.hop_us).micros();
            if time < reach || start < state.pruned_before {
                state.pruned_before = state.pruned_before.max(start.saturating_add(level.hop_us));
                continue;
            }
            self.merged.forget(position, start);
            let tile = state.tile(start, || {
                level.slots.iter().map(|&slot| layout.slots[slot].aggregation.empty()).collect()
            });
            tile.newest = tile.newest.max(time);
            for (&slot, partial) in level.slots.iter().zip(&mut tile.partials) {
                count(&layout.slots[slot], partial, event);
            }
        }
        if !layout.lifetime.is_empty() {
            self.lifetime.newest = self.lifetime.newest.max(time);
            for (&slot, partial) in layout.lifetime.iter().zip(&mut self.lifetime.partials) {
                count(&layout.slots[slot], partial, event);
            }
        }
    }

    pub(crate) fn prune(&mut self, layout: &AggregateLayout, reach: &Reach) {
        self.kept_values.forget();
        for ((level, state), &reach) in layout.levels.iter().zip(&mut self.levels).zip(&reach.levels) {
            let dropped =
                state.tiles.partition_point(|tile| tile.start.saturating_add(level.hop_us) <= reach);
            if let Some(last) = dropped.checked_sub(1).and_then(|last| state.tiles.get(last)) {
                state.pruned_before = state.pruned_before.max(last.start.saturating_add(level.hop_us));
                state.tiles.drain(..dropped);
            }
        }
        let dropped = self.recent.partition_point(|event| event.time.micros() < reach.earliest);
        if let Some(last) = dropped.checked_sub(1).and_then(|last| self.recent.get(last)) {
            for (level, state) in layout.levels.iter().zip(&mut self.levels) {
                let end = last.time.floor_to(level.hop_us).micros().saturating_add(level.hop_us);
                state.pruned_before = state.pruned_before.max(end);
            }
            self.recent.drop_oldest(dropped);
        }
    }
}

impl LevelState {
    fn tile(&mut self, start: i64, empty: impl FnOnce() -> Box<[Partial]>) -> &mut Tile {
        let at = match self.tiles.last() {
            Some(last) if last.start < start => self.tiles.len(),
            _ => self.tiles.partition_point(|tile| tile.start < start),
        };
        if self.tiles.get(at).is_none_or(|tile| tile.start != start) {
            self.tiles.insert(at, Tile { start, newest: i64::MIN, partials: empty() });
        }
        &mut self.tiles[at]
    }
}

/// Counts `event` in one partial state.
pub(crate) fn count(slot: &Slot, partial: &mut Partial, event: &RecentEvent) {
    let read = |column: Option<usize>| column.and_then(|column| event.values.get(column));
    let value = read(slot.column).unwrap_or(&Value::Null);
    let bucket = read(slot.bucket).unwrap_or(&Value::Null);
    merge_or_keep(slot.aggregation.update_in(partial, value, bucket, event.order()));
}

/// Takes `event`, which was counted, away from `partial`; says no where that cannot be done, and then nothing is changed.
pub(crate) fn unmerge(slot: &Slot, partial: &mut Partial, event: &RecentEvent) -> bool {
    if !slot.aggregation.is_reversible() {
        return false;
    }
    let mut alone = slot.aggregation.empty();
    count(slot, &mut alone, event);
    slot.aggregation.unmerge(partial, &alone).is_ok()
}

/// Adds `other` to `partial`.
pub(crate) fn merge(aggregation: &Aggregation, partial: &mut Partial, other: &Partial) {
    merge_or_keep(aggregation.merge(partial, other));
}

/// Values are checked against the source's types before they get here, so an error would be a defect of ours.
fn merge_or_keep(outcome: Result<(), shipway_aggregate::AggregationError>) {
    debug_assert!(outcome.is_ok(), "a value or state of a foreign type reached a tile");
}
