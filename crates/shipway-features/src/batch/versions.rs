//! News among the versions of a Delta table: its rows as a whole once, then what each version adds, each as one load.
//!
//! Versions are read in order, and one that changed or removed rows stops the reading there: what follows it may rest on rows
//! that history does not have.

use std::sync::{Arc, PoisonError};

use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use shipway_core::nearest;
use shipway_lake::{
    LakeError, OutsideError, OutsideTable, TablePart,
    files::{self, Adaptation, FileFormat},
};

use super::{
    BatchError,
    error::error,
    files::keeping,
    item::{Copy, load_id, problem_of},
    look::Look,
};
use crate::{
    error::FeaturesError,
    store::batch::{self, ItemRow, ItemState, TableRow},
};

/// Loads what the table has and this source does not.
pub(super) async fn load_new(look: &mut Look) -> Result<(), FeaturesError> {
    look.run.report("reading the table's log", 0, None);
    let lake = look.inner.lake.clone();
    let location = look.batch.location().clone();
    let opened = tokio::select! {
        () = look.run.cancelled.cancelled() => return Err(look.cancelled()),
        opened = Box::pin(lake.open_outside(&location)) => opened,
    };
    let mut table = opened?;
    let held = batch::table(&look.inner.store, look.name(), &look.location()).await?;
    let mut progress = match held {
        Some(progress) if progress.table_id == table.id() => progress,
        Some(_) => return Err(error(BatchError::TableReplaced { table: look.location() })),
        None => {
            let progress = TableRow {
                location: look.location(),
                table_id: table.id().to_owned(),
                first_version: table.version(),
                read_version: None,
            };
            // Written down before the first row is loaded: after a crash it is this version that is gone on with.
            batch::record_table(&look.inner.store, look.name(), &progress).await?;
            progress
        }
    };
    let newest = table.version();
    look.looked.found = newest + 1;
    retry_failed(look, &mut table, &progress).await?;
    if progress.read_version.is_none() {
        load_whole(look, &mut table, &mut progress).await?;
    }
    let from = progress.read_version.map_or(newest + 1, |read| read + 1);
    for version in from..=newest {
        look.check_wanted()?;
        let shown = format!("loading version {version} of {}", look.location());
        look.run.report(&shown, version - from, Some(newest + 1 - from));
        if !load_version(look, &table, version).await? {
            break;
        }
        progress.read_version = Some(version);
        batch::record_table(&look.inner.store, look.name(), &progress).await?;
    }
    Ok(())
}

fn whole(look: &Look, version: u64) -> String {
    format!("{}@..{version}", look.location())
}

fn single(look: &Look, version: u64) -> String {
    format!("{}@{version}", look.location())
}

/// The rows of the table as a whole, at the version that was written down first.
async fn load_whole(
    look: &mut Look,
    table: &mut OutsideTable,
    progress: &mut TableRow,
) -> Result<(), FeaturesError> {
    look.check_wanted()?;
    if !settle(look, &whole(look, progress.first_version)).await? {
        if progress.first_version != table.version() {
            // Nothing of it was loaded, so the newest version does as well; the old one may be gone.
            batch::forget(&look.inner.store, look.name(), &whole(look, progress.first_version)).await?;
            progress.first_version = table.version();
            batch::record_table(&look.inner.store, look.name(), progress).await?;
        }
        let parts = table.parts_at(progress.first_version).await?;
        let name = whole(look, progress.first_version);
        look.run.report(&format!("loading {name}"), 0, Some(1));
        if !is_loaded(load_parts(look, table, name, parts).await?) {
            return Ok(());
        }
    }
    progress.read_version = Some(progress.first_version);
    Ok(batch::record_table(&look.inner.store, look.name(), progress).await?)
}

const fn is_loaded(state: ItemState) -> bool {
    matches!(state, ItemState::Loaded)
}

