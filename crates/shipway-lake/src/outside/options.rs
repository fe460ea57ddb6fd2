//! What the operator allows: folders, buckets, the store behind them, and how much of it.

use std::{fmt, path::PathBuf};

use shipway_core::Location;

use super::OutsideError;

/// Where data of somebody else may be read from, and its bounds.
#[derive(Debug, Clone)]
pub struct OutsideOptions {
    /// Absolute folders; files in them and below may be read. None without any.
    pub folders: Vec<PathBuf>,
    /// Buckets, as `bucket` or `bucket/folder`. None without any.
    pub buckets: Vec<String>,
    /// The store of the buckets.
    pub s3: S3Options,
    /// Files that one location may stand for.
    pub most_files: usize,
    /// Bytes of one file, packed or not.
    pub most_bytes: u64,
}

impl Default for OutsideOptions {
    fn default() -> Self {
        Self {
            folders: Vec::new(),
            buckets: Vec::new(),
            s3: S3Options::default(),
            most_files: 100_000,
            most_bytes: 16 << 30,
        }
    }
}

/// An S3-speaking store.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    /// Its address; without it that of AWS in the region. Plain http only where this says so.
    pub endpoint: Option<String>,
    /// Its region; `us-east-1` without it.
    pub region: Option<String>,
    /// Whether the bucket is the first part of the path, rather than of the host name.
    pub path_style: bool,
    /// Who asks.
    pub credentials: S3Credentials,
}

/// Who asks an S3-speaking store. Nothing else is ever tried.
#[derive(Clone, Default)]
pub enum S3Credentials {
    /// Nobody was named: buckets are refused.
    #[default]
    Missing,
    /// Requests are not signed.
    Anonymous,
    /// A key of the operator.
    Key {
        /// The id of the key.
        id: String,
        /// Its secret.
        secret: String,
        /// The token of a session, for a key that is only lent.
        session: Option<String>,
    },
}

/// Says who asks, never with what secret.
impl fmt::Debug for S3Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => formatter.write_str("Missing"),
            Self::Anonymous => formatter.write_str("Anonymous"),
            Self::Key { id, .. } => formatter.debug_struct("Key").field("id", id).finish_non_exhaustive(),
        }
    }
}

impl OutsideOptions {
    /// The allowed folder that a path on disk, without its leading slash, lies in.
    pub(super) fn folder_of(&self, path: &str) -> Result<PathBuf, OutsideError> {
        let path = PathBuf::from(format!("/{path}"));
        let found = self.folders.iter().find(|folder| folder.is_absolute() && path.starts_with(folder));
        found.cloned().ok_or_else(|| OutsideError::FolderNotAllowed { folder: path.display().to_string() })
    }

    /// Refuses a folder of a bucket that is not allowed.
    pub(super) fn check_bucket(&self, bucket: &str, folder: &str) -> Result<(), OutsideError> {
        let is_allowed = self.buckets.iter().any(|allowed| {
            let (name, below) = allowed.split_once('/').unwrap_or((allowed.as_str(), ""));
            let below = below.trim_end_matches('/');
            let is_below = below.is_empty()
                || folder == below
                || folder.strip_prefix(below).is_some_and(|rest| rest.starts_with('/'));
            name == bucket && is_below
        });
        let refused = || OutsideError::BucketNotAllowed { bucket: format!("{bucket}/{folder}") };
        if is_allowed { Ok(()) } else { Err(refused()) }
    }

    /// Refuses more files than a location may stand for.
    pub(super) fn check_count(&self, location: &Location, files: usize) -> Result<(), OutsideError> {
        if files <= self.most_files {
            return Ok(());
        }
        Err(OutsideError::TooManyFiles { location: location.to_string(), limit: self.most_files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_allowed_until_the_operator_says_so() {
        let options = OutsideOptions::default();
        assert!(matches!(options.folder_of("data/x"), Err(OutsideError::FolderNotAllowed { .. })));
        assert!(matches!(options.check_bucket("flights", "x"), Err(OutsideError::BucketNotAllowed { .. })));
    }

    #[test]
    fn a_folder_allows_what_is_below_it_and_not_what_begins_like_it() {
        let options = OutsideOptions {
            folders: vec!["/data/in".into(), "relative".into()],
            buckets: vec!["flights/2013".to_owned(), "weather".to_owned()],
            ..OutsideOptions::default()
        };
        assert!(options.folder_of("data/in/x/y.csv").is_ok());
        assert!(options.folder_of("data/in").is_ok());
        for path in ["data/inside/x", "data", "", "relative/x"] {
            assert!(options.folder_of(path).is_err(), "{path}");
        }
        for (bucket, folder, allowed) in [
            ("flights", "2013", true),
            ("flights", "2013/jan", true),
            ("flights", "20131", false),
            ("flights", "", false),
            ("weather", "", true),
            ("weather", "any/thing", true),
            ("weather2", "", false),
        ] {
            assert_eq!(options.check_bucket(bucket, folder).is_ok(), allowed, "{bucket}/{folder}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let credentials =
            S3Credentials::Key { id: "AKIA".into(), secret: "hush".into(), session: Some("hush".into()) };
        assert_eq!(format!("{credentials:?}"), r#"Key { id: "AKIA", .. }"#);
    }
}
