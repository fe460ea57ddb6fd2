//! Calls of models of language: memory for answers and words that are kept, and whether limits are shared with other servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Calls of models of language.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LlmConfiguration {
    /// MiB of memory for answers that are kept to be given again, of all models together
    pub(crate) cache_mib: u64,
    /// MiB of memory for what is asked and answered until it is written, where models keep it; what does not fit is not kept
    pub(crate) content_mib: u64,
    /// Days for which what was asked and answered is kept, where models keep it; 0 keeps it for ever
    pub(crate) content_days: u32,
    /// Whether keys and limits are shared with other servers on the same PostgreSQL: `alone` (the default) with none; the `owner`, whose data folder the
    /// metadata belong to, with its replicas; a `replica` answers calls of models and does nothing else
    pub(crate) role: LlmRole,
}

/// What a server has to do with the calls of models of other servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LlmRole {
    #[default]
    Alone,
    Owner,
    Replica,
}

impl Default for LlmConfiguration {
    fn default() -> Self {
        Self { cache_mib: 256, content_mib: 64, content_days: 30, role: LlmRole::Alone }
    }
}
