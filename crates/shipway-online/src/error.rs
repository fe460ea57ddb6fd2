//! What can go wrong with the online store.

use std::{borrow::Cow, error::Error as _, io, path::PathBuf};

use shipway_core::{Failure, Kind};

use crate::space::Space;

/// Why the online store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum OnlineError {
    /// Another process, or another opening in this process, holds the folder.
    #[error("online store {}: another process has it open", root.display())]
    Locked {
        /// The folder.
        root: PathBuf,
    },
    /// The store was written by a later version of the format.
    #[error("online store {} has format version {version}; this version reads {}", root.display(), crate::store::FORMAT_VERSION)]
    Format {
        /// The folder.
        root: PathBuf,
        /// The version it claims.
        version: String,
    },
    /// A key is empty or too long.
    #[error("online store: a key of {bytes} bytes does not fit space {space}; a key has 1 to {limit} bytes")]
    Key {
        /// Where it was to go.
        space: Space,
        /// The length of the key.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// A value is too long.
    #[error(
        "online store: a value of {bytes} bytes is longer than space {space} takes; the limit is {limit} bytes"
    )]
    Value {
        /// Where it was to go.
        space: Space,
        /// The length of the value.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// An earlier write failed, so the store takes no more until it is opened anew.
    #[error("online store is closed for writing after a disk failure")]
    Poisoned,
    /// The folder of the store cannot be used.
    #[error("online store: cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The failure; names the file.
        source: io::Error,
    },
    /// The storage engine failed.
    #[error("online store: cannot {action}")]
    Engine {
        /// What was tried.
        action: &'static str,
        /// The failure.
        source: Box<fjall::Error>,
    },
}

impl OnlineError {
    /// The disk failure at the bottom of this one, if there is one.
    fn disk_failure(&self) -> Option<&io::Error> {
        let mut cause = self.source();
        while let Some(failure) = cause {
            if let Some(disk) = failure.downcast_ref::<io::Error>() {
                return Some(disk);
            }
            cause = failure.source();
        }
        None
    }

    /// Whether the disk is full or a quota is used up.
    fn is_shortage(&self) -> bool {
        self.disk_failure().is_some_and(|failure| {
            matches!(
                failure.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            )
        })
    }
}

impl Failure for OnlineError {
    fn kind(&self) -> Kind {
        match self {
            Self::Locked { .. } => Kind::Conflict,
            Self::Key { .. } => Kind::Invalid,
            Self::Value { .. } => Kind::TooLarge,
            Self::Poisoned => Kind::Unavailable,
            Self::Io { .. } | Self::Engine { .. } if self.is_shortage() => Kind::Unavailable,
            Self::Format { .. } | Self::Io { .. } | Self::Engine { .. } => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "online.locked",
            Self::Format { .. } => "online.format",
            Self::Key { .. } => "online.key",
            Self::Value { .. } => "online.value_too_large",
            Self::Poisoned => "online.closed_for_writing",
            Self::Io { .. } | Self::Engine { .. } if self.is_shortage() => "online.disk_full",
            Self::Io { .. } => "online.io",
            Self::Engine { .. } => "online.engine",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Locked { .. } => "stop the other process, or give this one a data folder of its own",
            Self::Format { .. } => "open this data folder with the version of shipway that wrote it",
            Self::Poisoned => "check the disk and its free space, then restart",
            Self::Io { .. } | Self::Engine { .. } if self.is_shortage() => {
                "free disk space or raise the quota, then restart"
            }
            Self::Io { .. } | Self::Engine { .. } => {
                "check the disk, and restore the data folder from a backup"
            }
            Self::Key { .. } | Self::Value { .. } => return None,
        };
        Some(Cow::Borrowed(hint))
    }
}

/// Names what was tried when the engine failed.
pub(crate) trait Trying<T> {
    /// Turns a failure of the engine into an [`OnlineError`] that says what was tried.
    fn trying_to(self, action: &'static str) -> Result<T, OnlineError>;
}

impl<T> Trying<T> for fjall::Result<T> {
    fn trying_to(self, action: &'static str) -> Result<T, OnlineError> {
        self.map_err(|source| match source {
            fjall::Error::Poisoned => OnlineError::Poisoned,
            source => OnlineError::Engine { action, source: Box::new(source) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(failure: fjall::Error) -> Kind {
        Err::<(), _>(failure).trying_to("commit").unwrap_err().kind()
    }

    #[test]
    fn a_full_disk_is_unavailable_and_damage_is_internal() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(kind_of(fjall::Error::Io(full())), Kind::Unavailable);
        assert_eq!(kind_of(fjall::Error::Storage(full().into())), Kind::Unavailable);
        assert_eq!(kind_of(fjall::Error::Poisoned), Kind::Unavailable);
        assert_eq!(kind_of(fjall::Error::Io(io::ErrorKind::InvalidData.into())), Kind::Internal);
        assert_eq!(kind_of(fjall::Error::Unrecoverable), Kind::Internal);
    }
}
