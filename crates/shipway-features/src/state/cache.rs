//! Decoded states of hot keys. An entry belongs to exact stored bytes, so a reader with another snapshot never gets it.
//!
//! An entry also notes the published state in which its bytes were last seen: a second read out of the same published state
//! needs no look into the store at all. Reads of the same key that run at the same time share one look and one decoding.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use foldhash::quality::RandomState;

use crate::{
    offline::hash_of_key,
    state::{
        KeyState,
        flight::{Flight, Lead},
    },
};

/// A state with fewer bytes than this costs little to read anew, so it is kept when its key was read before, not long ago. Of
/// many keys that are each read once in a while, none is kept in vain.
const SMALL_BYTES: usize = 256;

/// So many keys of small states are remembered as read.
const REMEMBERED_KEYS: usize = 1 << 16;

/// The number of no published state: the bytes were written and not yet seen by a reader.
pub(crate) const UNSEEN: u64 = 0;

struct Entry {
    stored: Bytes,
    state: Arc<KeyState>,
    /// About what the entry takes in memory, its key included.
    bytes: usize,
    used: bool,
    /// The published state in which the key had exactly these bytes.
    seen_in: u64,
}

/// A bounded cache, shared by the readers and the materialiser. Entries not used since the last sweep go first.
pub(crate) struct StateCache {
    shards: Vec<Mutex<Shard>>,
    shard_bytes: usize,
    /// What was read not long ago: at the place of a key's hash, the rest of it.
    read_before: Box<[AtomicU32]>,
    hits: metrics::Counter,
    coalesced: metrics::Counter,
    store_reads: metrics::Counter,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<Bytes, Entry, RandomState>,
    flights: HashMap<(Bytes, u64), Arc<Flight>>,
    held_bytes: usize,
}

/// What is to be done for the state of a key.
pub(crate) enum Lookup<'a> {
    /// Nothing: here it is.
    Ready(Arc<KeyState>),
    /// Read it, for oneself and for others.
    Lead(Lead<'a>),
    /// Wait: somebody reads it already.
    Follow(Arc<Flight>),
}

impl StateCache {
    /// A cache of states that together take about `limit_bytes` at most, decoded as they are: many times what is stored.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        let shards: Vec<_> = (0..16).map(|_| Mutex::default()).collect();
        Self {
            shard_bytes: limit_bytes / shards.len(),
            shards,
            read_before: (0..REMEMBERED_KEYS).map(|_| AtomicU32::new(0)).collect(),
            hits: metrics::counter!("shipway_feature_lookups_total", "answered_by" => "cache"),
            coalesced: metrics::counter!("shipway_feature_lookups_total", "answered_by" => "another_read"),
            store_reads: metrics::counter!("shipway_feature_lookups_total", "answered_by" => "store"),
        }
    }

    /// The state of `key` as it is in the published state with the number `snapshot`, or what to do to have it.
    pub(crate) fn find(&self, key: &Bytes, snapshot: u64) -> Lookup<'_> {
        let mut guard = self.shard(key);
        let shard = &mut *guard;
        if let Some(entry) = shard.entries.get_mut(key)
            && entry.seen_in == snapshot
        {
            entry.used = true;
            let state = Arc::clone(&entry.state);
            drop(guard);
            self.hits.increment(1);
            return Lookup::Ready(state);
        }
        if let Some(flight) = shard.flights.get(&(key.clone(), snapshot)) {
            flight.join();
            let flight = Arc::clone(flight);
            drop(guard);
            self.coalesced.increment(1);
            return Lookup::Follow(flight);
        }
        let flight = Arc::<Flight>::default();
        shard.flights.insert((key.clone(), snapshot), Arc::clone(&flight));
        drop(guard);
        self.store_reads.increment(1);
        Lookup::Lead(Lead::new(self, key.clone(), snapshot, flight))
    }

    /// The decoded form of exactly these stored bytes, which the key has in the published state with that number.
    pub(crate) fn get(&self, key: &[u8], stored: &Bytes, snapshot: u64) -> Option<Arc<KeyState>> {
        let mut shard = self.shard(key);
        let entry = shard.entries.get_mut(key)?;
        if !is_same(&entry.stored, stored) {
            return None;
        }
        entry.used = true;
        entry.seen_in = snapshot.max(entry.seen_in);
        Some(Arc::clone(&entry.state))
    }

    /// Takes the entry out, so that its owner can change it without a copy.
    pub(crate) fn take(&self, key: &[u8], stored: &Bytes) -> Option<Arc<KeyState>> {
        let mut shard = self.shard(key);
        if !is_same(&shard.entries.get(key)?.stored, stored) {
            return None;
        }
        let entry = shard.entries.remove(key)?;
        shard.held_bytes = shard.held_bytes.saturating_sub(entry.bytes);
        Some(entry.state)
    }

    /// Keeps the decoded form of `stored`, seen in the published state with that number.
    pub(crate) fn put(&self, key: Bytes, stored: Bytes, state: Arc<KeyState>, seen_in: u64) {
        if stored.len() < SMALL_BYTES && !self.was_read_before(&key) {
            return;
        }
        let bytes = key.len() + stored.len() + state.decoded_bytes();
        let mut shard = self.shard(&key);
        shard.held_bytes += bytes;
        if let Some(old) = shard.entries.insert(key, Entry { stored, state, bytes, used: true, seen_in }) {
            shard.held_bytes = shard.held_bytes.saturating_sub(old.bytes);
        }
        if shard.held_bytes > self.shard_bytes {
            shard.sweep(self.shard_bytes / 2);
        }
    }

    /// Whether the key is among those remembered; it is from now on.
    fn was_read_before(&self, key: &[u8]) -> bool {
        let hash = hash_of_key(key);
        let rest = ((hash >> 32) as u32).max(1);
        let place = &self.read_before[hash as usize % REMEMBERED_KEYS];
        place.swap(rest, Ordering::Relaxed) == rest
    }

    pub(super) fn end_flight(&self, key: &Bytes, snapshot: u64) {
        self.shard(key).flights.remove(&(key.clone(), snapshot));
    }

    /// How many wait for reads that are under way.
    #[cfg(test)]
    pub(crate) fn followers(&self) -> usize {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        shards.map(|shard| shard.flights.values().map(|flight| flight.followers()).sum::<usize>()).sum()
    }

    fn shard(&self, key: &[u8]) -> std::sync::MutexGuard<'_, Shard> {
        let hash = spread(key) as usize;
        let shard = &self.shards[hash % self.shards.len()];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Drops entries until at most `target_bytes` are held: first those not used since the last sweep, then any.
    fn sweep(&mut self, target_bytes: usize) {
        for only_unused in [true, false] {
            let mut held = self.held_bytes;
            self.entries.retain(|_, entry| {
                let drop = held > target_bytes && !(only_unused && entry.used);
                if drop {
                    held = held.saturating_sub(entry.bytes);
                }
                entry.used = false;
                !drop
            });
            self.held_bytes = held;
        }
    }
}

/// Equal pointers are the usual case; comparing the bytes costs far less than decoding them.
fn is_same(held: &Bytes, stored: &Bytes) -> bool {
    (held.as_ptr() == stored.as_ptr() && held.len() == stored.len()) || held == stored
}

/// Spreads keys over shards.
pub(crate) fn spread(key: &[u8]) -> u32 {
    (hash_of_key(key) >> 32) as u32
}
