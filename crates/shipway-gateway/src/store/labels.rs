//! Users and tags that limits hold for.

use shipway_store::{Row, Store, StoreError, Transaction, parameters};

use super::{json, limits};
use crate::{
    error::GatewayError,
    model::{Label, LabelKind},
};

pub(crate) async fn all(store: &Store) -> Result<Vec<Label>, StoreError> {
    let sql = "SELECT kind, name, limits, created_us FROM llm_labels ORDER BY kind, name";
    store.fetch_all(sql, parameters![]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Label, StoreError> {
    let kind = row.str("kind")?;
    Ok(Label {
        kind: LabelKind::of_word(kind)
            .ok_or_else(|| StoreError::Damaged(format!("no label is a {kind}").into()))?,
        name: row.text("name")?,
        limits: limits(row)?,
        created: row.timestamp("created_us")?,
    })
}

/// Adds a label, or changes the one of that kind and name.
pub(crate) async fn put(transaction: &mut Transaction, label: &Label) -> Result<(), GatewayError> {
    let sql = "INSERT INTO llm_labels (kind, name, limits, created_us) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (kind, name) DO UPDATE SET limits = excluded.limits";
    let (kind, name, limits) = (label.kind.word(), label.name.as_str(), json(&label.limits)?);
    transaction.execute(sql, parameters![kind, name, limits, label.created]).await?;
    Ok(())
}

pub(crate) async fn delete(transaction: &mut Transaction, label: &Label) -> Result<(), StoreError> {
    let sql = "DELETE FROM llm_labels WHERE kind = $1 AND name = $2";
    transaction.execute(sql, parameters![label.kind.word(), label.name.as_str()]).await.map(drop)
}
