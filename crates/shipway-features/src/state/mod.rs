//! The online state of one key of one view: packed into one value, so that a read costs one point get.
//!
//! Nothing here knows a store, a clock or a log. Whatever the state can answer, it answers exactly; what it cannot, it
//! refuses.
//!
//! - `layout`: what a view keeps: states shared by features, tile levels, how far back each must reach
//! - `aggregates`: tiles and recent events of a view of aggregates
//! - `answer`: the values of its features at a moment
//! - `latest`: recent rows of a latest-value view
//! - `codec`: the stored form
//! - `take_back`: an event that was counted leaves the state again
//! - `merge`: two states of one key become one
//! - `merged`: sums of complete tiles, kept beside a decoded state; `kept_values`: values that hold until the next hop
//! - `cache`: decoded states of hot keys
//! - `flight`: one read that is under way, and all who wait for it

pub(crate) mod aggregates;
pub(crate) mod answer;
pub(crate) mod cache;
pub(crate) mod codec;
pub(crate) mod flight;
pub(crate) mod kept_values;
pub(crate) mod latest;
pub(crate) mod layout;
mod merge;
pub(crate) mod merged;
pub(crate) mod take_back;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use shipway_aggregate::{EventOrder, Partial};
use shipway_core::{Timestamp, Value};

pub(crate) use aggregates::AggregateState;
pub(crate) use latest::LatestState;
pub(crate) use layout::{Body, Reach, ViewLayout};

/// How many recent events of a key are kept one by one. Older ones are folded into tiles.
pub(crate) const RECENT_LIMIT: usize = 64;

/// The state cannot answer this moment exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inexact;

/// The state of one key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum KeyState {
    Aggregates(AggregateState),
    Latest(LatestState),
}

/// An event as a view sees it: the columns that the view needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecentEvent {
    pub(crate) time: Timestamp,
    pub(crate) id: Arc<str>,
    pub(crate) values: Box<[Value]>,
}

impl RecentEvent {
    pub(crate) fn order(&self) -> EventOrder<'_> {
        EventOrder { time: self.time, event_id: &self.id }
    }
}

/// Puts `event` at its place in `recent`, which is sorted by (time, event id); returns the oldest when there are too many.
pub(crate) fn insert_recent(recent: &mut Vec<RecentEvent>, event: RecentEvent) -> Option<RecentEvent> {
    let is_newest = recent.last().is_none_or(|last| last.order() <= event.order());
    let at =
        if is_newest { recent.len() } else { recent.partition_point(|held| held.order() <= event.order()) };
    if at == 0 && recent.len() == RECENT_LIMIT {
        return Some(event);
    }
    recent.insert(at, event);
    (recent.len() > RECENT_LIMIT).then(|| recent.remove(0))
}

impl KeyState {
    pub(crate) fn empty(layout: &ViewLayout) -> Self {
        match &layout.body {
            Body::Aggregates(aggregates) => Self::Aggregates(AggregateState::empty(aggregates)),
            Body::Latest { .. } => Self::Latest(LatestState::default()),
        }
    }

    /// About what the state takes in memory beyond its stored form, which stands for what its parts hold elsewhere.
    pub(crate) fn decoded_bytes(&self) -> usize {
        let events = |events: &[RecentEvent]| {
            let of_values: usize = events.iter().map(|event| size_of_val::<[Value]>(&event.values)).sum();
            size_of_val(events) + of_values
        };
        match self {
            Self::Latest(state) => size_of::<Self>() + events(&state.recent),
            Self::Aggregates(state) => {
                let tiles = state.levels.iter().flat_map(|level| &level.tiles);
                let of_tiles: usize =
                    tiles.map(|tile| size_of_val(tile) + size_of_val::<[Partial]>(&tile.partials)).sum();
                size_of::<Self>() + of_tiles + events(&state.recent)
            }
        }
    }

    /// Counts one event. Its order among the events of the key does not matter.
    pub(crate) fn apply(&mut self, layout: &ViewLayout, reach: &Reach, event: RecentEvent) {
        match (self, &layout.body) {
            (Self::Aggregates(state), Body::Aggregates(aggregates)) => state.apply(aggregates, reach, event),
            (Self::Latest(state), _) => state.apply(event),
            (Self::Aggregates(_), Body::Latest { .. }) => {}
        }
    }

    /// Drops what no answerable moment can reach any more.
    pub(crate) fn prune(&mut self, layout: &ViewLayout, reach: &Reach) {
        if let (Self::Aggregates(state), Body::Aggregates(aggregates)) = (self, &layout.body) {
            state.prune(aggregates, reach);
        }
    }
}
