//! How a deployment fared lately: after so many failures in a row it is left out for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};

use shipway_core::Timestamp;

use crate::model::Cooldown;

/// How a deployment fared.
#[derive(Debug, Default)]
pub(crate) struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    failures: u32,
    paused_until: Option<Timestamp>,
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It answered: what was before is forgotten.
    pub(crate) fn answered(&self) {
        *self.state() = State::default();
    }

    /// It failed. `retry_after_us` is how long the provider itself asks to be left alone.
    pub(crate) fn failed(&self, cooldown: &Cooldown, retry_after_us: Option<i64>, now: Timestamp) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        let pause_us = i64::try_from(cooldown.pause.as_micros()).unwrap_or(i64::MAX);
        let pause = match (state.failures >= cooldown.failures, retry_after_us) {
            // What a provider asks for is done, but nobody is left out for longer than the definition says.
            (false, Some(asked)) => Some(asked.min(pause_us)),
            (true, _) => Some(pause_us),
            (false, None) => None,
        };
        if let Some(pause) = pause {
            let until = Timestamp(now.0.saturating_add(pause));
            state.paused_until = state.paused_until.max(Some(until));
        }
    }

    /// Until when it is left out, if it is.
    pub(crate) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.state().paused_until.filter(|until| now < *until)
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.state().failures
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deployment_is_left_out_after_failures_in_a_row_and_comes_back() {
        let cooldown = Cooldown { failures: 2, pause: Duration::from_secs(30) };
        let health = Health::default();
        health.failed(&cooldown, None, Timestamp(0));
        assert_eq!(health.paused_until(Timestamp(1)), None);
        health.failed(&cooldown, None, Timestamp(10));
        assert_eq!(health.paused_until(Timestamp(11)), Some(Timestamp(30_000_010)));
        assert_eq!(health.paused_until(Timestamp(30_000_010)), None);
        health.answered();
        assert_eq!(health.failures(), 0);
        health.failed(&cooldown, Some(5_000_000), Timestamp(0));
        assert_eq!(health.paused_until(Timestamp(1)), Some(Timestamp(5_000_000)));
        health.failed(&cooldown, Some(i64::MAX), Timestamp(0));
        assert_eq!(health.paused_until(Timestamp(1)), Some(Timestamp(30_000_000)));
    }
}
