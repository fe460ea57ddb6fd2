//! Checkpoints, and the removal of files and log entries that no version within the retention needs.

use std::{collections::HashMap, sync::Arc, time::Duration};

use deltalake::{
    DeltaTable, checkpoints,
    operations::vacuum::{Clock, VacuumBuilder, VacuumMode},
};

use super::{SHORTEST_RETENTION, Upkeep};
use crate::{Lake, LakeError, table::TableHandle};

/// Commits after which the log gets a checkpoint, so that opening a table reads few files.
const COMMITS_PER_CHECKPOINT: u64 = 20;
const FILE_RETENTION: &str = "delta.deletedFileRetentionDuration";
const LOG_RETENTION: &str = "delta.logRetentionDuration";

/// The caller's moment, for the library.
#[derive(Debug)]
struct Moment(i64);

impl Clock for Moment {
    fn current_timestamp_millis(&self) -> i64 {
        self.0
    }
}

impl Lake {
    /// Removes data files and log entries that no version within the retention needs; returns how many of either.
    pub(super) async fn expire(&self, name: &str, upkeep: &Upkeep) -> Result<(u64, u64), LakeError> {
        let retention = upkeep.retention.max(SHORTEST_RETENTION);
        self.declare_retention(name, retention).await?;
        let (handle, table) = self.existing(name).await?;
        let files = vacuum(&handle, &table, retention, upkeep).await?;
        let (_, table) = self.existing(name).await?;
        let failed = || LakeError::storage(name, "shorten its log");
        let version = table.version().unwrap_or_default();
        if commits_since_checkpoint(&handle, version) >= COMMITS_PER_CHECKPOINT {
            checkpoints::create_checkpoint(&table, None).await.map_err(failed())?;
        }
        let before = upkeep.now.micros() / 1000 - millis(retention);
        let log_store = table.log_store();
        let entries = checkpoints::cleanup_expired_logs_for(version, log_store.as_ref(), before, None)
            .await
            .map_err(failed())?;
        Ok((files, entries as u64))
    }

    /// Writes the retention into the table itself, so that other programs that tidy it keep to it too, and so does the
    /// clean-up that follows a commit.
    async fn declare_retention(&self, name: &str, retention: Duration) -> Result<(), LakeError> {
        let (handle, _) = self.existing(name).await?;
        let _turn = handle.commits().await;
        let Some(table) = handle.newest().await? else { return Err(self.unknown(name)) };
        let failed = || LakeError::storage(name, "keep its retention");
        let wanted = format!("interval {} hours", retention.as_secs().div_ceil(3600));
        let state = table.snapshot().map_err(failed())?;
        let stated = state.metadata().configuration();
        if [FILE_RETENTION, LOG_RETENTION].iter().all(|key| stated.get(*key) == Some(&wanted)) {
            return Ok(());
        }
        let properties = [FILE_RETENTION, LOG_RETENTION].map(|key| (key.to_owned(), wanted.clone()));
        let work = table.set_tbl_properties().with_properties(HashMap::from(properties));
        let table = Box::pin(async { work.await }).await.map_err(failed())?;
        if let Some(state) = table.state {
            handle.sync_commit(state.version()).await?;
            handle.remember(state).await;
        }
        Ok(())
    }
}

/// Looks first, because even a vacuum that finds nothing makes commits.
async fn vacuum(
    handle: &TableHandle,
    table: &DeltaTable,
    retention: Duration,
    upkeep: &Upkeep,
) -> Result<u64, LakeError> {
    let failed = || LakeError::storage(handle.name(), "remove old files");
    let work = |dry_run: bool| -> VacuumBuilder {
        table
            .clone()
            .vacuum()
            .with_mode(VacuumMode::Full)
            .with_retention_period(chrono::Duration::milliseconds(millis(retention)))
            .with_enforce_retention_duration(false)
            .with_clock(Arc::new(Moment(upkeep.now.micros() / 1000)))
            .with_dry_run(dry_run)
    };
    let (_, found) = Box::pin(async { work(true).await }).await.map_err(failed())?;
    if found.files_deleted.is_empty() {
        return Ok(0);
    }
    let (_, metrics) = Box::pin(async { work(false).await }).await.map_err(failed())?;
    Ok(metrics.files_deleted.len() as u64)
}

/// How many commits a reader has to read beside the newest checkpoint.
fn commits_since_checkpoint(handle: &TableHandle, version: u64) -> u64 {
    let newest =
        fs_err::read_dir(handle.folder().join("_delta_log")).into_iter().flatten().filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let (number, rest) = name.to_str()?.split_once('.')?;
            if rest.starts_with("checkpoint") { number.parse::<u64>().ok() } else { None }
        });
    version - newest.max().unwrap_or(0).min(version)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2)
}
