//! What can go wrong with an object.

use std::{borrow::Cow, error::Error, io};

use shipway_core::{Digest, Failure, Kind};

/// A failure of the object store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// There is no object of that digest.
    #[error("object {digest} does not exist")]
    NotFound {
        /// The digest asked for.
        digest: Digest,
    },
    /// The content that was to be stored ended with an error; nothing was stored.
    #[error("the content ended before its end")]
    Content(#[source] Box<dyn Error + Send + Sync + 'static>),
    /// The disk has no room left; nothing was stored.
    #[error("the disk of the object store is full")]
    Full(#[source] io::Error),
    /// The stored bytes are not those that were put.
    #[error("object {digest} is damaged: its content has the digest {found}")]
    Damaged {
        /// The digest asked for.
        digest: Digest,
        /// The digest of what is stored.
        found: Digest,
    },
    /// The stored bytes are fewer than those that were put.
    #[error("object {digest} is damaged: it ends before its end")]
    Short {
        /// The digest asked for.
        digest: Digest,
    },
    /// The disk failed; the source names the file.
    #[error("the object store failed")]
    Disk(#[source] io::Error),
}

impl BlobError {
    /// The error that the content ended with, if it was an `E`: so that an edge can answer with its status.
    pub fn content<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Content(source) => source.downcast_ref(),
            _ => None,
        }
    }
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::Disk(error),
        }
    }
}

impl Failure for BlobError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Content(_) => Kind::Invalid,
            Self::Full(_) => Kind::Unavailable,
            Self::Damaged { .. } | Self::Short { .. } | Self::Disk(_) => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "blob.not_found",
            Self::Content(_) => "blob.content_interrupted",
            Self::Full(_) => "blob.disk_full",
            Self::Damaged { .. } | Self::Short { .. } => "blob.damaged",
            Self::Disk(_) => "blob.disk_failed",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Full(_) => Some("make room on the disk; nothing that was acknowledged is lost".into()),
            Self::Damaged { .. } | Self::Short { .. } => {
                Some("put the same content again, or restore it from a backup".into())
            }
            _ => None,
        }
    }
}
