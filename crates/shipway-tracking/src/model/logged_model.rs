//! Logged models: a model's artifacts with an identity of their own, apart from the run that made them.

use super::{Lifecycle, Metric, Pair};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ModelStatus {
    Unspecified,
    Pending,
    Ready,
    UploadFailed,
}

impl ModelStatus {
    pub(crate) const ALL: [Self; 4] = [Self::Unspecified, Self::Pending, Self::Ready, Self::UploadFailed];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "LOGGED_MODEL_STATUS_UNSPECIFIED",
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::Ready => "LOGGED_MODEL_READY",
            Self::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// A logged model. `metrics` holds the latest point per metric, data set and run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoggedModel {
    pub(crate) model_id: String,
    pub(crate) experiment_id: i64,
    pub(crate) name: String,
    pub(crate) model_type: String,
    pub(crate) source_run_id: String,
    pub(crate) status: ModelStatus,
    pub(crate) artifact_root: String,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) tags: Vec<Pair>,
    pub(crate) params: Vec<Pair>,
    pub(crate) metrics: Vec<Metric>,
    /// The registered versions made of it: model name and version.
    pub(crate) registrations: Vec<(String, i64)>,
}
