//! Appending a stream of batches as one commit, at most once per application transaction.
//!
//! Data files are written first, without any lock; the commit then takes its turn. So a long load never holds up a short
//! append, and a process killed at any moment leaves either the whole append or files that no version lists.

use std::num::NonZeroU64;

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{execution::SendableRecordBatchStream, physical_plan::stream::RecordBatchStreamAdapter};
use deltalake::{
    DeltaTable, DeltaTableError,
    datafile::writer::{DeltaWriter, WriterConfig},
    kernel::{
        Action, Add, Transaction,
        transaction::{CommitBuilder, CommitProperties, TransactionError},
    },
    operations::get_num_idx_cols_and_stats_columns,
    parquet::{basic::Compression, file::properties::WriterProperties},
    protocol::{DeltaOperation, SaveMode},
};
use futures::StreamExt as _;
use tokio::runtime::Handle;

use crate::{
    Lake, LakeError,
    conform::{Absent, Conformer, Undeclared},
    durable,
    error::{BadRow, RowUnit},
    table::{TableHandle, schema_of},
};

pub(crate) const TARGET_FILE_BYTES: u64 = 128 << 20;
const ROW_GROUP_ROWS: usize = 128 * 1024;
const ROW_GROUP_BYTES: usize = 32 << 20;
const WRITE_BATCH_ROWS: usize = 8192;
pub(crate) const COMMIT_ATTEMPTS: usize = 5;

/// A step of an application that must count once, however often it is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppTransaction {
    /// Who counts: the name of the load or of the consumer.
    pub id: String,
    /// How far it has come. Grows with every step.
    pub version: i64,
}

/// How to append.
#[derive(Debug, Clone, Default)]
pub struct AppendOptions {
    /// Append only if the table has not seen this version of the transaction's id, nor a higher one.
    pub transaction: Option<AppTransaction>,
}

impl AppendOptions {
    /// Appends at most once for this `id` and `version`.
    pub fn once(id: impl Into<String>, version: i64) -> Self {
        Self { transaction: Some(AppTransaction { id: id.into(), version }) }
    }
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Rows written by this call; 0 when skipped.
    pub rows: u64,
    /// The table's version afterwards.
    pub table_version: u64,
    /// Whether the table had seen the transaction already, so that nothing was written.
    pub skipped: bool,
}

/// Files that are on disk and that no version lists yet.
pub(crate) struct Written {
    pub(crate) adds: Vec<Add>,
    rows: u64,
    schema: SchemaRef,
    table_id: String,
}

impl Written {
    /// Whether `table` is still the one that the files were written for.
    pub(crate) fn still_fits(&self, name: &str, table: &DeltaTable) -> Result<bool, LakeError> {
        let state = table.snapshot().map_err(LakeError::storage(name, "read its log"))?;
        let schema = state.snapshot().arrow_schema();
        let has = |field: &arrow::datatypes::FieldRef| {
            schema.field_with_name(field.name()).is_ok_and(|same| same == field.as_ref())
        };
        Ok(state.metadata().id() == self.table_id && self.schema.fields().iter().all(has))
    }
}

/// Removes files that nobody lists.
pub(crate) async fn discard(handle: &TableHandle, written: &Written) {
    for add in &written.adds {
        let _ = fs_err::tokio::remove_file(handle.folder().join(&add.path)).await;
    }
}

impl Lake {
    /// Appends all batches in one commit, or nothing. Memory is bounded by one row group per open file.
    ///
    /// Batches are converted to the table's schema without loss; a column that the table lacks is an error, a column that
    /// the batches lack becomes null. When the call returns, the rows are on disk. A caller that gave a transaction may
    /// call again after any error: the rows count once.
    pub async fn append(
        &self,
        name: &str,
        batches: SendableRecordBatchStream,
        options: AppendOptions,
    ) -> Result<Appended, LakeError> {
        let (lake, name, runtime) = (self.clone(), name.to_owned(), Handle::current());
        tokio::task::spawn_blocking(move || runtime.block_on(lake.append_here(&name, batches, options)))
            .await
            .map_err(LakeError::task("append rows"))?
    }

