//! What came to a source since the server started, what became of it, and how long it took until it could be read.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;
use shipway_core::Name;

/// How far back the distribution of delays looks, at least; at most twice as far.
const RECENT: Duration = Duration::from_secs(30);
/// Longer delays count as this: an hour, in microseconds.
const LONGEST_US: u64 = 3_600_000_000;

/// What became of the events of a source since the server started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Received {
    /// Events that count.
    pub events: u64,
    /// Events and messages that were there before.
    pub duplicates: u64,
    /// Events too far in the future.
    pub quarantined: u64,
    /// Events older than the retention.
    pub late: u64,
    /// Events of requests that do not fit the source: their senders were told.
    pub refused: u64,
    /// Messages of brokers that do not fit it: they are kept.
    pub dead_letters: u64,
}

/// How long it took lately from the moment an event was taken in until reads saw it, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Readable {
    /// The middle.
    pub p50_ms: f64,
    /// Of a hundred the slowest but one.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// The counters of one source.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counters>);

#[derive(Default)]
struct Counters {
    received: Received,
    /// States that were written, by view.
    written: BTreeMap<Name, u64>,
    delays: Option<Delays>,
}

/// Delays in microseconds: those of the present stretch of time and of the one before.
struct Delays {
    present: Histogram<u64>,
    before: Histogram<u64>,
    since: Instant,
}

impl Tally {
    pub(crate) fn received(&self, count: impl FnOnce(&mut Received)) {
        count(&mut self.counters().received);
    }

    /// A run became readable so long after its oldest event was taken in; it changed so many states of each view.
    pub(crate) fn became_readable(&self, after: Option<Duration>, written: &BTreeMap<Name, u64>) {
        let mut counters = self.counters();
        for (view, states) in written {
            let labels = [("view", view.to_string())];
            metrics::counter!("shipway_states_written_total", &labels).increment(*states);
            *counters.written.entry(view.clone()).or_default() += states;
        }
        let Some(after) = after else { return };
        if counters.delays.is_none() {
            counters.delays = Delays::new();
        }
        if let Some(delays) = &mut counters.delays {
            delays.turn();
            delays.present.saturating_record(after.as_micros().try_into().unwrap_or(u64::MAX));
        }
    }

    pub(crate) fn all_received(&self) -> Received {
        self.counters().received
    }

    /// States that were written of a view since the server started.
    pub(crate) fn written(&self, view: &Name) -> u64 {
        self.counters().written.get(view).copied().unwrap_or(0)
    }

    /// `None` while nothing came lately.
    pub(crate) fn readable(&self) -> Option<Readable> {
        let mut counters = self.counters();
        let delays = counters.delays.as_mut()?;
        delays.turn();
        let mut both = delays.before.clone();
        both.add(&delays.present).ok()?;
        let milliseconds = |micros: u64| micros as f64 / 1e3;
        (!both.is_empty()).then(|| Readable {
            p50_ms: milliseconds(both.value_at_quantile(0.5)),
            p99_ms: milliseconds(both.value_at_quantile(0.99)),
            max_ms: milliseconds(both.max()),
        })
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delays {
    fn new() -> Option<Self> {
        let present = Histogram::new_with_max(LONGEST_US, 2).ok()?;
        Some(Self { before: present.clone(), present, since: Instant::now() })
    }

    /// Lets go of what is too long ago.
    fn turn(&mut self) {
        let elapsed = self.since.elapsed();
        if elapsed < RECENT {
            return;
        }
        std::mem::swap(&mut self.before, &mut self.present);
        self.present.reset();
        if elapsed >= 2 * RECENT {
            self.before.reset();
        }
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_told_as_they_were_and_states_by_view() {
        let tally = Tally::default();
        assert_eq!(tally.readable(), None);
        let view = Name::new("departures_by_origin").unwrap();
        for milliseconds in 1..=100 {
            let written = BTreeMap::from([(view.clone(), 2)]);
            tally.became_readable(Some(Duration::from_millis(milliseconds)), &written);
        }
        let readable = tally.readable().unwrap();
        assert!((49.0..52.0).contains(&readable.p50_ms), "{readable:?}");
        assert!((98.0..101.0).contains(&readable.p99_ms), "{readable:?}");
        assert!(readable.max_ms >= 100.0);
        assert_eq!(tally.written(&view), 200);
    }
}
