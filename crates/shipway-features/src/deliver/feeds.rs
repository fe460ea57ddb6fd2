//! Where every partition stands, and who may deliver of it.

use std::collections::BTreeMap;

use crate::{
    error::FeaturesError,
    model::origin::{Feed, Origin, Positions},
};

/// What the brokers of one source have delivered. Held for as long as a delivery goes into the log.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    /// The next message of every partition; all before it are in the log.
    positions: Positions,
    /// Under which generation each partition was claimed last.
    generations: BTreeMap<(Feed, u32), u64>,
}

impl Feeds {
    /// Begins where the stored states stand.
    pub(crate) fn stand_at(&mut self, positions: Positions) {
        self.positions = positions;
    }

    /// The messages up to `origin` are in the log.
    pub(crate) fn pass(&mut self, origin: Origin) {
        self.positions.pass(origin);
    }

    /// The next message to take in; `None` when none ever was.
    pub(crate) fn next(&self, feed: Feed, partition: u32) -> Option<u64> {
        self.positions.next(feed, partition)
    }

    /// From now on only who claimed under `generation`, or a later one, may deliver of this partition.
    pub(crate) fn claim(&mut self, feed: Feed, generation: u64, partition: u32) -> Result<(), FeaturesError> {
        self.check(feed, generation, partition)?;
        self.generations.insert((feed, partition), generation);
        Ok(())
    }

    /// Refuses whoever read a partition before somebody else claimed it.
    pub(crate) fn check(&self, feed: Feed, generation: u64, partition: u32) -> Result<(), FeaturesError> {
        match self.generations.get(&(feed, partition)) {
            Some(held) if *held > generation => {
                Err(FeaturesError::Fenced { partition, generation, held: *held })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_claimed_earlier_may_not_deliver_any_more() {
        let feed = Feed::of("main", "departures");
        let mut feeds = Feeds::default();
        for (generation, partition) in [(4, 0), (4, 1), (5, 1)] {
            feeds.claim(feed, generation, partition).unwrap();
        }

        assert!(feeds.check(feed, 4, 0).is_ok());
        let refusal = feeds.check(feed, 4, 1).unwrap_err();
        assert!(matches!(refusal, FeaturesError::Fenced { partition: 1, generation: 4, held: 5 }));
        assert!(feeds.claim(feed, 4, 1).is_err(), "nor claim it back");
        assert!(feeds.check(Feed::of("main", "arrivals"), 1, 1).is_ok(), "another topic is another matter");
    }
}
