//! The tables of roles, their grants, and who has them.

use std::collections::BTreeMap;

use shipway_core::{Grant, Level, NotAGrant, ResourceType, Timestamp};
use shipway_store::{Row, Store, StoreError, Transaction, parameters};

use super::next_id;
use crate::model::{Assignment, Role, RoleGrant};

/// Users cannot name a role so: names of roles have no control characters.
fn own_role_name(user_id: i64) -> String {
    format!("\u{1}{user_id}")
}

pub(super) async fn all(store: &Store) -> Result<Vec<Role>, StoreError> {
    let mut grants: BTreeMap<i64, Vec<RoleGrant>> = BTreeMap::new();
    let sql = "SELECT id, role_id, resource, resource_id, level FROM access_grants ORDER BY id";
    for row in store.fetch_all(sql, parameters![]).await? {
        let grant = read_grant(&row)?;
        grants.entry(grant.role_id).or_default().push(grant);
    }
    let sql = "SELECT id, name, description, owner_id FROM access_roles ORDER BY id";
    let rows = store.fetch_all(sql, parameters![]).await?;
    let role = |row: &Row| {
        let id = row.int("id")?;
        Ok(Role {
            id,
            name: row.text("name")?,
            description: row.text("description")?,
            owner_id: row.optional_int("owner_id")?,
            grants: grants.remove(&id).unwrap_or_default(),
        })
    };
    rows.iter().map(role).collect()
}

fn read_grant(row: &Row) -> Result<RoleGrant, StoreError> {
    let damaged = |error: NotAGrant| StoreError::Damaged(error.into());
    let resource: ResourceType = row.text("resource")?.parse().map_err(damaged)?;
    let level: Level = row.text("level")?.parse().map_err(damaged)?;
    let id = Some(row.text("resource_id")?).filter(|id| !id.is_empty());
    let grant = Grant::new(resource, id, level).map_err(damaged)?;
    Ok(RoleGrant { id: row.int("id")?, role_id: row.int("role_id")?, grant })
}

pub(super) async fn assignments(store: &Store) -> Result<Vec<Assignment>, StoreError> {
    let sql = "SELECT id, user_id, role_id FROM access_assignments ORDER BY id";
    let read = |row: &Row| {
        Ok(Assignment { id: row.int("id")?, user_id: row.int("user_id")?, role_id: row.int("role_id")? })
    };
    store.fetch_all(sql, parameters![]).await?.iter().map(read).collect()
}

/// Adds a role and gives back its id; `None` when the name is taken.
pub(crate) async fn insert(
    transaction: &mut Transaction,
    name: &str,
    description: &str,
    owner_id: Option<i64>,
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let id = next_id(transaction).await?;
    let sql = "INSERT INTO access_roles (id, name, description, owner_id, created_us) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (name) DO NOTHING";
    let changed = transaction.execute(sql, parameters![id, name, description, owner_id, now]).await?;
    Ok((changed > 0).then_some(id))
}

/// The role that holds a user's own grants.
pub(crate) async fn own_role(transaction: &mut Transaction, user_id: i64) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT id FROM access_roles WHERE owner_id = $1";
    let row = transaction.fetch_optional(sql, parameters![user_id]).await?;
    row.map(|row| row.int("id")).transpose()
}

/// The role that holds a user's own grants, made when it is missing.
pub(crate) async fn own_role_or_new(
    transaction: &mut Transaction,
    user_id: i64,
    now: Timestamp,
) -> Result<i64, StoreError> {
    if let Some(id) = own_role(transaction, user_id).await? {
        return Ok(id);
    }
    let made = insert(transaction, &own_role_name(user_id), "", Some(user_id), now).await?;
    made.ok_or_else(|| StoreError::Damaged("the name of a user's own role is taken".into()))
}

/// Changes a role's name and description; false when the name is taken by another one.
pub(crate) async fn update(
    transaction: &mut Transaction,
    id: i64,
    name: &str,
    description: &str,
) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM access_roles WHERE name = $1 AND id <> $2";
    if transaction.fetch_optional(sql, parameters![name, id]).await?.is_some() {
        return Ok(false);
    }
    let sql = "UPDATE access_roles SET name = $2, description = $3 WHERE id = $1";
    transaction.execute(sql, parameters![id, name, description]).await?;
    Ok(true)
}

/// Removes a role with its grants; who had it has it no longer.
pub(crate) async fn delete(transaction: &mut Transaction, id: i64) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM access_grants WHERE role_id = $1",
        "DELETE FROM access_assignments WHERE role_id = $1",
        "DELETE FROM access_roles WHERE id = $1",
    ] {
        transaction.execute(sql, parameters![id]).await?;
    }
    Ok(())
}

/// Puts a grant into a role in the place of an earlier one on the same thing, and gives back its id.
pub(crate) async fn put_grant(
    transaction: &mut Transaction,
    role_id: i64,
    grant: &Grant,
) -> Result<i64, StoreError> {
    let id = next_id(transaction).await?;
    let sql = "INSERT INTO access_grants (id, role_id, resource, resource_id, level) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (role_id, resource, resource_id) DO UPDATE SET level = excluded.level RETURNING id";
    let (resource, level) = (grant.resource().word(), grant.level().word());
    let parameters = parameters![id, role_id, resource, grant.id().unwrap_or_default(), level];
    let row = transaction.fetch_optional(sql, parameters).await?;
    row.ok_or_else(|| StoreError::Damaged("a grant was not kept".into()))?.int("id")
}

pub(crate) async fn delete_grant(transaction: &mut Transaction, id: i64) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM access_grants WHERE id = $1", parameters![id]).await.map(drop)
}

/// Removes every grant on one thing: it is gone, and another one of the same name must not inherit them.
pub(crate) async fn delete_grants_on(
    transaction: &mut Transaction,
    resource: ResourceType,
    id: &str,
) -> Result<u64, StoreError> {
    let sql = "DELETE FROM access_grants WHERE resource = $1 AND resource_id = $2";
    transaction.execute(sql, parameters![resource.word(), id]).await
}

/// Moves every grant on one thing to its new name.
pub(crate) async fn move_grants_on(
    transaction: &mut Transaction,
    resource: ResourceType,
    from: &str,
    to: &str,
) -> Result<u64, StoreError> {
    let sql = "UPDATE access_grants SET resource_id = $3 WHERE resource = $1 AND resource_id = $2";
    transaction.execute(sql, parameters![resource.word(), from, to]).await
}

/// Gives a role to a user, once, and says under which id.
pub(crate) async fn assign(
    transaction: &mut Transaction,
    user_id: i64,
    role_id: i64,
) -> Result<Assignment, StoreError> {
    let id = next_id(transaction).await?;
    let sql = "INSERT INTO access_assignments (id, user_id, role_id) VALUES ($1, $2, $3) \
               ON CONFLICT (user_id, role_id) DO UPDATE SET role_id = excluded.role_id RETURNING id";
    let row = transaction.fetch_optional(sql, parameters![id, user_id, role_id]).await?;
    let id = row.ok_or_else(|| StoreError::Damaged("an assignment was not kept".into()))?.int("id")?;
    Ok(Assignment { id, user_id, role_id })
}

/// Takes a role from a user; false when they did not have it.
pub(crate) async fn unassign(
    transaction: &mut Transaction,
    user_id: i64,
    role_id: i64,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM access_assignments WHERE user_id = $1 AND role_id = $2";
    Ok(transaction.execute(sql, parameters![user_id, role_id]).await? > 0)
}
