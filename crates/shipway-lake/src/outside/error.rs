//! What is refused and what fails outside.

use std::borrow::Cow;

use shipway_core::{Failure, Kind};

/// A location that may not be followed, or data that could not be read there.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// No allowed folder holds the path.
    #[error("{folder} is in no folder that this server may read")]
    FolderNotAllowed {
        /// The folder asked for.
        folder: String,
    },
    /// No allowed bucket holds the path.
    #[error("s3://{bucket} is in no bucket that this server may read")]
    BucketNotAllowed {
        /// The bucket and the folder asked for.
        bucket: String,
    },
    /// Nobody said who asks the store of the buckets.
    #[error("s3://{bucket} cannot be read: this server has no credentials for its buckets")]
    NoCredentials {
        /// The bucket.
        bucket: String,
    },
    /// A link, which could lead anywhere.
    #[error("{path} is a symbolic link, and links are not followed")]
    Link {
        /// The link.
        path: String,
    },
    /// There is nothing at that place.
    #[error("{path} does not exist")]
    NotThere {
        /// The place.
        path: String,
    },
    /// The location stands for more files than are allowed.
    #[error("{location} stands for more than {limit} files")]
    TooManyFiles {
        /// The location.
        location: String,
        /// The limit.
        limit: usize,
    },
    /// The file is larger than is allowed.
    #[error("{path} is larger than {limit} bytes")]
    FileTooLarge {
        /// The file.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// The file changed after it was listed.
    #[error("{path} changed while it was read")]
    Changing {
        /// The file.
        path: String,
    },
    /// The file is not packed the way its name says.
    #[error("{path} cannot be unpacked: {reason}")]
    Packed {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store does not let this server in.
    #[error("{path} cannot be read: the store refuses this server's credentials")]
    Denied {
        /// What was asked for.
        path: String,
    },
    /// Reading failed.
    #[error("{path} could not be read")]
    Failed {
        /// What was read.
        path: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no Delta table.
    #[error("{table} is not a Delta table")]
    NotATable {
        /// The folder.
        table: String,
    },
    /// A table that only its own engine can read.
    #[error("table {table} cannot be read exactly: it uses {feature}")]
    UnknownToUs {
        /// The table.
        table: String,
        /// What it uses.
        feature: String,
    },
    /// A version that changed or removed rows.
    #[error(
        "version {version} of table {table} is a {operation}: it changed or removed rows that are loaded already"
    )]
    RowsChanged {
        /// The table.
        table: String,
        /// The version.
        version: u64,
        /// What it did, as its writer calls it.
        operation: String,
    },
    /// A version that has not been read and cannot be read any more.
    #[error("version {version} of table {table} is gone: its log entry was cleaned up before it was read")]
    VersionGone {
        /// The table.
        table: String,
        /// The version.
        version: u64,
    },
}

impl OutsideError {
    pub(super) fn failed(
        path: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { path: path.into(), source: source.into() }
    }
}

impl Failure for OutsideError {
    fn kind(&self) -> Kind {
        match self {
            Self::FolderNotAllowed { .. } | Self::BucketNotAllowed { .. } | Self::Link { .. } => {
                Kind::Forbidden
            }
            Self::NotThere { .. } | Self::NotATable { .. } => Kind::NotFound,
            Self::TooManyFiles { .. } | Self::FileTooLarge { .. } => Kind::TooLarge,
            Self::Packed { .. } | Self::UnknownToUs { .. } => Kind::Invalid,
            Self::RowsChanged { .. } | Self::VersionGone { .. } => Kind::Conflict,
            Self::NoCredentials { .. }
            | Self::Denied { .. }
            | Self::Changing { .. }
            | Self::Failed { .. } => Kind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::FolderNotAllowed { .. } => "lake.folder_not_allowed",
            Self::BucketNotAllowed { .. } => "lake.bucket_not_allowed",
            Self::NoCredentials { .. } => "lake.bucket_no_credentials",
            Self::Link { .. } => "lake.outside_link",
            Self::NotThere { .. } => "lake.outside_not_there",
            Self::TooManyFiles { .. } => "lake.outside_too_many_files",
            Self::FileTooLarge { .. } => "lake.outside_file_too_large",
            Self::Changing { .. } => "lake.outside_file_changing",
            Self::Packed { .. } => "lake.outside_file_packed",
            Self::Denied { .. } => "lake.outside_denied",
            Self::Failed { .. } => "lake.outside_failed",
            Self::NotATable { .. } => "lake.outside_not_a_table",
            Self::UnknownToUs { .. } => "lake.outside_table_feature",
            Self::RowsChanged { .. } => "lake.outside_rows_changed",
            Self::VersionGone { .. } => "lake.outside_version_gone",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Self::FolderNotAllowed { .. } => {
                "the operator adds the folder to sources.allowed_folders in shipway.toml"
            }
            Self::BucketNotAllowed { .. } => {
                "the operator adds the bucket to sources.allowed_buckets in shipway.toml"
            }
            Self::NoCredentials { .. } => {
                "the operator sets sources.s3.access_key_id and sources.s3.secret_access_key, or sources.s3.anonymous"
            }
            Self::Link { .. } => "put the file itself there, or name the folder that the link leads to",
            Self::NotThere { .. } => "check the spelling, and whether the server sees the same disk",
            Self::TooManyFiles { .. } => {
                "name a narrower folder in a source of its own, or raise sources.most_files"
            }
            Self::FileTooLarge { .. } => "split the file, or raise sources.file_mib",
            Self::Changing { .. } => {
                "it is tried again next time; write a file under another name and rename it when it is whole"
            }
            Self::Packed { .. } => "pack it with gzip again, or drop .gz from its name",
            Self::Denied { .. } => {
                "check sources.s3 in shipway.toml, and the rights of that key on the bucket"
            }
            Self::Failed { .. } => "it is tried again next time",
            Self::NotATable { .. } => "name the folder that holds _delta_log",
            Self::UnknownToUs { .. } => {
                "write the table without it, or write its rows out as Parquet files and load those"
            }
            Self::RowsChanged { .. } => {
                "history only grows: load the corrected table into a new source, or append corrections to the table"
            }
            Self::VersionGone { .. } => {
                "load the table into a new source, and look at it more often than its log is cleaned up"
            }
        }))
    }
}
