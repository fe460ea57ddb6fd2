//! What was done to which table.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use serde::Serialize;
use shipway_core::{Timestamp, failure::chain};
use shipway_lake::Maintained;

use crate::FeaturesError;

/// The upkeep of one table since the server started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableUpkeep {
    /// The table.
    pub table: String,
    /// When it was last done to its end.
    pub at: Option<Timestamp>,
    /// Files that were replaced.
    pub files_removed: u64,
    /// Files that replaced them.
    pub files_added: u64,
    /// The size of the files that were replaced.
    pub bytes_rewritten: u64,
    /// Old files that were deleted.
    pub files_deleted: u64,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// How often it has failed since it was last done.
    pub failures: u32,
}

/// The upkeep of every table.
#[derive(Debug, Default)]
pub(crate) struct UpkeepBook(Mutex<BTreeMap<String, TableUpkeep>>);

impl UpkeepBook {
    pub(crate) fn all(&self) -> Vec<TableUpkeep> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Notes how an attempt ended, also as metrics.
    pub(crate) fn note(&self, table: &str, outcome: Result<&Maintained, &FeaturesError>, now: Timestamp) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = book.entry(table.to_owned()).or_insert_with(|| TableUpkeep {
            table: table.to_owned(),
            at: None,
            files_removed: 0,
            files_added: 0,
            bytes_rewritten: 0,
            files_deleted: 0,
            error: None,
            failures: 0,
        });
        match outcome {
            Ok(done) => {
                entry.at = Some(now);
                entry.files_removed += done.files_removed;
                entry.files_added += done.files_added;
                entry.bytes_rewritten += done.bytes_rewritten;
                entry.files_deleted += done.files_deleted;
                entry.error = None;
                entry.failures = 0;
                metrics::counter!("shipway_table_upkeep_total", "outcome" => "done").increment(1);
                metrics::counter!("shipway_table_files_rewritten_total").increment(done.files_removed);
                metrics::counter!("shipway_table_bytes_rewritten_total").increment(done.bytes_rewritten);
                metrics::counter!("shipway_table_files_deleted_total").increment(done.files_deleted);
            }
            Err(error) => {
                entry.error = Some(chain(error));
                entry.failures += 1;
                metrics::counter!("shipway_table_upkeep_total", "outcome" => "failed").increment(1);
            }
        }
    }
}
