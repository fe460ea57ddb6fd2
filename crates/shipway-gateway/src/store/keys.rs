//! Virtual keys.

use shipway_core::Name;
use shipway_store::{Row, Store, StoreError, Transaction, parameters};

use super::{json, limits};
use crate::{error::GatewayError, model::VirtualKey, secret::SecretHash};

pub(crate) async fn all(store: &Store) -> Result<Vec<VirtualKey>, StoreError> {
    let sql = "SELECT id, name, secret_hash, previous_hash, previous_until_us, group_name, models, terms, limits, created_by, \
               created_us, expires_us FROM llm_keys ORDER BY created_us, id";
    store.fetch_all(sql, parameters![]).await?.iter().map(read).collect()
}

fn hash(text: &str) -> Result<SecretHash, StoreError> {
    SecretHash::kept(text).ok_or_else(|| StoreError::Damaged("a hash of a key is none".into()))
}

fn read(row: &Row) -> Result<VirtualKey, StoreError> {
    let previous = match (row.optional_str("previous_hash")?, row.optional_timestamp("previous_until_us")?) {
        (Some(text), Some(until)) => Some((hash(text)?, until)),
        _ => None,
    };
    let group = row.optional_str("group_name")?.map(Name::new).transpose();
    Ok(VirtualKey {
        id: row.text("id")?,
        name: row.text("name")?,
        secret: hash(row.str("secret_hash")?)?,
        previous,
        group: group.map_err(|error| StoreError::Damaged(error.into()))?,
        models: serde_json::from_str(row.str("models")?)
            .map_err(|error| StoreError::Damaged(error.into()))?,
        terms: serde_json::from_str(row.str("terms")?).map_err(|error| StoreError::Damaged(error.into()))?,
        limits: limits(row)?,
        created_by: row.text("created_by")?,
        created: row.timestamp("created_us")?,
        expires: row.optional_timestamp("expires_us")?,
    })
}

/// Adds a key, or changes the one of that id.
pub(crate) async fn put(transaction: &mut Transaction, key: &VirtualKey) -> Result<(), GatewayError> {
    let sql = "INSERT INTO llm_keys (id, name, secret_hash, previous_hash, previous_until_us, group_name, models, terms, limits, \
               created_by, created_us, expires_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
               ON CONFLICT (id) DO UPDATE SET name = excluded.name, secret_hash = excluded.secret_hash, \
               previous_hash = excluded.previous_hash, previous_until_us = excluded.previous_until_us, \
               group_name = excluded.group_name, models = excluded.models, terms = excluded.terms, limits = excluded.limits, \
               expires_us = excluded.expires_us";
    let (previous_hash, previous_until) = match &key.previous {
        Some((hash, until)) => (Some(hash.text()), Some(*until)),
        None => (None, None),
    };
    let group = key.group.as_ref().map(|group| group.as_str().to_owned());
    let (id, name, created_by) = (key.id.as_str(), key.name.as_str(), key.created_by.as_str());
    let (secret, models) = (key.secret.text(), json(&key.models)?);
    let (terms, limits) = (json(&key.terms)?, json(&key.limits)?);
    let parameters = parameters![
        id,
        name,
        secret,
        previous_hash,
        previous_until,
        group,
        models,
        terms,
        limits,
        created_by,
        key.created,
        key.expires
    ];
    transaction.execute(sql, parameters).await?;
    Ok(())
}

pub(crate) async fn delete(transaction: &mut Transaction, id: &str) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM llm_keys WHERE id = $1", parameters![id]).await.map(drop)
}
