//! Which views have their marker in the log of their source.

use std::collections::HashSet;

use shipway_core::Digest;
use shipway_store::{Store, StoreError, parameters};

/// The hashes of all views of `source` whose marker is known to be in its log.
pub(crate) async fn marked(store: &Store, source: &str) -> Result<HashSet<Digest>, StoreError> {
    let sql = "SELECT view_hash FROM feature_view_markers WHERE source = $1";
    let rows = store.fetch_all(sql, parameters![source]).await?;
    Ok(rows.iter().filter_map(|row| row.text("view_hash").ok()?.parse().ok()).collect())
}

/// The hashes of all views of `source` whose marker is in its log before `offset`.
pub(crate) async fn marked_before(
    store: &Store,
    source: &str,
    offset: u64,
) -> Result<Vec<Digest>, StoreError> {
    let sql = "SELECT view_hash FROM feature_view_markers WHERE source = $1 AND marker_offset < $2 ORDER BY marker_offset";
    let rows = store.fetch_all(sql, parameters![source, offset.cast_signed()]).await?;
    Ok(rows.iter().filter_map(|row| row.text("view_hash").ok()?.parse().ok()).collect())
}

/// Records that the marker of `view` is in the log at `offset`.
pub(crate) async fn mark(store: &Store, source: &str, view: &Digest, offset: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO feature_view_markers (view_hash, source, marker_offset) VALUES ($1, $2, $3) \
               ON CONFLICT (view_hash) DO NOTHING";
    store.execute(sql, parameters![view.to_string(), source, offset.cast_signed()]).await.map(|_| ())
}