/// The rows that one version adds. False when reading has to stop before it.
async fn load_version(look: &mut Look, table: &OutsideTable, version: u64) -> Result<bool, FeaturesError> {
    let name = single(look, version);
    if settle(look, &name).await? {
        return Ok(true);
    }
    match table.parts_added_by(version).await {
        Ok(parts) if parts.is_empty() => Ok(true),
        Ok(parts) => {
            load_parts(look, table, name, parts).await?;
            Ok(true)
        }
        Err(LakeError::Outside(
            refused @ (OutsideError::RowsChanged { .. }
            | OutsideError::VersionGone { .. }
            | OutsideError::UnknownToUs { .. }),
        )) => {
            let item = fresh(look, table, name);
            look.note_failed(item, problem_of(LakeError::from(refused).into())).await?;
            Ok(false)
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Tries the versions again whose rows were refused: the definition may have changed, or time have passed.
async fn retry_failed(
    look: &mut Look,
    table: &mut OutsideTable,
    progress: &TableRow,
) -> Result<(), FeaturesError> {
    let Some(read) = progress.read_version else { return Ok(()) };
    let location = look.location();
    let items = batch::items(&look.inner.store, look.name()).await?;
    for item in items.into_values().filter(|item| item.location == location && !is_loaded(item.state)) {
        look.check_wanted()?;
        let version = item.item.rsplit_once('@').and_then(|(_, version)| version.parse::<u64>().ok());
        // Those not read yet are met again on the way.
        if let Some(version) = version.filter(|version| *version <= read) {
            look.run.report(&format!("loading {}", item.item), 0, Some(1));
            load_version(look, table, version).await?;
        }
    }
    Ok(())
}

/// Whether an item is loaded; one that an earlier process left half-way is brought to its end first.
async fn settle(look: &mut Look, name: &str) -> Result<bool, FeaturesError> {
    let Some(item) = batch::item(&look.inner.store, look.name(), name).await? else { return Ok(false) };
    if is_loaded(item.state) {
        return Ok(true);
    }
    match look.settled(&item).await? {
        Some(load) => {
            look.note_loaded(item, &load).await?;
            Ok(true)
        }
        None => Ok(false),
    }
}

fn fresh(look: &Look, table: &OutsideTable, name: String) -> ItemRow {
    ItemRow {
        load_id: load_id(&name, table.id()),
        item: name,
        location: look.location(),
        stamp: table.id().to_owned(),
        digest: String::new(),
        state: ItemState::Failed,
        rows: 0,
        skipped: 0,
        problem: None,
        is_gone: false,
        changed: look.inner.clock.now(),
    }
}

/// Loads data files as one item, and says what became of it.
async fn load_parts(
    look: &mut Look,
    table: &OutsideTable,
    name: String,
    parts: Vec<TablePart>,
) -> Result<ItemState, FeaturesError> {
    let item = fresh(look, table, name);
    let mut adaptation = look.adaptation(&[]);
    if let Err(problem) = check_columns(look, table, &mut adaptation) {
        look.note_failed(item, problem_of(problem)).await?;
        return Ok(ItemState::Failed);
    }
    let failed_before = look.looked.failed;
    let inner = Arc::clone(&look.inner);
    let declared = look.runtime.shape().schema.declared();
    let under_way = Arc::clone(&look.under_way);
    let rows = async move {
        let schema = Arc::clone(&declared);
        let files = stream::iter(parts).then(move |part| {
            let (inner, declared) = (Arc::clone(&inner), Arc::clone(&declared));
            let under_way = Arc::clone(&under_way);
            let adaptation = Adaptation { constants: part.constants, ..adaptation.clone() };
            async move {
                *under_way.lock().unwrap_or_else(PoisonError::into_inner) = Some(part.file.name());
                let place = Copy::place(&inner).await;
                let copy = place.map_err(|failure| DataFusionError::External(Box::new(failure)))?;
                inner.lake.copy_outside(&part.file, &copy.path).await?;
                let rows =
                    files::open_adapted(&copy.path, FileFormat::Parquet, declared, &adaptation).await?;
                Ok::<_, DataFusionError>(keeping(copy, rows))
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, files.try_flatten())) as SendableRecordBatchStream)
    };
    look.load_item(item, rows).await?;
    Ok(if look.looked.failed > failed_before { ItemState::Failed } else { ItemState::Loaded })
}

/// Refuses a table that lacks a column. Of its files some may lack columns that it got later; they are null in those.
fn check_columns(
    look: &Look,
    table: &OutsideTable,
    adaptation: &mut Adaptation,
) -> Result<(), FeaturesError> {
    let held = table.column_names()?;
    for (column, _) in &look.source.columns {
        let there = look.batch.name_there(column);
        if !held.iter().any(|name| name == there) && !look.batch.optional.contains(column) {
            let nearest = nearest(there, held.iter().map(String::as_str)).map(str::to_owned);
            return Err(LakeError::MissingColumn { column: there.to_owned(), nearest }.into());
        }
        adaptation.optional.insert(column.to_string());
    }
    Ok(())
}
