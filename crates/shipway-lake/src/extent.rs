//! How much of a table a read from a moment on has to look at, told from the statistics of its files without reading a row.

use shipway_core::Timestamp;

use crate::{Lake, LakeError};

/// The statistics of a file name moments in whole milliseconds.
const ROUNDED_US: i64 = 1_000;

/// What a read looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Rows, at most; of a file without statistics none are counted.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// The size of the files, in bytes.
    pub bytes: u64,
}

impl Lake {
    /// The files of `table` that may hold rows whose `time` is at `from` or later; all of them without `from`. A file of
    /// which that is not known counts. Nothing, for a table that does not exist.
    pub async fn extent(
        &self,
        table: &str,
        time: &str,
        from: Option<Timestamp>,
    ) -> Result<Extent, LakeError> {
        let Some(newest) = self.handle(table)?.newest().await? else { return Ok(Extent::default()) };
        let state = newest.snapshot().map_err(LakeError::storage(table, "list its files"))?;
        let mut extent = Extent::default();
        for file in state.log_data().iter() {
            let last = file.stats().and_then(|statistics| greatest(&statistics, time));
            let is_before =
                last.zip(from).is_some_and(|(last, from)| last.saturating_add(ROUNDED_US) <= from.micros());
            if is_before {
                continue;
            }
            extent.files += 1;
            extent.rows += file.num_records().unwrap_or_default() as u64;
            extent.bytes += file.size().unsigned_abs();
        }
        Ok(extent)
    }
}

/// The greatest moment of a column in a file, in microseconds.
fn greatest(statistics: &str, column: &str) -> Option<i64> {
    let statistics: serde_json::Value = serde_json::from_str(statistics).ok()?;
    let text = statistics.get("maxValues")?.get(column)?.as_str()?;
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.timestamp_micros())
}
