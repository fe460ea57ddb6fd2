//! The book of bulk loads: how far each one came, and which log offset its rows arrived at.

use std::collections::BTreeMap;

use shipway_core::Timestamp;
use shipway_store::{Row, Store, StoreError, parameters};

/// How far a load came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadState {
    /// Rows may or may not be in the table.
    Started,
    /// Rows are in the table; for a source its marker may or may not be in the log.
    Written,
    /// The marker is in the log.
    Marked,
}

/// One load as it is recorded.
#[derive(Debug, Clone)]
pub(crate) struct LoadRow {
    pub(crate) table: String,
    pub(crate) load_id: String,
    pub(crate) state: LoadState,
    pub(crate) rows: u64,
    pub(crate) skipped: u64,
    pub(crate) newest: Option<Timestamp>,
    pub(crate) table_version: u64,
    pub(crate) marker_offset: Option<u64>,
}

impl LoadState {
    const fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Written => "written",
            Self::Marked => "marked",
        }
    }

    fn from_word(word: &str) -> Self {
        match word {
            "written" => Self::Written,
            "marked" => Self::Marked,
            _ => Self::Started,
        }
    }
}

const COLUMNS: &str =
    "table_name, load_id, state, row_count, skipped_count, newest_us, table_version, marker_offset";

fn read(row: &Row) -> Result<LoadRow, StoreError> {
    Ok(LoadRow {
        table: row.text("table_name")?,
        load_id: row.text("load_id")?,
        state: LoadState::from_word(&row.text("state")?),
        rows: row.int("row_count")?.unsigned_abs(),
        skipped: row.int("skipped_count")?.unsigned_abs(),
        newest: row.optional_int("newest_us")?.map(Timestamp),
        table_version: row.int("table_version")?.unsigned_abs(),
        marker_offset: row.optional_int("marker_offset")?.map(i64::unsigned_abs),
    })
}

/// The load `load_id` into `table`, if it was ever started.
pub(crate) async fn find(store: &Store, table: &str, load_id: &str) -> Result<Option<LoadRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM feature_loads WHERE table_name = $1 AND load_id = $2");
    store.fetch_optional(&sql, parameters![table, load_id]).await?.as_ref().map(read).transpose()
}

/// Loads that a crash or a failure left before their end.
pub(crate) async fn unfinished(store: &Store, table: &str) -> Result<Vec<LoadRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM feature_loads WHERE table_name = $1 AND state <> 'marked' ORDER BY started_at, load_id"
    );
    store.fetch_all(&sql, parameters![table]).await?.iter().map(read).collect()
}

/// Records `load` as it stands now.
pub(crate) async fn record(store: &Store, load: &LoadRow, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO feature_loads (table_name, load_id, state, row_count, skipped_count, newest_us, \
               table_version, marker_offset, started_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
               ON CONFLICT (table_name, load_id) DO UPDATE SET state = excluded.state, row_count = excluded.row_count, \
               skipped_count = excluded.skipped_count, newest_us = excluded.newest_us, \
               table_version = excluded.table_version, marker_offset = excluded.marker_offset";
    let parameters = parameters![
        load.table.as_str(),
        load.load_id.as_str(),
        load.state.word(),
        load.rows.cast_signed(),
        load.skipped.cast_signed(),
        load.newest.map(Timestamp::micros),
        load.table_version.cast_signed(),
        load.marker_offset.map(u64::cast_signed),
        now.micros()
    ];
    store.execute(sql, parameters).await.map(|_| ())
}

/// Forgets a load of which nothing was written.
pub(crate) async fn forget(store: &Store, table: &str, load_id: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM feature_loads WHERE table_name = $1 AND load_id = $2";
    store.execute(sql, parameters![table, load_id]).await.map(|_| ())
}

/// The arrival of the rows of every load of `table`: load id to the offset of its marker. Rows of a load that is not in
/// here have not arrived yet, and no reader may see them.
pub(crate) async fn arrivals(store: &Store, table: &str) -> Result<BTreeMap<String, u64>, StoreError> {
    let sql = "SELECT load_id, marker_offset FROM feature_loads WHERE table_name = $1 AND marker_offset IS NOT NULL";
    let rows = store.fetch_all(sql, parameters![table]).await?;
    rows.iter().map(|row| Ok((row.text("load_id")?, row.int("marker_offset")?.unsigned_abs()))).collect()
}
