//! What can be refused about a kept training set.

use std::borrow::Cow;

use shipway_core::{Digest, Failure, Kind};

/// A refused or failed request about a kept training set.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// No training set is kept in that table.
    #[error("table {table} holds no training set that this server made")]
    Unknown {
        /// The table.
        table: String,
    },
    /// The table holds something else.
    #[error("table {table} exists and holds something else")]
    Taken {
        /// The table.
        table: String,
    },
    /// The rows of the spine cannot be had again.
    #[error("table {table}: its spine asks for the moment or for chance, so it cannot be made again")]
    NotRepeatable {
        /// The table.
        table: String,
    },
    /// An input of the recipe is gone.
    #[error("table {table}: version {version} of {input}, which its recipe reads, is gone")]
    InputGone {
        /// The table.
        table: String,
        /// The input.
        input: String,
        /// Its version.
        version: u64,
    },
    /// Another release made it, whose answers may differ.
    #[error("table {table}: its recipe is of engine version {engine}, this server's is {own}")]
    OtherEngine {
        /// The table.
        table: String,
        /// The engine's version in the recipe.
        engine: u32,
        /// This server's.
        own: u32,
    },
    /// Made again, it is not the same. A defect, or the inputs were changed behind the server's back.
    #[error("made again, the training set differs: expected content {expected}, got {content}")]
    Differs {
        /// The digest that is recorded.
        expected: Digest,
        /// The digest that came out.
        content: Digest,
    },
    /// A stored recipe that this program cannot read.
    #[error("the recipe of table {table} cannot be read")]
    Damaged {
        /// The table.
        table: String,
    },
    /// Jobs are not plugged in.
    #[error("this server runs no jobs")]
    NoJobs,
}

impl Failure for StoredError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown { .. } => Kind::NotFound,
            Self::Taken { .. }
            | Self::NotRepeatable { .. }
            | Self::InputGone { .. }
            | Self::OtherEngine { .. } => Kind::Conflict,
            Self::Differs { .. } | Self::Damaged { .. } => Kind::Internal,
            Self::NoJobs => Kind::Invalid,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "features.training_set_unknown",
            Self::Taken { .. } => "features.training_set_taken",
            Self::NotRepeatable { .. } => "features.recipe_not_repeatable",
            Self::InputGone { .. } => "features.recipe_input_gone",
            Self::OtherEngine { .. } => "features.recipe_other_engine",
            Self::Differs { .. } => "features.rebuild_differs",
            Self::Damaged { .. } => "features.recipe_damaged",
            Self::NoJobs => "features.no_jobs",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Unknown { .. } => "`shipway features training-sets` lists them",
            Self::Taken { .. } => "choose another table, or say that it is to be replaced",
            Self::NotRepeatable { .. } => "write the spine into a table first, and build from that",
            Self::InputGone { .. } => {
                "old versions go when tables are cleaned; load the input again under a new name"
            }
            Self::OtherEngine { .. } => "build it anew, or run the release that made it",
            Self::Differs { .. } => "please report it: the recipe and both digests are what is needed",
            _ => return None,
        };
        Some(hint.into())
    }
}

/// As an error of the feature platform.
pub(super) fn error(error: StoredError) -> crate::FeaturesError {
    crate::FeaturesError::Elsewhere(Box::new(error))
}
