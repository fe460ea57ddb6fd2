//! Keeps a table healthy while it is in use: few files, sorted by key; no file longer than somebody may need it.
//!
//! Nothing here changes a row. A rewrite adds the new files and takes the old ones off the list in one commit; the old
//! files stay on disk for the retention, so a reader of an older version goes on. A process killed at any moment leaves
//! the old list or the new one, and at worst files that no version lists, which `vacuum` removes when they are old.
//!
//! - `plan`: which files are worth joining
//! - `rewrite`: reads some files, sorted, writes them as one, and commits
//! - `expire`: checkpoints, and the removal of old files and old log entries

mod expire;
mod plan;
mod rewrite;

use std::time::Duration;

use shipway_core::Timestamp;

pub use plan::Effort;

pub(crate) use crate::append::TARGET_FILE_BYTES;
use crate::{Lake, LakeError};

/// How a table is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    /// The columns that rows are sorted by inside a file. Empty: the order of arrival.
    pub cluster_by: Vec<String>,
    /// The column of time: files that are neighbours in it are joined, so that a range of time stays in few files.
    pub time: Option<String>,
    /// For how long a version of the table can be read after it was replaced. At least [`SHORTEST_RETENTION`].
    pub retention: Duration,
    /// The present moment.
    pub now: Timestamp,
    /// How much to do.
    pub effort: Effort,
}

/// The shortest retention: no append under way is older, so none loses its files.
pub const SHORTEST_RETENTION: Duration = Duration::from_secs(24 * 3600);

/// What was done to a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Files that the newest version no longer lists.
    pub files_removed: u64,
    /// Files that hold their rows now.
    pub files_added: u64,
    /// The size of the files that were rewritten.
    pub bytes_rewritten: u64,
    /// Files deleted from the disk, because no version within the retention lists them.
    pub files_deleted: u64,
    /// Log entries deleted from the disk.
    pub log_entries_deleted: u64,
}

/// What joining files did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files that the newest version no longer lists.
    pub files_removed: u64,
    /// Files that hold their rows now.
    pub files_added: u64,
    /// The size of the files that were rewritten.
    pub bytes_rewritten: u64,
}

impl Lake {
    /// Joins and sorts files, removes what is older than the retention, and shortens the log. Appends and queries go on
    /// meanwhile. Memory: one sort, which spills.
    ///
    /// May be called at any time, and again after any error. A table of a foreign writer with partitions or deletion
    /// vectors keeps its files.
    pub async fn maintain(&self, name: &str, upkeep: &Upkeep) -> Result<Maintained, LakeError> {
        let compacted = self.compact(name, upkeep).await?;
        let (files_deleted, log_entries_deleted) = self.expire(name, upkeep).await?;
        Ok(Maintained {
            files_removed: compacted.files_removed,
            files_added: compacted.files_added,
            bytes_rewritten: compacted.bytes_rewritten,
            files_deleted,
            log_entries_deleted,
        })
    }
}
