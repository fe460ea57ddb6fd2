//! The book of kept training sets, and the moments at which bulk loads arrived.

use std::collections::BTreeMap;

use shipway_core::{Digest, Timestamp};
use shipway_store::{Row, Store, StoreError, parameters};

/// A kept training set.
#[derive(Debug, Clone)]
pub(crate) struct TrainingSetRow {
    pub(crate) table: String,
    pub(crate) recipe_key: Digest,
    pub(crate) recipe: String,
    pub(crate) rows: u64,
    pub(crate) table_version: u64,
    pub(crate) content: Digest,
    pub(crate) created_at: Timestamp,
}

const COLUMNS: &str = "table_name, recipe_key, recipe, row_count, table_version, content_digest, created_us";

fn read(row: &Row) -> Result<TrainingSetRow, StoreError> {
    let digest = |column: &str| -> Result<Digest, StoreError> {
        row.text(column)?.parse().map_err(|_| StoreError::Damaged(format!("{column} is no digest").into()))
    };
    Ok(TrainingSetRow {
        table: row.text("table_name")?,
        recipe_key: digest("recipe_key")?,
        recipe: row.text("recipe")?,
        rows: row.int("row_count")?.unsigned_abs(),
        table_version: row.int("table_version")?.unsigned_abs(),
        content: digest("content_digest")?,
        created_at: row.timestamp("created_us")?,
    })
}

pub(crate) async fn find(store: &Store, table: &str) -> Result<Option<TrainingSetRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM training_sets WHERE table_name = $1");
    store.fetch_optional(&sql, parameters![table]).await?.as_ref().map(read).transpose()
}

pub(crate) async fn list(store: &Store) -> Result<Vec<TrainingSetRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM training_sets ORDER BY table_name");
    store.fetch_all(&sql, vec![]).await?.iter().map(read).collect()
}

pub(crate) async fn record(store: &Store, row: &TrainingSetRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO training_sets (table_name, recipe_key, recipe, row_count, table_version, content_digest, created_us) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (table_name) DO UPDATE SET recipe_key = excluded.recipe_key, \
               recipe = excluded.recipe, row_count = excluded.row_count, table_version = excluded.table_version, \
               content_digest = excluded.content_digest, created_us = excluded.created_us";
    let parameters = parameters![
        row.table.as_str(),
        row.recipe_key,
        row.recipe.as_str(),
        row.rows.cast_signed(),
        row.table_version.cast_signed(),
        row.content,
        row.created_at
    ];
    store.execute(sql, parameters).await.map(|_| ())
}

/// Records when the marker of a load went into the log; the first moment stays.
pub(crate) async fn record_moment(
    store: &Store,
    table: &str,
    load_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO feature_load_moments (table_name, load_id, marked_us) VALUES ($1, $2, $3) \
               ON CONFLICT (table_name, load_id) DO NOTHING";
    store.execute(sql, parameters![table, load_id, now]).await.map(|_| ())
}

/// When each load of `table` that has arrived did so, by load id.
pub(crate) async fn load_moments(
    store: &Store,
    table: &str,
) -> Result<BTreeMap<String, Timestamp>, StoreError> {
    let sql = "SELECT feature_loads.load_id AS load_id, COALESCE(feature_load_moments.marked_us, feature_loads.started_at) \
               AS moment FROM feature_loads LEFT JOIN feature_load_moments \
               ON feature_load_moments.table_name = feature_loads.table_name \
               AND feature_load_moments.load_id = feature_loads.load_id \
               WHERE feature_loads.table_name = $1 AND feature_loads.marker_offset IS NOT NULL";
    let rows = store.fetch_all(sql, parameters![table]).await?;
    rows.iter().map(|row| Ok((row.text("load_id")?, row.timestamp("moment")?))).collect()
}
