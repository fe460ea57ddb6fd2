//! Whether a launch goes on, waits, or is rolled back.

use std::time::Duration;

use super::{drift, observed::Observed, spec::LaunchGates};

/// Failures are judged from so many requests of the candidate on, before there are enough for the rest.
const EARLY_REQUESTS: u64 = 20;

/// A latency that is longer by less than this is no longer latency, whatever the ratio: the clock and the other work of the machine
/// are in it.
const SLACK_S: f64 = 0.001;

/// What to do with a launch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// What it waits for.
    Wait(String),
    /// On to the next stage.
    GoOn,
    /// Back, and why.
    RollBack(String),
}

/// Judges a stage that has lasted for `lasted` by what was seen of the two versions in it.
pub(crate) fn judge(
    gates: &LaunchGates,
    hold: Duration,
    lasted: Duration,
    stable: &Observed,
    candidate: &Observed,
) -> Verdict {
    let requests = candidate.requests();
    if requests >= gates.min_requests.min(EARLY_REQUESTS)
        && let Some(reason) = too_many_failures(gates, candidate)
    {
        return Verdict::RollBack(reason);
    }
    if requests < gates.min_requests {
        return Verdict::Wait(format!("the candidate has {requests} of {} requests", gates.min_requests));
    }
    if stable.requests() < gates.min_requests {
        let has = stable.requests();
        return Verdict::Wait(format!(
            "the version that serves has {has} of {} requests",
            gates.min_requests
        ));
    }
    if let Some(reason) = too_slow(gates, stable, candidate).or_else(|| moved(gates, stable, candidate)) {
        return Verdict::RollBack(reason);
    }
    if lasted < hold {
        return Verdict::Wait(format!("{} of {} seconds", lasted.as_secs(), hold.as_secs()));
    }
    Verdict::GoOn
}

#[expect(clippy::cast_precision_loss, reason = "a share of counts")]
fn too_many_failures(gates: &LaunchGates, candidate: &Observed) -> Option<String> {
    let share = candidate.failures() as f64 / candidate.requests() as f64;
    (share > gates.max_error_rate).then(|| {
        format!(
            "errors: {} of {} requests failed that the version before answers ({:.2} %; at most {:.2} % may); the last: {}",
            candidate.failures(),
            candidate.requests(),
            share * 100.0,
            gates.max_error_rate * 100.0,
            candidate.last_failure(),
        )
    })
}

fn too_slow(gates: &LaunchGates, stable: &Observed, candidate: &Observed) -> Option<String> {
    let ratio = gates.max_latency_ratio?;
    let (before, after) = (stable.quantile(0.95)?, candidate.quantile(0.95)?);
    (after > before * ratio + SLACK_S).then(|| {
        format!(
            "latency: the 95th percentile is {:.2} ms where the version before has {:.2} ms (at most {ratio} times as long)",
            after * 1e3,
            before * 1e3,
        )
    })
}

fn moved(gates: &LaunchGates, stable: &Observed, candidate: &Observed) -> Option<String> {
    let most = gates.max_drift?;
    let drift::Moved { index, by_chance } = drift::moved(stable.decisions(), candidate.decisions())?;
    // Few requests look moved by chance alone.
    (index > most.max(by_chance)).then(|| {
        format!("drift: predictions moved by a population stability index of {index:.3} (at most {most})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(60);

    fn gates() -> LaunchGates {
        LaunchGates { min_requests: 100, ..LaunchGates::default() }
    }

    /// So many answers, in milliseconds, and of each tenth one prediction.
    fn observed(answers: u32, milliseconds: u64, shift: f64) -> Observed {
        let mut observed = Observed::default();
        for number in 0..answers {
            let prediction = f64::from(number % 97) / 97.0 + shift;
            observed.answered(Duration::from_millis(milliseconds), &[vec![prediction]]);
        }
        observed
    }

    fn verdict(stable: &Observed, candidate: &Observed, lasted: Duration) -> Verdict {
        judge(&gates(), HOLD, lasted, stable, candidate)
    }

    fn reason(verdict: Verdict) -> String {
        match verdict {
            Verdict::RollBack(reason) => reason,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_candidate_that_keeps_to_its_gates_goes_on_when_its_time_is_over() {
        let (stable, candidate) = (observed(500, 5, 0.0), observed(200, 6, 0.0));
        assert_eq!(verdict(&stable, &candidate, HOLD), Verdict::GoOn);
        assert_eq!(
            verdict(&stable, &candidate, Duration::from_secs(12)),
            Verdict::Wait("12 of 60 seconds".to_owned())
        );
    }

    #[test]
    fn it_waits_for_enough_requests_of_both() {
        let few = observed(99, 5, 0.0);
        let enough = observed(100, 5, 0.0);
        assert_eq!(
            verdict(&enough, &few, HOLD),
            Verdict::Wait("the candidate has 99 of 100 requests".to_owned())
        );
        assert_eq!(
            verdict(&few, &enough, HOLD),
            Verdict::Wait("the version that serves has 99 of 100 requests".to_owned())
        );
    }

    #[test]
    fn failures_are_judged_early() {
        let mut candidate = observed(18, 5, 0.0);
        candidate.failed("the first".to_owned());
        assert!(matches!(verdict(&observed(500, 5, 0.0), &candidate, HOLD), Verdict::Wait(_)));
        candidate.failed("broken".to_owned());
        let reason = reason(verdict(&observed(500, 5, 0.0), &candidate, HOLD));
        assert!(reason.starts_with("errors: 2 of 20 requests") && reason.ends_with("broken"), "{reason}");
    }

    #[test]
    fn a_slow_candidate_and_one_that_predicts_otherwise_are_rolled_back_before_their_time_is_over() {
        let stable = observed(500, 5, 0.0);
        let slow = reason(verdict(&stable, &observed(200, 12, 0.0), Duration::ZERO));
        assert!(slow.starts_with("latency: the 95th percentile is 12.00 ms"), "{slow}");
        let moved = reason(verdict(&stable, &observed(200, 5, 0.4), Duration::ZERO));
        assert!(moved.starts_with("drift: "), "{moved}");
    }

    #[test]
    fn microseconds_are_not_compared_and_gates_can_be_left_out() {
        let mut fast = Observed::default();
        let mut slower = Observed::default();
        for _ in 0..200 {
            fast.answered(Duration::from_micros(20), &[]);
            slower.answered(Duration::from_micros(800), &[]);
        }
        assert_eq!(verdict(&fast, &slower, HOLD), Verdict::GoOn);
        let open = LaunchGates { max_latency_ratio: None, max_drift: None, ..gates() };
        let (stable, candidate) = (observed(200, 5, 0.0), observed(200, 900, 9.0));
        assert_eq!(judge(&open, HOLD, HOLD, &stable, &candidate), Verdict::GoOn);
    }
}
