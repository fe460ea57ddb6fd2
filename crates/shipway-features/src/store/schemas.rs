//! Every schema that a source's events were logged with.

use std::collections::HashMap;

use shipway_core::{DataType, Name};
use shipway_store::{Store, StoreError, parameters};

/// Columns in the order of the logged values.
pub(crate) type LoggedColumns = Vec<(Name, DataType)>;

/// All schemas of `source` by fingerprint.
pub(crate) async fn of_source(
    store: &Store,
    source: &str,
) -> Result<HashMap<u64, LoggedColumns>, StoreError> {
    let sql = "SELECT fingerprint, columns FROM feature_source_schemas WHERE source = $1";
    let rows = store.fetch_all(sql, parameters![source]).await?;
    let mut schemas = HashMap::new();
    for row in &rows {
        if let Ok(columns) = serde_json::from_str(&row.text("columns")?) {
            schemas.insert(row.int("fingerprint")?.cast_unsigned(), columns);
        }
    }
    Ok(schemas)
}

/// Remembers a schema before the first event is logged with it.
pub(crate) async fn remember(
    store: &Store,
    source: &str,
    fingerprint: u64,
    columns: &LoggedColumns,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO feature_source_schemas (source, fingerprint, columns) VALUES ($1, $2, $3) \
               ON CONFLICT (source, fingerprint) DO NOTHING";
    let columns = serde_json::to_string(columns).unwrap_or_default();
    store.execute(sql, parameters![source, fingerprint.cast_signed(), columns]).await.map(|_| ())
}
