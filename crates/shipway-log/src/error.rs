//! What can go wrong with a log.

use std::{borrow::Cow, io, path::PathBuf, sync::Arc};

use shipway_core::{Failure, Kind, name::NotAName};

/// Why the log refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another process, or another opening in this process, holds the folder.
    #[error("event log {}: another process has it open", root.display())]
    Locked {
        /// The folder.
        root: PathBuf,
    },
    /// The disk or the file system failed outside an append.
    #[error("event log: cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The failure; names the file.
        source: io::Error,
    },
    /// Bytes that were durable are not what was written.
    #[error("event log file {} is damaged at byte {byte}: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The first byte that cannot be trusted.
        byte: u64,
        /// What is wrong there.
        what: Cow<'static, str>,
    },
    /// The file was written by a later version of the format.
    #[error("event log file {} has format version {version}; this version reads up to {}", file.display(), crate::format::VERSION)]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// The version it claims.
        version: u32,
    },
    /// The text cannot name a topic.
    #[error("topic name is not valid")]
    TopicName(#[from] NotAName),
    /// A record is longer than the bound.
    #[error("topic {topic}: a record of {bytes} bytes is longer than the limit of {limit} bytes")]
    RecordTooLarge {
        /// The topic.
        topic: String,
        /// The length of the record.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// The offset is older than what is kept.
    #[error("topic {topic}: offset {from} is no longer kept; the oldest is {start}")]
    Trimmed {
        /// The topic.
        topic: String,
        /// The offset asked for.
        from: u64,
        /// The oldest offset there is.
        start: u64,
    },
    /// The offset was never written.
    #[error("topic {topic}: offset {from} is beyond the end {end}")]
    BeyondEnd {
        /// The topic.
        topic: String,
        /// The offset asked for.
        from: u64,
        /// The durable end.
        end: u64,
    },
    /// The disk refused the records, for instance because it is full. Nothing of them was kept; later appends may pass.
    #[error("topic {topic}: the records could not be written")]
    WriteFailed {
        /// The topic.
        topic: String,
        /// The failure; names the file.
        source: Arc<io::Error>,
    },
    /// The topic takes no more records: a failure left the file in a state that only reopening can settle. Whether the
    /// records of the append that met the failure itself are kept shows after reopening.
    #[error("topic {topic} is closed for writing after a disk failure")]
    Broken {
        /// The topic.
        topic: String,
        /// The failure that closed it.
        source: Arc<io::Error>,
    },
    /// The log was closed.
    #[error("topic {topic}: the event log is closed")]
    Closed {
        /// The topic.
        topic: String,
    },
}

impl Failure for LogError {
    fn kind(&self) -> Kind {
        match self {
            Self::Locked { .. } => Kind::Conflict,
            Self::Io { source, .. } if is_shortage(source) => Kind::Unavailable,
            Self::Io { .. } | Self::Damaged { .. } | Self::NewerFormat { .. } => Kind::Internal,
            Self::TopicName(_) | Self::BeyondEnd { .. } => Kind::Invalid,
            Self::RecordTooLarge { .. } => Kind::TooLarge,
            Self::Trimmed { .. } => Kind::NotFound,
            Self::WriteFailed { .. } | Self::Broken { .. } | Self::Closed { .. } => Kind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "log.locked",
            Self::Io { .. } => "log.io",
            Self::Damaged { .. } => "log.damaged",
            Self::NewerFormat { .. } => "log.newer_format",
            Self::TopicName(_) => "log.topic_name",
            Self::RecordTooLarge { .. } => "log.record_too_large",
            Self::Trimmed { .. } => "log.trimmed",
            Self::BeyondEnd { .. } => "log.beyond_end",
            Self::WriteFailed { .. } => "log.write_failed",
            Self::Broken { .. } => "log.broken",
            Self::Closed { .. } => "log.closed",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Locked { .. } => "stop the other process, or give this one a data folder of its own",
            Self::Io { source, .. } if is_shortage(source) => {
                "free disk space or raise the quota, then try again"
            }
            Self::WriteFailed { source, .. } if is_shortage(source) => {
                "free disk space or raise the quota, then send the records again"
            }
            Self::WriteFailed { .. } => "check the disk, then send the records again",
            Self::Broken { .. } => {
                "check the disk and its free space, then restart; nothing acknowledged is lost"
            }
            Self::Damaged { .. } => "check the disk, and restore this file from a backup",
            Self::NewerFormat { .. } => "open this data folder with the version of shipway that wrote it",
            Self::RecordTooLarge { .. } => "send smaller records",
            Self::Closed { .. } => "the server is stopping; send the records again after its restart",
            Self::Trimmed { .. } => "start from the oldest offset that is kept",
            Self::Io { .. } | Self::TopicName(_) | Self::BeyondEnd { .. } => return None,
        };
        Some(Cow::Borrowed(hint))
    }
}

/// Whether the disk is full or a quota is used up, which a person can mend without losing anything.
fn is_shortage(failure: &io::Error) -> bool {
    matches!(
        failure.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Names what was tried when the disk failed.
pub(crate) trait Trying<T> {
    /// Turns a failure of the disk into a [`LogError::Io`] that says what was tried.
    fn trying_to(self, action: &'static str) -> Result<T, LogError>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying_to(self, action: &'static str) -> Result<T, LogError> {
        self.map_err(|source| LogError::Io { action, source })
    }
}
