//! What several servers share beside keys and groups: which servers there are, what they have leased, what changed.

use std::collections::HashMap;

use shipway_core::Timestamp;
use shipway_store::{Row, Store, StoreError, Transaction, parameters};

use super::json;
use crate::{error::GatewayError, meter::Pool, model::Scope};

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerRow {
    pub(crate) server: String,
    pub(crate) is_owner: bool,
    pub(crate) beat: i64,
    pub(crate) seen: Timestamp,
}

/// Says that a server runs.
pub(crate) async fn beat(
    transaction: &mut Transaction,
    server: &str,
    is_owner: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO llm_servers (server, is_owner, beat, seen_us, carried) VALUES ($1, $2, 1, $3, 0) \
               ON CONFLICT (server) DO UPDATE SET is_owner = excluded.is_owner, beat = llm_servers.beat + 1, \
               seen_us = excluded.seen_us";
    transaction.execute(sql, parameters![server, is_owner, now]).await.map(drop)
}

/// All servers that there ever were.
pub(crate) async fn all(store: &Store) -> Result<Vec<ServerRow>, StoreError> {
    let sql = "SELECT server, is_owner, beat, seen_us FROM llm_servers ORDER BY server";
    store.fetch_all(sql, parameters![]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<ServerRow, StoreError> {
    Ok(ServerRow {
        server: row.text("server")?,
        is_owner: row.boolean("is_owner")?,
        beat: row.int("beat")?,
        seen: row.timestamp("seen_us")?,
    })
}

/// Up to where the calls of a replica were sent.
pub(crate) async fn carried(store: &Store, server: &str) -> Result<u64, StoreError> {
    let sql = "SELECT carried FROM llm_servers WHERE server = $1";
    let row = store.fetch_optional(sql, parameters![server]).await?;
    let carried = row.map(|row| row.int("carried")).transpose()?.unwrap_or(0);
    Ok(u64::try_from(carried).unwrap_or(0))
}

/// Notes up to where the calls of a replica were sent.
pub(crate) async fn set_carried(
    transaction: &mut Transaction,
    server: &str,
    next: i64,
) -> Result<(), StoreError> {
    let sql = "UPDATE llm_servers SET carried = $2 WHERE server = $1";
    transaction.execute(sql, parameters![server, next]).await.map(drop)
}

/// Keys, groups or limits are others than before.
pub(crate) async fn changed(transaction: &mut Transaction) -> Result<(), StoreError> {
    let sql = "INSERT INTO llm_changes (id, version) VALUES (1, 1) \
               ON CONFLICT (id) DO UPDATE SET version = llm_changes.version + 1";
    transaction.execute(sql, parameters![]).await.map(drop)
}

/// Grows with every change of keys, groups and limits.
pub(crate) async fn version(store: &Store) -> Result<i64, StoreError> {
    let row = store.fetch_optional("SELECT version FROM llm_changes WHERE id = 1", parameters![]).await?;
    Ok(row.map(|row| row.int("version")).transpose()?.unwrap_or(0))
}

/// Where a server waits for what others have leased.
pub(crate) async fn hungry(store: &Store) -> Result<Vec<Scope>, StoreError> {
    let sql = "SELECT scope FROM llm_pools WHERE is_hungry = 1";
    store.fetch_all(sql, parameters![]).await?.iter().map(scope).collect()
}

fn scope(row: &Row) -> Result<Scope, StoreError> {
    row.str("scope")?.parse().map_err(|reason: String| StoreError::Damaged(reason.into()))
}

fn pool(row: &Row) -> Result<(Scope, Pool), StoreError> {
    let pool = serde_json::from_str(row.str("pool")?).map_err(|error| StoreError::Damaged(error.into()))?;
    Ok((scope(row)?, pool))
}

/// Those of `scopes` that were ever used. They do not change before the transaction ends.
pub(crate) async fn pools(
    transaction: &mut Transaction,
    scopes: &[String],
) -> Result<HashMap<Scope, Pool>, StoreError> {
    let sql = "SELECT scope, pool FROM llm_pools WHERE scope IN ({ids})";
    transaction.fetch_among(sql, scopes).await?.iter().map(pool).collect()
}

/// All of them.
pub(crate) async fn all_pools(store: &Store) -> Result<Vec<(Scope, Pool)>, StoreError> {
    store.fetch_all("SELECT scope, pool FROM llm_pools", parameters![]).await?.iter().map(pool).collect()
}

pub(crate) async fn put_pools(
    transaction: &mut Transaction,
    pools: &HashMap<Scope, Pool>,
) -> Result<(), GatewayError> {
    let sql = "INSERT INTO llm_pools (scope, is_hungry, pool) VALUES {rows} \
               ON CONFLICT (scope) DO UPDATE SET is_hungry = excluded.is_hungry, pool = excluded.pool";
    let mut rows = Vec::with_capacity(pools.len());
    for (scope, pool) in pools {
        rows.push(parameters![scope.to_string(), pool.is_hungry(), json(pool)?]);
    }
    transaction.insert_rows(sql, rows).await?;
    Ok(())
}
