//! How a deployment fared lately: after so many failures in a row it is left out for a while, and then one call tries it.
//!
//! A circuit breaker: closed while it is well; open while it is left out; half open after that, when one call at a time is let in. If that
//! call is answered, everybody is let in again; if it fails, the deployment is left out once more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// The call that tries it after its pause, if one does.
    trial: Option<u64>,
    trials: u64,
}

/// Whether calls are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// All of them.
    Well,
    /// None until then.
    LeftOut(Timestamp),
    /// One, which nobody is yet.
    Due,
    /// One, which is on its way.
    OnTrial,
}

impl Standing {
    /// The word in the native API.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Well => "ready",
            Self::LeftOut(_) => "left_out",
            Self::Due | Self::OnTrial => "on_trial",
        }
    }
}

/// A call that was let in. When it is dropped without an answer or a failure, because nobody waited for it, the next one may try.
#[derive(Debug)]
pub(crate) struct Turn {
    health: Arc<Health>,
    trial: Option<u64>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.health.state();
        if self.trial.is_some() && state.trial == self.trial {
            state.trial = None;
        }
    }
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call in, unless the deployment is left out or another call tries it just now.
    pub(crate) fn enter(self: &Arc<Self>, now: Timestamp) -> Option<Turn> {
        let mut state = self.state();
        let trial = match standing(&state, now) {
            Standing::Well => None,
            Standing::LeftOut(_) | Standing::OnTrial => return None,
            Standing::Due => {
                state.trials += 1;
                state.trial = Some(state.trials);
                state.trial
            }
        };
        Some(Turn { health: Arc::clone(self), trial })
    }

    /// Lets a call in because nobody else is left.
    pub(crate) fn enter_anyway(self: &Arc<Self>) -> Turn {
        Turn { health: Arc::clone(self), trial: None }
    }

    /// It answered: what was before is forgotten.
    pub(crate) fn answered(&self) {
        let mut state = self.state();
        *state = State { trials: state.trials, ..State::default() };
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
            // Whoever failed on trial is left out again, however few failures there were.
            (false, None) => state.paused_until.map(|_| pause_us),
        };
        if let Some(pause) = pause {
            let until = Timestamp(now.0.saturating_add(pause));
            state.paused_until = state.paused_until.max(Some(until));
        }
        state.trial = None;
    }

    pub(crate) fn standing(&self, now: Timestamp) -> Standing {
        standing(&self.state(), now)
    }

    /// Whether the next call is let in.
    pub(crate) fn is_well(&self, now: Timestamp) -> bool {
        matches!(self.standing(now), Standing::Well | Standing::Due)
    }

    /// Until when it is left out, if it is.
    pub(crate) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self.standing(now) {
            Standing::LeftOut(until) => Some(until),
            _ => None,
        }
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.state().failures
    }
}

fn standing(state: &State, now: Timestamp) -> Standing {
    match state.paused_until {
        None => Standing::Well,
        Some(until) if now < until => Standing::LeftOut(until),
        Some(_) if state.trial.is_some() => Standing::OnTrial,
        Some(_) => Standing::Due,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const COOLDOWN: Cooldown = Cooldown { failures: 2, pause: Duration::from_secs(30) };

    #[test]
    fn a_deployment_is_left_out_after_failures_in_a_row_and_comes_back() {
        let health = Health::default();
        health.failed(&COOLDOWN, None, Timestamp(0));
        assert_eq!(health.paused_until(Timestamp(1)), None);
        health.failed(&COOLDOWN, None, Timestamp(10));
        assert_eq!(health.paused_until(Timestamp(11)), Some(Timestamp(30_000_010)));
        assert_eq!(health.paused_until(Timestamp(30_000_010)), None);
        health.answered();
        assert_eq!(health.failures(), 0);
        health.failed(&COOLDOWN, Some(5_000_000), Timestamp(0));
        assert_eq!(health.paused_until(Timestamp(1)), Some(Timestamp(5_000_000)));
        health.failed(&COOLDOWN, Some(i64::MAX), Timestamp(0));
        assert_eq!(health.paused_until(Timestamp(1)), Some(Timestamp(30_000_000)));
    }

    #[test]
    fn after_the_pause_one_call_at_a_time_tries_and_lets_the_others_in() {
        let health = Arc::new(Health::default());
        for _ in 0..2 {
            health.failed(&COOLDOWN, None, Timestamp(0));
        }
        let after = Timestamp(30_000_001);
        assert!(health.enter(Timestamp(5)).is_none());
        assert_eq!(health.standing(after), Standing::Due);
        let trial = health.enter(after).unwrap();
        assert_eq!(health.standing(after), Standing::OnTrial);
        assert!(health.enter(after).is_none());
        // It goes away without an answer: the next one may.
        drop(trial);
        let trial = health.enter(after).unwrap();
        health.failed(&COOLDOWN, None, after);
        drop(trial);
        assert_eq!(health.standing(after), Standing::LeftOut(Timestamp(60_000_001)));
        let later = Timestamp(60_000_001);
        let trial = health.enter(later).unwrap();
        health.answered();
        drop(trial);
        assert_eq!(health.standing(later), Standing::Well);
        assert!(health.enter(later).is_some() && health.enter(later).is_some());
    }

    #[test]
    fn the_end_of_an_old_trial_does_not_end_a_newer_one() {
        let health = Arc::new(Health::default());
        let fails = |at| {
            health.failed(&COOLDOWN, None, Timestamp(at));
            health.failed(&COOLDOWN, None, Timestamp(at));
        };
        fails(0);
        let old = health.enter(Timestamp(30_000_000)).unwrap();
        fails(30_000_000);
        let newer = health.enter(Timestamp(60_000_000)).unwrap();
        drop(old);
        assert_eq!(health.standing(Timestamp(60_000_000)), Standing::OnTrial);
        drop(newer);
        assert_eq!(health.standing(Timestamp(60_000_000)), Standing::Due);
    }
}
