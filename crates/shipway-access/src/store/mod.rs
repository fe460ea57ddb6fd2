//! SQL of this crate's own tables; no SQL elsewhere.
//!
//! - `users`, `roles`, `tokens`: one table family each
//! - here: ids, and everything read at once

pub(crate) mod roles;
pub(crate) mod tokens;
pub(crate) mod users;

use shipway_store::{Migration, Store, StoreError, Transaction, parameters};

use crate::model::Directory;

/// Whose tables these are, for the record of migrations.
pub(crate) const OWNER: &str = "access";

/// This crate's migrations, in order.
pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "access", sql: include_str!("../../migrations/0001_access.sql") }];

/// An id that nothing had before.
pub(crate) async fn next_id(transaction: &mut Transaction) -> Result<i64, StoreError> {
    let sql = "UPDATE access_ids SET last = last + 1 RETURNING last";
    let row = transaction.fetch_optional(sql, parameters![]).await?;
    row.ok_or_else(|| StoreError::Damaged("the table of ids is empty".into()))?.int("last")
}

/// All accounts.
pub(crate) async fn directory(store: &Store) -> Result<Directory, StoreError> {
    let users = users::all(store).await?;
    let roles = roles::all(store).await?;
    let assignments = roles::assignments(store).await?;
    let tokens = tokens::all(store).await?;
    Ok(Directory::new(users, roles, assignments, tokens))
}
