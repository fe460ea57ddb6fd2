//! Delta tables of somebody else, version by version: which files a version consists of, and which a later one adds.
//!
//! The log is read through a store that begins at the table's folder, so that no path in it leads out; the data files are
//! copied and read like any other file. What our reader would read wrong, such as rows that are marked as deleted, is refused.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use deltalake::{
    DeltaTable,
    logstore::{StorageConfig, default_logstore},
};
use fs_err as fs;
use futures::TryStreamExt as _;
use object_store::{
    ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path as Key, prefix::PrefixStore,
};
use serde::Deserialize;
use shipway_core::{Location, Place};
use url::Url;

use super::{Outside, OutsideError, OutsideFile, bucket, disk};
use crate::{Lake, LakeError};

/// From this version on a table lists the features that its readers must know.
const NEWEST_READER: i32 = 3;
/// Features that do not decide what the rows of a data file are, or that each file says by itself whether it uses.
const HARMLESS_FEATURES: [&str; 5] =
    ["deletionVectors", "timestampNtz", "typeWidening", "v2Checkpoint", "vacuumProtocolCheck"];
const ELSEWHERE: &str = "files outside of its folder";
const LOG: &str = "_delta_log";

/// A data file of a table, and the columns that are in its place rather than in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePart {
    /// The file.
    pub file: OutsideFile,
    /// Partition columns: the same text, or null, in each of its rows.
    pub constants: BTreeMap<String, Option<String>>,
}

/// A Delta table of somebody else.
pub struct OutsideTable {
    name: String,
    place: Place,
    path: String,
    store: Arc<dyn ObjectStore>,
    table: DeltaTable,
    id: String,
    version: u64,
}

impl Lake {
    /// Opens the table in the folder that the location names, at its newest version.
    pub async fn open_outside(&self, location: &Location) -> Result<OutsideTable, LakeError> {
        let store = fenced(&self.inner.outside, location).await?;
        // The store begins at the folder of the table, so its address there is the root, whatever it is outside.
        let root =
            Url::parse("file:///").map_err(|fault| OutsideError::failed(location.to_string(), fault))?;
        let log = default_logstore(Arc::clone(&store), Arc::clone(&store), &root, &StorageConfig::default());
        let mut table = DeltaTable::new(log);
        let name = location.to_string();
        let is_there =
            table.verify_deltatable_existence().await.map_err(|fault| OutsideError::failed(&name, fault))?;
        if !is_there {
            return Err(OutsideError::NotATable { table: name }.into());
        }
        Box::pin(table.load()).await.map_err(|fault| OutsideError::failed(&name, fault))?;
        let (id, version) = {
            let state = table.snapshot().map_err(|fault| OutsideError::failed(&name, fault))?;
            (state.metadata().id().to_owned(), state.version())
        };
        let (place, path) = (location.place().clone(), location.path());
        Ok(OutsideTable { name, place, path, store, table, id, version })
    }
}

async fn fenced(outside: &Outside, location: &Location) -> Result<Arc<dyn ObjectStore>, LakeError> {
    let path = location.path();
    match location.place() {
        Place::Disk => {
            let options = outside.options.clone();
            let opened = tokio::task::spawn_blocking(move || {
                let folder = disk::folder(&options, &path)?;
                check_log(&folder)?;
                LocalFileSystem::new_with_prefix(&folder)
                    .map_err(|fault| OutsideError::failed(folder.display().to_string(), fault))
            });
            Ok(Arc::new(opened.await.map_err(LakeError::task("open a table"))??))
        }
        Place::Bucket(bucket) => {
            let client = outside.client(bucket, &path)?;
            Ok(Arc::new(PrefixStore::new(client, bucket::key_of(bucket, &path)?)))
        }
    }
}

