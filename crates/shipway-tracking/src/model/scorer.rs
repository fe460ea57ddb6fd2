//! Scorers: definitions of judges, kept as the text that the client made of them and never run here.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScorerVersion {
    pub(crate) scorer_id: String,
    pub(crate) experiment_id: i64,
    pub(crate) name: String,
    pub(crate) version: i64,
    /// JSON, as the client wrote it.
    pub(crate) serialized: String,
    pub(crate) created_ms: i64,
}
