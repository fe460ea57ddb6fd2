//! How much memory the models of this server may take, and how much they take.
//!
//! A model is counted by the size of its version's files, from before it is loaded until the last request that it answers is done.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The memory of models.
#[derive(Debug, Default)]
pub(crate) struct ModelMemory {
    /// How much there may be; without it, any.
    budget: Option<u64>,
    used: AtomicU64,
}

/// What one model takes; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<ModelMemory>,
    bytes: u64,
}

impl ModelMemory {
    pub(crate) fn new(budget: Option<u64>) -> Arc<Self> {
        Arc::new(Self { budget, used: AtomicU64::new(0) })
    }

    pub(crate) const fn budget(&self) -> Option<u64> {
        self.budget
    }

    /// How many bytes have to be given back before so many more fit.
    pub(crate) fn missing(&self, bytes: u64) -> u64 {
        let Some(budget) = self.budget else { return 0 };
        self.used.load(Ordering::Relaxed).saturating_add(bytes).saturating_sub(budget)
    }

    /// Counts so many bytes, whether they fit or not.
    pub(crate) fn hold(self: &Arc<Self>, bytes: u64) -> Held {
        Self::show(self.used.fetch_add(bytes, Ordering::Relaxed) + bytes);
        Held { memory: Arc::clone(self), bytes }
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
    fn show(used: u64) {
        metrics::gauge!("shipway_model_memory_bytes").set(used as f64);
    }
}

impl Held {
    /// The bytes.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let before = self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
        ModelMemory::show(before - self.bytes);
    }
}

/// Which of these have to go so that `missing` bytes become free: those that were asked longest ago, and no more than that takes. `None`
/// when all of them are not enough.
///
/// `kept` are of each, in any order: when it was asked last, and its bytes. Answers places in `kept`.
pub(crate) fn longest_unused(kept: &[(i64, u64)], missing: u64) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..kept.len()).collect();
    order.sort_by_key(|place| kept.get(*place).map(|(asked, _)| *asked));
    let mut free = 0_u64;
    let mut going = Vec::new();
    for place in order {
        if free >= missing {
            break;
        }
        free = free.saturating_add(kept.get(place).map_or(0, |(_, bytes)| *bytes));
        going.push(place);
    }
    (free >= missing).then_some(going)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back() {
        let memory = ModelMemory::new(Some(100));
        let first = memory.hold(60);
        assert_eq!((memory.missing(40), memory.missing(41)), (0, 1));
        let second = memory.hold(60);
        assert_eq!(memory.missing(0), 20);
        drop(first);
        assert_eq!(memory.missing(50), 10);
        assert_eq!(second.bytes(), 60);
        assert_eq!(ModelMemory::new(None).missing(u64::MAX), 0);
    }

    #[test]
    fn those_go_that_were_asked_longest_ago_and_no_more_than_it_takes() {
        let kept = [(30, 10), (10, 20), (20, 5)];
        assert_eq!(longest_unused(&kept, 0), Some(vec![]));
        assert_eq!(longest_unused(&kept, 20), Some(vec![1]));
        assert_eq!(longest_unused(&kept, 21), Some(vec![1, 2]));
        assert_eq!(longest_unused(&kept, 35), Some(vec![1, 2, 0]));
        assert_eq!(longest_unused(&kept, 36), None);
    }
}
