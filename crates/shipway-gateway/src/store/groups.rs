//! Groups.

use shipway_core::Name;
use shipway_store::{Row, Store, StoreError, Transaction, parameters};

use super::{json, limits};
use crate::{
    error::GatewayError,
    model::{Group, GroupKind},
};

pub(crate) async fn all(store: &Store) -> Result<Vec<Group>, StoreError> {
    let sql = "SELECT name, kind, parent, limits, created_us FROM llm_groups ORDER BY name";
    store.fetch_all(sql, parameters![]).await?.iter().map(read).collect()
}

fn name(text: &str) -> Result<Name, StoreError> {
    Name::new(text).map_err(|error| StoreError::Damaged(error.into()))
}

fn read(row: &Row) -> Result<Group, StoreError> {
    let kind = row.str("kind")?;
    Ok(Group {
        name: name(row.str("name")?)?,
        kind: GroupKind::of_word(kind)
            .ok_or_else(|| StoreError::Damaged(format!("no group is a {kind}").into()))?,
        parent: row.optional_str("parent")?.map(name).transpose()?,
        limits: limits(row)?,
        created: row.timestamp("created_us")?,
    })
}

/// Adds a group, or changes the one of that name.
pub(crate) async fn put(transaction: &mut Transaction, group: &Group) -> Result<(), GatewayError> {
    let sql = "INSERT INTO llm_groups (name, kind, parent, limits, created_us) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, parent = excluded.parent, limits = excluded.limits";
    let parent = group.parent.as_ref().map(|parent| parent.as_str().to_owned());
    let (name, kind, limits) = (group.name.as_str(), group.kind.word(), json(&group.limits)?);
    transaction.execute(sql, parameters![name, kind, parent, limits, group.created]).await?;
    Ok(())
}

pub(crate) async fn delete(transaction: &mut Transaction, name: &Name) -> Result<(), StoreError> {
    transaction.execute("DELETE FROM llm_groups WHERE name = $1", parameters![name.as_str()]).await.map(drop)
}
