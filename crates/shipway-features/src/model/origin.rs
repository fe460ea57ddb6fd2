//! Where a message stands at its broker. The caller keeps such positions, not the broker: see docs/decisions/0021.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::Error as _};
use shipway_core::Digest;

use crate::model::bytes::{read_moment, read_number, write_moment, write_number};

/// One topic of one broker, in as few bytes as a record can spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feed(u64);

/// Where a message stands at its broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) feed: Feed,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
}

/// The next message to take in of every partition that was ever read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Positions(BTreeMap<(Feed, u32), u64>);

impl Feed {
    /// The topic with this name at the broker with that name.
    pub fn of(broker: &str, topic: &str) -> Self {
        let digest = Digest::of(format!("{broker}\0{topic}"));
        let (head, _) = digest.as_bytes().split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        Self(u64::from_le_bytes(*head))
    }

    /// The log of a source of this server, which another one is selected from.
    pub(crate) fn of_log(source: &str) -> Self {
        Self::of("\0", source)
    }

    /// The dead letters of a source. No broker of a configuration has the name that stands for this server here.
    pub fn of_letters(source: &str) -> Self {
        Self::of("", source)
    }
}

impl Origin {
    pub(super) fn write(self, bytes: &mut Vec<u8>) {
        write_moment(self.feed.0.cast_signed(), bytes);
        write_number(self.partition.into(), bytes);
        write_number(self.offset, bytes);
    }

    pub(super) fn read(from: &mut &[u8]) -> Option<Self> {
        let feed = Feed(read_moment(from)?.cast_unsigned());
        let partition = u32::try_from(read_number(from)?).ok()?;
        Some(Self { feed, partition, offset: read_number(from)? })
    }
}

impl Positions {
    /// The next message to take in; `None` when none ever was.
    pub(crate) fn next(&self, feed: Feed, partition: u32) -> Option<u64> {
        self.0.get(&(feed, partition)).copied()
    }

    /// Moves behind `origin`, never back.
    pub(crate) fn pass(&mut self, origin: Origin) {
        let next = self.0.entry((origin.feed, origin.partition)).or_default();
        *next = origin.offset.saturating_add(1).max(*next);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// As `{"<feed, 16 hex digits>/<partition>": next}`.
impl Serialize for Positions {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0.iter().map(|((feed, partition), next)| (format!("{:016x}/{partition}", feed.0), next)),
        )
    }
}

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |(text, next): (String, u64)| {
            let (feed, partition) = text.split_once('/')?;
            Some(((Feed(u64::from_str_radix(feed, 16).ok()?), partition.parse().ok()?), next))
        };
        let texts = BTreeMap::<String, u64>::deserialize(deserializer)?;
        let positions = texts.into_iter().map(read).collect::<Option<_>>();
        positions.map(Self).ok_or_else(|| D::Error::custom("a position of a feed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_only_move_on_and_are_stored_in_one_form_for_ever() {
        let feed = Feed::of("main", "departures");
        let mut positions = Positions::default();
        for offset in [5, 9, 7] {
            positions.pass(Origin { feed, partition: 2, offset });
        }
        positions.pass(Origin { feed: Feed(1), partition: 0, offset: 0 });
        assert_eq!(positions.next(feed, 2), Some(10));
        assert_eq!(positions.next(feed, 0), None);
        let json = serde_json::to_string(&positions).unwrap();
        assert_eq!(json, format!(r#"{{"0000000000000001/0":1,"{:016x}/2":10}}"#, feed.0));
        assert_eq!(serde_json::from_str::<Positions>(&json).unwrap(), positions);
        assert!(serde_json::from_str::<Positions>(r#"{"x/1":2}"#).is_err());
    }
}
