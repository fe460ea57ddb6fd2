//! Which event ids are taken. An id is claimed before its event is appended, and released when the materialiser has
//! written it to the online store, where it stays for the dedupe horizon. So there is no moment at which a second event
//! with the same id can slip through.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shipway_core::Digest;
use tokio::sync::watch;

/// An event id by its digest: loads of millions of rows claim all their ids at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct IdDigest(u128);

impl IdDigest {
    pub(crate) fn of(id: &str) -> Self {
        let digest = Digest::of(id);
        let (head, _) = digest.as_bytes().split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        Self(u128::from_le_bytes(*head))
    }
}

/// A digest is spread as well as a hash could spread it.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only digests come here, each as one number.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }
}

/// How an append ended: the offset behind it, or nothing was appended.
pub(crate) type Outcome = Option<u64>;

/// One append, or one load, that claims ids. Dropping it without settling it frees them again.
pub(crate) struct Ticket {
    number: u64,
    sender: watch::Sender<Option<Outcome>>,
    claimed: Vec<IdDigest>,
    dedupe: Arc<Dedupe>,
    settled: bool,
}

/// The answer to a claim.
pub(crate) enum Claim {
    /// The id is now ours.
    Ours,
    /// This same ticket claimed it before.
    Repeated,
    /// Its event is durable, before this offset.
    Durable(u64),
    /// Another append holds it, and has not ended yet.
    InFlight(watch::Receiver<Option<Outcome>>),
}

/// The ids of one source that the online store may not know yet.
#[derive(Default)]
pub(crate) struct Dedupe {
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    next_ticket: u64,
    /// The ticket that holds each id.
    entries: HashMap<IdDigest, u64, BuildHasherDefault<AsItIs>>,
    tickets: HashMap<u64, Standing>,
    /// End offset of an append to the tickets that it settled.
    durable: BTreeMap<u64, Vec<u64>>,
}

/// How far the ids of a ticket are.
enum Standing {
    InFlight(watch::Receiver<Option<Outcome>>),
    /// In the log, before this offset.
    Durable {
        end: u64,
        ids: Vec<IdDigest>,
    },
}

/// A table with room for fewer ids than this is never made smaller.
const USUAL_IDS: usize = 1 << 16;

impl Pending {
    /// A load claims millions of ids at once; when they are released, so is the room that they had.
    fn give_back_room(&mut self) {
        if self.entries.capacity() > USUAL_IDS.max(4 * self.entries.len()) {
            self.entries.shrink_to(USUAL_IDS / 2);
        }
    }

    fn settle(&mut self, ticket: u64, end: u64, ids: Vec<IdDigest>) {
        self.tickets.insert(ticket, Standing::Durable { end, ids });
        self.durable.entry(end).or_default().push(ticket);
    }

    /// Frees those of `ids` that the ticket still holds.
    fn free(&mut self, ticket: u64, ids: &[IdDigest]) {
        for id in ids {
            if self.entries.get(id) == Some(&ticket) {
                self.entries.remove(id);
            }
        }
    }
}

impl Dedupe {
    pub(crate) fn ticket(self: &Arc<Self>) -> Ticket {
        let sender = watch::Sender::new(None);
        let mut pending = self.pending();
        pending.next_ticket += 1;
        let number = pending.next_ticket;
        pending.tickets.insert(number, Standing::InFlight(sender.subscribe()));
        Ticket { number, sender, claimed: Vec::new(), dedupe: Arc::clone(self), settled: false }
    }

    /// Notes ids that are in the log but not in the online store, when a source starts.
    pub(crate) fn note_durable(&self, ids: Vec<IdDigest>, end: u64) {
        let mut pending = self.pending();
        pending.next_ticket += 1;
        let number = pending.next_ticket;
        pending.entries.extend(ids.iter().map(|id| (*id, number)));
        pending.settle(number, end, ids);
    }

