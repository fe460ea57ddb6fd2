//! The things that tracking keeps, and the bounds that they must respect.
//!
//! - `run`: runs, their metrics, inputs and outputs
//! - `experiment`, `logged_model`, `registry`: the other families
//! - `evaluation_dataset`, `scorer`, `webhook`: what evaluations stand on, and who is told of changes
//! - `trace`: traces, their spans and assessments
//! - `workspace`: what keeps the things of groups apart
//! - `bounds`: what a key, a value, a name and a batch may be

pub(crate) mod bounds;
pub(crate) mod evaluation_dataset;
pub(crate) mod experiment;
pub(crate) mod logged_model;
pub(crate) mod registry;
pub(crate) mod run;
pub(crate) mod scorer;
pub(crate) mod trace;
pub(crate) mod webhook;
pub(crate) mod workspace;

pub(crate) use evaluation_dataset::{EvaluationDataset, EvaluationRecord, RecordSource};
pub(crate) use experiment::Experiment;
pub(crate) use logged_model::{LoggedModel, ModelStatus};
pub(crate) use registry::{ModelVersion, RegisteredModel, Stage};
pub(crate) use run::{DatasetInput, LinkedModel, Metric, Run, RunInfo, RunStatus};
pub(crate) use scorer::ScorerVersion;
pub(crate) use trace::{
    Assessment, AssessmentError, AssessmentValue, SourceType, StoredSpan, TraceInfo, TraceState,
};
pub(crate) use webhook::{Webhook, WebhookStatus};
pub(crate) use workspace::{Contents, WorkspaceInfo};

/// A tag or a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Pair {
    pub(crate) fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// Whether a thing is in use or was deleted; a deleted thing can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    Active,
    Deleted,
}

impl Lifecycle {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }

    /// Anything but `deleted` is active: a word that this version does not know must not hide data.
    pub(crate) fn from_word(word: &str) -> Self {
        if word == "deleted" { Self::Deleted } else { Self::Active }
    }
}

/// Which lifecycle a search wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Active,
    Deleted,
    All,
}
