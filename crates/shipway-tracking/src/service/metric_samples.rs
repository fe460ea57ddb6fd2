//! Histories of one metric of many runs, as charts want them.

use crate::{error::TrackingError, model::Metric, service::Tracking, store};

/// Runs of one request.
const MOST_RUNS: usize = 100;
/// Points of each run in a sample.
const SAMPLE_MAX: i64 = 2_500;
/// Points of a whole answer without sampling.
const HISTORY_MAX: i64 = 25_000;

fn check_runs(run_ids: &[String]) -> Result<(), TrackingError> {
    match run_ids.len() {
        0 => Err(TrackingError::invalid("run_ids", "at least one run must be named")),
        count if count > MOST_RUNS => {
            let reason = format!("at most {MOST_RUNS} run_ids can be named, got {count}");
            Err(TrackingError::invalid("run_ids", reason))
        }
        _ => Ok(()),
    }
}

impl Tracking {
    /// Of each run at most `max_results` points, evenly over its history or over the steps `between`, with the first and the
    /// last among them; runs in the order asked for, points by step. Runs that are not there have none.
    pub(crate) async fn sampled_histories(
        &self,
        run_ids: &[String],
        key: &str,
        between: Option<(i64, i64)>,
        max_results: Option<i64>,
    ) -> Result<Vec<Metric>, TrackingError> {
        check_runs(run_ids)?;
        let size = max_results.unwrap_or(SAMPLE_MAX);
        if !(1..=SAMPLE_MAX).contains(&size) {
            let reason = format!("max_results must be between 1 and {SAMPLE_MAX}.");
            return Err(TrackingError::invalid("max_results", reason));
        }
        if let Some((start, end)) = between.filter(|(start, end)| start > end) {
            let reason = format!(
                "end_step must be greater than start_step. Found start_step={start} and end_step={end}."
            );
            return Err(TrackingError::invalid("end_step", reason));
        }
        let mut found = Vec::new();
        for run_id in run_ids {
            found
                .extend(store::metric_samples::sample(&mut self.reader(), run_id, key, between, size).await?);
        }
        Ok(found)
    }

    /// The first points of these runs together: by run, time, step and value. Runs that are not there have none.
    pub(crate) async fn joined_histories(
        &self,
        run_ids: &[String],
        key: &str,
        max_results: Option<i64>,
    ) -> Result<Vec<Metric>, TrackingError> {
        check_runs(run_ids)?;
        let size = max_results.unwrap_or(HISTORY_MAX);
        if size < 1 {
            return Err(TrackingError::invalid("max_results", "it must be a positive integer"));
        }
        let size = size.min(HISTORY_MAX);
        Ok(store::metric_samples::joined(&mut self.reader(), run_ids, key, size).await?)
    }
}
