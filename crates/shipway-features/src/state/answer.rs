//! The values of a view's features at a moment, from the state of one key. Exact, or refused.
//!
//! The events before `q` are: whole tiles before the open tile of a level (the one that holds `q`), the part of the open
//! tile before `q`, and the recent events before `q`. The open tile counts whole when its newest event is before `q`;
//! otherwise the next finer level resolves it; when there is none, the moment is refused.
//!
//! Of a state that is read again and again, the sums of its complete tiles are kept beside it (`merged`), and the values
//! themselves until a window's tail moves on (`kept_values`).

use std::sync::Arc;

use shipway_aggregate::{AggregationError, Partial, Window};
use shipway_core::{Timestamp, Value};

use crate::state::{
    AggregateState, Inexact,
    aggregates::{LevelState, Tile, count, merge},
    kept_values::Kept,
    layout::{AggregateLayout, FeatureLayout},
    merged::{Range, Sum, WORTH_KEEPING_TILES},
};

/// Why a feature has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoValue {
    Inexact,
    Failed { feature: usize, error: AggregationError },
}

impl From<Inexact> for NoValue {
    fn from(_: Inexact) -> Self {
        Self::Inexact
    }
}

/// Answers the features of one view for one key at one moment; shares work between them.
struct Question<'a> {
    layout: &'a AggregateLayout,
    state: &'a AggregateState,
    q: Timestamp,
    /// How many recent events lie before `q`.
    before: usize,
    /// Per slot: all recent events before `q`.
    recent: Vec<Option<Partial>>,
    /// Events before this were not counted when the view was built.
    built_from: i64,
    /// Whether sums of complete tiles are worth keeping.
    is_hot: bool,
    kept: Option<Arc<Vec<Sum>>>,
    new: Vec<Sum>,
}

/// The values of `wanted` (positions of features) at `q`. Of a hot state, sums of complete tiles and values that still hold are
/// used and kept.
pub(crate) fn values(
    layout: &AggregateLayout,
    state: &AggregateState,
    q: Timestamp,
    built_from: i64,
    wanted: &[usize],
    is_hot: bool,
) -> Result<Arc<[Value]>, NoValue> {
    if is_hot && let Some(kept) = state.kept_values.at(q, built_from, wanted) {
        return Ok(Arc::clone(&kept.values));
    }
    let values: Arc<[Value]> = computed(layout, state, q, built_from, wanted, is_hot)?.into();
    if is_hot && let Some((from, until)) = constant_during(layout, state, q, wanted) {
        let (wanted, values) = (wanted.into(), Arc::clone(&values));
        state.kept_values.keep(Kept { wanted, built_from, from, until, values });
    }
    Ok(values)
}

/// The moments around `q`, the last exclusive, at which the same events are inside the windows of `wanted`; `None` where events
/// lie at or after `q`.
fn constant_during(
    layout: &AggregateLayout,
    state: &AggregateState,
    q: Timestamp,
    wanted: &[usize],
) -> Option<(i64, i64)> {
    let from = match state.newest {
        Some(newest) if newest >= q => return None,
        Some(newest) => newest.micros().saturating_add(1),
        None => i64::MIN,
    };
    let windows = wanted.iter().filter_map(|position| layout.features.get(*position)).map(|held| held.window);
    Some(windows.fold((from, i64::MAX), |(from, until), window| {
        let (Window::Sized(length), Some(tail), Some(hop_us)) = (window, window.tail(q), window.hop_us())
        else {
            return (from, until);
        };
        // The tail is the floor of the moment minus the length: it stays for one hop.
        let first = tail.micros().saturating_add(length.micros());
        (from.max(first), until.min(first.saturating_add(hop_us)))
    }))
}

fn computed(
    layout: &AggregateLayout,
    state: &AggregateState,
    q: Timestamp,
    built_from: i64,
    wanted: &[usize],
    is_hot: bool,
) -> Result<Vec<Value>, NoValue> {
    let before = state.recent.partition_point(|event| event.time < q);
    let recent = vec![None; layout.slots.len()];
    let kept = if is_hot { state.merged.kept() } else { None };
    let mut question =
        Question { layout, state, q, before, recent, built_from, is_hot, kept, new: Vec::new() };
    // Features over one slot and window (sum and avg, var and stddev) share one state.
    let mut answered: Vec<(usize, Window, Partial)> = Vec::with_capacity(wanted.len());
    let mut values = Vec::with_capacity(wanted.len());
    for &position in wanted {
        let Some(feature) = layout.features.get(position) else { return Err(NoValue::Inexact) };
        let known =
            answered.iter().position(|(slot, window, _)| (*slot, *window) == (feature.slot, feature.window));
        let known = match known {
            Some(known) => known,
            None => {
                answered.push((feature.slot, feature.window, question.partial(feature)?));
                answered.len() - 1
            }
        };
        let value = feature
            .aggregation
            .finalise(&answered[known].2)
            .map_err(|error| NoValue::Failed { feature: position, error })?;
        values.push(value);
    }
    state.merged.keep(question.new);
    Ok(values)
}

/// Time of the newest event before `q`, as far as it is known exactly.
pub(crate) fn newest_before(state: &AggregateState, q: Timestamp) -> Option<Timestamp> {
    if state.newest.is_none_or(|newest| newest < q) {
        return state.newest;
    }
    let recent = state.recent.partition_point(|event| event.time < q).checked_sub(1);
    let recent = recent.and_then(|last| state.recent.get(last)).map(|event| event.time);
    let tiles =
        state.levels.iter().flat_map(|level| level.tiles.iter().rev().find(|tile| tile.newest < q.micros()));
    tiles.map(|tile| Timestamp(tile.newest)).chain(recent).max()
}

