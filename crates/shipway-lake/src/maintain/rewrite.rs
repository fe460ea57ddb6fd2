//! Reads some files of a table, sorted, writes their rows anew, and exchanges the files in one commit.
//!
//! Reading and writing hold no lock. The commit takes its turn among the commits of this process and checks that the files
//! it replaces are still listed; if another process replaced one meanwhile, nothing is committed and the plan is made anew.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use datafusion::{
    execution::{SendableRecordBatchStream, SessionStateBuilder},
    logical_expr::SortExpr,
    prelude::{SessionContext, ident},
};
use deltalake::{
    DeltaTable,
    delta_datafusion::{DeltaScanConfig, DeltaScanNext},
    kernel::{Action, Add, Remove},
    protocol::DeltaOperation,
};
use shipway_core::Timestamp;

use super::{
    Compacted, TARGET_FILE_BYTES, Upkeep,
    plan::{Candidate, rewrites},
};
use crate::{
    Lake, LakeError,
    append::{self, COMMIT_ATTEMPTS, Written},
    table::{TableHandle, schema_of},
};

/// On a file that is sorted: the columns it is sorted by.
const SORTED_BY: &str = "shipway.sorted_by";
/// How often the files of a plan may be gone before the next call has to go on.
const PLANS: usize = 3;

impl Lake {
    /// Joins small files, and sorts those that are not sorted yet, as far as the effort goes. No row changes; queries
    /// under way keep reading the old files. Appends may go on meanwhile.
    pub async fn compact(&self, name: &str, upkeep: &Upkeep) -> Result<Compacted, LakeError> {
        let mut done = Compacted::default();
        'plans: for _ in 0..PLANS {
            let (_, table) = self.existing(name).await?;
            let columns = sort_columns(name, &table, upkeep)?;
            let Some(listed) = listed_files(name, &table)? else { return Ok(done) };
            let candidates = candidates(&listed, &columns, upkeep.time.as_deref());
            for group in rewrites(candidates, !columns.is_empty(), upkeep.effort) {
                let files: Vec<Add> = group.iter().map(|file| listed[file.place].clone()).collect();
                let Some(rewritten) = self.rewrite(name, &files, &columns, upkeep.now).await? else {
                    continue 'plans;
                };
                done.files_removed += rewritten.files_removed;
                done.files_added += rewritten.files_added;
                done.bytes_rewritten += rewritten.bytes_rewritten;
            }
            return Ok(done);
        }
        Err(LakeError::Contended { table: name.to_owned() })
    }

    /// Whether [`Lake::compact`] would do something now.
    pub async fn needs_compaction(&self, name: &str, upkeep: &Upkeep) -> Result<bool, LakeError> {
        let (_, table) = self.existing(name).await?;
        let columns = sort_columns(name, &table, upkeep)?;
        let Some(listed) = listed_files(name, &table)? else { return Ok(false) };
        let candidates = candidates(&listed, &columns, upkeep.time.as_deref());
        Ok(!rewrites(candidates, !columns.is_empty(), upkeep.effort).is_empty())
    }

    /// `None` when one of the files is not listed any more.
    async fn rewrite(
        &self,
        name: &str,
        files: &[Add],
        columns: &[String],
        now: Timestamp,
    ) -> Result<Option<Compacted>, LakeError> {
        let (handle, table) = self.existing(name).await?;
        let rows = self.read_sorted(name, &table, files, columns).await?;
        let mut written = append::write_off_the_runtime(name, table, rows).await?;
        for add in &mut written.adds {
            add.data_change = false;
            add.tags = (!columns.is_empty())
                .then(|| HashMap::from([(SORTED_BY.to_owned(), Some(columns.join(",")))]));
        }
        let outcome = Box::pin(exchange(&handle, files, &written, now)).await;
        // After a storage error it is not certain that nobody lists them; then they stay for the vacuum.
        if matches!(outcome, Ok(false))
            || matches!(&outcome, Err(error) if !matches!(error, LakeError::Storage { .. }))
        {
            append::discard(&handle, &written).await;
        }
        Ok(outcome?.then(|| Compacted {
            files_removed: files.len() as u64,
            files_added: written.adds.len() as u64,
            bytes_rewritten: files.iter().map(|file| file.size.unsigned_abs()).sum(),
        }))
    }

    /// One partition: this work is never urgent, and leaves the other cores and the memory to queries.
    async fn read_sorted(
        &self,
        name: &str,
        table: &DeltaTable,
        files: &[Add],
        columns: &[String],
    ) -> Result<SendableRecordBatchStream, LakeError> {
        let failed = || LakeError::storage(name, "read its files");
        let state = self.session().state();
        let config = state.config().clone().with_target_partitions(1);
        let state = SessionStateBuilder::new_from_existing(state).with_config(config).build();
        table.update_datafusion_session(&state).map_err(failed())?;
        let snapshot = table.snapshot().map_err(failed())?.snapshot().clone();
        let scan = DeltaScanNext::new(snapshot, DeltaScanConfig::new_from_session(&state))?
            .with_file_paths(files.iter().map(|file| file.path.clone()));
        let session = SessionContext::new_with_state(state);
        let mut rows = session.read_table(Arc::new(scan))?;
        if !columns.is_empty() {
            let by = |column: &String| -> SortExpr { ident(column).sort(true, true) };
            rows = rows.sort(columns.iter().map(by).collect())?;
        }
        Ok(rows.execute_stream().await?)
    }
}

