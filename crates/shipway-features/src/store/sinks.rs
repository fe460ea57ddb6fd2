//! Where each sink stands.

use shipway_core::Timestamp;
use shipway_store::{Row, Store, StoreError, parameters};

/// What is stored of a sink.
#[derive(Debug, Clone)]
pub(crate) struct SinkRow {
    pub(crate) sink: String,
    /// As JSON.
    pub(crate) place: String,
    pub(crate) skipped: u64,
    pub(crate) skipped_at: Option<Timestamp>,
}

/// All that are stored.
pub(crate) async fn all(store: &Store) -> Result<Vec<SinkRow>, StoreError> {
    let sql = "SELECT sink, place, skipped, skipped_us FROM feature_sinks ORDER BY sink";
    store.fetch_all(sql, parameters![]).await?.iter().map(read).collect()
}

/// Notes where a sink stands.
pub(crate) async fn put(store: &Store, row: &SinkRow, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO feature_sinks (sink, place, skipped, skipped_us, noted_us) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (sink) DO UPDATE SET place = excluded.place, skipped = excluded.skipped, \
               skipped_us = excluded.skipped_us, noted_us = excluded.noted_us";
    let values = parameters![
        row.sink.as_str(),
        row.place.as_str(),
        row.skipped.cast_signed(),
        row.skipped_at.map(Timestamp::micros),
        now
    ];
    store.execute(sql, values).await.map(|_| ())
}

/// Forgets a sink that is gone.
pub(crate) async fn forget(store: &Store, sink: &str) -> Result<(), StoreError> {
    store.execute("DELETE FROM feature_sinks WHERE sink = $1", parameters![sink]).await.map(|_| ())
}

fn read(row: &Row) -> Result<SinkRow, StoreError> {
    Ok(SinkRow {
        sink: row.text("sink")?,
        place: row.text("place")?,
        skipped: row.int("skipped")?.unsigned_abs(),
        skipped_at: row.optional_int("skipped_us")?.map(Timestamp),
    })
}
