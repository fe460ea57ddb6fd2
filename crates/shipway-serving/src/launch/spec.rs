//! How a launch goes, and what it must keep to.

use serde::{Deserialize, Serialize};

use crate::{error::ServingError, launch::stage::Stage, model::share::Share};

/// The most steps of a canary.
const MOST_STEPS: usize = 20;

/// The longest that a stage may be held: thirty days.
const LONGEST_HOLD_S: u64 = 30 * 24 * 3600;

/// The most requests that a stage may wait for.
const MOST_REQUESTS: u64 = 1_000_000_000;

/// A launch, as it is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchSpec {
    /// The alias of the deployment's model that names the candidate. Its version is looked up once, when the launch begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The candidate's version, instead of an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The share of requests that the candidate answers too, for nobody to see, before it answers anybody; 0 for no such stage.
    #[serde(default = "all")]
    pub shadow_share: Share,
    /// The shares of requests that the candidate answers, one step after the other, growing; none for no such stage.
    #[serde(default = "usual_steps")]
    pub canary_shares: Vec<Share>,
    /// A column of the request (an id, a request column, a column of the model) whose value decides who is answered by the candidate: the
    /// same value is always answered by the same version, and stays with the candidate as the share grows. Without it every request is
    /// decided for itself. A request may bring its own `key` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How long each stage lasts at least, in seconds.
    #[serde(default = "usual_hold")]
    pub hold_s: u64,
    /// What the candidate must keep to.
    #[serde(default)]
    pub gates: LaunchGates,
}

/// What a candidate must keep to in every stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaunchGates {
    /// How many requests each of the two versions must have answered in a stage.
    pub min_requests: u64,
    /// The largest share of requests that the candidate may fail to answer where the other version answers.
    pub max_error_rate: f64,
    /// How many times as long as the other version's the candidate's 95th percentile of latency may be, a millisecond apart; null for no such
    /// gate.
    pub max_latency_ratio: Option<f64>,
    /// The largest population stability index between the predictions of the two; null for no such gate. Of a model of tensors alone, its first
    /// output that is numbers is looked at.
    pub max_drift: Option<f64>,
}

impl Default for LaunchGates {
    fn default() -> Self {
        Self { min_requests: 500, max_error_rate: 0.01, max_latency_ratio: Some(2.0), max_drift: Some(0.2) }
    }
}

const fn all() -> Share {
    Share::ALL
}

fn usual_steps() -> Vec<Share> {
    [0.05, 0.25, 0.5].into_iter().filter_map(|share| Share::try_from(share).ok()).collect()
}

const fn usual_hold() -> u64 {
    300
}

fn wrong(reason: impl Into<String>) -> ServingError {
    ServingError::WrongRequest(reason.into())
}

impl LaunchSpec {
    /// Checks the bounds of the settings, and that there is anything to go through.
    pub(crate) fn check(&self) -> Result<(), ServingError> {
        if self.alias.is_some() == self.version.is_some() {
            return Err(wrong("a launch names its candidate by either `alias` or `version`"));
        }
        if self.canary_shares.len() > MOST_STEPS {
            return Err(wrong(format!("canary_shares has at most {MOST_STEPS} steps")));
        }
        let shares = || self.canary_shares.iter().map(|share| f64::from(*share));
        if shares().any(|share| share <= 0.0 || share >= 1.0) {
            return Err(wrong(
                "each of canary_shares is more than 0 and less than 1: all comes after the last",
            ));
        }
        if shares().zip(shares().skip(1)).any(|(one, next)| next <= one) {
            return Err(wrong("canary_shares must grow from step to step"));
        }
        if self.first_stage().is_none() {
            return Err(wrong(
                "a launch without shadow and canary proves nothing; to switch at once, move the alias",
            ));
        }
        if self.hold_s > LONGEST_HOLD_S {
            return Err(wrong(format!("hold_s must be 0 to {LONGEST_HOLD_S}, got {}", self.hold_s)));
        }
        self.gates.check()
    }

