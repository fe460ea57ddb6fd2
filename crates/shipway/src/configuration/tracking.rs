//! What becomes of deleted experiments, runs and models.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Experiments, runs and models.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TrackingConfiguration {
    /// Days after which deleted experiments, runs and logged models are removed for good, with their files; 0 means never. What versions in
    /// the registry are made of stays
    pub(crate) purge_after_days: u64,
}

impl Default for TrackingConfiguration {
    fn default() -> Self {
        Self { purge_after_days: 30 }
    }
}

impl TrackingConfiguration {
    /// How long what is deleted can be restored; `None` for ever.
    pub(crate) fn purge_after(&self) -> Option<Duration> {
        let seconds = self.purge_after_days.saturating_mul(86_400);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }
}
