//! What can go wrong with the catalog.

use std::borrow::Cow;

use shipway_core::{Failure, Kind, nearest};
use shipway_definitions::{DefinitionErrors, DefinitionKind, RestoreError, UnknownDefinition};
use shipway_store::StoreError;

use crate::{InUse, ListenerError, PortError, RefusedChanges};

/// A failure of the catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The files have errors.
    #[error(transparent)]
    Definitions(#[from] DefinitionErrors),
    /// The files are right, but what is recorded cannot become that.
    #[error(transparent)]
    Refused(#[from] RefusedChanges),
    /// What was to go is used.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// Nobody can say who is bound to the services.
    #[error("it is not known what is bound to the services: {failure}")]
    BindingsUnknown {
        /// What the part that knows said.
        failure: PortError,
    },
    /// There is no such definition.
    #[error(transparent)]
    Unknown(#[from] UnknownDefinition),
    /// There is no such kind of definition.
    #[error("kind {word} does not exist")]
    UnknownKind {
        /// The word in the place of a kind.
        word: String,
    },
    /// The definitions are recorded, but a part of the system could not install them.
    #[error("the definitions are recorded, but not in use yet: {failure}")]
    NotInstalled {
        /// What the part said.
        failure: ListenerError,
    },
    /// The catalog was closed: the server is shutting down.
    #[error("the catalog is closed")]
    Closed,
    /// Applying broke off by a defect.
    #[error("applying the definitions broke off")]
    Stopped(#[source] tokio::task::JoinError),
    /// The metadata database failed.
    #[error("the catalog cannot reach its records")]
    Store(#[from] StoreError),
    /// What is recorded cannot be read back.
    #[error("the catalog cannot read its records")]
    Records(#[from] RestoreError),
    /// A recorded revision has a form or a kind that this program does not know.
    #[error("{kind} {name} revision {revision}: recorded in a form that this program does not know")]
    UnknownForm {
        /// The word for the kind.
        kind: String,
        /// The name.
        name: String,
        /// The revision.
        revision: i64,
    },
}

impl Failure for CatalogError {
    fn kind(&self) -> Kind {
        match self {
            Self::Definitions(errors) => errors.kind(),
            Self::Refused(refused) => refused.kind(),
            Self::InUse(in_use) => in_use.kind(),
            Self::BindingsUnknown { failure } => failure.kind(),
            Self::Unknown(unknown) => unknown.kind(),
            Self::UnknownKind { .. } => Kind::NotFound,
            Self::NotInstalled { failure } => failure.kind(),
            Self::Store(error) => error.kind(),
            Self::Records(error) => error.kind(),
            Self::Closed => Kind::Unavailable,
            Self::Stopped(_) | Self::UnknownForm { .. } => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Definitions(errors) => errors.code(),
            Self::Refused(refused) => refused.code(),
            Self::InUse(in_use) => in_use.code(),
            Self::BindingsUnknown { .. } => "catalog.bindings_unknown",
            Self::Unknown(unknown) => unknown.code(),
            Self::UnknownKind { .. } => "catalog.unknown_kind",
            Self::NotInstalled { .. } => "catalog.not_installed",
            Self::Store(error) => error.code(),
            Self::Records(error) => error.code(),
            Self::Closed => "catalog.closed",
            Self::Stopped(_) => "catalog.stopped",
            Self::UnknownForm { .. } => "catalog.unknown_form",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Definitions(errors) => errors.hint(),
            Self::Refused(refused) => refused.hint(),
            Self::InUse(in_use) => in_use.hint(),
            Self::BindingsUnknown { .. } => Some("nothing was changed; try again".into()),
            Self::Unknown(unknown) => unknown.hint(),
            Self::UnknownKind { word } => {
                let words = DefinitionKind::ALL.map(DefinitionKind::word);
                Some(match nearest(word, words) {
                    Some(nearest) => format!("did you mean {nearest}?").into(),
                    None => format!("the kinds are {}", words.join(", ")).into(),
                })
            }
            Self::Closed => Some("try again when the server is up".into()),
            Self::NotInstalled { .. } | Self::Stopped(_) => Some("apply the same files again".into()),
            Self::Store(error) => error.hint(),
            Self::Records(error) => error.hint(),
            Self::UnknownForm { .. } => {
                Some("run the release that wrote the data folder, or a later one".into())
            }
        }
    }
}
