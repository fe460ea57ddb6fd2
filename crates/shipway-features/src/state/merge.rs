//! Two states of one key become one: the state that all their events would have made.
//!
//! A state is a function of the set of its events: the newest [`crate::state::recent::RECENT_LIMIT`] are kept one by one, all
//! others are folded. Whatever either part has folded is older than as many events as are kept one by one, so it would be
//! folded in the whole too; of the events that both keep one by one the newest stay, and the others are folded. What one
//! part has dropped because nobody could ask for it any more is missing in the whole too, and is refused there too. States that
//! events are taken back out of are made in one go, and never merged.

use crate::state::{
    AggregateState, Body, KeyState, LatestState, Reach, ViewLayout,
    aggregates::{LevelState, Tile, merge},
    layout::{AggregateLayout, Level},
    merged::MergedTiles,
};

impl KeyState {
    /// Adds all events of `other`, a state of the same key and layout that has no event in common with this one.
    ///
    /// Then this answers every moment as if it had counted the events of both, in whatever order. Commutative and
    /// associative. Costs as much as `other` has tiles and recent events.
    pub(crate) fn merge(&mut self, layout: &ViewLayout, reach: &Reach, other: Self) {
        match (self, other, &layout.body) {
            (Self::Aggregates(state), Self::Aggregates(other), Body::Aggregates(aggregates)) => {
                state.merge(aggregates, reach, other);
            }
            (Self::Latest(state), Self::Latest(other), _) => state.merge(other),
            // States are made from one layout, so no other pair ever meets.
            (Self::Aggregates(_), Self::Latest(_), _)
            | (Self::Latest(_), Self::Aggregates(_), _)
            | (Self::Aggregates(_), Self::Aggregates(_), Body::Latest { .. }) => {}
        }
    }
}

impl AggregateState {
    fn merge(&mut self, layout: &AggregateLayout, reach: &Reach, other: Self) {
        self.newest = self.newest.max(other.newest);
        for ((level, state), other) in layout.levels.iter().zip(&mut self.levels).zip(other.levels) {
            state.merge(layout, level, other);
        }
        self.lifetime.newest = self.lifetime.newest.max(other.lifetime.newest);
        let partials = self.lifetime.partials.iter_mut().zip(&other.lifetime.partials);
        for (&slot, (partial, other)) in layout.lifetime.iter().zip(partials) {
            merge(&layout.slots[slot].aggregation, partial, other);
        }
        self.merged = MergedTiles::default();
        self.kept_values.forget();
        for oldest in self.recent.merge(other.recent) {
            self.fold(layout, reach, &oldest);
        }
    }
}

impl LevelState {
    fn merge(&mut self, layout: &AggregateLayout, level: &Level, other: Self) {
        self.pruned_before = self.pruned_before.max(other.pruned_before);
        let ours = std::mem::take(&mut self.tiles);
        let mut tiles: Vec<Tile> = Vec::with_capacity(ours.len() + other.tiles.len());
        let (mut ours, mut theirs) = (ours.into_iter().peekable(), other.tiles.into_iter().peekable());
        loop {
            let is_ours = match (ours.peek(), theirs.peek()) {
                (Some(our), Some(their)) => our.start <= their.start,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let Some(next) = (if is_ours { ours.next() } else { theirs.next() }) else { break };
            // Of what lies before, a part was dropped: nobody is told of it.
            if next.start < self.pruned_before {
                continue;
            }
            match tiles.last_mut().filter(|last| last.start == next.start) {
                Some(last) => last.merge(layout, level, &next),
                None => tiles.push(next),
            }
        }
        self.tiles = tiles;
    }
}

impl Tile {
    fn merge(&mut self, layout: &AggregateLayout, level: &Level, other: &Self) {
        self.newest = self.newest.max(other.newest);
        for (&slot, (partial, other)) in level.slots.iter().zip(self.partials.iter_mut().zip(&other.partials))
        {
            merge(&layout.slots[slot].aggregation, partial, other);
        }
    }
}

impl LatestState {
    fn merge(&mut self, other: Self) {
        let surplus = self.recent.merge(other.recent);
        let bases = self.base.take().into_iter().chain(other.base).chain(surplus);
        self.base = bases.reduce(|held, row| if row.order() > held.order() { row } else { held });
    }
}
