//! Runs, and what is logged for them.

use std::cmp::Ordering;

use super::{Lifecycle, Pair};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunStatus {
    Running,
    Scheduled,
    Finished,
    Failed,
    Killed,
}

impl RunStatus {
    pub(crate) const ALL: [Self; 5] =
        [Self::Running, Self::Scheduled, Self::Finished, Self::Failed, Self::Killed];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunInfo {
    pub(crate) run_id: String,
    pub(crate) experiment_id: i64,
    pub(crate) name: String,
    pub(crate) user_id: String,
    pub(crate) status: RunStatus,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: Option<i64>,
    /// Where its artifacts lie, relative to the artifact service.
    pub(crate) artifact_root: String,
    pub(crate) lifecycle: Lifecycle,
}

/// A run with all that was logged for it; `metrics` holds the latest point of each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) info: RunInfo,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) params: Vec<Pair>,
    pub(crate) tags: Vec<Pair>,
    pub(crate) datasets: Vec<DatasetInput>,
    pub(crate) model_inputs: Vec<LinkedModel>,
    pub(crate) model_outputs: Vec<LinkedModel>,
}

impl Run {
    /// A run for which nothing was logged.
    pub(crate) fn new(info: RunInfo) -> Self {
        Self {
            info,
            metrics: Vec::new(),
            params: Vec::new(),
            tags: Vec::new(),
            datasets: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        }
    }
}

/// One point of a metric. The three texts are empty when unset.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Metric {
    pub(crate) key: String,
    pub(crate) value: f64,
    pub(crate) timestamp_ms: i64,
    pub(crate) step: i64,
    pub(crate) model_id: String,
    pub(crate) run_id: String,
    pub(crate) dataset_name: String,
    pub(crate) dataset_digest: String,
}

impl Metric {
    /// Which of two points of one metric is the later: by step, then time, then value. NaN is the smallest value, so that a
    /// number logged at the same moment is preferred to it.
    pub(crate) fn recency(&self, other: &Self) -> Ordering {
        (self.step, self.timestamp_ms).cmp(&(other.step, other.timestamp_ms)).then_with(|| {
            match (self.value.is_nan(), other.value.is_nan()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => self.value.total_cmp(&other.value),
            }
        })
    }
}

/// A value as a database keeps it: infinities become the largest finite number, and NaN is a flag beside 0.
pub(crate) fn stored_value(value: f64) -> (f64, i64) {
    if value.is_nan() { (0.0, 1) } else { (value.clamp(f64::MIN, f64::MAX) + 0.0, 0) }
}

/// A data set that a run read, with what the client said about this use of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct DatasetInput {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) source_type: String,
    pub(crate) source: String,
    pub(crate) schema: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) tags: Vec<Pair>,
}

/// A logged model that a run read or produced; `step` belongs to produced ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkedModel {
    pub(crate) model_id: String,
    pub(crate) step: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: i64, timestamp_ms: i64, value: f64) -> Metric {
        Metric { step, timestamp_ms, value, ..Metric::default() }
    }

    #[test]
    fn the_latest_point_is_the_greatest_step_then_time_then_value() {
        let mut points =
            [point(1, 9, 0.0), point(2, 1, 0.5), point(2, 1, f64::NAN), point(2, 1, 0.4), point(0, 99, 9.0)];
        points.sort_by(Metric::recency);
        assert_eq!(points.last().map(|last| last.value), Some(0.5));
        assert!(points[2].value.is_nan(), "NaN is the smallest value of its moment");
    }

    #[test]
    fn infinities_are_clamped_and_nan_is_a_flag() {
        assert_eq!(stored_value(f64::INFINITY), (f64::MAX, 0));
        assert_eq!(stored_value(f64::NEG_INFINITY), (f64::MIN, 0));
        assert_eq!(stored_value(f64::NAN), (0.0, 1));
        assert_eq!(stored_value(-0.0).0.to_bits(), 0);
    }
}
