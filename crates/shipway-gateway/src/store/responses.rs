//! Responses that providers keep.

use shipway_core::Timestamp;
use shipway_store::{Row, Store, StoreError, Transaction, parameters};

use crate::model::KeptResponse;

/// Where a response lies.
pub(crate) async fn find(store: &Store, id: &str) -> Result<Option<KeptResponse>, StoreError> {
    let sql = "SELECT id, provider, owner, created_us FROM llm_responses WHERE id = $1";
    store.fetch_optional(sql, parameters![id]).await?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<KeptResponse, StoreError> {
    Ok(KeptResponse {
        id: row.text("id")?,
        provider: row.text("provider")?,
        owner: row.text("owner")?,
        created: row.timestamp("created_us")?,
    })
}

/// Adds responses. Of two with one id the later one counts.
pub(crate) async fn put(transaction: &mut Transaction, kept: &[KeptResponse]) -> Result<(), StoreError> {
    let sql = "INSERT INTO llm_responses (id, provider, owner, created_us) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (id) DO UPDATE SET provider = excluded.provider, owner = excluded.owner, \
               created_us = excluded.created_us";
    let rows = kept
        .iter()
        .map(|kept| parameters![kept.id.as_str(), kept.provider.as_str(), kept.owner.as_str(), kept.created]);
    transaction.execute_many(sql, rows.collect()).await.map(drop)
}

/// Forgets one.
pub(crate) async fn delete(store: &Store, id: &str) -> Result<(), StoreError> {
    store.execute("DELETE FROM llm_responses WHERE id = $1", parameters![id]).await.map(drop)
}

/// Forgets those that were created before `then`.
pub(crate) async fn forget_before(transaction: &mut Transaction, then: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM llm_responses WHERE created_us < $1";
    transaction.execute(sql, parameters![then]).await.map(drop)
}
