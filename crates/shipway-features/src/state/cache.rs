//! Decoded states of hot keys. An entry belongs to exact stored bytes, so a reader with another snapshot never gets it.
//!
//! An entry also notes the published state in which its bytes were last seen: a second read out of the same published state
//! needs no look into the store at all. Reads of the same key that run at the same time share one look and one decoding.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use crate::state::{
    KeyState,
    flight::{Flight, Lead},
};

/// Decoding dominates a read of a large state; a small one is decoded as fast as it is found here.
const WORTH_KEEPING_BYTES: usize = 256;

/// The number of no published state: the bytes were written and not yet seen by a reader.
pub(crate) const UNSEEN: u64 = 0;

struct Entry {
    stored: Bytes,
    state: Arc<KeyState>,
    used: bool,
    /// The published state in which the key had exactly these bytes.
    seen_in: u64,
}

/// A bounded cache, shared by the readers and the materialiser. Entries not used since the last sweep go first.
pub(crate) struct StateCache {
    shards: Vec<Mutex<Shard>>,
    shard_bytes: usize,
    hits: metrics::Counter,
    coalesced: metrics::Counter,
    store_reads: metrics::Counter,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<Bytes, Entry>,
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
    /// A cache of states whose stored forms together take at most `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        let shards: Vec<_> = (0..16).map(|_| Mutex::default()).collect();
        Self {
            shard_bytes: limit_bytes / shards.len(),
            shards,
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
        // Equal pointers are the usual case; comparing the bytes costs far less than decoding them.
        if entry.stored.as_ptr() != stored.as_ptr() && entry.stored != *stored {
            return None;
        }
        entry.used = true;
        entry.seen_in = snapshot.max(entry.seen_in);
        Some(Arc::clone(&entry.state))
    }

    /// Takes the entry out, so that its owner can change it without a copy.
    pub(crate) fn take(&self, key: &[u8], stored: &Bytes) -> Option<Arc<KeyState>> {
        let mut shard = self.shard(key);
        if shard.entries.get(key)?.stored != *stored {
            return None;
        }
        let (key, entry) = shard.entries.remove_entry(key)?;
        shard.held_bytes = shard.held_bytes.saturating_sub(key.len() + entry.stored.len());
        Some(entry.state)
    }

    /// Keeps the decoded form of `stored`, seen in the published state with that number.
    pub(crate) fn put(&self, key: Bytes, stored: Bytes, state: Arc<KeyState>, seen_in: u64) {
        if stored.len() < WORTH_KEEPING_BYTES {
            return;
        }
        let mut shard = self.shard(&key);
        let key_length = key.len();
        shard.held_bytes += key_length + stored.len();
        if let Some(old) = shard.entries.insert(key, Entry { stored, state, used: true, seen_in }) {
            shard.held_bytes = shard.held_bytes.saturating_sub(key_length + old.stored.len());
        }
        if shard.held_bytes > self.shard_bytes {
            shard.sweep(self.shard_bytes / 2);
        }
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
            self.entries.retain(|key, entry| {
                let drop = held > target_bytes && !(only_unused && entry.used);
                if drop {
                    held = held.saturating_sub(key.len() + entry.stored.len());
                }
                entry.used = false;
                !drop
            });
            self.held_bytes = held;
        }
    }
}

/// Spreads keys over shards; FNV-1a.
pub(crate) fn spread(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
