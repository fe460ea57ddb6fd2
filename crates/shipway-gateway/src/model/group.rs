//! Groups: projects, the teams that they belong to, and their organisations.

use serde::{Deserialize, Serialize};
use shipway_core::{Name, Timestamp};

use super::Limits;

/// What a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// Is part of a team or an organisation.
    Project,
    /// Is part of an organisation.
    Team,
    /// Is part of nothing.
    Organisation,
}

/// Those who use models together, with what they may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name, unique among all groups.
    pub name: Name,
    /// What it is.
    pub kind: GroupKind,
    /// The greater group that it is part of.
    pub parent: Option<Name>,
    /// What all of its keys may use together.
    pub limits: Limits,
    /// When it was made.
    pub created: Timestamp,
}

impl GroupKind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Team => "team",
            Self::Organisation => "organisation",
        }
    }

    /// The kind of that word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Project, Self::Team, Self::Organisation].into_iter().find(|kind| kind.word() == word)
    }
}
