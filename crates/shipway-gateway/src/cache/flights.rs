//! One call for all that ask the same at once: the first goes to a provider, the others wait until it is over.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use super::Key;

/// The questions that are being asked.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, CancellationToken>>);

/// What a call is to do about its question.
#[derive(Debug)]
pub(crate) enum Boarding {
    /// Nobody asks it yet: it is asked now, and others wait until this is dropped.
    First(Flight),
    /// It is being asked: cancelled when that is over, whatever came of it.
    Wait(CancellationToken),
}

/// A question that is being asked.
#[derive(Debug)]
pub(crate) struct Flight {
    flights: Arc<Flights>,
    key: Key,
    over: CancellationToken,
}

impl Flights {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn board(self: &Arc<Self>, key: Key) -> Boarding {
        match self.all().entry(key) {
            Entry::Occupied(asked) => Boarding::Wait(asked.get().clone()),
            Entry::Vacant(place) => {
                let over = place.insert(CancellationToken::new()).clone();
                Boarding::First(Flight { flights: Arc::clone(self), key, over })
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.all().remove(&self.key);
        self.over.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn others_wait_until_the_first_is_over_and_one_after_it_is_first_again() {
        let flights = Arc::new(Flights::default());
        let key = Key([1; 32]);
        let Boarding::First(flight) = flights.board(key) else { panic!("somebody else asks") };
        let Boarding::Wait(over) = flights.board(key) else { panic!("two ask") };
        assert!(matches!(flights.board(Key([2; 32])), Boarding::First(_)));
        assert!(!over.is_cancelled());
        drop(flight);
        over.cancelled().await;
        assert!(matches!(flights.board(key), Boarding::First(_)));
        assert!(flights.all().is_empty());
    }
}