impl Question<'_> {
    fn partial(&mut self, feature: &FeatureLayout) -> Result<Partial, Inexact> {
        let layout = self.layout;
        let aggregation = &layout.slots[feature.slot].aggregation;
        let (mut sum, tail) = match (feature.window.tail(self.q), feature.window.hop_us()) {
            (Some(tail), Some(hop_us)) => (self.tiled(feature.slot, tail.micros(), hop_us)?, tail.micros()),
            _ => (self.lifetime(feature.slot)?, i64::MIN),
        };
        if self.state.recent.first().is_none_or(|event| event.time.micros() >= tail) {
            let recent = self.all_recent(feature.slot);
            merge(aggregation, &mut sum, recent);
        } else {
            let slot = &self.layout.slots[feature.slot];
            let events = &self.state.recent[..self.before];
            let from = events.partition_point(|event| event.time.micros() < tail);
            events[from..].iter().for_each(|event| count(slot, &mut sum, event));
        }
        Ok(sum)
    }

    /// The folded events with `tail <= time < q`.
    fn tiled(&mut self, slot: usize, tail: i64, hop_us: i64) -> Result<Partial, Inexact> {
        let level = self.layout.levels.iter().position(|level| level.hop_us == hop_us).ok_or(Inexact)?;
        let state = &self.state.levels[level];
        if tail < state.pruned_before || tail < self.built_from {
            return Err(Inexact);
        }
        let mut sum = self.open_tile(level, slot)?;
        self.merge_tiles(level, slot, tail, self.q.floor_to(hop_us).micros(), &mut sum)?;
        Ok(sum)
    }

    /// The folded events from the start of the tile that holds `q` up to `q`.
    fn open_tile(&mut self, level: usize, slot: usize) -> Result<Partial, Inexact> {
        let hop_us = self.layout.levels[level].hop_us;
        let start = self.q.floor_to(hop_us).micros();
        let state = &self.state.levels[level];
        let position = self.slot_in(level, slot).ok_or(Inexact)?;
        match state.at(start) {
            None => Ok(self.layout.slots[slot].aggregation.empty()),
            Some(tile) if tile.newest < self.q.micros() => Ok(tile.partials[position].clone()),
            Some(_) => {
                let finer =
                    (0..level).rev().find(|&finer| self.slot_in(finer, slot).is_some()).ok_or(Inexact)?;
                if start < self.state.levels[finer].pruned_before {
                    return Err(Inexact);
                }
                let mut sum = self.open_tile(finer, slot)?;
                let open = self.q.floor_to(self.layout.levels[finer].hop_us).micros();
                self.merge_tiles(finer, slot, start, open, &mut sum)?;
                Ok(sum)
            }
        }
    }

    /// Adds the tiles of `level` that start in `[from, to)`; all of them are complete.
    fn merge_tiles(
        &mut self,
        level: usize,
        slot: usize,
        from: i64,
        to: i64,
        sum: &mut Partial,
    ) -> Result<(), Inexact> {
        let aggregation = &self.layout.slots[slot].aggregation;
        let range = Range { level, slot, from, to };
        if let Some(kept) = self.kept.iter().flat_map(|kept| kept.iter()).find(|kept| kept.range == range) {
            merge(aggregation, sum, &kept.partial);
            return Ok(());
        }
        let position = self.slot_in(level, slot).ok_or(Inexact)?;
        let tiles = &self.state.levels[level].tiles;
        let first = tiles.partition_point(|tile| tile.start < from);
        let end = first + tiles[first..].partition_point(|tile| tile.start < to);
        if !self.is_hot || end - first < WORTH_KEEPING_TILES {
            tiles[first..end].iter().for_each(|tile| merge(aggregation, sum, &tile.partials[position]));
            return Ok(());
        }
        let mut partial = aggregation.empty();
        tiles[first..end].iter().for_each(|tile| merge(aggregation, &mut partial, &tile.partials[position]));
        merge(aggregation, sum, &partial);
        self.new.push(Sum { range, partial });
        Ok(())
    }

    fn lifetime(&self, slot: usize) -> Result<Partial, Inexact> {
        let position = self.layout.lifetime.iter().position(|held| *held == slot).ok_or(Inexact)?;
        let lifetime = &self.state.lifetime;
        if lifetime.newest != i64::MIN && lifetime.newest >= self.q.micros() {
            return Err(Inexact);
        }
        lifetime.partials.get(position).cloned().ok_or(Inexact)
    }

    fn all_recent(&mut self, slot: usize) -> &Partial {
        let layout = &self.layout.slots[slot];
        let events = &self.state.recent[..self.before];
        self.recent[slot].get_or_insert_with(|| {
            let mut sum = layout.aggregation.empty();
            events.iter().for_each(|event| count(layout, &mut sum, event));
            sum
        })
    }

    fn slot_in(&self, level: usize, slot: usize) -> Option<usize> {
        self.layout.levels[level].slots.iter().position(|held| *held == slot)
    }
}

impl LevelState {
    fn at(&self, start: i64) -> Option<&Tile> {
        let at = self.tiles.partition_point(|tile| tile.start < start);
        self.tiles.get(at).filter(|tile| tile.start == start)
    }
}