    /// Encoding is long computing without a pause, and so is reading the log after a commit: on a thread for blocking work neither
    /// delays requests.
    async fn append_here(
        &self,
        name: &str,
        batches: SendableRecordBatchStream,
        options: AppendOptions,
    ) -> Result<Appended, LakeError> {
        let (handle, table) = self.existing(name).await?;
        if let Some(skipped) = skipped(name, &table, &options).await? {
            return Ok(skipped);
        }
        let written = write(name, &table, batches).await?;
        if written.adds.is_empty() && options.transaction.is_none() {
            let (_, table) = self.existing(name).await?;
            return Ok(Appended {
                rows: 0,
                table_version: table.version().unwrap_or_default(),
                skipped: false,
            });
        }
        let outcome = Box::pin(commit(&handle, &written, &options)).await;
        let is_listed = outcome.as_ref().is_ok_and(|appended| !appended.skipped);
        if !is_listed && !matches!(outcome, Err(LakeError::Storage { .. })) {
            // Nobody lists these files. After a storage error that is not certain, so then they stay for vacuum.
            discard(&handle, &written).await;
        }
        outcome
    }

    /// Appends batches that are in memory already; see [`Lake::append`].
    pub async fn append_batches(
        &self,
        name: &str,
        batches: Vec<RecordBatch>,
        options: AppendOptions,
    ) -> Result<Appended, LakeError> {
        let schema = match batches.first() {
            Some(batch) => batch.schema(),
            None => self.schema(name).await?,
        };
        let stream = futures::stream::iter(batches.into_iter().map(Ok));
        self.append(name, Box::pin(RecordBatchStreamAdapter::new(schema, stream)), options).await
    }

    /// The highest version that the table has seen of an application's transactions.
    pub async fn transaction_version(&self, name: &str, app_id: &str) -> Result<Option<i64>, LakeError> {
        let (_, table) = self.existing(name).await?;
        seen_version(name, &table, app_id).await
    }
}

async fn seen_version(name: &str, table: &DeltaTable, app_id: &str) -> Result<Option<i64>, LakeError> {
    let failed = || LakeError::storage(name, "read its transactions");
    let state = table.snapshot().map_err(failed())?;
    state.transaction_version(&table.log_store(), app_id).await.map_err(failed())
}

async fn skipped(
    name: &str,
    table: &DeltaTable,
    options: &AppendOptions,
) -> Result<Option<Appended>, LakeError> {
    let Some(transaction) = &options.transaction else {
        return Ok(None);
    };
    let seen = seen_version(name, table, &transaction.id).await?;
    let table_version = table.version().unwrap_or_default();
    Ok(seen.is_some_and(|version| version >= transaction.version).then_some(Appended {
        rows: 0,
        table_version,
        skipped: true,
    }))
}

pub(crate) fn writer_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_created_by(concat!("shipway ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build()
}

/// Encoding is long computing without a pause: on a thread for blocking work it does not delay requests.
pub(crate) async fn write_off_the_runtime(
    name: &str,
    table: DeltaTable,
    batches: SendableRecordBatchStream,
) -> Result<Written, LakeError> {
    let name = name.to_owned();
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(write(&name, &table, batches)))
        .await
        .map_err(LakeError::task("write rows"))?
}

