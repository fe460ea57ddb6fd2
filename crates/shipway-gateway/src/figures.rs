//! How fast a deployment answers: moving averages, and how many calls wait for it.
//!
//! Peak-EWMA, as Finagle's balancer has it: an answer that is slower than the average replaces it at once, faster ones pull it down slowly,
//! and an average that nothing was added to fades, so that whoever was slow is tried again by and by. The average counts once for each call
//! that waits already. Streams and whole answers have averages of their own: of the one, the time to the first event counts, of the other,
//! that to the whole answer.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use shipway_core::Timestamp;

/// After so long without an answer an average is down to a third.
const FADES_WITHIN_US: f64 = 60e6;
/// The wait that is assumed for a deployment without figures while somebody is finding out.
const UNKNOWN_US: u64 = 3_600_000_000;

/// How fast a deployment answers.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    state: Mutex<State>,
    waiting: AtomicU64,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    streams: Option<Average>,
    wholes: Option<Average>,
    tokens_per_second: Option<Average>,
}

#[derive(Debug, Clone, Copy)]
struct Average {
    value: f64,
    at: Timestamp,
}

impl Average {
    fn kept(&self, now: Timestamp) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a time between two answers")]
        let passed = now.0.saturating_sub(self.at.0).max(0) as f64;
        (-passed / FADES_WITHIN_US).exp()
    }

    /// With one more value, which counts the more the longer ago the last one was.
    fn with(average: Option<Self>, value: f64, now: Timestamp) -> Self {
        let value = average.map_or(value, |average| {
            let kept = average.kept(now);
            average.value * kept + value * (1.0 - kept)
        });
        Self { value, at: now }
    }
}

/// A call that waits for a deployment, or reads its stream.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Figures>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Figures {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call until what is returned is dropped.
    pub(crate) fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(self))
    }

    /// It has kept somebody waiting for so long, who then gave up: it is slower than that.
    pub(crate) fn kept_waiting(&self, waited_us: i64, is_stream: bool, now: Timestamp) {
        #[expect(clippy::cast_precision_loss, reason = "a time that a call took")]
        let waited = waited_us.max(0) as f64;
        let mut state = self.state();
        let average = if is_stream { &mut state.streams } else { &mut state.wholes };
        if average.is_none_or(|average| waited >= average.value * average.kept(now)) {
            *average = Some(Average { value: waited, at: now });
        }
    }

    /// It answered, after so long.
    pub(crate) fn took(&self, took_us: i64, is_stream: bool, now: Timestamp) {
        #[expect(clippy::cast_precision_loss, reason = "a time that a call took")]
        let took = took_us.max(0) as f64;
        let mut state = self.state();
        let average = if is_stream { &mut state.streams } else { &mut state.wholes };
        let is_peak = average.is_none_or(|average| took >= average.value * average.kept(now));
        *average =
            Some(if is_peak { Average { value: took, at: now } } else { Average::with(*average, took, now) });
    }

    /// It wrote so many tokens in this time.
    pub(crate) fn wrote(&self, tokens: u64, within_us: i64, now: Timestamp) {
        if tokens == 0 || within_us <= 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "tokens of one answer")]
        let rate = tokens as f64 * 1e6 / within_us as f64;
        let mut state = self.state();
        state.tokens_per_second = Some(Average::with(state.tokens_per_second, rate, now));
    }

    /// How long one more call is likely to wait, in microseconds; none: nobody knows, and nobody is finding out.
    pub(crate) fn likely_wait(&self, is_stream: bool, now: Timestamp) -> Option<u64> {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let state = self.state();
        let average = if is_stream { state.streams } else { state.wholes };
        match average {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a time that is not negative; a float becomes the nearest integer that there is"
            )]
            Some(average) => {
                Some(((average.value * average.kept(now)) as u64).saturating_mul(waiting.saturating_add(1)))
            }
            None if waiting > 0 => Some(UNKNOWN_US.saturating_mul(waiting)),
            None => None,
        }
    }

    /// The average time to an answer, in microseconds: of streams to the first event, then of whole answers.
    pub(crate) fn averages(&self) -> [Option<f64>; 2] {
        let state = self.state();
        [state.streams, state.wholes].map(|average| average.map(|average| average.value))
    }

    /// Tokens written in a second.
    pub(crate) fn tokens_per_second(&self) -> Option<f64> {
        self.state().tokens_per_second.map(|average| average.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_slow_answer_counts_at_once_and_fast_ones_pull_the_average_down() {
        let figures = Arc::new(Figures::default());
        assert_eq!(figures.likely_wait(true, Timestamp(0)), None);
        figures.took(100_000, true, Timestamp(0));
        figures.took(900_000, true, Timestamp(SECOND));
        assert_eq!(figures.likely_wait(true, Timestamp(SECOND)), Some(900_000));
        assert_eq!(figures.likely_wait(false, Timestamp(SECOND)), None);
        figures.took(100_000, true, Timestamp(31 * SECOND));
        let after = figures.likely_wait(true, Timestamp(31 * SECOND)).unwrap();
        assert!((500_000..700_000).contains(&after), "{after}");
    }

    #[test]
    fn what_was_slow_long_ago_is_tried_again() {
        let figures = Arc::new(Figures::default());
        figures.took(10_000_000, true, Timestamp(0));
        let later = figures.likely_wait(true, Timestamp(600 * SECOND)).unwrap();
        assert!(later < 1_000, "{later}");
    }

    #[test]
    fn calls_that_wait_count_and_one_finds_out_what_nobody_knows() {
        let figures = Arc::new(Figures::default());
        let waiting = figures.wait();
        assert!(figures.likely_wait(true, Timestamp(0)).unwrap() >= UNKNOWN_US);
        figures.took(100_000, true, Timestamp(0));
        assert_eq!(figures.likely_wait(true, Timestamp(0)), Some(200_000));
        drop(waiting);
        assert_eq!(figures.likely_wait(true, Timestamp(0)), Some(100_000));
        // Whoever gave up early says nothing of it, whoever gave up late does.
        figures.kept_waiting(20_000, true, Timestamp(0));
        assert_eq!(figures.likely_wait(true, Timestamp(0)), Some(100_000));
        figures.kept_waiting(300_000, true, Timestamp(0));
        assert_eq!(figures.likely_wait(true, Timestamp(0)), Some(300_000));
        figures.wrote(50, SECOND / 2, Timestamp(0));
        assert_eq!(figures.tokens_per_second(), Some(100.0));
    }
}
