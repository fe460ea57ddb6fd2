//! Decides whether a model version may take an alias.
//!
//! Pure on purpose: no clock, no store, no caller. `service/promotion.rs` fetches, this file judges, the service records.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap, fmt};

use serde::Serialize;
use shipway_core::{Digest, Failure, Kind, Length, Timestamp};
use shipway_definitions::{Requirement, Rule};

/// What a version must show before it may take an alias: the requirements of one gate definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// The gate's own name, for messages.
    pub name: String,
    /// All of them must be met.
    pub requirements: Vec<Requirement>,
}

impl From<&shipway_definitions::Gate> for Gate {
    fn from(gate: &shipway_definitions::Gate) -> Self {
        Self { name: gate.name.to_string(), requirements: gate.requirements.clone() }
    }
}

/// A score that was recorded for a version's model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluation {
    pub(crate) metric: String,
    pub(crate) value: f64,
    /// Empty when the client named none.
    pub(crate) dataset_name: String,
    pub(crate) dataset_digest: String,
    pub(crate) step: i64,
    pub(crate) timestamp_ms: i64,
    /// The model's artifacts at that moment; `None` when there were none yet.
    pub(crate) artifact: Option<Digest>,
}

impl Evaluation {
    fn dataset(&self) -> String {
        match (self.dataset_name.as_str(), self.dataset_digest.as_str()) {
            ("", _) => String::new(),
            (name, "") => format!(" on {name}"),
            (name, digest) => format!(" on {name} ({digest})"),
        }
    }

    /// Two scores compare only on the same data; an unknown digest matches any digest of the same name.
    fn is_on_the_data_of(&self, other: &Self) -> bool {
        let digests_differ = !self.dataset_digest.is_empty()
            && !other.dataset_digest.is_empty()
            && self.dataset_digest != other.dataset_digest;
        self.dataset_name == other.dataset_name && !digests_differ
    }
}

/// A version and what is known about it: the candidate, or the holder that it would replace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contender {
    pub(crate) version: u32,
    /// Its artifacts now; `None` when it has no files.
    pub(crate) artifact: Option<Digest>,
    pub(crate) evaluations: Vec<Evaluation>,
}

impl Contender {
    /// The latest score of `metric` that `fits`: by time, then step; a version is what its last evaluation says, not its best.
    fn latest(&self, metric: &str, fits: impl Fn(&Evaluation) -> bool) -> Option<&Evaluation> {
        let order = |left: &&Evaluation, right: &&Evaluation| {
            (left.timestamp_ms, left.step)
                .cmp(&(right.timestamp_ms, right.step))
                .then_with(|| left.value.partial_cmp(&right.value).unwrap_or(Ordering::Equal))
        };
        self.evaluations.iter().filter(|one| one.metric == metric && fits(one)).max_by(order)
    }
}

/// What the last replay of a deployment's served vectors against history found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// When it ended.
    pub ended: Timestamp,
    /// Vectors compared.
    pub compared: u64,
    /// Vectors that differ.
    pub differing: u64,
}

/// The last replay of each deployment that a gate names, and the present moment. A deployment without one was never replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replays {
    pub(crate) now: Timestamp,
    pub(crate) of: BTreeMap<String, Replay>,
}

/// A requirement that was met, with its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The gate.
    pub gate: String,
    /// What was found, for a person: `auc 0.741 on september_october beats version 1's 0.702`.
    pub finding: String,
}

/// Requirements that were not met. `Display` names every one with its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The registered model.
    pub model: String,
    /// The alias that was asked for.
    pub alias: String,
    /// The candidate.
    pub version: u32,
    /// What is missing.
    pub unmet: Vec<Unmet>,
}

/// One requirement that was not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// The gate.
    pub gate: String,
    /// What was found, for a person.
    pub finding: String,
    /// What is missing, where something is, rather than too low.
    pub missing: Option<Missing>,
}

