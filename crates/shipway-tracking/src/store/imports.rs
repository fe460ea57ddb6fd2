//! Table `imports`, and what only an import writes of other tables.

use std::collections::BTreeMap;

use shipway_store::{SqlValue, Transaction, parameters};

use super::{CHUNK, Rows, Stored, placeholders};

/// The digests that items of a kind were last brought with; items that never were are left out.
pub(crate) async fn digests(
    rows: &mut impl Rows,
    kind: &str,
    items: &[String],
) -> Stored<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for chunk in items.chunks(CHUNK) {
        let sql = format!(
            "SELECT item, digest FROM imports WHERE kind = $1 AND item IN ({})",
            placeholders(2, chunk.len())
        );
        let mut parameters: Vec<SqlValue> = parameters![kind];
        parameters.extend(chunk.iter().map(|item| SqlValue::from(item.as_str())));
        for row in rows.all(&sql, parameters).await? {
            found.insert(row.text("item")?, row.text("digest")?);
        }
    }
    Ok(found)
}

/// Whether an item was brought before.
pub(crate) async fn is_known(rows: &mut impl Rows, kind: &str, item: &str) -> Stored<bool> {
    let sql = "SELECT item FROM imports WHERE kind = $1 AND item = $2";
    Ok(rows.first(sql, parameters![kind, item]).await?.is_some())
}

/// Notes that all of an item is here.
pub(crate) async fn mark(
    transaction: &mut Transaction,
    kind: &str,
    item: &str,
    digest: &str,
    now_ms: i64,
) -> Stored<()> {
    let sql = "INSERT INTO imports (kind, item, digest, done_ms) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (kind, item) DO UPDATE SET digest = excluded.digest, done_ms = excluded.done_ms";
    transaction.execute(sql, parameters![kind, item, digest, now_ms]).await?;
    Ok(())
}

/// Sees to it that the number of a version that was brought is not given again.
pub(crate) async fn pass_version_number(
    transaction: &mut Transaction,
    name: &str,
    number: i64,
) -> Stored<()> {
    let sql = "UPDATE registered_models SET next_version = $2 WHERE name = $1 AND next_version < $2";
    transaction.execute(sql, parameters![name, number.saturating_add(1)]).await?;
    Ok(())
}
