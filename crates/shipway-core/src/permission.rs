//! What a route may demand of its caller.

/// The permission that a route states when it is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// No caller is needed: health, readiness, version.
    Public,
    /// Read definitions, runs, models, deployments, tables and state.
    Read,
    /// Write data: events, tables, runs, artifacts.
    Write,
    /// Ask for features and predictions.
    Use,
    /// Change what is served: definitions, promotion, deployments.
    Manage,
}
