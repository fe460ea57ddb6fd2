//! Secrets of providers, as they are kept: encrypted.

use shipway_core::Timestamp;
use shipway_store::{Row, Store, StoreError, Transaction, parameters};

use crate::vault::Sealed;

/// A secret that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretRow {
    pub(crate) name: String,
    pub(crate) sealed: Sealed,
    pub(crate) changed: Timestamp,
    pub(crate) changed_by: String,
}

const ALL: &str = "SELECT name, key_id, sealed, changed_us, changed_by FROM llm_secrets ORDER BY name";

pub(crate) async fn all(store: &Store) -> Result<Vec<SecretRow>, StoreError> {
    store.fetch_all(ALL, parameters![]).await?.iter().map(read).collect()
}

/// The same; nothing changes before the transaction ends.
pub(crate) async fn all_in(transaction: &mut Transaction) -> Result<Vec<SecretRow>, StoreError> {
    transaction.fetch_all(ALL, parameters![]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<SecretRow, StoreError> {
    Ok(SecretRow {
        name: row.text("name")?,
        sealed: Sealed { key_id: row.text("key_id")?, bytes: row.blob("sealed")? },
        changed: row.timestamp("changed_us")?,
        changed_by: row.text("changed_by")?,
    })
}

/// Adds a secret, or replaces the one of that name.
pub(crate) async fn put(transaction: &mut Transaction, row: &SecretRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO llm_secrets (name, key_id, sealed, changed_us, changed_by) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (name) DO UPDATE SET key_id = excluded.key_id, sealed = excluded.sealed, \
               changed_us = excluded.changed_us, changed_by = excluded.changed_by";
    let (name, key_id, by) = (row.name.as_str(), row.sealed.key_id.as_str(), row.changed_by.as_str());
    let parameters = parameters![name, key_id, row.sealed.bytes.clone(), row.changed, by];
    transaction.execute(sql, parameters).await.map(drop)
}

/// Whether there was one.
pub(crate) async fn delete(transaction: &mut Transaction, name: &str) -> Result<bool, StoreError> {
    let deleted = transaction.execute("DELETE FROM llm_secrets WHERE name = $1", parameters![name]).await?;
    Ok(deleted > 0)
}