    /// Frees the ids of appends that end at or before `applied`: the online store knows them now.
    pub(crate) fn release(&self, applied: u64) {
        let mut pending = self.pending();
        let later = pending.durable.split_off(&applied.saturating_add(1));
        let released = std::mem::replace(&mut pending.durable, later);
        for ticket in released.into_values().flatten() {
            if let Some(Standing::Durable { ids, .. }) = pending.tickets.remove(&ticket) {
                pending.free(ticket, &ids);
            }
        }
        pending.give_back_room();
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Claims an id; `is_seen` asks the online store, and is asked only when nobody holds the id.
    pub(crate) fn claim<E>(
        &mut self,
        id: IdDigest,
        is_seen: impl FnOnce() -> Result<Option<u64>, E>,
    ) -> Result<Claim, E> {
        // An id leaves the pending ones only after the online store has it, so this order misses nothing.
        let mut pending = self.dedupe.pending();
        let pending = &mut *pending;
        let holder = pending.entries.get(&id);
        if holder == Some(&self.number) {
            return Ok(Claim::Repeated);
        }
        match holder.and_then(|holder| pending.tickets.get(holder)) {
            Some(Standing::InFlight(outcome)) => return Ok(Claim::InFlight(outcome.clone())),
            Some(Standing::Durable { end, .. }) => return Ok(Claim::Durable(*end)),
            None => {}
        }
        if let Some(end) = is_seen()? {
            return Ok(Claim::Durable(end));
        }
        pending.entries.insert(id, self.number);
        self.claimed.push(id);
        Ok(Claim::Ours)
    }

    /// The append is durable and ends at `end`: the ids stay taken until the online store knows them.
    pub(crate) fn settle(mut self, end: u64) {
        let mut pending = self.dedupe.pending();
        pending.settle(self.number, end, std::mem::take(&mut self.claimed));
        self.settled = true;
        drop(pending);
        self.sender.send_replace(Some(Some(end)));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut pending = self.dedupe.pending();
        pending.tickets.remove(&self.number);
        pending.free(self.number, &self.claimed);
        pending.give_back_room();
        drop(pending);
        self.sender.send_replace(Some(None));
    }
}

/// Waits until another append has ended.
pub(crate) async fn ended(mut outcome: watch::Receiver<Option<Outcome>>) -> Outcome {
    outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| *outcome).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Result<Option<u64>, ()> {
        Ok(None)
    }

    #[tokio::test]
    async fn a_second_claim_waits_for_the_first_and_learns_its_outcome() {
        let dedupe = Arc::new(Dedupe::default());
        let id = IdDigest::of("a");
        let mut first = dedupe.ticket();
        assert!(matches!(first.claim(id, nobody), Ok(Claim::Ours)));
        assert!(matches!(first.claim(id, nobody), Ok(Claim::Repeated)));
        let mut second = dedupe.ticket();
        let Ok(Claim::InFlight(outcome)) = second.claim(id, nobody) else { panic!("the id is in flight") };
        first.settle(8);
        assert_eq!(ended(outcome).await, Some(8));
        assert!(matches!(second.claim(id, nobody), Ok(Claim::Durable(8))));
        dedupe.release(7);
        assert!(matches!(second.claim(id, nobody), Ok(Claim::Durable(8))));
        dedupe.release(8);
        assert!(matches!(second.claim(id, || Ok::<_, ()>(Some(3))), Ok(Claim::Durable(3))));
        assert!(matches!(second.claim(id, nobody), Ok(Claim::Ours)));
    }

    #[test]
    fn the_room_of_a_load_is_given_back_when_its_ids_are_released() {
        let dedupe = Arc::new(Dedupe::default());
        let mut load = dedupe.ticket();
        for number in 0..200_000_u128 {
            assert!(matches!(load.claim(IdDigest(number), nobody), Ok(Claim::Ours)));
        }
        load.settle(1);
        let mut live = dedupe.ticket();
        assert!(matches!(live.claim(IdDigest(u128::MAX), nobody), Ok(Claim::Ours)));
        dedupe.release(1);
        assert!(dedupe.pending().entries.capacity() <= USUAL_IDS);
        assert!(
            matches!(live.claim(IdDigest(u128::MAX), nobody), Ok(Claim::Repeated)),
            "what is not released stays"
        );
    }

    #[tokio::test]
    async fn a_failed_append_frees_its_ids_and_says_so() {
        let dedupe = Arc::new(Dedupe::default());
        let id = IdDigest::of("a");
        let mut first = dedupe.ticket();
        assert!(matches!(first.claim(id, nobody), Ok(Claim::Ours)));
        let mut second = dedupe.ticket();
        let Ok(Claim::InFlight(outcome)) = second.claim(id, nobody) else { panic!("the id is in flight") };
        drop(first);
        assert_eq!(ended(outcome).await, None);
        assert!(matches!(second.claim(id, nobody), Ok(Claim::Ours)));
    }
}
