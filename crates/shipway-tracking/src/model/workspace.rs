//! What is kept of a workspace, and what may happen to its contents when it goes.

/// A workspace as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkspaceInfo {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// `mlflow-artifacts:/…`, below which its experiments lie by their ids; empty for the place of those that say nothing.
    pub(crate) artifact_root: String,
}

/// What happens to the contents of a workspace that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    /// There must be none.
    MustBeGone,
    /// They go with it.
    Go,
    /// They move to `default`.
    Move,
}

impl Contents {
    pub(crate) const ALL: [Self; 3] = [Self::Move, Self::Go, Self::MustBeGone];

    /// What clients call it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::MustBeGone => "RESTRICT",
            Self::Go => "CASCADE",
            Self::Move => "SET_DEFAULT",
        }
    }
}
