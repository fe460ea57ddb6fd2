//! The books of the ledger, as they were at the last snapshot.

use shipway_store::{Store, StoreError, Transaction, parameters};

use super::json;
use crate::{error::GatewayError, ledger::Books};

/// `server`: a replica, whose books lie beside those of the owner.
pub(crate) async fn read(store: &Store, server: Option<&str>) -> Result<Option<Books>, StoreError> {
    let row = match server {
        None => store.fetch_optional("SELECT books FROM llm_books WHERE id = 1", parameters![]).await?,
        Some(server) => {
            let sql = "SELECT books FROM llm_server_books WHERE server = $1";
            store.fetch_optional(sql, parameters![server]).await?
        }
    };
    let Some(row) = row else { return Ok(None) };
    serde_json::from_str(row.str("books")?).map(Some).map_err(|error| StoreError::Damaged(error.into()))
}

pub(crate) async fn write(
    transaction: &mut Transaction,
    server: Option<&str>,
    books: &Books,
) -> Result<(), GatewayError> {
    let next = i64::try_from(books.next()).unwrap_or(i64::MAX);
    match server {
        None => {
            let sql = "INSERT INTO llm_books (id, next_offset, books) VALUES (1, $1, $2) \
                       ON CONFLICT (id) DO UPDATE SET next_offset = excluded.next_offset, books = excluded.books";
            transaction.execute(sql, parameters![next, json(books)?]).await?;
        }
        Some(server) => {
            let sql = "INSERT INTO llm_server_books (server, next_offset, books) VALUES ($1, $2, $3) \
                       ON CONFLICT (server) DO UPDATE SET next_offset = excluded.next_offset, books = excluded.books";
            transaction.execute(sql, parameters![server, next, json(books)?]).await?;
        }
    }
    Ok(())
}
