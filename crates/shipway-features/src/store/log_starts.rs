//! What was known of a source when the beginning of its log was dropped last, and history does not say.

use shipway_core::Timestamp;
use shipway_store::{Store, StoreError, parameters};

/// What is stored of a source.
#[derive(Debug, Clone)]
pub(crate) struct LogStart {
    /// The newest event time.
    pub(crate) watermark: Timestamp,
    /// The positions at brokers, as JSON.
    pub(crate) positions: String,
}

/// What is noted of `source`, if its log was ever shortened.
pub(crate) async fn of(store: &Store, source: &str) -> Result<Option<LogStart>, StoreError> {
    let sql = "SELECT watermark_us, positions FROM feature_log_starts WHERE source = $1";
    let row = store.fetch_optional(sql, parameters![source]).await?;
    let read = |row: shipway_store::Row| {
        let watermark = Timestamp(row.int("watermark_us")?);
        Ok(LogStart { watermark, positions: row.text("positions")? })
    };
    row.map(read).transpose()
}

/// Notes it, in the place of what was noted before.
pub(crate) async fn note(
    store: &Store,
    source: &str,
    start: &LogStart,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO feature_log_starts (source, watermark_us, positions, noted_us) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (source) DO UPDATE SET watermark_us = excluded.watermark_us, positions = excluded.positions, \
               noted_us = excluded.noted_us";
    let values = parameters![source, start.watermark.micros(), start.positions.as_str(), now];
    store.execute(sql, values).await.map(|_| ())
}
