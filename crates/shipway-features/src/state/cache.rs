//! Decoded states of hot keys. An entry belongs to exact stored bytes, so a reader with another snapshot never gets it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use crate::state::KeyState;

/// Decoding dominates a read of a large state; a small one is decoded as fast as it is found here.
const WORTH_KEEPING_BYTES: usize = 256;

struct Entry {
    stored: Bytes,
    state: Arc<KeyState>,
    used: bool,
}

/// A bounded cache, shared by the readers and the materialiser. Entries not used since the last sweep go first.
pub(crate) struct StateCache {
    shards: Vec<Mutex<Shard>>,
    shard_bytes: usize,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<Bytes, Entry>,
    held_bytes: usize,
}

impl StateCache {
    /// A cache of states whose stored forms together take at most `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        let shards: Vec<_> = (0..16).map(|_| Mutex::default()).collect();
        Self { shard_bytes: limit_bytes / shards.len(), shards }
    }

    /// The decoded form of exactly these stored bytes.
    pub(crate) fn get(&self, key: &[u8], stored: &Bytes) -> Option<Arc<KeyState>> {
        let mut shard = self.shard(key);
        let entry = shard.entries.get_mut(key)?;
        // Equal pointers are the usual case; comparing the bytes costs far less than decoding them.
        if entry.stored.as_ptr() != stored.as_ptr() && entry.stored != *stored {
            return None;
        }
        entry.used = true;
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

    /// Keeps the decoded form of `stored`.
    pub(crate) fn put(&self, key: Bytes, stored: Bytes, state: Arc<KeyState>) {
        if stored.len() < WORTH_KEEPING_BYTES {
            return;
        }
        let mut shard = self.shard(&key);
        let key_length = key.len();
        shard.held_bytes += key_length + stored.len();
        if let Some(old) = shard.entries.insert(key, Entry { stored, state, used: true }) {
            shard.held_bytes = shard.held_bytes.saturating_sub(key_length + old.stored.len());
        }
        if shard.held_bytes > self.shard_bytes {
            shard.sweep(self.shard_bytes / 2);
        }
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
fn spread(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
