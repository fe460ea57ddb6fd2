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
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text)
    }

    fn score(value: f64, dataset: (&str, &str), artifact: &str) -> Evaluation {
        Evaluation {
            metric: "auc".into(),
            value,
            dataset_name: dataset.0.into(),
            dataset_digest: dataset.1.into(),
            step: 0,
            timestamp_ms: 0,
            artifact: Some(digest(artifact)),
        }
    }

    fn contender(version: u32, artifact: &str, evaluations: Vec<Evaluation>) -> Contender {
        Contender { version, artifact: Some(digest(artifact)), evaluations }
    }

    fn gate(rule: Rule) -> Gate {
        let requirement = Requirement::Metric { metric: "auc".into(), dataset: Some("autumn".into()), rule };
        Gate { name: "champion".into(), requirements: vec![requirement, Requirement::OwnArtifact] }
    }

    fn finding(result: Result<Vec<Judgement>, Vec<Unmet>>) -> String {
        match result {
            Ok(met) => format!("met: {}", met[0].finding),
            Err(unmet) => format!("unmet: {}", unmet[0].finding),
        }
    }

    const BEATS: Rule = Rule::BeatsHolder { margin: 0.0 };
    const AUTUMN: (&str, &str) = ("autumn", "d1");

    /// Judges where no gate asks for a replay.
    fn approve(
        candidate: &Contender,
        holder: Option<&Contender>,
        gates: &[Gate],
    ) -> Result<Vec<Judgement>, Vec<Unmet>> {
        super::approve(candidate, holder, gates, &Replays { now: Timestamp(0), of: BTreeMap::new() })
    }

    #[test]
    fn a_gate_can_demand_a_replay_that_is_new_and_large_enough_and_found_nothing() {
        let second = 1_000_000;
        let requirement = Requirement::Verified {
            deployment: "late".parse().unwrap(),
            within: Length::from_micros(60 * second).unwrap(),
            vectors: 100,
        };
        let gate = Gate { name: "proved".into(), requirements: vec![requirement] };
        let judged = |replay: Option<(i64, u64, u64)>| {
            let replay = replay.map(|(ended, compared, differing)| {
                ("late".to_owned(), Replay { ended: Timestamp(ended * second), compared, differing })
            });
            let replays = Replays { now: Timestamp(100 * second), of: replay.into_iter().collect() };
            super::approve(&contender(1, "a", vec![]), None, &[gate.clone()], &replays)
        };
        assert!(judged(Some((40, 100, 0))).is_ok(), "the edge is inclusive");
        for (replay, missing, words) in [
            (None, Some(Missing::Replay), "never replayed"),
            (Some((39, 100, 0)), Some(Missing::Replay), "longer ago than 1m"),
            (Some((90, 99, 0)), Some(Missing::Replay), "fewer than 100"),
            (Some((90, 5_000, 1)), None, "1 differ from history"),
        ] {
            let unmet = judged(replay).unwrap_err();
            assert_eq!(unmet[0].missing, missing);
            assert!(unmet[0].finding.contains(words), "{}", unmet[0].finding);
        }
    }

    #[test]
    fn nobody_holds_the_alias_yet_so_any_own_score_passes() {
        let candidate = contender(1, "a", vec![score(0.5, AUTUMN, "a")]);
        let text = finding(approve(&candidate, None, &[gate(BEATS)]));
        assert_eq!(text, "met: auc 0.5 on autumn (d1): nobody holds the alias yet");
    }

    #[test]
    fn without_a_gate_everything_passes() {
        assert_eq!(approve(&contender(1, "a", vec![]), None, &[]), Ok(vec![]));
    }

    #[test]
    fn the_holder_must_be_beaten_not_equalled() {
        let holder = contender(1, "h", vec![score(0.7, AUTUMN, "h")]);
        for (value, margin, passes) in
            [(0.71, 0.0, true), (0.7, 0.0, false), (0.69, 0.0, false), (0.71, 0.05, false), (0.8, 0.05, true)]
        {
            let candidate = contender(2, "c", vec![score(value, AUTUMN, "c")]);
            let result = approve(&candidate, Some(&holder), &[gate(Rule::BeatsHolder { margin })]);
            assert_eq!(result.is_ok(), passes, "{value} by {margin}");
        }
    }

    #[test]
    fn a_score_earned_by_another_artifact_does_not_count() {
        let candidate = contender(2, "now", vec![score(0.9, AUTUMN, "before")]);
        let unmet = approve(&candidate, None, &[gate(BEATS)]).unwrap_err();
        assert_eq!(unmet[0].missing, Some(Missing::Score));
        assert!(unmet[0].finding.contains("not for its own artifact"), "{}", unmet[0].finding);
        let lenient = Gate { requirements: gate(BEATS).requirements[..1].to_vec(), ..gate(BEATS) };
        assert!(approve(&candidate, None, &[lenient]).is_ok(), "without OwnArtifact it counts");
    }

    #[test]
    fn scores_compare_only_on_the_same_data() {
        let candidate = contender(2, "c", vec![score(0.9, AUTUMN, "c")]);
        let other_digest = contender(1, "h", vec![score(0.7, ("autumn", "d2"), "h")]);
        let other_name = contender(1, "h", vec![score(0.7, ("spring", "d1"), "h")]);
        let unknown_digest = contender(1, "h", vec![score(0.7, ("autumn", ""), "h")]);
        assert!(approve(&candidate, Some(&other_digest), &[gate(BEATS)]).is_err());
        assert!(approve(&candidate, Some(&other_name), &[gate(BEATS)]).is_err());
        assert!(approve(&candidate, Some(&unknown_digest), &[gate(BEATS)]).is_ok());
        let elsewhere = contender(2, "c", vec![score(0.9, ("spring", "d1"), "c")]);
        assert_eq!(
            finding(approve(&elsewhere, None, &[gate(BEATS)])),
            "unmet: version 2 has no auc on autumn"
        );
    }

    #[test]
    fn the_last_evaluation_counts_not_the_best() {
        let mut first = score(0.9, AUTUMN, "c");
        first.timestamp_ms = 1;
        let mut second = score(0.6, AUTUMN, "c");
        second.timestamp_ms = 2;
        let candidate = contender(2, "c", vec![second, first]);
        assert!(approve(&candidate, None, &[gate(Rule::AtLeast(0.7))]).is_err());
    }

    #[test]
    fn bounds_and_not_a_number() {
        for (value, rule, passes) in [
            (0.7, Rule::AtLeast(0.7), true),
            (0.699, Rule::AtLeast(0.7), false),
            (0.7, Rule::AtMost(0.7), true),
            (0.701, Rule::AtMost(0.7), false),
            (f64::NAN, Rule::AtMost(0.7), false),
            (f64::NAN, Rule::AtLeast(0.0), false),
            (f64::NAN, BEATS, false),
        ] {
            let candidate = contender(2, "c", vec![score(value, AUTUMN, "c")]);
            assert_eq!(approve(&candidate, None, &[gate(rule)]).is_ok(), passes, "{value} {rule:?}");
        }
    }

    #[test]
    fn a_refusal_names_everything_that_is_missing() {
        let candidate = contender(3, "c", vec![score(0.512, AUTUMN, "c")]);
        let holder = contender(2, "h", vec![score(0.741, AUTUMN, "h")]);
        let gates = [gate(BEATS), gate(Rule::AtLeast(0.6))];
        let unmet = approve(&candidate, Some(&holder), &gates).unwrap_err();
        let refusal = Refusal { model: "late".into(), alias: "champion".into(), version: 3, unmet };
        assert_eq!(
            refusal.to_string(),
            "late version 3 may not take champion: gate champion: auc 0.512 on autumn (d1) does not beat version 2's \
             0.741; gate champion: auc 0.512 on autumn (d1) is below 0.6"
        );
        assert_eq!(refusal.code(), "tracking.gate_not_met");
    }
}
