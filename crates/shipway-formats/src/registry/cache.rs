//! One request per id: what an id stands for never changes, so an answer is kept, and those who wait for it wait together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};

use super::Missing;

/// How many schemas are kept; beyond it the one that was not used for longest goes.
const MOST_KEPT: usize = 1_000;

/// For how long nobody asks again for an id that the registry did not know, or whose schema cannot be used: the registry may
/// come to know it, or what it builds on.
const REFUSED_FOR: Duration = Duration::from_secs(10);

type Answer<T> = Result<Arc<T>, Missing>;
type Waiting<T> = Shared<BoxFuture<'static, Answer<T>>>;

/// What schemas became, by their ids.
pub(crate) struct Cache<T> {
    state: Mutex<State<T>>,
    refused_for: Duration,
}

struct State<T> {
    entries: HashMap<u32, Entry<T>>,
    uses: u64,
}

struct Entry<T> {
    what: What<T>,
    used: u64,
}

enum What<T> {
    Here(Arc<T>),
    Asked(Waiting<T>),
    Refused(Missing, Instant),
}

impl<T> std::fmt::Debug for Cache<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cache")
    }
}

impl<T: Send + Sync + 'static> Cache<T> {
    pub(crate) fn new() -> Self {
        Self::refusing_for(REFUSED_FOR)
    }

    fn refusing_for(refused_for: Duration) -> Self {
        Self { state: Mutex::new(State { entries: HashMap::new(), uses: 0 }), refused_for }
    }

    /// What `id` stands for; asks with `ask` where nobody has, and waits along where somebody does.
    pub(crate) async fn get<F>(&self, id: u32, ask: impl FnOnce() -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, Missing>> + Send + 'static,
    {
        let waiting = match self.look(id, ask) {
            What::Here(here) => return Ok(here),
            What::Refused(why, _) => return Err(why),
            What::Asked(waiting) => waiting,
        };
        let answer = waiting.clone().await;
        self.settle(id, &waiting, &answer);
        answer
    }

    fn look<F>(&self, id: u32, ask: impl FnOnce() -> F) -> What<T>
    where
        F: Future<Output = Result<T, Missing>> + Send + 'static,
    {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.uses += 1;
        let used = state.uses;
        if let Some(entry) = state.entries.get_mut(&id) {
            entry.used = used;
            match &entry.what {
                What::Here(here) => return What::Here(Arc::clone(here)),
                What::Asked(waiting) => return What::Asked(waiting.clone()),
                What::Refused(why, since) if since.elapsed() < self.refused_for => {
                    return What::Refused(why.clone(), *since);
                }
                What::Refused(..) => {}
            }
        }
        if state.entries.len() >= MOST_KEPT
            && let Some(oldest) = state.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id)
        {
            state.entries.remove(&oldest);
        }
        let asked = ask();
        let waiting = async move { asked.await.map(Arc::new) }.boxed().shared();
        state.entries.insert(id, Entry { what: What::Asked(waiting.clone()), used });
        What::Asked(waiting)
    }

    /// Keeps the answer; a failure of the surroundings is forgotten, so that the next one asks again.
    fn settle(&self, id: u32, asked: &Waiting<T>, answer: &Answer<T>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = state.entries.get_mut(&id) else { return };
        if !matches!(&entry.what, What::Asked(waiting) if waiting.ptr_eq(asked)) {
            return;
        }
        match answer {
            Ok(here) => entry.what = What::Here(Arc::clone(here)),
            Err(Missing::Surroundings(_)) => _ = state.entries.remove(&id),
            Err(why) => entry.what = What::Refused(why.clone(), Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::FormatError;

    fn down() -> Missing {
        let reason = "no connection".to_owned();
        Missing::Surroundings(FormatError::RegistryUnavailable { address: String::new(), reason })
    }

    #[tokio::test]
    async fn those_who_want_one_id_at_one_time_share_one_request() {
        let (cache, asked) = (Cache::<u32>::new(), Arc::new(AtomicU32::new(0)));
        let get = |answer: Result<u32, Missing>| {
            let asked = Arc::clone(&asked);
            cache.get(7, move || async move {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                answer
            })
        };
        let both = futures::join!(get(Err(down())), get(Err(down())));
        assert!(matches!(both, (Err(Missing::Surroundings(_)), Err(Missing::Surroundings(_)))));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let three = futures::join!(get(Ok(1)), get(Ok(2)), get(Ok(3)));
        assert!(
            matches!(three, (Ok(first), Ok(second), Ok(third)) if (*first, *second, *third) == (1, 1, 1))
        );
        assert_eq!(asked.load(Ordering::SeqCst), 2, "a failure of the surroundings is not kept");
        assert_eq!(*get(Ok(4)).await.unwrap(), 1, "an answer is");
    }

    #[tokio::test]
    async fn an_id_that_was_refused_is_asked_for_again_after_a_while_and_not_before() {
        for why in [Missing::Unknown, Missing::Unusable(String::new())] {
            for (refused_for, is_asked_again) in [(REFUSED_FOR, false), (Duration::ZERO, true)] {
                let cache = Cache::<u32>::refusing_for(refused_for);
                let get = |answer: Result<u32, Missing>| cache.get(7, move || async move { answer });
                assert!(get(Err(why.clone())).await.is_err());
                assert_eq!(get(Ok(1)).await.is_ok(), is_asked_again);
            }
        }
    }

    #[tokio::test]
    async fn the_schemas_that_are_kept_are_bounded() {
        let cache = Cache::<u32>::new();
        for id in 0..2 * u32::try_from(MOST_KEPT).unwrap() {
            assert_eq!(*cache.get(id, move || async move { Ok(id) }).await.unwrap(), id);
            assert_eq!(*cache.get(0, || async { Ok(0) }).await.unwrap(), 0);
        }
        assert_eq!(cache.state.lock().unwrap().entries.len(), MOST_KEPT);
    }
}
