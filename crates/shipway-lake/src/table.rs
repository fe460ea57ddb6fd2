//! One table of this process: its newest snapshot, and the lock that makes its commits take turns.

use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use deltalake::{DeltaTable, DeltaTableBuilder, table::state::DeltaTableState};
use tokio::sync::{Mutex, MutexGuard};
use url::Url;

use crate::{LakeError, durable, name::check_table_name};

pub(crate) struct TableHandle {
    name: String,
    folder: PathBuf,
    newest: Mutex<Option<DeltaTable>>,
    commits: Mutex<()>,
}

impl TableHandle {
    pub(crate) fn new(root: &Path, name: &str) -> Result<Self, LakeError> {
        check_table_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            folder: root.join(name),
            newest: Mutex::new(None),
            commits: Mutex::new(()),
        })
    }

    /// A table that is written in a folder of its own before it gets its name.
    pub(crate) fn aside(name: &str, folder: PathBuf) -> Self {
        Self { name: name.to_owned(), folder, newest: Mutex::new(None), commits: Mutex::new(()) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Held by whoever commits. Other processes may still commit in between; Delta's own conflict check sees to them.
    pub(crate) async fn commits(&self) -> MutexGuard<'_, ()> {
        self.commits.lock().await
    }

    /// The table at its newest version, `None` when it does not exist. Reads only what was committed since last time.
    pub(crate) async fn newest(&self) -> Result<Option<DeltaTable>, LakeError> {
        let mut newest = self.newest.lock().await;
        if let Some(table) = newest.as_mut()
            && table.update_incremental(None).await.is_ok()
        {
            return Ok(Some(table.clone()));
        }
        *newest = None;
        let mut table = self.unloaded()?;
        let is_absent = !self.folder.join("_delta_log").is_dir()
            || !table
                .verify_deltatable_existence()
                .await
                .map_err(LakeError::storage(&self.name, "be found"))?;
        if is_absent {
            return Ok(None);
        }
        Box::pin(table.load()).await.map_err(LakeError::storage(&self.name, "read its log"))?;
        *newest = Some(table.clone());
        Ok(Some(table))
    }

    /// Remembers a state that a commit of this process has just produced.
    pub(crate) async fn remember(&self, state: DeltaTableState) {
        if let Some(table) = self.newest.lock().await.as_mut()
            && table.version().is_none_or(|version| version < state.version())
        {
            table.state = Some(state);
        }
    }

    /// Reads the log from its start next time: the folder no longer holds the table that it held.
    pub(crate) async fn forget(&self) {
        *self.newest.lock().await = None;
    }

    /// Makes a commit outlive a power cut.
    pub(crate) async fn sync_commit(&self, version: u64) -> Result<(), LakeError> {
        durable::sync(self.folder.join("_delta_log"), format!("{version:020}.json")).await
    }

    /// The table before anything of its log is read.
    pub(crate) fn unloaded(&self) -> Result<DeltaTable, LakeError> {
        let location = Url::from_directory_path(&self.folder)
            .map_err(|()| LakeError::InvalidTableName { name: self.name.clone() })?;
        DeltaTableBuilder::from_url(location)
            .and_then(DeltaTableBuilder::build)
            .map_err(LakeError::storage(&self.name, "open its folder"))
    }
}

/// The Arrow schema of a loaded table: what scans return and what appended batches become.
pub(crate) fn schema_of(name: &str, table: &DeltaTable) -> Result<SchemaRef, LakeError> {
    let state = table.snapshot().map_err(LakeError::storage(name, "read its schema"))?;
    Ok(state.snapshot().arrow_schema())
}
