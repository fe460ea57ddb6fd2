//! The books of the ledger, as they were at the last snapshot.

use shipway_store::{Store, StoreError, Transaction, parameters};

use super::json;
use crate::{error::GatewayError, ledger::Books};

pub(crate) async fn read(store: &Store) -> Result<Option<Books>, StoreError> {
    let row = store.fetch_optional("SELECT books FROM llm_books WHERE id = 1", parameters![]).await?;
    let Some(row) = row else { return Ok(None) };
    serde_json::from_str(row.str("books")?).map(Some).map_err(|error| StoreError::Damaged(error.into()))
}

pub(crate) async fn write(transaction: &mut Transaction, books: &Books) -> Result<(), GatewayError> {
    let sql = "INSERT INTO llm_books (id, next_offset, books) VALUES (1, $1, $2) \
               ON CONFLICT (id) DO UPDATE SET next_offset = excluded.next_offset, books = excluded.books";
    let next = i64::try_from(books.next()).unwrap_or(i64::MAX);
    transaction.execute(sql, parameters![next, json(books)?]).await?;
    Ok(())
}
