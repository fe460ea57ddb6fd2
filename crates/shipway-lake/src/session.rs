//! Memory, spilling, and the sessions that queries run in.

use std::{num::NonZeroUsize, path::Path, sync::Arc, thread};

use datafusion::{
    catalog::{CatalogProviderList as _, MemoryCatalogProviderList},
    dataframe::DataFrame,
    execution::{
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::TrackConsumersPool,
        runtime_env::RuntimeEnvBuilder,
        session_state::{SessionState, SessionStateBuilder},
    },
    prelude::{SessionConfig, SessionContext},
};
use fs_err as fs;

use crate::{
    Lake, LakeError, LakeOptions,
    catalog::{LakeCatalog, LakeSchema},
    memory::HalfSpillPool,
};

const CATALOG: &str = "shipway";
const SCHEMA: &str = "lake";
const BATCH_ROWS: usize = 8192;
const FEWEST_BATCH_ROWS: usize = 512;
/// What a row is taken to need in memory.
const ROW_BYTES: usize = 128;

/// What all queries share: one memory pool, one spill folder, one configuration.
pub(crate) struct Engine {
    template: SessionState,
}

impl Engine {
    pub(crate) fn new(options: &LakeOptions) -> Result<Self, LakeError> {
        prepare_spill_directory(&options.spill_directory)?;
        let partitions = options
            .target_partitions
            .filter(|partitions| *partitions > 0)
            .or_else(|| thread::available_parallelism().map(NonZeroUsize::get).ok())
            .unwrap_or(1);
        let pool = HalfSpillPool::new(options.memory_limit_bytes);
        let reported = NonZeroUsize::new(5).unwrap_or(NonZeroUsize::MIN);
        let disk = DiskManagerBuilder::default()
            .with_max_spill_merge_fan_in(merge_fan_in(partitions, options.memory_limit_bytes))
            .with_mode(DiskManagerMode::Directories(vec![options.spill_directory.clone()]));
        let kept = kept_bytes(options.memory_limit_bytes);
        let runtime = RuntimeEnvBuilder::new()
            .with_metadata_cache_limit(kept)
            .with_file_statistics_cache_limit(kept / 4)
            .with_memory_pool(Arc::new(TrackConsumersPool::new(pool, reported)))
            .with_disk_manager_builder(disk)
            .build_arc()
            .map_err(|error| LakeError::Engine(Box::new(error)))?;
        let template = SessionStateBuilder::new()
            .with_config(configuration(partitions, options.memory_limit_bytes))
            .with_runtime_env(runtime)
            .with_default_features()
            .build();
        Ok(Self { template })
    }

    /// The state that Delta scans take their settings from.
    pub(crate) fn template(&self) -> &SessionState {
        &self.template
    }
}

/// How much of the files' own descriptions is kept in memory, beside what queries may take. The upkeep reads every small file once and
/// lists another one in its place: whatever the bound is, it is reached, so it must be one that nobody minds.
fn kept_bytes(memory_limit_bytes: usize) -> usize {
    const LEAST: usize = 2 << 20;
    const MOST: usize = 32 << 20;
    (memory_limit_bytes / 64).clamp(LEAST, MOST)
}

/// Rows per batch: fewer where memory is short, because every sorting partition holds several batches at once.
fn batch_rows(memory_limit_bytes: usize) -> usize {
    const ENOUGH_BYTES: usize = 256 << 20;
    (BATCH_ROWS * (memory_limit_bytes >> 20) / (ENOUGH_BYTES >> 20)).clamp(FEWEST_BATCH_ROWS, BATCH_ROWS)
}

/// How many spilled runs one partition may merge at once. Unbounded, the first partition to merge takes memory for all of
/// its runs and leaves too little for the others.
fn merge_fan_in(partitions: usize, memory_limit_bytes: usize) -> usize {
    // A run is merged with two batches in memory and as much again to sort them by.
    let run_bytes = 4 * ROW_BYTES * batch_rows(memory_limit_bytes);
    (memory_limit_bytes / partitions / 2 / run_bytes).clamp(2, 128)
}

fn configuration(partitions: usize, memory_limit_bytes: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions)
        .with_batch_size(batch_rows(memory_limit_bytes))
        .with_collect_statistics(true)
        .with_information_schema(true)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false);
    let execution = &mut config.options_mut().execution;
    execution.time_zone = Some(crate::UTC.to_owned());
    // Scans return the types that tables declare, so that nothing downstream has to know the view types.
    execution.parquet.schema_force_view_types = false;
    execution.parquet.pushdown_filters = true;
    // Each sorting partition sets this aside for its merge; the default alone would exceed a small limit.
    let for_merge = memory_limit_bytes / (partitions * 16);
    execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(for_merge);
    config
}

/// A killed process leaves its spill files behind; only this crate's queries write here, so they can go.
fn prepare_spill_directory(folder: &Path) -> Result<(), LakeError> {
    fs::create_dir_all(folder).map_err(LakeError::io("create", folder))?;
    for entry in fs::read_dir(folder).map_err(LakeError::io("list", folder))? {
        let entry = entry.map_err(LakeError::io("list", folder))?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("datafusion-")) {
            fs::remove_dir_all(entry.path()).map_err(LakeError::io("remove", entry.path()))?;
        }
    }
    Ok(())
}

impl Lake {
    /// A session in which every table of the lake has its name, resolved to its newest version when a query is planned.
    ///
    /// All sessions share one memory limit and one spill folder. A table that the caller registers belongs to this
    /// session alone and hides a table of the lake with the same name.
    pub fn session(&self) -> SessionContext {
        let catalogs = MemoryCatalogProviderList::new();
        let schema = Arc::new(LakeSchema::new(self.clone()));
        catalogs.register_catalog(CATALOG.to_owned(), Arc::new(LakeCatalog::new(SCHEMA, schema)));
        let state = SessionStateBuilder::new_from_existing(self.inner.engine.template().clone())
            .with_session_id(uuid::Uuid::new_v4().to_string())
            .with_catalog_list(Arc::new(catalogs))
            .build();
        SessionContext::new_with_state(state)
    }

    /// The newest version of a table, to be filtered, projected and joined. Unknown is an error with the nearest name.
    pub async fn scan(&self, name: &str) -> Result<DataFrame, LakeError> {
        self.existing(name).await?;
        Ok(self.session().table(name).await?)
    }
}