/// Refuses a log that leads elsewhere: the store that reads it follows links.
fn check_log(folder: &Path) -> Result<(), OutsideError> {
    let log = folder.join(LOG);
    let failed = |fault: std::io::Error| OutsideError::failed(log.display().to_string(), fault);
    let is_link = |path: &Path| fs::symlink_metadata(path).map(|metadata| metadata.is_symlink());
    if !log.exists() {
        return Err(OutsideError::NotATable { table: folder.display().to_string() });
    }
    if is_link(&log).map_err(failed)? {
        return Err(OutsideError::Link { path: log.display().to_string() });
    }
    for entry in fs::read_dir(&log).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if is_link(&path).map_err(failed)? {
            return Err(OutsideError::Link { path: path.display().to_string() });
        }
    }
    Ok(())
}

impl OutsideTable {
    /// The identity that the table got when it was made. Another one: another table, even in the same folder.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The names of its columns, those of its partitions too, at the version that was read last.
    pub fn column_names(&self) -> Result<Vec<String>, LakeError> {
        let state = self.table.snapshot().map_err(|fault| OutsideError::failed(&self.name, fault))?;
        Ok(state.snapshot().arrow_schema().fields().iter().map(|field| field.name().clone()).collect())
    }

    /// The newest version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The files that hold all rows of the table at `version`.
    pub async fn parts_at(&mut self, version: u64) -> Result<Vec<TablePart>, LakeError> {
        let loaded = Box::pin(self.table.load_version(version)).await;
        if loaded.is_err() && self.log_entry(version).await?.is_none() {
            return Err(OutsideError::VersionGone { table: self.name.clone(), version }.into());
        }
        loaded.map_err(|fault| OutsideError::failed(&self.name, fault))?;
        let state = self.table.snapshot().map_err(|fault| OutsideError::failed(&self.name, fault))?;
        let protocol = serde_json::to_value(state.protocol()).and_then(serde_json::from_value);
        self.check_protocol(&protocol.map_err(|fault| OutsideError::failed(&self.name, fault))?)?;
        self.check_mapping(state.metadata().configuration())?;
        let log = state.log_data();
        let parts = log.iter().map(|file| {
            let path = file.path().into_owned();
            self.check_place(&path, file.deletion_vector_descriptor().is_some())?;
            let constants = file.partition_values_map().into_iter().collect();
            self.part(&file.object_store_path(), file.size(), constants)
        });
        parts.collect::<Result<_, LakeError>>()
    }

