//! Judges whether what comes follows what was read, without a gap.
//!
//! A broker removes whole ledgers, the oldest first. A reader whose next ledger was removed is moved on without a word. So two things
//! are demanded: the entry of the last message that was read comes again, first; and a ledger is left only while it is still there.

use super::place::Place;

/// Where reading stands.
#[derive(Debug)]
pub(super) struct Track {
    next: u64,
    /// The entry that has to come first.
    proof: Option<Place>,
    /// The ledger that is being read; none before the first message of a partition that was empty.
    ledger: Option<u64>,
}

/// How an entry stands to what was read before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// Nothing is missing before it.
    InOrder,
    /// What was read last did not come again.
    BehindAGap,
    /// Nothing is missing if ledger `left` is still there.
    InAnotherLedger { left: u64 },
}

impl Track {
    /// Before the first entry, with `next` as the next message.
    pub(super) fn at(next: u64) -> Self {
        let place = Place::at(next);
        // One behind a message names the message's own entry. A position that names the beginning of an entry has no such witness.
        let proof = (place.batch > 0).then_some(place);
        Self { next, proof, ledger: (next > 0).then_some(place.ledger) }
    }

    /// The next message.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Judges the place of an entry, before its messages are looked at.
    pub(super) fn arrives(&mut self, place: Place) -> Arrived {
        if let Some(proof) = self.proof {
            if proof.is_beside(place) {
                self.proof = None;
            } else if (place.ledger, place.entry) > (proof.ledger, proof.entry) {
                return Arrived::BehindAGap;
            }
        }
        match self.ledger {
            Some(left) if place.ledger > left => Arrived::InAnotherLedger { left },
            Some(_) => Arrived::InOrder,
            None => {
                self.ledger = Some(place.ledger);
                Arrived::InOrder
            }
        }
    }

    /// The ledger before was still there.
    pub(super) fn enters(&mut self, ledger: u64) {
        self.ledger = Some(ledger);
    }

    /// Whether a message was not read before; then it is now.
    pub(super) fn is_new(&mut self, offset: u64) -> bool {
        let is_new = offset >= self.next;
        if is_new {
            self.next = offset + 1;
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(ledger: u64, entry: u64, batch: u64) -> u64 {
        Place::new(ledger, entry, batch).offset().unwrap()
    }

    fn arrives(track: &mut Track, ledger: u64, entry: u64) -> Arrived {
        track.arrives(Place::new(ledger, entry, 0))
    }

    #[test]
    fn a_batch_is_read_on_from_within_and_each_message_of_it_once() {
        let mut track = Track::at(offset(5, 8, 2));
        assert_eq!(arrives(&mut track, 5, 7), Arrived::InOrder, "some brokers begin one entry earlier");
        assert!(!track.is_new(offset(5, 7, 9)));
        assert_eq!(arrives(&mut track, 5, 8), Arrived::InOrder);
        let new: Vec<u64> = (0..5).filter(|place| track.is_new(offset(5, 8, *place))).collect();
        assert_eq!(new, [2, 3, 4]);
        assert_eq!(track.next(), offset(5, 8, 5));
        assert_eq!(arrives(&mut track, 5, 8), Arrived::InOrder);
        assert!(!track.is_new(offset(5, 8, 4)), "it comes again and counts no more");
    }

    #[test]
    fn what_was_read_last_has_to_come_again_first() {
        let mut track = Track::at(offset(5, 8, 1));
        assert_eq!(arrives(&mut track, 5, 9), Arrived::BehindAGap);
        let mut track = Track::at(offset(5, 8, 1));
        assert_eq!(arrives(&mut track, 6, 0), Arrived::BehindAGap);
        // Where nothing was read yet there is no witness.
        let mut track = Track::at(offset(5, 8, 0));
        assert_eq!(arrives(&mut track, 5, 9), Arrived::InOrder);
    }

    #[test]
    fn leaving_a_ledger_asks_whether_it_is_still_there() {
        let mut track = Track::at(offset(5, 8, 1));
        assert_eq!(arrives(&mut track, 5, 8), Arrived::InOrder);
        assert_eq!(arrives(&mut track, 9, 0), Arrived::InAnotherLedger { left: 5 });
        assert_eq!(
            arrives(&mut track, 9, 0),
            Arrived::InAnotherLedger { left: 5 },
            "asked until it is answered"
        );
        track.enters(9);
        assert_eq!(arrives(&mut track, 9, 1), Arrived::InOrder);
    }

    #[test]
    fn the_first_message_of_an_empty_partition_may_lie_in_any_ledger() {
        let mut track = Track::at(0);
        assert_eq!(arrives(&mut track, 77, 0), Arrived::InOrder);
        assert!(track.is_new(offset(77, 0, 0)));
        assert_eq!(arrives(&mut track, 78, 0), Arrived::InAnotherLedger { left: 77 });
    }
}
