//! What a route may demand of its caller.

use std::fmt;

/// The permission that a route states when it is registered. Each one includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// No caller is needed: health, readiness, version.
    Public,
    /// The caller must be somebody; what they may do, the use case judges: their own password, their own tokens.
    Known,
    /// Read definitions, runs, models, deployments, tables and state.
    Read,
    /// Ask for features and predictions.
    Use,
    /// Write data: events, tables, runs, artifacts.
    Write,
    /// Change what is served: definitions, promotion, deployments. Delete, and grant to others.
    Manage,
}

impl fmt::Display for Permission {
    /// As a verb: `read`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Public => "reach",
            Self::Known => "be known to",
            Self::Read => "read",
            Self::Use => "use",
            Self::Write => "write to",
            Self::Manage => "manage",
        })
    }
}
