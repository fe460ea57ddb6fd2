//! The handle that everybody holds: open the lake, list and describe its tables, drop one.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::datatypes::SchemaRef;
use fs_err as fs;
use shipway_core::nearest;

use crate::{
    LakeError, OutsideOptions,
    name::is_table_name,
    outside::Outside,
    publish::BUILDING,
    session::Engine,
    table::{TableHandle, schema_of},
};

pub(crate) const DROPPED: &str = ".dropped-";

/// Where the lake lives and what its queries may use.
#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// The folder of the tables, one folder per table. Created when missing.
    pub root: PathBuf,
    /// What all queries together may hold in memory, in bytes, before they spill to disk.
    pub memory_limit_bytes: usize,
    /// Where queries spill. Created when missing; what an earlier process left there is removed.
    pub spill_directory: PathBuf,
    /// How many partitions a query runs in; `None` for one per core.
    pub target_partitions: Option<usize>,
    /// Which data of somebody else may be read; none by default.
    pub outside: OutsideOptions,
}

impl LakeOptions {
    /// A lake in `root` with 1 GiB for queries, spilling beside the tables.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let spill_directory = root.join(".spill");
        Self {
            root,
            memory_limit_bytes: 1 << 30,
            spill_directory,
            target_partitions: None,
            outside: OutsideOptions::default(),
        }
    }
}

/// What a table is and how much it holds, without reading its rows.
#[derive(Debug, Clone)]
pub struct TableSummary {
    /// The table's name.
    pub name: String,
    /// The newest Delta version.
    pub version: u64,
    /// The number of rows; `None` when a foreign writer left no statistics.
    pub rows: Option<u64>,
    /// The number of data files.
    pub files: u64,
    /// The size of the data files, in bytes.
    pub bytes: u64,
    /// The columns.
    pub schema: SchemaRef,
}

/// The Delta tables of one folder, and SQL over them. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    root: PathBuf,
    handles: Mutex<HashMap<String, Arc<TableHandle>>>,
    pub(crate) engine: Engine,
    pub(crate) outside: Outside,
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lake").field("root", &self.inner.root).finish_non_exhaustive()
    }
}

impl Lake {
    /// Opens the lake, creating its folders. Reads no table. Blocks briefly.
    pub fn open(options: LakeOptions) -> Result<Self, LakeError> {
        fs::create_dir_all(&options.root).map_err(LakeError::io("create", &options.root))?;
        let root = fs::canonicalize(&options.root).map_err(LakeError::io("find", &options.root))?;
        remove_dropped(&root)?;
        let engine = Engine::new(&options)?;
        let outside = Outside::new(options.outside);
        Ok(Self { inner: Arc::new(Inner { root, handles: Mutex::default(), engine, outside }) })
    }

    /// The folder of the tables.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Every table, by name, with what its newest version holds. Costs one look at each table's log.
    pub async fn tables(&self) -> Result<Vec<TableSummary>, LakeError> {
        let mut summaries = Vec::new();
        for name in self.names()? {
            if let Some(summary) = self.summary(&name).await? {
                summaries.push(summary);
            }
        }
        Ok(summaries)
    }

    /// One table's summary; unknown is an error with the nearest name.
    pub async fn table(&self, name: &str) -> Result<TableSummary, LakeError> {
        match self.summary(name).await? {
            Some(summary) => Ok(summary),
            None => Err(self.unknown(name)),
        }
    }

    /// Whether a table of that name exists.
    pub async fn exists(&self, name: &str) -> Result<bool, LakeError> {
        Ok(self.handle(name)?.newest().await?.is_some())
    }

    /// The columns of a table at its newest version, exactly as a scan returns them.
    pub async fn schema(&self, name: &str) -> Result<SchemaRef, LakeError> {
        let (_, table) = self.existing(name).await?;
        schema_of(name, &table)
    }

    /// Removes a table and its files. Queries that are reading it may fail. An unknown name is an error.
    pub async fn drop_table(&self, name: &str) -> Result<(), LakeError> {
        let (handle, _) = self.existing(name).await?;
        let _turn = handle.commits().await;
        let grave = self.inner.root.join(format!("{DROPPED}{}", uuid::Uuid::new_v4().simple()));
        // The rename is the drop: a process killed after it leaves a folder that no name leads to, removed at open.
        fs::rename(handle.folder(), &grave).map_err(LakeError::io("remove", handle.folder()))?;
        handle.forget().await;
        fs_err::tokio::remove_dir_all(&grave).await.map_err(LakeError::io("remove", &grave))
    }

    async fn summary(&self, name: &str) -> Result<Option<TableSummary>, LakeError> {
        let Some(table) = self.handle(name)?.newest().await? else {
            return Ok(None);
        };
        let state = table.snapshot().map_err(LakeError::storage(name, "read its log"))?;
        let (mut files, mut bytes, mut rows) = (0, 0, Some(0));
        for file in state.log_data().iter() {
            files += 1;
            bytes += u64::try_from(file.size()).unwrap_or_default();
            rows = rows.zip(file.num_records()).map(|(sum, more)| sum + more as u64);
        }
        let schema = state.snapshot().arrow_schema();
        Ok(Some(TableSummary { name: name.to_owned(), version: state.version(), rows, files, bytes, schema }))
    }

    /// The names of all folders that could be tables, in order. Blocks briefly.
    pub(crate) fn names(&self) -> Result<Vec<String>, LakeError> {
        let failed = || LakeError::io("list", &self.inner.root);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.inner.root).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if let Some(name) = entry.file_name().to_str()
                && is_table_name(name)
                && entry.path().join("_delta_log").is_dir()
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The error for a name that no table has, with the name most like it.
    pub(crate) fn unknown(&self, name: &str) -> LakeError {
        let names = self.names().unwrap_or_default();
        let nearest = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
        LakeError::UnknownTable { name: name.to_owned(), nearest }
    }

    pub(crate) async fn existing(
        &self,
        name: &str,
    ) -> Result<(Arc<TableHandle>, deltalake::DeltaTable), LakeError> {
        let handle = self.handle(name)?;
        match handle.newest().await? {
            Some(table) => Ok((handle, table)),
            None => Err(self.unknown(name)),
        }
    }

    pub(crate) fn handle(&self, name: &str) -> Result<Arc<TableHandle>, LakeError> {
        if let Some(handle) = self.handles().get(name) {
            return Ok(handle.clone());
        }
        let handle = Arc::new(TableHandle::new(&self.inner.root, name)?);
        Ok(self.handles().entry(name.to_owned()).or_insert(handle).clone())
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<TableHandle>>> {
        self.inner.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove_dropped(root: &Path) -> Result<(), LakeError> {
    for entry in fs::read_dir(root).map_err(LakeError::io("list", root))? {
        let entry = entry.map_err(LakeError::io("list", root))?;
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(DROPPED) || name.starts_with(BUILDING))
        {
            fs::remove_dir_all(entry.path()).map_err(LakeError::io("remove", entry.path()))?;
        }
    }
    Ok(())
}
