//! Data of somebody else: files and Delta tables that the server reads where they lie, and never writes.
//!
//! A location comes from a definition, so it comes from a client. It is followed only where the operator allows it: into the
//! folders and buckets of [`OutsideOptions`], none without them. On disk no link is followed on the way, so that nothing leads
//! out; for a bucket the endpoint and the credentials are the operator's, and no others are looked for, neither in the
//! environment nor at a metadata service of the machine.
//!
//! A file is copied into a folder of ours before it is read, bounded and unpacked on the way: what is loaded is one content
//! with one digest, whatever happens to the file meanwhile, and only a piece of it is ever in memory.
//!
//! - `options`: what the operator allows
//! - `disk`: files of folders
//! - `bucket`: files of buckets
//! - `copy`: a stream of bytes into a file, with its digest
//! - `delta`: tables, by version
//! - `error`: what is refused and what fails

mod bucket;
mod copy;
mod delta;
mod disk;
mod error;
mod options;

use std::path::Path;

use shipway_core::{Location, Place};

pub use copy::CopiedFile;
pub use delta::{OutsideTable, TablePart};
pub use error::OutsideError;
pub use options::{OutsideOptions, S3Credentials, S3Options};

use crate::{Lake, LakeError};

/// The ending of a file that is packed with gzip.
const PACKED: &str = ".gz";

/// A file of somebody else, as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideFile {
    place: Place,
    path: String,
    /// Its size in bytes, packed if it is packed.
    pub bytes: u64,
    /// Changes when the file changes: from its size with its entity tag or its time of modification.
    pub stamp: String,
    tag: Option<String>,
    is_link: bool,
}

impl OutsideFile {
    /// The whole name: `/folder/file` or `s3://bucket/folder/file`.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Disk => format!("/{}", self.path),
            Place::Bucket(bucket) => format!("s3://{bucket}/{}", self.path),
        }
    }

    /// The name without the ending that says how it is packed; what is left says the format.
    pub fn unpacked_name(&self) -> &str {
        self.path.strip_suffix(PACKED).unwrap_or(&self.path)
    }

    /// Whether it is a link, which is listed and never read.
    pub fn is_link(&self) -> bool {
        self.is_link
    }

    fn is_packed(&self) -> bool {
        self.path.ends_with(PACKED)
    }
}

/// What reaches outside: the options, and a client for each bucket that was asked for.
pub(crate) struct Outside {
    options: OutsideOptions,
    clients: bucket::Clients,
}

impl Outside {
    pub(crate) fn new(options: OutsideOptions) -> Self {
        Self { options, clients: bucket::Clients::default() }
    }
}

impl Lake {
    /// The files that a location stands for, by name. A pattern that stands for none is no error, a folder or bucket that
    /// is not there or not allowed is. A link that would match is listed, and refused when it is copied.
    pub async fn list_outside(&self, location: &Location) -> Result<Vec<OutsideFile>, LakeError> {
        let outside = &self.inner.outside;
        let mut files = match location.place() {
            Place::Disk => disk::list(&outside.options, location).await?,
            Place::Bucket(bucket) => bucket::list(outside, bucket, location).await?,
        };
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Copies a file to the new file `to`, unpacked. On an error nothing stays there. The future can be dropped at any moment;
    /// then the caller removes what is there.
    pub async fn copy_outside(&self, file: &OutsideFile, to: &Path) -> Result<CopiedFile, LakeError> {
        let outside = &self.inner.outside;
        let copied = match &file.place {
            Place::Disk => disk::copy(&outside.options, file, to).await,
            Place::Bucket(bucket) => bucket::copy(outside, bucket, file, to).await,
        };
        if copied.is_err() {
            let _ = fs_err::tokio::remove_file(to).await;
        }
        copied
    }
}
