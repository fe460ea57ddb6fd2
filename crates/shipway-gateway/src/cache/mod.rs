//! Answers that are given again to who asks the same, where the model's definition says so.
//!
//! A key is a digest of all that decides an answer and of who may share it, so an answer is never that of another question. Only whole
//! answers and streams that came to their end are kept, as they go to the caller, frame by frame. What was asked as a
//! stream is given again as a stream only, what was asked whole only whole: neither is made out of the other. They are in memory, within a
//! bound of bytes; those that were not used lately go first, and a restart forgets all of them.
//!
//! - `similar`: questions that are about the same
//! - `flights`: one call for all that ask the same at once
//! - `complete`: whether a whole answer is one
//! - `key`: what decides an answer, and what its request says of caches
//! - `kept`: an answer, while it is written down and when it is given again
//! - here: all of them

mod complete;
mod flights;
mod kept;
mod key;
mod similar;

use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter, sync::Cache};
use shipway_core::Timestamp;
use std::sync::Arc;

pub(crate) use complete::is_complete;
pub(crate) use flights::{Boarding, Flight, Flights};
pub(crate) use kept::{Kept, Made, Origin, Recorder};
pub(crate) use key::{Key, Question, Word, cache_word, key, key_around};
pub(crate) use similar::{Compared, Match, Meant, Measure, Shelves, Tally, Words, cosine, normalised};

/// About what an entry takes besides its answer.
const ENTRY_BYTES: u64 = 256;
/// What an answer is taken to have, for the size of tables that grow anyway.
const USUAL_BYTES: u64 = 4_096;
/// Few, so that one answer may have a good part of all bytes.
const SHARDS: usize = 4;
/// Questions have this part of the bytes of answers, beside them.
const SHARE_OF_SHELVES: u64 = 4;

/// All answers that are kept.
pub(crate) struct AnswerCache {
    answers: Cache<Key, Arc<Kept>, Bytes, DefaultHashBuilder, Evictions>,
    bytes: u64,
    /// What was asked, by what it means.
    pub(crate) shelves: Shelves,
    /// What is being asked.
    pub(crate) flights: Arc<Flights>,
}

impl std::fmt::Debug for AnswerCache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AnswerCache").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Key, Arc<Kept>> for Bytes {
    fn weight(&self, _: &Key, kept: &Arc<Kept>) -> u64 {
        ENTRY_BYTES + kept.bytes()
    }
}

#[derive(Debug, Clone)]
struct Evictions;

impl Lifecycle<Key, Arc<Kept>> for Evictions {
    type RequestState = ();

    fn begin_request(&self) {}

    fn on_evict(&self, (): &mut (), _: Key, _: Arc<Kept>) {
        metrics::counter!("shipway_llm_cache_evictions_total").increment(1);
    }
}

impl AnswerCache {
    /// For answers of so many bytes together.
    pub(crate) fn new(bytes: u64) -> Self {
        let answers = usize::try_from(bytes / USUAL_BYTES).unwrap_or(usize::MAX).clamp(128, 1 << 20);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(answers)
            .weight_capacity(bytes)
            .build();
        let answers = match options {
            Ok(options) => Cache::with_options(options, Bytes, DefaultHashBuilder::default(), Evictions),
            // All that is asked for is given above.
            Err(_) => Cache::with(answers, bytes, Bytes, DefaultHashBuilder::default(), Evictions),
        };
        // Beside the answers: vectors are of no use without them.
        let shelves = Shelves::new(usize::try_from(bytes / SHARE_OF_SHELVES).unwrap_or(usize::MAX));
        Self { answers, bytes, shelves, flights: Arc::default() }
    }

    /// Whether an answer is kept under `key`; that somebody looks does not make it one that was used.
    pub(crate) fn has(&self, key: &Key, now: Timestamp) -> bool {
        self.answers.peek(key).is_some_and(|kept| kept.is_good_at(now))
    }

    /// The longest answer that is worth writing down.
    pub(crate) fn most_bytes(&self) -> u64 {
        (self.bytes / SHARDS as u64 / 2).saturating_sub(ENTRY_BYTES)
    }

    /// The answer that is kept under `key`, unless its time is over.
    pub(crate) fn get(&self, key: &Key, now: Timestamp) -> Option<Arc<Kept>> {
        let kept = self.answers.get(key)?;
        if kept.is_good_at(now) {
            return Some(kept);
        }
        self.answers.remove(key);
        self.measure();
        None
    }

    /// Keeps an answer, in the place of the one that was kept before.
    pub(crate) fn put(&self, key: Key, kept: Kept) {
        self.answers.insert(key, Arc::new(kept));
        self.measure();
    }

    fn measure(&self) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge of a metric is a float")]
        metrics::gauge!("shipway_llm_cache_bytes").set(self.answers.weight() as f64);
        #[expect(clippy::cast_precision_loss, reason = "a gauge of a metric is a float")]
        metrics::gauge!("shipway_llm_cache_answers").set(self.answers.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;

    fn kept(bytes: usize, until: i64) -> Kept {
        let origin = Origin {
            status: StatusCode::OK,
            content_type: None,
            began: Timestamp(0),
            until: Timestamp(until),
        };
        Recorder::new(origin, u64::MAX)
            .finish_whole(&Bytes::from(vec![b'x'; bytes]), Made::default())
            .unwrap()
    }

    fn named(number: u8) -> Key {
        Key([number; 32])
    }

    #[test]
    fn an_answer_is_forgotten_when_its_time_is_over() {
        let cache = AnswerCache::new(1 << 20);
        cache.put(named(1), kept(10, 100));
        assert!(cache.get(&named(1), Timestamp(99)).is_some());
        assert!(cache.get(&named(1), Timestamp(100)).is_none());
        assert!(cache.get(&named(1), Timestamp(99)).is_none());
    }

    #[test]
    fn all_answers_together_stay_within_the_bound() {
        let cache = AnswerCache::new(64 << 10);
        for number in 0..=255 {
            cache.put(named(number), kept(1_000, i64::MAX));
            assert!(cache.answers.weight() <= 64 << 10);
        }
        assert!(cache.answers.len() > 10);
        // One that is larger than a part is not kept, and takes no other's place.
        let before = cache.answers.len();
        cache.put(named(7), kept(60 << 10, i64::MAX));
        assert!(cache.get(&named(7), Timestamp(0)).is_none());
        assert!(cache.answers.len() + 1 >= before);
    }
}
