//! Which keys are read most, in bounded memory.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi 2005): a full table gives the place of its rarest key to a newcomer, who
//! inherits the count as a bound of its error. A key with more than one in [`KEYS_PER_SHARD`] of the look-ups of its shard is
//! always in the table. Counts are halved now and then, so that they speak of the present.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;

use crate::state::cache::spread;

const SHARDS: usize = 16;
const KEYS_PER_SHARD: usize = 32;
/// When a shard has counted so many look-ups, all its counts are halved.
const HALVED_AT: u64 = 1 << 20;

/// So many reads are counted one by one.
const COUNTED_READS: u64 = 4_096;

/// After that one read in so many is, for all of them: keys that are read often are found among those as well.
const COUNTED_ONE_IN: u64 = 8;

/// For how many reads the look-ups of the read with this number count; `None` when they are not counted.
///
/// Which reads are counted looks random, so that callers who go round in a circle do not always meet the same.
pub(crate) fn counts_for(read: u64) -> Option<u64> {
    if read < COUNTED_READS {
        return Some(1);
    }
    let mixed = read.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    mixed.is_multiple_of(COUNTED_ONE_IN).then_some(COUNTED_ONE_IN)
}

/// Counts look-ups by key.
pub(crate) struct HotKeys {
    shards: Vec<Mutex<Shard>>,
}

#[derive(Default)]
struct Shard {
    counts: HashMap<Bytes, Count>,
    lookups: u64,
}

#[derive(Clone, Copy)]
struct Count {
    reads: u64,
    /// So many of the reads may have been of other keys.
    error: u64,
}

/// A key that is read often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HotKey {
    /// Where its state is stored: the hash of the view, then the encoded key.
    pub(crate) key: Bytes,
    /// At least so many of the recent look-ups were of it.
    pub(crate) reads: u64,
}

impl Default for HotKeys {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl HotKeys {
    /// Counts `times` look-ups of `key`. Allocates nothing for a key that is in the table.
    pub(crate) fn note(&self, key: &Bytes, times: u64) {
        let shard = &self.shards[spread(key) as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.note(key, times);
    }

    /// The keys that are read most, at most `limit`, and the number of recent look-ups of any key.
    pub(crate) fn top(&self, limit: usize) -> (Vec<HotKey>, u64) {
        let mut keys = Vec::new();
        let mut lookups = 0;
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            lookups += shard.lookups;
            let counts = shard.counts.iter();
            keys.extend(
                counts.map(|(key, count)| HotKey { key: key.clone(), reads: count.reads - count.error }),
            );
        }
        keys.retain(|key| key.reads > 0);
        keys.sort_unstable_by(|left, right| {
            right.reads.cmp(&left.reads).then_with(|| left.key.cmp(&right.key))
        });
        keys.truncate(limit);
        (keys, lookups)
    }
}

impl Shard {
    fn note(&mut self, key: &Bytes, times: u64) {
        self.lookups += times;
        if let Some(count) = self.counts.get_mut(key) {
            count.reads += times;
        } else {
            let mut count = Count { reads: times, error: 0 };
            if self.counts.len() >= KEYS_PER_SHARD {
                let rarest = self.counts.iter().min_by_key(|(_, count)| count.reads);
                if let Some((rarest, reads)) = rarest.map(|(key, count)| (key.clone(), count.reads)) {
                    self.counts.remove(&rarest);
                    count = Count { reads: reads + times, error: reads };
                }
            }
            self.counts.insert(key.clone(), count);
        }
        if self.lookups >= HALVED_AT {
            self.lookups /= 2;
            self.counts.values_mut().for_each(|count| {
                *count = Count { reads: count.reads / 2, error: count.error / 2 };
            });
            self.counts.retain(|_, count| count.reads > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Bytes {
        Bytes::from(number.to_le_bytes().to_vec())
    }

    #[test]
    fn a_hot_key_stays_known_among_any_number_of_others() {
        let hot_keys = HotKeys::default();
        for number in 0..100_000 {
            hot_keys.note(&key(number), 1);
            if number.is_multiple_of(4) {
                hot_keys.note(&key(7), 1);
            }
        }
        let (top, lookups) = hot_keys.top(3);
        assert_eq!(lookups, 125_000);
        assert_eq!(top[0].key, key(7));
        // What it was not counted for it can only have lost before it was in the table.
        assert!((20_000..=25_001).contains(&top[0].reads), "{top:?}");
        let held: usize = hot_keys.shards.iter().map(|shard| shard.lock().unwrap().counts.len()).sum();
        assert!(held <= SHARDS * KEYS_PER_SHARD, "{held}");
    }

    #[test]
    fn few_keys_are_counted_exactly_and_the_most_read_comes_first() {
        let hot_keys = HotKeys::default();
        (0..5).for_each(|number| (0..=number).for_each(|_| hot_keys.note(&key(number), 1)));
        let (top, lookups) = hot_keys.top(2);
        assert_eq!(lookups, 15);
        assert_eq!(top, [HotKey { key: key(4), reads: 5 }, HotKey { key: key(3), reads: 4 }]);
    }

    #[test]
    fn few_reads_are_all_counted_and_of_many_one_in_eight_for_eight() {
        assert!((0..COUNTED_READS).all(|read| counts_for(read) == Some(1)));
        for step in [1, 2, 8, 1_024] {
            let counted: u64 = (0..80_000).filter_map(|read| counts_for(COUNTED_READS + read * step)).sum();
            assert!((76_000..84_000).contains(&counted), "{counted} of every {step}th read");
        }
    }

    #[test]
    fn old_reads_weigh_less_and_less() {
        let mut shard = Shard::default();
        (0..HALVED_AT - 1).for_each(|_| shard.note(&key(1), 1));
        (0..HALVED_AT).for_each(|_| shard.note(&key(2), 1));
        assert!(shard.counts[&key(2)].reads > shard.counts[&key(1)].reads);
    }
}
