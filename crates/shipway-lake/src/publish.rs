//! A table that appears whole: written aside, and moved to its name in one step when the last row is on disk.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use datafusion::execution::SendableRecordBatchStream;
use deltalake::{operations::create::CreateBuilder, protocol::SaveMode};
use fs_err as fs;

use crate::{
    AppendOptions, Appended, Lake, LakeError,
    append::{commit, write_off_the_runtime},
    durable,
    evolve::{kernel_fields, stored_schema},
    lake::DROPPED,
    table::TableHandle,
};

/// Folders of tables that are still being written.
pub(crate) const BUILDING: &str = ".building-";

/// What to do when the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// An error; the table stays as it is.
    Refused,
    /// The new table takes its place. Queries that are reading the old one may fail.
    Replaced,
}

/// Removed when dropped, unless it was moved away before.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the lake is opened again.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Lake {
    /// Writes a new table of all `batches`, with `properties` that any Delta reader sees.
    ///
    /// Until the last row is on disk there is no table of that name, and after an error, a crash, or when the call is dropped,
    /// there never was one.
    pub async fn write_table(
        &self,
        name: &str,
        batches: SendableRecordBatchStream,
        properties: &BTreeMap<String, String>,
        existing: Existing,
    ) -> Result<Appended, LakeError> {
        let target = self.handle(name)?;
        if existing == Existing::Refused && target.newest().await?.is_some() {
            return Err(LakeError::Exists { table: name.to_owned() });
        }
        let folder = self.root().join(format!("{BUILDING}{}", uuid::Uuid::new_v4().simple()));
        let aside = Aside(folder.clone());
        fs::create_dir(&folder).map_err(LakeError::io("create", &folder))?;
        let staged = TableHandle::aside(name, folder);
        let schema = stored_schema(&batches.schema())?;
        Box::pin(create(&staged, &schema, properties)).await?;
        let table = staged.newest().await?.ok_or_else(|| LakeError::Replaced { table: name.to_owned() })?;
        let written = write_off_the_runtime(name, table, batches).await?;
        let options = AppendOptions::default();
        let appended = Box::pin(commit(&staged, &written, &options)).await?;
        self.move_in(&target, &aside.0, existing).await?;
        Ok(appended)
    }

    async fn move_in(
        &self,
        target: &Arc<TableHandle>,
        from: &Path,
        existing: Existing,
    ) -> Result<(), LakeError> {
        let _turn = target.commits().await;
        let mut grave = None;
        if target.folder().exists() {
            if existing == Existing::Refused {
                return Err(LakeError::Exists { table: target.name().to_owned() });
            }
            let dropped = self.root().join(format!("{DROPPED}{}", uuid::Uuid::new_v4().simple()));
            fs::rename(target.folder(), &dropped).map_err(LakeError::io("remove", target.folder()))?;
            grave = Some(Aside(dropped));
        }
        fs::rename(from, target.folder()).map_err(LakeError::io("rename", from))?;
        target.forget().await;
        durable::sync(self.root().to_owned(), target.name().to_owned()).await?;
        drop(grave);
        Ok(())
    }
}

async fn create(
    staged: &TableHandle,
    schema: &arrow::datatypes::Schema,
    properties: &BTreeMap<String, String>,
) -> Result<(), LakeError> {
    let fields: Vec<_> = schema.fields().iter().cloned().collect();
    CreateBuilder::new()
        .with_log_store(staged.unloaded()?.log_store())
        .with_table_name(staged.name())
        .with_columns(kernel_fields(&fields)?)
        .with_configuration(properties.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))))
        .with_raise_if_key_not_exists(false)
        .with_save_mode(SaveMode::ErrorIfExists)
        .await
        .map_err(LakeError::storage(staged.name(), "be created"))?;
    staged.sync_commit(0).await
}
