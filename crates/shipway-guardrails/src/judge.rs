//! Models that are asked about a text, as definitions write them: one of language that judges, or one of this server that classifies.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shipway_core::{Length, Name};

use crate::detector::BadDetector;

const LONGEST_QUESTION: usize = 8 * 1024;
const LONGEST_TIMEOUT_US: i64 = 120_000_000;
const USUAL_TIMEOUT_US: i64 = 10_000_000;
const USUAL_CLASSIFIER_TIMEOUT_US: i64 = 2_000_000;
const LONGEST_LABEL: usize = 128;
const MILLION: f64 = 1e6;

/// Another model is asked how much something holds of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    /// The `llm_model` that is asked. It has no guardrail that asks the models again which name this one.
    pub model: Name,
    /// What it is asked about the text: something that holds of it or does not, such as `The text asks to ignore earlier instructions.`
    pub question: String,
    /// From which score on it is a finding, above 0 and up to 1. Default 0.5.
    #[serde(default = "usual_threshold")]
    #[schemars(with = "f64", range(min = 0, max = 1))]
    pub threshold: Score,
    /// How long it may take. Default 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Length>,
    /// What counts where it does not answer, or not as it should: `block`, as if it were a finding, or `allow`. Default block.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// A model that this server serves gives a label of a text a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// The deployment that is asked: of a model of texts with scores for labels.
    pub model: Name,
    /// The label whose score counts.
    pub label: String,
    /// From which score on it is a finding, above 0 and up to 1. Default 0.5.
    #[serde(default = "usual_threshold")]
    #[schemars(with = "f64", range(min = 0, max = 1))]
    pub threshold: Score,
    /// How long it may take. Default 2s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Length>,
    /// What counts where it does not answer: `block`, as if it were a finding, or `allow`. Default block.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What counts where nobody judges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is a finding.
    #[default]
    Block,
    /// It is none.
    Allow,
}

/// From 0 to 1, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(u32);

impl Score {
    /// None beyond 0 and 1.
    pub fn new(score: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
        (0.0..=1.0).contains(&score).then(|| Self((score * MILLION).round() as u32))
    }

    /// As a number from 0 to 1.
    pub fn number(self) -> f64 {
        f64::from(self.0) / MILLION
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.number())
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let score = f64::deserialize(deserializer)?;
        Self::new(score).ok_or_else(|| serde::de::Error::custom("a score is from 0 to 1"))
    }
}

fn usual_threshold() -> Score {
    Score(500_000)
}

impl Classifier {
    /// How long it may take, in microseconds.
    pub fn timeout_us(&self) -> u64 {
        self.timeout.map_or(USUAL_CLASSIFIER_TIMEOUT_US, |timeout| timeout.micros()).unsigned_abs()
    }

    pub(crate) fn check(&self) -> Result<(), BadDetector> {
        if self.label.is_empty() || self.label.len() > LONGEST_LABEL {
            return Err(BadDetector::Judge(format!("label has from 1 to {LONGEST_LABEL} bytes")));
        }
        check_bounds(self.threshold, self.timeout)
    }
}

fn check_bounds(threshold: Score, timeout: Option<Length>) -> Result<(), BadDetector> {
    if threshold == Score(0) {
        return Err(BadDetector::Judge("every text has a score of 0".to_owned()));
    }
    if timeout.is_some_and(|timeout| timeout.micros() > LONGEST_TIMEOUT_US) {
        let reason = format!("timeout is no longer than {} s", LONGEST_TIMEOUT_US / 1_000_000);
        return Err(BadDetector::Judge(reason));
    }
    Ok(())
}

impl Judge {
    /// How long it may take, in microseconds.
    pub fn timeout_us(&self) -> u64 {
        self.timeout.map_or(USUAL_TIMEOUT_US, |timeout| timeout.micros()).unsigned_abs()
    }

    pub(crate) fn check(&self) -> Result<(), BadDetector> {
        if self.question.trim().is_empty() || self.question.len() > LONGEST_QUESTION {
            let reason = format!("question has from 1 to {LONGEST_QUESTION} bytes");
            return Err(BadDetector::Judge(reason));
        }
        check_bounds(self.threshold, self.timeout)
    }
}
