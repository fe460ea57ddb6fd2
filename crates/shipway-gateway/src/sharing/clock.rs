//! The clock of a server that shares limits: that of the machine, set right by the clock of the store, so that a window of a budget begins
//! at the same moment at all servers.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use shipway_core::{Clock, Timestamp};

/// Differences below this are the way to the store, and are let be.
const LET_BE_US: i64 = 1_000_000;

/// A clock that is set right.
pub(crate) struct SharedClock {
    machine: Arc<dyn Clock>,
    ahead_us: AtomicI64,
}

impl SharedClock {
    pub(crate) fn new(machine: Arc<dyn Clock>) -> Self {
        Self { machine, ahead_us: AtomicI64::new(0) }
    }

    /// The store says that it is `now`.
    pub(crate) fn is_told(&self, now: Timestamp) {
        let off = now.0.saturating_sub(self.now().0);
        if off.abs() > LET_BE_US {
            tracing::warn!(
                seconds = off / LET_BE_US,
                "the clock of this server is not that of the metadata database, which counts"
            );
            self.ahead_us.fetch_add(off, Ordering::AcqRel);
        }
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.machine.now().0.saturating_add(self.ahead_us.load(Ordering::Acquire)))
    }
}
