//! Experiments: named groups of runs and logged models.

use super::{Lifecycle, Pair};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Experiment {
    pub(crate) id: i64,
    pub(crate) workspace: String,
    pub(crate) name: String,
    /// `mlflow-artifacts:/…`, below which each run and model has its own root.
    pub(crate) artifact_location: String,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) tags: Vec<Pair>,
}
