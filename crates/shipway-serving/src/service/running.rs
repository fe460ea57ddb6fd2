//! A launch while it goes on: which version a request is given to, and what came of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use shipway_core::{Timestamp, failure::chain};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::Served;
use crate::{
    error::ServingError,
    launch::{
        drift::stability_index,
        judge::{self, Verdict},
        observed::Observed,
        stage::Stage,
        status::{Begun, LaunchStatus, Seen},
    },
};

/// Requests that the candidate may be answering for nobody to see; further ones are left out and counted.
const SHADOWS_AT_ONCE: usize = 64;

/// Which version is given a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The one that serves.
    Stable,
    /// The one that serves, and then the candidate, for nobody to see.
    Mirrored,
    /// The candidate.
    Canary,
}

/// A launch that goes on.
pub(crate) struct Running {
    pub(crate) begun: Begun,
    pub(crate) candidate: Arc<Served>,
    state: Mutex<State>,
    shadows: Arc<Semaphore>,
    left_out: AtomicU64,
}

struct State {
    stage: Stage,
    since: Timestamp,
    /// The same as `since`, by the clock that is never set.
    began: Instant,
    stable: Observed,
    candidate: Observed,
    reason: Option<String>,
}

impl Running {
    pub(crate) fn new(begun: Begun, candidate: Arc<Served>, stage: Stage, since: Timestamp) -> Self {
        let state = State {
            stage,
            since,
            began: Instant::now(),
            stable: Observed::default(),
            candidate: Observed::default(),
            reason: None,
        };
        Self {
            begun,
            candidate,
            state: Mutex::new(state),
            shadows: Arc::new(Semaphore::new(SHADOWS_AT_ONCE)),
            left_out: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stage(&self) -> Stage {
        self.state().stage
    }

    /// Which version is given a request, by its own id or by the key that decides. Where a key decides, a request without one is given to
    /// the version that serves.
    pub(crate) fn way(&self, request: &Uuid, key: Option<&str>) -> (Stage, Way) {
        let stage = self.stage();
        let spec = &self.begun.spec;
        let way = match (stage, key) {
            (Stage::Shadow, _) if spec.shadow_share.has(request.as_bytes()) => Way::Mirrored,
            (Stage::Canary { .. }, Some(key)) => {
                // Its own for each launch, so that it is not always the same ones who try what is new.
                let salted = [self.begun.id.as_bytes(), key.as_bytes()].concat();
                if spec.share(stage).has(&salted) { Way::Canary } else { Way::Stable }
            }
            (Stage::Canary { .. }, None)
                if spec.key.is_none() && spec.share(stage).has(request.as_bytes()) =>
            {
                Way::Canary
            }
            _ => Way::Stable,
        };
        (stage, way)
    }

    /// Notes what came of a request that was given out in `stage`; nothing if that is over.
    fn note(&self, stage: Stage, note: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if state.stage == stage {
            note(&mut state);
        }
    }

    pub(crate) fn stable_answered(&self, stage: Stage, took: Duration, predictions: &[Vec<f64>]) {
        self.note(stage, |state| state.stable.answered(took, predictions));
    }

    pub(crate) fn candidate_answered(&self, stage: Stage, took: Duration, predictions: &[Vec<f64>]) {
        self.note(stage, |state| state.candidate.answered(took, predictions));
    }

    /// The candidate did not answer what the other version answered.
    pub(crate) fn candidate_failed(&self, stage: Stage, failure: &ServingError) {
        let reason = chain(failure);
        self.note(stage, |state| state.candidate.failed(reason));
    }

    /// Room for one more request for nobody to see.
    pub(crate) fn shadow_room(&self) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.shadows).try_acquire_owned().ok();
        if room.is_none() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            metrics::counter!(
                "shipway_shadows_left_out_total", "deployment" => self.begun.deployment.to_string()
            )
            .increment(1);
        }
        room
    }

    /// Whether it goes on from the stage where it stands.
    pub(crate) fn judge(&self) -> (Stage, Verdict) {
        // Copied, because sorting takes longer than a request may wait.
        let (stage, lasted, stable, candidate) = {
            let state = self.state();
            (state.stage, state.began.elapsed(), state.stable.clone(), state.candidate.clone())
        };
        let spec = &self.begun.spec;
        let hold = Duration::from_secs(spec.hold_s);
        (stage, judge::judge(&spec.gates, hold, lasted, &stable, &candidate))
    }

    /// Moves on from `from`, with a clean sheet, if it still stands there and is not over. Of what was seen, the last stage's stays when it
    /// ends.
    pub(crate) fn move_on(&self, from: Stage, to: Stage, now: Timestamp, reason: Option<String>) -> bool {
        let mut state = self.state();
        if state.stage != from || from.is_ended() {
            return false;
        }
        state.stage = to;
        state.since = now;
        state.reason = reason;
        if !to.is_ended() {
            state.began = Instant::now();
            state.stable = Observed::default();
            state.candidate = Observed::default();
        }
        true
    }

    pub(crate) fn status(&self) -> LaunchStatus {
        let (_, verdict) = self.judge();
        let state = self.state();
        let mut status = self.begun.status(state.stage, state.since, state.reason.clone());
        status.waits_for = match verdict {
            Verdict::Wait(what) if !state.stage.is_ended() => Some(what),
            _ => None,
        };
        status.seen = Some(Seen {
            stable: state.stable.summary(),
            candidate: state.candidate.summary(),
            drift: stability_index(state.stable.decisions(), state.candidate.decisions()),
            shadows_left_out: self.left_out.load(Ordering::Relaxed),
        });
        status
    }
}
