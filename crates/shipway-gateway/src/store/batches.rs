//! Batches that lie at providers.

use shipway_core::Timestamp;
use shipway_store::{Row, Store, StoreError, parameters};

use crate::{
    error::GatewayError,
    model::{BatchCharge, StoredBatch},
    store::{json, page::Page},
};

const COLUMNS: &str = "id, provider, owner, object, charge, created_us, settled_us";

fn read(row: &Row) -> Result<StoredBatch, StoreError> {
    let charge = serde_json::from_str::<BatchCharge>(row.str("charge")?);
    Ok(StoredBatch {
        id: row.text("id")?,
        provider: row.text("provider")?,
        owner: row.text("owner")?,
        object: row.text("object")?,
        charge: charge.map_err(|error| StoreError::Damaged(error.into()))?,
        created: row.timestamp("created_us")?,
        is_settled: row.optional_timestamp("settled_us")?.is_some(),
    })
}

/// Adds a batch.
pub(crate) async fn add(store: &Store, batch: &StoredBatch) -> Result<(), GatewayError> {
    let sql = "INSERT INTO llm_batches (id, provider, owner, object, charge, created_us, asked_us) \
               VALUES ($1, $2, $3, $4, $5, $6, $6)";
    let charge = json(&batch.charge)?;
    let StoredBatch { id, provider, owner, object, created, .. } = batch;
    let values =
        parameters![id.as_str(), provider.as_str(), owner.as_str(), object.as_str(), charge, *created];
    store.execute(sql, values).await?;
    Ok(())
}

/// The batch of this id that `owner` has.
pub(crate) async fn find(store: &Store, id: &str, owner: &str) -> Result<Option<StoredBatch>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM llm_batches WHERE id = $1 AND owner = $2");
    store.fetch_optional(&sql, parameters![id, owner]).await?.as_ref().map(read).transpose()
}

/// A page of the batches of `owner`.
pub(crate) async fn page(store: &Store, owner: &str, page: &Page) -> Result<Vec<StoredBatch>, StoreError> {
    let (sql, values) = page.select("llm_batches", COLUMNS, &[("owner", Some(owner))]);
    store.fetch_all(&sql, values).await?.iter().map(read).collect()
}

/// Those whose cost is not booked and that nobody has asked about since `then`, the longest waiting first.
pub(crate) async fn forgotten(
    store: &Store,
    then: Timestamp,
    most: i64,
) -> Result<Vec<StoredBatch>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM llm_batches WHERE settled_us IS NULL AND asked_us <= $1 \
         ORDER BY asked_us LIMIT $2"
    );
    store.fetch_all(&sql, parameters![then, most]).await?.iter().map(read).collect()
}

/// Remembers what a provider said of a batch.
pub(crate) async fn said(
    store: &Store,
    batch: &StoredBatch,
    object: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE llm_batches SET object = $3, asked_us = $4 WHERE id = $1 AND provider = $2";
    let values = parameters![batch.id.as_str(), batch.provider.as_str(), object, now];
    store.execute(sql, values).await.map(drop)
}

/// Takes it upon the caller to book what a batch did cost; false: somebody else has.
pub(crate) async fn settle(store: &Store, batch: &StoredBatch, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE llm_batches SET settled_us = $3 WHERE id = $1 AND provider = $2 AND settled_us IS NULL";
    let values = parameters![batch.id.as_str(), batch.provider.as_str(), now];
    Ok(store.execute(sql, values).await? == 1)
}