/// Commits the exchange; false when one of the old files is not listed any more.
async fn exchange(
    handle: &TableHandle,
    old: &[Add],
    new: &Written,
    now: Timestamp,
) -> Result<bool, LakeError> {
    let replaced = || LakeError::Replaced { table: handle.name().to_owned() };
    let _turn = handle.commits().await;
    for _ in 0..COMMIT_ATTEMPTS {
        let table = handle.newest().await?.ok_or_else(replaced)?;
        if !new.still_fits(handle.name(), &table)? {
            return Err(replaced());
        }
        let Some(listed) = listed_files(handle.name(), &table)? else { return Ok(false) };
        let listed: BTreeSet<&str> = listed.iter().map(|file| file.path.as_str()).collect();
        if !old.iter().all(|file| listed.contains(file.path.as_str())) {
            return Ok(false);
        }
        let removed = old.iter().map(|file| Action::Remove(removal(file, now)));
        let actions = removed.chain(new.adds.iter().cloned().map(Action::Add)).collect();
        let operation =
            DeltaOperation::Optimize { predicate: None, target_size: TARGET_FILE_BYTES.cast_signed() };
        match append::commit_actions(handle, &table, actions, Vec::new(), operation).await {
            Ok(_) => return Ok(true),
            Err(error) if append::is_conflict(&error) => {}
            Err(source) => return Err(LakeError::storage(handle.name(), "commit")(source)),
        }
    }
    Err(LakeError::Contended { table: handle.name().to_owned() })
}

fn removal(file: &Add, now: Timestamp) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change: false,
        deletion_timestamp: Some(now.micros() / 1000),
        extended_file_metadata: Some(true),
        partition_values: Some(file.partition_values.clone()),
        size: Some(file.size),
        tags: file.tags.clone(),
        deletion_vector: None,
        base_row_id: file.base_row_id,
        default_row_commit_version: file.default_row_commit_version,
    }
}

/// The files of the newest version; `None` for a table that is not laid out as ours are.
fn listed_files(name: &str, table: &DeltaTable) -> Result<Option<Vec<Add>>, LakeError> {
    let state = table.snapshot().map_err(LakeError::storage(name, "list its files"))?;
    if !state.metadata().partition_columns().is_empty() {
        return Ok(None);
    }
    let mut files = Vec::new();
    for file in state.log_data().iter() {
        #[expect(deprecated, reason = "the one public way to a file's tags")]
        let file = file.add_action();
        if file.deletion_vector.is_some() {
            return Ok(None);
        }
        files.push(file);
    }
    Ok(Some(files))
}

/// The wanted columns that the table has and that can be sorted by; and the time as the last of them.
fn sort_columns(name: &str, table: &DeltaTable, upkeep: &Upkeep) -> Result<Vec<String>, LakeError> {
    if upkeep.cluster_by.is_empty() {
        return Ok(Vec::new());
    }
    let schema = schema_of(name, table)?;
    let mut columns: Vec<String> = Vec::new();
    for column in upkeep.cluster_by.iter().chain(&upkeep.time) {
        let is_flat = schema.field_with_name(column).is_ok_and(|field| !field.data_type().is_nested());
        if is_flat && !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    Ok(columns)
}

fn candidates(files: &[Add], columns: &[String], time: Option<&str>) -> Vec<Candidate> {
    let sorted_by = columns.join(",");
    let candidate = |(place, file): (usize, &Add)| Candidate {
        place,
        bytes: file.size.unsigned_abs(),
        order: time.and_then(|time| least(file, time)).unwrap_or(file.modification_time * 1000),
        is_sorted: file.tags.as_ref().and_then(|tags| tags.get(SORTED_BY)) == Some(&Some(sorted_by.clone())),
    };
    files.iter().enumerate().map(candidate).collect()
}

/// The least moment of a column in a file, in microseconds, from the file's statistics.
fn least(file: &Add, column: &str) -> Option<i64> {
    let statistics: serde_json::Value = serde_json::from_str(file.stats.as_deref()?).ok()?;
    let text = statistics.get("minValues")?.get(column)?.as_str()?;
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.timestamp_micros())
}
