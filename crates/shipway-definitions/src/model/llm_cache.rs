//! How a model of language keeps its answers, and to whom it gives them.

use serde::{Deserialize, Serialize};
use shipway_core::{Length, Name, Sampling};

/// How answers are kept, to be given again to who asks the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmCache {
    /// For how long.
    pub time: Length,
    /// Who shares them.
    pub scope: LlmCacheScope,
    /// Who asks while the same is being answered to somebody else waits for that answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub together: bool,
    /// Whether answers are given to who asks about the same; none: only to who asks exactly the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar: Option<LlmSimilar>,
}

/// Whether an answer is given to who asks about the same in other words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmSimilar {
    /// What turns texts into vectors.
    pub embeddings: LlmEmbeddings,
    /// Whether answers are given, or only what would have been.
    pub mode: LlmSimilarMode,
    /// How alike questions are at least, in millionths of a cosine.
    pub least: u32,
    /// From where on two answers count as the same, in millionths of a cosine.
    pub same: u32,
    /// How many of a million answers that are given may be others than would have come.
    pub wrong: u32,
    /// Which of the calls that would be given an answer are asked nevertheless, to know how many would be wrong.
    pub check: Sampling,
}

/// What turns texts into vectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmEmbeddings {
    /// A model of language that is defined.
    Model(Name),
    /// A model that this server serves itself.
    Served(Name),
}

/// What is done where somebody asks about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmSimilarMode {
    /// It is counted how often the answer would have been the same.
    #[default]
    Shadow,
    /// The answer is given again.
    Serve,
}

impl LlmSimilarMode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Shadow, Self::Serve];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Serve => "serve",
        }
    }
}

/// Who shares answers that are kept. A key that is in no such group shares within the next smaller one that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmCacheScope {
    /// Nobody: each key has its own.
    Key,
    /// The keys of a project.
    Project,
    /// The keys of a team.
    Team,
    /// The keys of an organisation.
    Organisation,
}

impl LlmCacheScope {
    /// All of them, from the smallest.
    pub const ALL: [Self; 4] = [Self::Key, Self::Project, Self::Team, Self::Organisation];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Project => "project",
            Self::Team => "team",
            Self::Organisation => "organisation",
        }
    }
}
