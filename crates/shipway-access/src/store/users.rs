//! The table of users.

use shipway_core::Timestamp;
use shipway_store::{Row, Store, StoreError, Transaction, parameters};

use super::{next_id, roles};
use crate::{model::User, secret::SecretHash};

pub(super) async fn all(store: &Store) -> Result<Vec<User>, StoreError> {
    let sql = "SELECT id, name, password_hash, is_admin, created_us FROM access_users ORDER BY id";
    store.fetch_all(sql, parameters![]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.int("id")?,
        name: row.text("name")?,
        password: row.optional_text("password_hash")?.map(SecretHash::kept),
        is_admin: row.boolean("is_admin")?,
        created: row.timestamp("created_us")?,
    })
}

/// Adds a user and gives back their id; `None` when the name is taken.
pub(crate) async fn insert(
    transaction: &mut Transaction,
    name: &str,
    password: Option<&SecretHash>,
    is_admin: bool,
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let id = next_id(transaction).await?;
    let sql = "INSERT INTO access_users (id, name, password_hash, is_admin, created_us) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (name) DO NOTHING";
    let hash = password.map(|hash| hash.text().to_owned());
    let changed = transaction.execute(sql, parameters![id, name, hash, is_admin, now]).await?;
    Ok((changed > 0).then_some(id))
}

pub(crate) async fn set_password(
    transaction: &mut Transaction,
    id: i64,
    password: &SecretHash,
) -> Result<(), StoreError> {
    let sql = "UPDATE access_users SET password_hash = $2 WHERE id = $1";
    transaction.execute(sql, parameters![id, password.text()]).await.map(drop)
}

pub(crate) async fn set_admin(
    transaction: &mut Transaction,
    id: i64,
    is_admin: bool,
) -> Result<(), StoreError> {
    let sql = "UPDATE access_users SET is_admin = $2 WHERE id = $1";
    transaction.execute(sql, parameters![id, is_admin]).await.map(drop)
}

/// Removes a user with their tokens, their roles and their own grants.
pub(crate) async fn delete(transaction: &mut Transaction, id: i64) -> Result<(), StoreError> {
    if let Some(role_id) = roles::own_role(transaction, id).await? {
        roles::delete(transaction, role_id).await?;
    }
    for sql in [
        "DELETE FROM access_tokens WHERE user_id = $1",
        "DELETE FROM access_assignments WHERE user_id = $1",
        "DELETE FROM access_users WHERE id = $1",
    ] {
        transaction.execute(sql, parameters![id]).await?;
    }
    Ok(())
}
