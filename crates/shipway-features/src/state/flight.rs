//! One read of a state that is under way, and all who wait for its outcome.
//!
//! Who asks first leads: it reads the store and decodes. Who asks for the same key of the same published state meanwhile
//! follows. Leading and waiting happen in one call that never waits before all that it leads has landed, so no two calls
//! wait for each other. A follower blocks its thread for as long as it would have needed to decode by itself.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

use crate::{
    error::FeaturesError,
    state::{KeyState, cache::StateCache},
};

/// What a flight brought; `None` when its leader failed, and then each follower reads for itself.
type Outcome = Option<Option<Arc<KeyState>>>;

/// A read under way.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    outcome: OnceLock<Outcome>,
    followers: AtomicUsize,
}

/// The duty to read one key for everybody. Dropped before it has landed, it tells the followers to read for themselves.
pub(crate) struct Lead<'a> {
    cache: &'a StateCache,
    key: Bytes,
    snapshot: u64,
    flight: Arc<Flight>,
}

impl Flight {
    /// Joins the flight.
    pub(crate) fn join(&self) {
        self.followers.fetch_add(1, Ordering::Relaxed);
    }

    /// How many have joined.
    #[cfg(test)]
    pub(crate) fn followers(&self) -> usize {
        self.followers.load(Ordering::Relaxed)
    }

    /// What the leader brought.
    pub(crate) fn wait(&self) -> Outcome {
        self.outcome.wait().clone()
    }
}

impl<'a> Lead<'a> {
    pub(super) fn new(cache: &'a StateCache, key: Bytes, snapshot: u64, flight: Arc<Flight>) -> Self {
        Self { cache, key, snapshot, flight }
    }

    /// The key to read.
    pub(crate) fn key(&self) -> &Bytes {
        &self.key
    }

    /// Gives the state out of the stored bytes to everybody; decodes unless the cache holds exactly these bytes.
    pub(crate) fn land(
        self,
        stored: Option<Bytes>,
        decode: impl FnOnce(&[u8]) -> Result<KeyState, FeaturesError>,
    ) -> Result<Option<Arc<KeyState>>, FeaturesError> {
        let state = match stored {
            None => None,
            Some(stored) => Some(match self.cache.get(&self.key, &stored, self.snapshot) {
                Some(state) => state,
                None => {
                    let state = Arc::new(decode(&stored)?);
                    self.cache.put(self.key.clone(), stored, Arc::clone(&state), self.snapshot);
                    state
                }
            }),
        };
        let _ = self.flight.outcome.set(Some(state.clone()));
        Ok(state)
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.cache.end_flight(&self.key, self.snapshot);
        let _ = self.flight.outcome.set(None);
    }
}