    /// Where it begins.
    pub(crate) fn first_stage(&self) -> Option<Stage> {
        let shadow = (!self.shadow_share.is_none()).then_some(Stage::Shadow);
        shadow.or_else(|| (!self.canary_shares.is_empty()).then_some(Stage::Canary { step: 0 }))
    }

    /// What follows a stage; all traffic after the last.
    pub(crate) fn after(&self, stage: Stage) -> Stage {
        let step = match stage {
            Stage::Shadow => 0,
            Stage::Canary { step } => step + 1,
            ended => return ended,
        };
        if step < self.canary_shares.len() { Stage::Canary { step } } else { Stage::Full }
    }

    /// The share of requests that the candidate answers in a stage.
    pub(crate) fn share(&self, stage: Stage) -> Share {
        match stage {
            Stage::Canary { step } => self.canary_shares.get(step).copied().unwrap_or(Share::NONE),
            Stage::Full => Share::ALL,
            Stage::Shadow | Stage::RolledBack | Stage::Cancelled => Share::NONE,
        }
    }
}

impl LaunchGates {
    fn check(&self) -> Result<(), ServingError> {
        if !(1..=MOST_REQUESTS).contains(&self.min_requests) {
            return Err(wrong(format!("gates.min_requests must be 1 to {MOST_REQUESTS}")));
        }
        if !(0.0..=1.0).contains(&self.max_error_rate) {
            return Err(wrong("gates.max_error_rate must be 0 to 1"));
        }
        if self.max_latency_ratio.is_some_and(|ratio| !(ratio >= 1.0 && ratio.is_finite())) {
            return Err(wrong("gates.max_latency_ratio must be 1 or more, or null"));
        }
        if self.max_drift.is_some_and(|drift| !(drift > 0.0 && drift.is_finite())) {
            return Err(wrong("gates.max_drift must be more than 0, or null"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> LaunchSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_launch_goes_from_shadow_over_its_steps_to_all() {
        let spec = spec(r#"{"alias": "challenger", "canary_shares": [0.1, 0.5]}"#);
        spec.check().unwrap();
        let mut stage = spec.first_stage().unwrap();
        let mut gone = Vec::new();
        while !stage.is_ended() {
            gone.push((stage.word(), f64::from(spec.share(stage))));
            stage = spec.after(stage);
        }
        assert_eq!(gone, [("shadow", 0.0), ("canary", 0.1), ("canary", 0.5)]);
        assert_eq!(stage, Stage::Full);
    }

    #[test]
    fn stages_may_be_left_out() {
        let canary = spec(r#"{"version": 3, "shadow_share": 0, "canary_shares": [0.5]}"#);
        assert_eq!(canary.first_stage(), Some(Stage::Canary { step: 0 }));
        let shadow = spec(r#"{"version": 3, "canary_shares": []}"#);
        assert_eq!(shadow.after(Stage::Shadow), Stage::Full);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for json in [
            "{}",
            r#"{"alias": "a", "version": 1}"#,
            r#"{"version": 1, "canary_shares": [0.5, 0.1]}"#,
            r#"{"version": 1, "canary_shares": [0.5, 1]}"#,
            r#"{"version": 1, "canary_shares": [0]}"#,
            r#"{"version": 1, "canary_shares": [], "shadow_share": 0}"#,
            r#"{"version": 1, "hold_s": 99999999}"#,
            r#"{"version": 1, "gates": {"min_requests": 0}}"#,
            r#"{"version": 1, "gates": {"max_error_rate": 2}}"#,
            r#"{"version": 1, "gates": {"max_latency_ratio": 0.5}}"#,
            r#"{"version": 1, "gates": {"max_drift": 0}}"#,
        ] {
            assert_eq!(spec(json).check().map_err(|_| ()), Err(()), "{json}");
        }
        assert!(serde_json::from_str::<LaunchSpec>(r#"{"version": 1, "shadow_share": 2}"#).is_err());
        assert!(serde_json::from_str::<LaunchSpec>(r#"{"version": 1, "shares": []}"#).is_err());
    }
}