async fn write(
    name: &str,
    table: &DeltaTable,
    mut batches: SendableRecordBatchStream,
) -> Result<Written, LakeError> {
    let failed = || LakeError::storage(name, "write rows");
    let schema = schema_of(name, table)?;
    let state = table.snapshot().map_err(failed())?;
    let conformer = Conformer::new(&batches.schema(), schema.clone(), Absent::IsNull, Undeclared::Refused)?;
    let (indexed, columns) =
        get_num_idx_cols_and_stats_columns(Some(state.table_config()), Default::default());
    let config = WriterConfig::new(
        schema.clone(),
        Vec::new(),
        Some(writer_properties()),
        NonZeroU64::new(TARGET_FILE_BYTES),
        Some(WRITE_BATCH_ROWS),
        indexed,
        columns,
    );
    let mut writer = DeltaWriter::new(table.object_store(), config);
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        let step = async {
            let batch = conformer.conform(&batch?).map_err(|bad| {
                let row = BadRow {
                    number: rows + bad.row as u64 + 1,
                    column: Some(bad.column),
                    reason: bad.reason,
                };
                LakeError::BadRows { rows: vec![row], unit: RowUnit::Row, more: true }
            })?;
            writer.write(&batch).await.map_err(failed())?;
            Ok(batch.num_rows() as u64)
        };
        match step.await {
            Ok(count) => rows += count,
            Err(error) => {
                let _ = writer.abort().await;
                return Err(error);
            }
        }
    }
    let adds = writer.close().await.map_err(failed())?;
    let folder = table.table_url().to_file_path().unwrap_or_default();
    durable::sync_here(&folder, adds.iter().map(|add| &add.path))?;
    Ok(Written { adds, rows, schema, table_id: state.metadata().id().to_owned() })
}

pub(crate) async fn commit(
    handle: &TableHandle,
    written: &Written,
    options: &AppendOptions,
) -> Result<Appended, LakeError> {
    let replaced = || LakeError::Replaced { table: handle.name().to_owned() };
    let _turn = handle.commits().await;
    for _ in 0..COMMIT_ATTEMPTS {
        let table = handle.newest().await?.ok_or_else(replaced)?;
        if !written.still_fits(handle.name(), &table)? {
            return Err(replaced());
        }
        if let Some(skipped) = skipped(handle.name(), &table, options).await? {
            return Ok(skipped);
        }
        match try_commit(handle, &table, written, options).await {
            Ok(table_version) => return Ok(Appended { rows: written.rows, table_version, skipped: false }),
            Err(error) if is_conflict(&error) => {}
            Err(source) => return Err(LakeError::storage(handle.name(), "commit")(source)),
        }
    }
    Err(LakeError::Contended { table: handle.name().to_owned() })
}

async fn try_commit(
    handle: &TableHandle,
    table: &DeltaTable,
    written: &Written,
    options: &AppendOptions,
) -> Result<u64, DeltaTableError> {
    let transactions =
        options.transaction.iter().map(|once| Transaction::new(&once.id, once.version)).collect();
    let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: None, predicate: None };
    let actions = written.adds.iter().cloned().map(Action::Add).collect();
    commit_actions(handle, table, actions, transactions, operation).await
}

/// Commits `actions` on top of `table` and returns the new version; the commit is on disk then. Called by whoever holds
/// the turn.
pub(crate) async fn commit_actions(
    handle: &TableHandle,
    table: &DeltaTable,
    actions: Vec<Action>,
    transactions: Vec<Transaction>,
    operation: DeltaOperation,
) -> Result<u64, DeltaTableError> {
    let properties = CommitProperties::default().with_application_transactions(transactions);
    let prepared = CommitBuilder::from(properties)
        .with_actions(actions)
        .build(Some(table.snapshot()?), table.log_store(), operation)
        .into_prepared_commit_future()
        .await?;
    let committed = prepared.await?;
    let version = committed.version;
    handle
        .sync_commit(version)
        .await
        .map_err(|error| DeltaTableError::GenericError { source: Box::new(error) })?;
    // From here on the rows are in the table; a checkpoint that fails now must not make the caller append them again.
    match committed.await {
        Ok(finished) => handle.remember(finished.snapshot).await,
        Err(error) => tracing::warn!(table = handle.name(), version, %error, "upkeep after a commit failed"),
    }
    Ok(version)
}

pub(crate) fn is_conflict(error: &DeltaTableError) -> bool {
    matches!(
        error,
        DeltaTableError::VersionAlreadyExists(_)
            | DeltaTableError::Transaction {
                source: TransactionError::CommitConflict(_)
                    | TransactionError::MaxCommitAttempts(_)
                    | TransactionError::VersionAlreadyExists(_)
            }
    )
}
