//! Where a launch stands.

use serde::Serialize;

/// A stage of a launch, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The candidate answers requests that the other version has answered; nobody sees it.
    Shadow,
    /// The candidate answers a share of the requests.
    Canary {
        /// Which of the shares, from 0.
        step: usize,
    },
    /// The candidate has taken over.
    Full,
    /// The candidate did not keep to a gate; the version before it answers everything.
    RolledBack,
    /// Ended by hand, or by a change to what is deployed.
    Cancelled,
}

impl Stage {
    /// Its name: `rolled_back`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary { .. } => "canary",
            Self::Full => "full",
            Self::RolledBack => "rolled_back",
            Self::Cancelled => "cancelled",
        }
    }

    /// The stage of this name, which is at this step where there are steps.
    pub(crate) fn of(word: &str, step: usize) -> Option<Self> {
        [Self::Shadow, Self::Canary { step }, Self::Full, Self::RolledBack, Self::Cancelled]
            .into_iter()
            .find(|stage| stage.word() == word)
    }

    /// Which step, from 0.
    pub(crate) const fn step(self) -> usize {
        match self {
            Self::Canary { step } => step,
            _ => 0,
        }
    }

    /// Whether it is over.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Full | Self::RolledBack | Self::Cancelled)
    }
}

impl Serialize for Stage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// In which part a version answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// As the version that the deployment's alias names.
    Stable,
    /// As the candidate of a launch.
    Canary,
    /// As the candidate of a launch, for nobody to see.
    Shadow,
}

impl Variant {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_found_again_by_what_is_kept_of_it() {
        for stage in
            [Stage::Shadow, Stage::Canary { step: 2 }, Stage::Full, Stage::RolledBack, Stage::Cancelled]
        {
            assert_eq!(Stage::of(stage.word(), stage.step()), Some(stage));
        }
        assert_eq!(Stage::of("half", 0), None);
    }
}
