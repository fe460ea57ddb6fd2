//! The online state of one key of one view: packed into one value, so that a read costs one point get.
//!
//! Nothing here knows a store, a clock or a log. Whatever the state can answer, it answers exactly; what it cannot, it
//! refuses.
//!
//! - `layout`: what a view keeps: states shared by features, tile levels, how far back each must reach
//! - `aggregates`: tiles and recent events of a view of aggregates
//! - `answer`: the values of its features at a moment
//! - `latest`: recent rows of a latest-value view
//! - `recent`: the newest events, kept one by one
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
pub(crate) mod recent;
pub(crate) mod take_back;
#[cfg(test)]
mod tests;

use shipway_aggregate::Partial;

pub(crate) use aggregates::AggregateState;
pub(crate) use latest::LatestState;
pub(crate) use layout::{Body, Reach, ViewLayout};
pub(crate) use recent::{Recent, RecentEvent};

/// The state cannot answer this moment exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inexact;

/// The state of one key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum KeyState {
    Aggregates(AggregateState),
    Latest(LatestState),
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
        match self {
            Self::Latest(state) => size_of::<Self>() + state.recent.decoded_bytes(),
            Self::Aggregates(state) => {
                let tiles = state.levels.iter().flat_map(|level| &level.tiles);
                let of_tiles: usize =
                    tiles.map(|tile| size_of_val(tile) + size_of_val::<[Partial]>(&tile.partials)).sum();
                size_of::<Self>() + of_tiles + state.recent.decoded_bytes()
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
