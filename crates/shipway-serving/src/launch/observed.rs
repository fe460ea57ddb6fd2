//! What was seen of a version in one stage of a launch. Bounded: of latencies and predictions the last ones are kept.

use std::time::Duration;

use serde::Serialize;

/// The last answers whose latencies and predictions are kept.
const KEPT: usize = 4_096;

/// The last of many numbers.
#[derive(Debug, Default, Clone)]
struct Latest {
    numbers: Vec<f64>,
    next: usize,
}

impl Latest {
    fn push(&mut self, number: f64) {
        match self.numbers.get_mut(self.next) {
            Some(place) => *place = number,
            None => self.numbers.push(number),
        }
        self.next = (self.next + 1) % KEPT;
    }
}

/// What one version did.
#[derive(Debug, Default, Clone)]
pub(crate) struct Observed {
    requests: u64,
    failures: u64,
    last_failure: Option<String>,
    seconds: Latest,
    decisions: Latest,
}

/// The same in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Requests that it was given.
    pub requests: u64,
    /// Those of them that it failed to answer, where the other version answered.
    pub failures: u64,
    /// Why the last of these failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// The median latency of the last 4,096 answers, in milliseconds; none without answers.
    pub p50_ms: Option<f64>,
    /// The 95th percentile of the same.
    pub p95_ms: Option<f64>,
}

impl Observed {
    /// It answered, so fast and with these predictions; none are known of some models.
    pub(crate) fn answered(&mut self, took: Duration, predictions: &[Vec<f64>]) {
        self.requests += 1;
        self.seconds.push(took.as_secs_f64());
        for row in predictions {
            self.decisions.push(decision(row));
        }
    }

    /// It did not answer what the other version answered.
    pub(crate) fn failed(&mut self, reason: String) {
        self.requests += 1;
        self.failures += 1;
        self.last_failure = Some(reason);
    }

    pub(crate) const fn requests(&self) -> u64 {
        self.requests
    }

    pub(crate) const fn failures(&self) -> u64 {
        self.failures
    }

    pub(crate) fn last_failure(&self) -> &str {
        self.last_failure.as_deref().unwrap_or_default()
    }

    /// Predictions, as one number a row.
    pub(crate) fn decisions(&self) -> &[f64] {
        &self.decisions.numbers
    }

    /// The latency that so large a part of the answers did not exceed, in seconds.
    pub(crate) fn quantile(&self, part: f64) -> Option<f64> {
        let mut sorted = self.seconds.numbers.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place among some thousand"
        )]
        let place = (part * sorted.len() as f64) as usize;
        sorted.get(place.min(sorted.len().saturating_sub(1))).copied()
    }

    pub(crate) fn summary(&self) -> Summary {
        let milliseconds = |part| self.quantile(part).map(|seconds| seconds * 1e3);
        Summary {
            requests: self.requests,
            failures: self.failures,
            last_failure: self.last_failure.clone(),
            p50_ms: milliseconds(0.5),
            p95_ms: milliseconds(0.95),
        }
    }
}

/// A row's prediction as one number: itself, or of several the place of the largest.
fn decision(row: &[f64]) -> f64 {
    if let [number] = row {
        return *number;
    }
    let largest = row.iter().enumerate().max_by(|(_, left), (_, right)| left.total_cmp(right));
    #[expect(clippy::cast_precision_loss, reason = "the number of outputs of a model")]
    largest.map_or(0.0, |(place, _)| place as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answers_are_kept_and_all_are_counted() {
        let mut observed = Observed::default();
        for number in 0..KEPT + 100 {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            observed
                .answered(Duration::from_millis(if number < 100 { 900 } else { 2 }), &[vec![number as f64]]);
        }
        observed.failed("broken".to_owned());
        assert_eq!((observed.requests(), observed.failures()), (KEPT as u64 + 101, 1));
        assert_eq!(observed.decisions().len(), KEPT);
        assert!(observed.decisions().iter().all(|number| *number >= 100.0));
        assert_eq!(observed.summary().p95_ms, Some(2.0));
        assert_eq!(observed.summary().last_failure.as_deref(), Some("broken"));
    }

    #[test]
    fn without_answers_there_is_no_latency() {
        assert_eq!(Observed::default().quantile(0.95), None);
    }

    #[test]
    fn of_several_numbers_the_largest_decides() {
        let mut observed = Observed::default();
        observed.answered(Duration::ZERO, &[vec![0.1, 0.7, 0.2], vec![0.9, 0.05, 0.05], vec![4.5]]);
        assert_eq!(observed.decisions(), [1.0, 0.0, 4.5]);
    }
}
