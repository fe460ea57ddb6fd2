//! What each version of a table added to it, for whoever hands rows on as they come.
//!
//! A version's log entry names the files that it added. Their rows are read from the files themselves, even when these were
//! joined to others since: they stay on disk for as long as the table's versions can be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use datafusion::execution::SendableRecordBatchStream;
use fs_err as fs;
use object_store::path::Path as Key;
use serde::Deserialize;

use crate::{
    Lake, LakeError, OutsideError,
    files::{Adaptation, FileFormat, open_adapted},
    table::schema_of,
};

const LOG: &str = "_delta_log";

/// A data file that a version of a table added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedPart {
    path: PathBuf,
    /// Partition columns: the same text, or null, in each of its rows.
    constants: BTreeMap<String, Option<String>>,
}

impl AddedPart {
    /// Whether the file is still there. Blocks briefly.
    pub fn is_there(&self) -> bool {
        self.path.is_file()
    }
}

/// A table as it is now: which one it is, and its newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The identity that it got when it was made. Another one: another table, even under the same name.
    pub id: String,
    /// The newest version.
    pub version: u64,
}

impl Lake {
    /// Which table has a name now; `None` when there is none.
    pub async fn identity(&self, name: &str) -> Result<Option<Identity>, LakeError> {
        let Some(table) = self.handle(name)?.newest().await? else { return Ok(None) };
        let state = table.snapshot().map_err(LakeError::storage(name, "read its log"))?;
        Ok(Some(Identity { id: state.metadata().id().to_owned(), version: state.version() }))
    }

    /// The files with the rows that `version` added, in the order of the log; none where it only rewrote rows or changed what is
    /// said about them. That it removed rows is not told. `None` once its log entry is cleaned up.
    pub async fn added_by(&self, name: &str, version: u64) -> Result<Option<Vec<AddedPart>>, LakeError> {
        let folder = self.handle(name)?.folder().to_owned();
        let entry = folder.join(LOG).join(format!("{version:020}.json"));
        let bytes = match fs_err::tokio::read(&entry).await {
            Ok(bytes) => bytes,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(LakeError::io("read", &entry)(fault)),
        };
        let refused =
            |feature: &str| OutsideError::UnknownToUs { table: name.to_owned(), feature: feature.to_owned() };
        let mut parts = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let line: Line = serde_json::from_slice(line).map_err(|_| refused("a log that is no JSON"))?;
            let Some(add) = line.add.filter(|add| add.data_change) else { continue };
            if add.deletion_vector.is_some() {
                return Err(refused("deletion vectors").into());
            }
            let key = Key::from_url_path(&add.path).map_err(|_| refused("files outside of its folder"))?;
            let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
            if add.path.contains("://") || add.path.starts_with('/') || !key.as_ref().split('/').all(is_plain)
            {
                return Err(refused("files outside of its folder").into());
            }
            parts.push(AddedPart { path: folder.join(key.as_ref()), constants: add.partition_values });
        }
        Ok(Some(parts))
    }

    /// The oldest version whose log entry is there; `None` when the table has none. Blocks briefly.
    pub fn oldest_entry(&self, name: &str) -> Result<Option<u64>, LakeError> {
        let log = self.handle(name)?.folder().join(LOG);
        let versions = fs::read_dir(&log).map_err(LakeError::io("list", &log))?.filter_map(|entry| {
            let name = entry.ok()?.file_name();
            name.to_str()?.strip_suffix(".json")?.parse::<u64>().ok()
        });
        Ok(versions.min())
    }

    /// The rows of a part in the columns that the table has now; columns that it got later are null.
    pub async fn read_added(
        &self,
        name: &str,
        part: &AddedPart,
    ) -> Result<SendableRecordBatchStream, LakeError> {
        let (_, table) = self.existing(name).await?;
        let schema = schema_of(name, &table)?;
        let optional: BTreeSet<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let adaptation = Adaptation { optional, constants: part.constants.clone(), ..Adaptation::default() };
        open_adapted(&part.path, FileFormat::Parquet, schema, &adaptation).await
    }
}

/// One line of a log entry, as far as it tells of added files.
#[derive(Deserialize)]
struct Line {
    add: Option<Added>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Added {
    path: String,
    data_change: bool,
    #[serde(default)]
    partition_values: BTreeMap<String, Option<String>>,
    #[serde(default)]
    deletion_vector: Option<serde_json::Value>,
}
