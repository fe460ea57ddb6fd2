//! Where a message lies, as one number that grows.
//!
//! A message of Pulsar is named by its ledger, its entry in it, and its place in the entry where that is a batch. Ledgers of a topic
//! are numbered in the order in which they are written, and never twice in a cluster. So the three numbers, one behind the other in
//! the bits of one, grow with the order of the partition: 29 bits for the ledger, 23 for the entry, 11 for the place in the batch.
//! The highest bit stays 0, for offsets are stored as signed numbers, too.

use super::commands::MessageId;

const ENTRY_BITS: u32 = 23;
const BATCH_BITS: u32 = 11;
/// One behind the highest ledger that a position can name: 536,870,912.
const LEDGERS: u64 = 1 << 29;
/// The same of entries in a ledger: 8,388,608. By default a ledger is closed at 50,000 entries, though not within ten minutes.
const ENTRIES: u64 = 1 << ENTRY_BITS;
/// The same of messages in a batch: 2,048. Clients make batches of up to 1,000 by default.
const BATCH: u64 = 1 << BATCH_BITS;

/// Where a message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) ledger: u64,
    pub(super) entry: u64,
    /// 0 for what is no batch.
    pub(super) batch: u64,
}

impl Place {
    pub(super) const fn new(ledger: u64, entry: u64, batch: u64) -> Self {
        Self { ledger, entry, batch }
    }

    /// The place that the protocol names; `None` where it says that there is none, by an id below 0.
    pub(super) fn named(id: &MessageId) -> Option<Self> {
        let is_named = id.ledger <= i64::MAX as u64 && id.entry <= i64::MAX as u64;
        let batch = u64::try_from(id.batch_index.unwrap_or(0)).unwrap_or(0);
        is_named.then_some(Self { ledger: id.ledger, entry: id.entry, batch })
    }

    /// As one number, or what of it is too large for that.
    pub(super) fn offset(self) -> Result<u64, String> {
        for (what, value, end) in [
            ("ledger", self.ledger, LEDGERS),
            ("entry", self.entry, ENTRIES),
            ("place in a batch", self.batch, BATCH),
        ] {
            if value >= end {
                return Err(format!("{what} {value}"));
            }
        }
        Ok(self.ledger << (ENTRY_BITS + BATCH_BITS) | self.entry << BATCH_BITS | self.batch)
    }

    /// The place that an offset names. One behind the last message of an entry may name a place that no message has.
    pub(super) fn at(offset: u64) -> Self {
        Self {
            ledger: offset >> (ENTRY_BITS + BATCH_BITS),
            entry: (offset >> BATCH_BITS) & (ENTRIES - 1),
            batch: offset & (BATCH - 1),
        }
    }

    /// Whether both are in the same entry.
    pub(super) fn is_beside(self, other: Self) -> bool {
        (self.ledger, self.entry) == (other.ledger, other.entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_grow_as_messages_do_and_name_their_place() {
        let mut places = Vec::new();
        for ledger in [0, 1, 77, LEDGERS - 1] {
            for entry in [0, 1, 49_999, ENTRIES - 1] {
                for batch in [0, 1, 999, BATCH - 1] {
                    places.push(Place::new(ledger, entry, batch));
                }
            }
        }
        assert!(places.is_sorted());
        let offsets: Vec<u64> = places.iter().map(|place| place.offset().unwrap()).collect();
        assert!(offsets.is_sorted_by(|one, next| one < next));
        for (place, offset) in places.iter().zip(&offsets) {
            assert_eq!(Place::at(*offset), *place);
            assert!(i64::try_from(*offset).is_ok(), "{offset} is no signed number");
        }
        // One behind the last message that a batch can have is where the next entry begins.
        let last = Place::new(3, 4, BATCH - 1).offset().unwrap();
        assert_eq!(Place::at(last + 1), Place::new(3, 5, 0));
    }

    #[test]
    fn what_is_too_large_is_refused_and_never_wraps() {
        for (place, what) in [
            (Place::new(LEDGERS, 0, 0), "ledger 536870912"),
            (Place::new(0, ENTRIES, 0), "entry 8388608"),
            (Place::new(0, 0, BATCH), "place in a batch 2048"),
            (Place::new(u64::MAX, 0, 0), "ledger 18446744073709551615"),
        ] {
            assert_eq!(place.offset().unwrap_err(), what);
        }
    }

    #[test]
    fn an_id_below_zero_names_no_place() {
        let id = |ledger, entry, batch_index| MessageId { ledger, entry, partition: None, batch_index };
        assert_eq!(Place::named(&id(u64::MAX, u64::MAX, None)), None);
        assert_eq!(Place::named(&id(5, u64::MAX, None)), None);
        assert_eq!(Place::named(&id(5, 6, Some(-1))), Some(Place::new(5, 6, 0)));
        assert_eq!(Place::named(&id(5, 6, Some(7))), Some(Place::new(5, 6, 7)));
    }
}