/// What a version lacks before it can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A score of its own.
    Score,
    /// A replay of what was served that is new and large enough.
    Replay,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} version {} may not take {}: ", self.model, self.version, self.alias)?;
        for (index, unmet) in self.unmet.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}gate {}: {}", unmet.gate, unmet.finding)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

impl Failure for Refusal {
    fn kind(&self) -> Kind {
        Kind::Conflict
    }

    fn code(&self) -> &'static str {
        if self.is_all(Missing::Score) { "tracking.version_not_evaluated" } else { "tracking.gate_not_met" }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = if self.is_all(Missing::Score) {
            "evaluate the version: log the metric with its model_id and the data set, then promote it again"
        } else if self.is_all(Missing::Replay) {
            "run `shipway features verify` for the deployment, then promote the version again"
        } else {
            "promote a version that meets the gate, or change the gate's definition"
        };
        Some(hint.into())
    }
}

impl Refusal {
    fn is_all(&self, missing: Missing) -> bool {
        self.unmet.iter().all(|unmet| unmet.missing == Some(missing))
    }
}

/// Approves giving the alias to `candidate`, or names every requirement that is not met.
///
/// Where a gate demands `OwnArtifact`, the scores of candidate and holder count only if they were recorded for the artifacts
/// that each has now: a file retrained under an old number would otherwise inherit its score.
pub(crate) fn approve(
    candidate: &Contender,
    holder: Option<&Contender>,
    gates: &[Gate],
    replays: &Replays,
) -> Result<Vec<Judgement>, Vec<Unmet>> {
    let mut met = Vec::new();
    let mut unmet = Vec::new();
    for gate in gates {
        let own = gate.requirements.contains(&Requirement::OwnArtifact);
        let case = Case { candidate, holder, replays, own };
        for requirement in &gate.requirements {
            match case.judge(requirement, gate) {
                Ok(finding) => met.push(Judgement { gate: gate.name.clone(), finding }),
                Err(Fault { finding, missing }) => {
                    unmet.push(Unmet { gate: gate.name.clone(), finding, missing });
                }
            }
        }
    }
    if unmet.is_empty() { Ok(met) } else { Err(unmet) }
}

struct Fault {
    finding: String,
    missing: Option<Missing>,
}

impl Fault {
    fn missing(finding: String) -> Self {
        Self { finding, missing: Some(Missing::Score) }
    }

    fn low(finding: String) -> Self {
        Self { finding, missing: None }
    }
}

struct Case<'a> {
    candidate: &'a Contender,
    holder: Option<&'a Contender>,
    replays: &'a Replays,
    own: bool,
}

