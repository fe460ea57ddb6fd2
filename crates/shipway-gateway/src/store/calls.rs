//! Settled calls on the way from a replica to the table of the owner, in batches.

use shipway_store::{Store, StoreError, Transaction, parameters};

use super::json;
use crate::{error::GatewayError, ledger::CallFact};

/// A batch as a replica sent it: its place in the replica's ledger, and its calls.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) server: String,
    pub(crate) next: i64,
    pub(crate) calls: Vec<CallFact>,
}

/// Sends a batch.
pub(crate) async fn send(transaction: &mut Transaction, batch: &Batch) -> Result<(), GatewayError> {
    let sql = "INSERT INTO llm_calls_sent (server, next_offset, place, fact) VALUES {rows} \
               ON CONFLICT (server, next_offset, place) DO NOTHING";
    let mut rows = Vec::with_capacity(batch.calls.len());
    for (place, fact) in (0_i64..).zip(&batch.calls) {
        rows.push(parameters![batch.server.as_str(), batch.next, place, json(fact)?]);
    }
    transaction.insert_rows(sql, rows).await?;
    Ok(())
}

/// The oldest batch of each server.
pub(crate) async fn oldest(store: &Store) -> Result<Vec<(String, i64)>, StoreError> {
    let sql = "SELECT server, MIN(next_offset) AS next_offset FROM llm_calls_sent GROUP BY server";
    let rows = store.fetch_all(sql, parameters![]).await?;
    rows.iter().map(|row| Ok((row.text("server")?, row.int("next_offset")?))).collect()
}

/// A batch.
pub(crate) async fn batch(store: &Store, server: String, next: i64) -> Result<Batch, StoreError> {
    let sql = "SELECT fact FROM llm_calls_sent WHERE server = $1 AND next_offset = $2 ORDER BY place";
    let rows = store.fetch_all(sql, parameters![server.as_str(), next]).await?;
    let fact = |row: &shipway_store::Row| {
        serde_json::from_str(row.str("fact")?).map_err(|error| StoreError::Damaged(error.into()))
    };
    let calls = rows.iter().map(fact).collect::<Result<_, StoreError>>()?;
    Ok(Batch { server, next, calls })
}

/// It is in the table.
pub(crate) async fn forget(store: &Store, batch: &Batch) -> Result<(), StoreError> {
    let sql = "DELETE FROM llm_calls_sent WHERE server = $1 AND next_offset = $2";
    let mut transaction = store.begin_on(&format!("llm_calls_sent/{}", batch.server)).await?;
    transaction.execute(sql, parameters![batch.server.as_str(), batch.next]).await?;
    transaction.commit().await
}
