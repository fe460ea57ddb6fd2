//! Joins small files, and removes files that no version needs any more.

use std::num::NonZeroU64;

use crate::{
    Lake, LakeError,
    append::{TARGET_FILE_BYTES, writer_properties},
};

/// What joining small files did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Small files that the newest version no longer lists.
    pub files_removed: u64,
    /// Larger files that hold their rows now.
    pub files_added: u64,
}

impl Lake {
    /// Joins the small files of a table into larger ones. No row changes; queries under way keep reading the old files,
    /// which stay until [`Lake::vacuum`]. Appends may go on meanwhile.
    pub async fn compact(&self, name: &str) -> Result<Compacted, LakeError> {
        let (handle, table) = self.existing(name).await?;
        let work = table
            .optimize()
            .with_target_size(NonZeroU64::new(TARGET_FILE_BYTES).unwrap_or(NonZeroU64::MIN))
            .with_writer_properties(writer_properties())
            .with_max_concurrent_tasks(1);
        let (table, metrics) =
            Box::pin(async { work.await }).await.map_err(LakeError::storage(name, "join its files"))?;
        if let Some(state) = table.state {
            handle.sync_commit(state.version()).await?;
            handle.remember(state).await;
        }
        Ok(Compacted { files_removed: metrics.num_files_removed, files_added: metrics.num_files_added })
    }

    /// Removes files that no version of the last seven days lists, and returns how many.
    pub async fn vacuum(&self, name: &str) -> Result<u64, LakeError> {
        let (_, table) = self.existing(name).await?;
        let work = table.vacuum();
        let (_, metrics) =
            Box::pin(async { work.await }).await.map_err(LakeError::storage(name, "remove old files"))?;
        Ok(metrics.files_deleted.len() as u64)
    }
}
