//! Answers beyond a freshness objective: counted under the view or feature and its owner, and logged now and then.

use std::sync::{
    OnceLock,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use shipway_core::{Name, Timestamp};
use shipway_definitions::{Beyond, View};

/// At most one line of the log in this time per objective.
const LOGGED_EVERY_US: i64 = 60_000_000;

/// What the metric says where nobody is named.
const NOBODY: &str = "none";

/// The breaches of one objective, as one service meets them.
pub(crate) struct Breaches {
    view: String,
    feature: Option<String>,
    owner: String,
    beyond: &'static str,
    /// Made by the first breach.
    counter: OnceLock<metrics::Counter>,
    /// Since the last line of the log.
    unlogged: AtomicU64,
    logged_at: AtomicI64,
}

impl Breaches {
    /// Those of the view's objective, or of that of one feature.
    pub(crate) fn new(view: &View, feature: Option<&Name>, beyond: Beyond) -> Self {
        let owner = match feature {
            Some(feature) => view.metadata(feature).owner,
            None => view.owner.clone(),
        };
        Self {
            view: view.name.to_string(),
            feature: feature.map(Name::to_string),
            owner: owner.unwrap_or_else(|| NOBODY.to_owned()),
            beyond: beyond.word(),
            counter: OnceLock::new(),
            unlogged: AtomicU64::new(0),
            logged_at: AtomicI64::new(i64::MIN),
        }
    }

    fn counter(&self) -> &metrics::Counter {
        self.counter.get_or_init(|| {
            let (view, owner, beyond) = (self.view.clone(), self.owner.clone(), self.beyond);
            match self.feature.clone() {
                Some(feature) => metrics::counter!(
                    "shipway_features_stale_total",
                    "view" => view, "feature" => feature, "owner" => owner, "beyond" => beyond
                ),
                None => metrics::counter!(
                    "shipway_features_stale_total", "view" => view, "owner" => owner, "beyond" => beyond
                ),
            }
        })
    }

    /// Counts one answer whose newest event was `age_us` old; returns whether it also logged.
    pub(crate) fn note(&self, age_us: i64, now: Timestamp) -> bool {
        self.counter().increment(1);
        self.unlogged.fetch_add(1, Ordering::Relaxed);
        let last = self.logged_at.load(Ordering::Relaxed);
        let is_due = now.micros().saturating_sub(last) >= LOGGED_EVERY_US;
        let is_mine = is_due
            && self
                .logged_at
                .compare_exchange(last, now.micros(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_mine {
            let answers = self.unlogged.swap(0, Ordering::Relaxed);
            let (view, owner, beyond) = (&self.view, &self.owner, self.beyond);
            let feature = self.feature.as_deref();
            tracing::warn!(
                view,
                feature,
                owner,
                beyond,
                answers,
                age_us,
                "features older than their freshness objective"
            );
        }
        is_mine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaches_are_logged_once_a_minute() {
        let breaches = Breaches {
            view: "v".into(),
            feature: None,
            owner: "o".into(),
            beyond: "serve",
            counter: OnceLock::new(),
            unlogged: AtomicU64::new(0),
            logged_at: AtomicI64::new(i64::MIN),
        };
        let logged: Vec<i64> =
            (0..150).filter(|second| breaches.note(1, Timestamp(second * 1_000_000))).collect();
        assert_eq!(logged, [0, 60, 120]);
    }
}