impl Case<'_> {
    fn judge(&self, requirement: &Requirement, gate: &Gate) -> Result<String, Fault> {
        match requirement {
            Requirement::OwnArtifact => self.own_artifact(gate),
            Requirement::Metric { metric, dataset, rule } => {
                let score = self.score(metric, dataset.as_deref())?;
                self.rule(score, *rule)
            }
            Requirement::Verified { deployment, within, vectors } => {
                self.verified(deployment.as_str(), *within, *vectors)
            }
        }
    }

    /// The last replay counts, not the best one.
    fn verified(&self, deployment: &str, within: Length, vectors: u64) -> Result<String, Fault> {
        let missing = |finding: String| Fault { finding, missing: Some(Missing::Replay) };
        let Some(Replay { ended, compared, differing }) = self.replays.of.get(deployment).copied() else {
            return Err(missing(format!(
                "what deployment {deployment} served was never replayed against history"
            )));
        };
        let found = format!("{compared} vectors that deployment {deployment} served, replayed at {ended}");
        if differing > 0 {
            return Err(Fault::low(format!("{found}: {differing} differ from history")));
        }
        if self.replays.now.micros().saturating_sub(ended.micros()) > within.micros() {
            return Err(missing(format!("{found}: longer ago than {within}")));
        }
        if compared < vectors {
            return Err(missing(format!("{found}: fewer than {vectors}")));
        }
        Ok(format!("{found}: none differs from history"))
    }

    fn counts(&self, owner: &Contender, evaluation: &Evaluation) -> bool {
        !self.own || (owner.artifact.is_some() && evaluation.artifact == owner.artifact)
    }

    fn own_artifact(&self, gate: &Gate) -> Result<String, Fault> {
        let version = self.candidate.version;
        let Some(artifact) = self.candidate.artifact else {
            return Err(Fault::missing(format!("version {version} has no artifacts")));
        };
        let demands_scores = gate.requirements.iter().any(|one| matches!(one, Requirement::Metric { .. }));
        let has_one = self.candidate.evaluations.iter().any(|one| one.artifact == Some(artifact));
        // Where scores are demanded, `counts` lets only own ones pass, and the score's own finding says what is missing.
        if has_one || demands_scores {
            return Ok(format!("only scores of artifact {} count", artifact.short()));
        }
        Err(Fault::missing(format!(
            "version {version} has no evaluation of its own artifact {}",
            artifact.short()
        )))
    }

    fn score(&self, metric: &str, dataset: Option<&str>) -> Result<&Evaluation, Fault> {
        let candidate = self.candidate;
        let on_data = |one: &Evaluation| dataset.is_none_or(|name| one.dataset_name == name);
        if let Some(found) = candidate.latest(metric, |one| on_data(one) && self.counts(candidate, one)) {
            return Ok(found);
        }
        let version = candidate.version;
        let place = dataset.map(|name| format!(" on {name}")).unwrap_or_default();
        let foreign = candidate.latest(metric, on_data);
        Err(Fault::missing(match foreign {
            Some(foreign) => format!(
                "version {version} has {metric} {}{place}, but not for its own artifact {}",
                foreign.value,
                candidate.artifact.map_or_else(|| "(it has none)".to_owned(), |artifact| artifact.short()),
            ),
            None => format!("version {version} has no {metric}{place}"),
        }))
    }

    fn rule(&self, score: &Evaluation, rule: Rule) -> Result<String, Fault> {
        let Evaluation { metric, value, .. } = score;
        let place = score.dataset();
        if value.is_nan() {
            return Err(Fault::low(format!("{metric}{place} is not a number")));
        }
        match rule {
            Rule::AtLeast(least) if *value >= least => {
                Ok(format!("{metric} {value}{place} is at least {least}"))
            }
            Rule::AtLeast(least) => Err(Fault::low(format!("{metric} {value}{place} is below {least}"))),
            Rule::AtMost(most) if *value <= most => Ok(format!("{metric} {value}{place} is at most {most}")),
            Rule::AtMost(most) => Err(Fault::low(format!("{metric} {value}{place} is above {most}"))),
            Rule::BeatsHolder { margin } => self.beats_holder(score, margin),
        }
    }

    fn beats_holder(&self, score: &Evaluation, margin: f64) -> Result<String, Fault> {
        let Evaluation { metric, value, .. } = score;
        let place = score.dataset();
        let Some(holder) = self.holder else {
            return Ok(format!("{metric} {value}{place}: nobody holds the alias yet"));
        };
        let number = holder.version;
        let comparable = |one: &Evaluation| self.counts(holder, one) && one.is_on_the_data_of(score);
        let Some(held) = holder.latest(metric, comparable) else {
            return Err(Fault::missing(format!(
                "the holder, version {number}, has no {metric}{place} to compare with"
            )));
        };
        let by = if margin > 0.0 { format!(" by more than {margin}") } else { String::new() };
        // A holder whose score is not a number is beaten by any number.
        if held.value.is_nan() || *value - held.value > margin {
            Ok(format!("{metric} {value}{place} beats version {number}'s {}{by}", held.value))
        } else {
            Err(Fault::low(format!(
                "{metric} {value}{place} does not beat version {number}'s {}{by}",
                held.value
            )))
        }
    }
}

#[cfg(test)]
mod tests;
