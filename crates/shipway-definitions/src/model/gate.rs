//! What a model version must show before it may take an alias.

use serde::{Deserialize, Serialize};
use shipway_core::{Length, Name};

/// The requirements that stand before one alias of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gate {
    /// Its name, unique among gates.
    pub name: Name,
    /// The registered model.
    pub model: String,
    /// The alias that is guarded.
    pub alias: String,
    /// All of these must hold; at least one.
    pub requirements: Vec<Requirement>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// One requirement of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// A metric of the candidate obeys a rule.
    Metric {
        /// The metric's name, as it is logged.
        metric: String,
        /// The data set that it was measured on; none: any.
        dataset: Option<String>,
        /// The rule.
        rule: Rule,
    },
    /// The evaluation belongs to the very artifact of the candidate.
    OwnArtifact,
    /// What a deployment served was replayed against history lately, and nothing differed.
    Verified {
        /// The deployment.
        deployment: Name,
        /// How old the replay may be.
        within: Length,
        /// The least number of vectors that it compared.
        vectors: u64,
    },
}

/// What a metric must do. All bounds are finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Greater than that of the alias's present holder by more than `margin`; holds where there is no holder.
    BeatsHolder {
        /// Not negative; 0: any improvement.
        margin: f64,
    },
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}
