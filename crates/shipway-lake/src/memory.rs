//! The memory that queries share.
//!
//! A sort that does not fit holds rows, and to spill them it merges them first, which takes memory that cannot be spilled: about half of what
//! it holds. A pool that lets sorts fill all of it leaves no room to merge, and whether a query succeeds is a matter of which of its
//! partitions comes first. So what can spill shares one half, and the other half is for what cannot; that also takes what the first
//! leaves over.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use datafusion::{
    error::{DataFusionError, Result},
    execution::memory_pool::{
        FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, UnboundedMemoryPool,
    },
};

/// A pool of so many bytes, of which what can spill has half, in equal parts.
#[derive(Debug)]
pub(crate) struct HalfSpillPool {
    bytes: usize,
    spilling: FairSpillPool,
    others: UnboundedMemoryPool,
    /// Held by whoever looks at both and takes from one.
    growing: Mutex<()>,
}

impl HalfSpillPool {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            spilling: FairSpillPool::new(bytes / 2),
            others: UnboundedMemoryPool::default(),
            growing: Mutex::new(()),
        }
    }

    fn part(&self, can_spill: bool) -> &dyn MemoryPool {
        if can_spill { &self.spilling } else { &self.others }
    }
}

impl MemoryPool for HalfSpillPool {
    fn name(&self) -> &'static str {
        "half for spilling"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.part(consumer.can_spill()).register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.part(consumer.can_spill()).unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.part(reservation.consumer().can_spill()).grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.part(reservation.consumer().can_spill()).shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.bytes.saturating_sub(self.reserved());
        if additional > left {
            let consumer = reservation.consumer().name();
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{consumer} needs {additional} more bytes; {left} of {} are left",
                self.bytes
            )));
        }
        self.part(reservation.consumer().can_spill()).try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.spilling.reserved() + self.others.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

impl fmt::Display for HalfSpillPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes, half for spilling", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_can_spill_has_half_in_equal_parts_and_the_rest_what_is_left() {
        let pool: Arc<dyn MemoryPool> = Arc::new(HalfSpillPool::new(1_000));
        let spilling = |name: &str| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let (first, second) = (spilling("first"), spilling("second"));
        let merge = MemoryConsumer::new("merge").register(&pool);

        first.try_grow(250).unwrap();
        assert!(first.try_grow(1).is_err());
        second.try_grow(200).unwrap();
        merge.try_grow(550).unwrap();
        let refusal = merge.try_grow(1).unwrap_err().to_string();
        assert!(refusal.contains("merge needs 1 more bytes; 0 of 1000 are left"), "{refusal}");
        assert!(second.try_grow(50).is_err(), "never more than there is");

        merge.free();
        second.try_grow(50).unwrap();
        assert_eq!(pool.reserved(), 500);
        drop((first, second));
        assert_eq!(pool.reserved(), 0);
    }
}