    /// The files that `version` adds; none for a version that only rewrote rows or changed what is said about them. A version
    /// that changed or removed rows is an error, and so is one whose log entry is gone.
    pub async fn parts_added_by(&self, version: u64) -> Result<Vec<TablePart>, LakeError> {
        let entry = self.log_entry(version).await?;
        let gone = || OutsideError::VersionGone { table: self.name.clone(), version };
        let entry = entry.ok_or_else(gone)?;
        let mut added = Vec::new();
        let mut operation = "change".to_owned();
        let mut changes_rows = false;
        for line in entry.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let action: LogLine =
                serde_json::from_slice(line).map_err(|fault| OutsideError::failed(&self.name, fault))?;
            match action {
                LogLine { add: Some(add), .. } if add.data_change => added.push(add),
                LogLine { remove: Some(remove), .. } => changes_rows |= remove.data_change,
                // Change data is written beside rows that were changed.
                LogLine { cdc: Some(_), .. } => changes_rows = true,
                LogLine { protocol: Some(protocol), .. } => self.check_protocol(&protocol)?,
                LogLine { metadata: Some(metadata), .. } => self.check_mapping(&metadata.configuration)?,
                LogLine { commit_info: Some(info), .. } => {
                    info.operation.into_iter().for_each(|word| operation = word);
                }
                _ => {}
            }
        }
        if changes_rows {
            return Err(OutsideError::RowsChanged { table: self.name.clone(), version, operation }.into());
        }
        let parts = added.into_iter().map(|add| {
            self.check_place(&add.path, add.deletion_vector.is_some())?;
            // What is no plain path below the folder is none that may be followed.
            let key = Key::from_url_path(&add.path).map_err(|_| self.refuse(ELSEWHERE))?;
            self.part(&key, add.size, add.partition_values.into_iter().collect())
        });
        parts.collect()
    }

    async fn log_entry(&self, version: u64) -> Result<Option<bytes::Bytes>, LakeError> {
        let key = Key::from(format!("{LOG}/{version:020}.json"));
        let failed = |fault| OutsideError::failed(&self.name, fault);
        match self.store.get(&key).await {
            Ok(found) => {
                let pieces: Vec<bytes::Bytes> = found.into_stream().try_collect().await.map_err(failed)?;
                Ok(Some(pieces.concat().into()))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(fault) => Err(failed(fault).into()),
        }
    }

    fn check_protocol(&self, protocol: &ProtocolAction) -> Result<(), OutsideError> {
        let refuse = |feature| OutsideError::UnknownToUs { table: self.name.clone(), feature };
        if protocol.min_reader_version > NEWEST_READER {
            return Err(refuse(format!("reader version {}", protocol.min_reader_version)));
        }
        let unknown = protocol
            .reader_features
            .iter()
            .flatten()
            .find(|feature| !HARMLESS_FEATURES.contains(&feature.as_str()));
        unknown.map_or(Ok(()), |feature| Err(refuse(feature.clone())))
    }

    fn check_mapping(&self, configuration: &HashMap<String, String>) -> Result<(), OutsideError> {
        match configuration.get("delta.columnMapping.mode").map_or("none", String::as_str) {
            "none" => Ok(()),
            mode => Err(self.refuse(&format!("column mapping by {mode}"))),
        }
    }

    fn refuse(&self, feature: &str) -> OutsideError {
        OutsideError::UnknownToUs { table: self.name.clone(), feature: feature.to_owned() }
    }

    /// Refuses a data file of which not all rows count, and one that is not in the table's folder.
    fn check_place(&self, path: &str, has_deletions: bool) -> Result<(), OutsideError> {
        if has_deletions {
            return Err(self.refuse("deletion vectors"));
        }
        if path.contains("://") || path.starts_with('/') {
            return Err(self.refuse(ELSEWHERE));
        }
        Ok(())
    }

    /// A data file, on its way from the table's folder. A path that leads elsewhere is refused.
    fn part(
        &self,
        key: &Key,
        bytes: i64,
        constants: BTreeMap<String, Option<String>>,
    ) -> Result<TablePart, LakeError> {
        let is_plain = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('\\');
        if !key.as_ref().split('/').all(is_plain) {
            return Err(self.refuse(ELSEWHERE).into());
        }
        let bytes = u64::try_from(bytes).unwrap_or_default();
        let path = format!("{}/{key}", self.path);
        let file = match &self.place {
            Place::Disk => disk::named(path)?,
            Place::Bucket(_) => OutsideFile {
                place: self.place.clone(),
                path,
                bytes,
                stamp: bytes.to_string(),
                tag: None,
                is_link: false,
            },
        };
        Ok(TablePart { file, constants })
    }
}

/// One line of a log entry: an action under its name.
#[derive(Deserialize)]
struct LogLine {
    add: Option<AddAction>,
    remove: Option<RemoveAction>,
    cdc: Option<serde::de::IgnoredAny>,
    protocol: Option<ProtocolAction>,
    #[serde(rename = "metaData")]
    metadata: Option<MetadataAction>,
    #[serde(rename = "commitInfo")]
    commit_info: Option<CommitInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddAction {
    path: String,
    data_change: bool,
    size: i64,
    #[serde(default)]
    partition_values: HashMap<String, Option<String>>,
    #[serde(default)]
    deletion_vector: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RemoveAction {
    #[serde(default = "yes")]
    data_change: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProtocolAction {
    min_reader_version: i32,
    reader_features: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct MetadataAction {
    #[serde(default)]
    configuration: HashMap<String, String>,
}

#[derive(Deserialize)]
struct CommitInfo {
    operation: Option<String>,
}

/// An entry that does not say whether it changed rows is taken to have.
const fn yes() -> bool {
    true
}
