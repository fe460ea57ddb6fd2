//! What gates let pass and what they refuse, and in which words.

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
        super::approve(&contender(1, "a", vec![]), None, std::slice::from_ref(&gate), &replays)
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
    assert_eq!(finding(approve(&elsewhere, None, &[gate(BEATS)])), "unmet: version 2 has no auc on autumn");
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
