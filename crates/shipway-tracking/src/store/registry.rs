//! Tables `registered_models`, `registered_model_tags`, `model_aliases`.

use std::collections::HashMap;

use shipway_core::of_model_key;
use shipway_store::{Row, Transaction, parameters};

use super::{Rows, Stored, all_of, pairs::REGISTERED_MODEL_TAGS, versions};
use crate::model::{ModelVersion, RegisteredModel, registry::is_prompt as is_prompt_by};

fn model(row: &Row) -> Stored<RegisteredModel> {
    Ok(RegisteredModel {
        name: row.text("name")?,
        description: row.text("description")?,
        created_ms: row.int("created_ms")?,
        updated_ms: row.int("updated_ms")?,
        tags: Vec::new(),
        aliases: Vec::new(),
        latest_versions: Vec::new(),
    })
}

/// One whole registered model.
pub(crate) async fn by_name(rows: &mut impl Rows, name: &str) -> Stored<Option<RegisteredModel>> {
    let found = rows.first("SELECT * FROM registered_models WHERE name = $1", parameters![name]).await?;
    Ok(from_rows(rows, found.as_slice()).await?.pop())
}

pub(crate) async fn exists(rows: &mut impl Rows, name: &str) -> Stored<bool> {
    let found = rows.first("SELECT name FROM registered_models WHERE name = $1", parameters![name]).await?;
    Ok(found.is_some())
}

/// Whether the registered model is a prompt.
pub(crate) async fn is_prompt(rows: &mut impl Rows, name: &str) -> Stored<bool> {
    Ok(is_prompt_by(&REGISTERED_MODEL_TAGS.of(rows, name).await?))
}

/// The key of every registered model of a workspace, in order.
pub(crate) async fn keys(rows: &mut impl Rows, workspace: &str) -> Stored<Vec<String>> {
    let sql = "SELECT name FROM registered_models WHERE workspace = $1 ORDER BY name";
    let found = rows.all(sql, parameters![workspace]).await?;
    found.iter().map(|row| row.text("name")).collect()
}

/// Every registered model's row, by name.
pub(crate) async fn all(rows: &mut impl Rows) -> Stored<Vec<Row>> {
    rows.all("SELECT * FROM registered_models ORDER BY name", parameters![]).await
}

/// Whole registered models of searched rows, in their order.
pub(crate) async fn from_rows(rows: &mut impl Rows, found: &[Row]) -> Stored<Vec<RegisteredModel>> {
    let mut models: Vec<RegisteredModel> = found.iter().map(model).collect::<Stored<_>>()?;
    let names: Vec<String> = models.iter().map(|model| model.name.clone()).collect();
    let mut tags = REGISTERED_MODEL_TAGS.of_all(rows, &names).await?;
    let mut aliases: HashMap<String, Vec<(String, i64)>> = HashMap::new();
    let sql = "SELECT name, alias, version FROM model_aliases WHERE name IN ({ids}) ORDER BY alias";
    for row in all_of(rows, sql, &names).await? {
        let alias = (row.text("alias")?, row.int("version")?);
        aliases.entry(row.text("name")?).or_default().push(alias);
    }
    let sql = "SELECT * FROM model_versions v WHERE v.name IN ({ids}) AND v.version = (SELECT MAX(o.version) \
               FROM model_versions o WHERE o.name = v.name AND o.stage = v.stage) ORDER BY v.version";
    let newest = all_of(rows, sql, &names).await?;
    let mut latest: HashMap<String, Vec<ModelVersion>> = HashMap::new();
    for version in versions::from_rows(rows, &newest).await? {
        latest.entry(version.name.clone()).or_default().push(version);
    }
    for model in &mut models {
        model.tags = tags.remove(&model.name).unwrap_or_default();
        model.aliases = aliases.remove(&model.name).unwrap_or_default();
        model.latest_versions = latest.remove(&model.name).unwrap_or_default();
    }
    Ok(models)
}

/// Writes a new model; a conflict when the name is taken.
pub(crate) async fn insert(transaction: &mut Transaction, model: &RegisteredModel) -> Stored<()> {
    transaction
        .execute(
            "INSERT INTO registered_models (name, workspace, description, next_version, created_ms, updated_ms) \
             VALUES ($1, $2, $3, 1, $4, $5)",
            parameters![
                model.name.as_str(),
                of_model_key(&model.name).0,
                model.description.as_str(),
                model.created_ms,
                model.updated_ms
            ],
        )
        .await?;
    REGISTERED_MODEL_TAGS.set(transaction, &model.name.as_str().into(), &model.tags).await
}

/// Versions, tags and aliases follow the new key.
pub(crate) async fn rename(
    transaction: &mut Transaction,
    name: &str,
    new_name: &str,
    now_ms: i64,
) -> Stored<()> {
    let sql = "UPDATE registered_models SET name = $2, workspace = $3, updated_ms = $4 WHERE name = $1";
    let workspace = of_model_key(new_name).0;
    transaction.execute(sql, parameters![name, new_name, workspace, now_ms]).await?;
    let sql = "UPDATE model_versions SET workspace = $2 WHERE name = $1 AND workspace <> $2";
    transaction.execute(sql, parameters![new_name, workspace]).await?;
    Ok(())
}

pub(crate) async fn describe(
    transaction: &mut Transaction,
    name: &str,
    description: &str,
    now_ms: i64,
) -> Stored<()> {
    let sql = "UPDATE registered_models SET description = $2, updated_ms = $3 WHERE name = $1";
    transaction.execute(sql, parameters![name, description, now_ms]).await?;
    Ok(())
}

/// Marks the model as changed now.
pub(crate) async fn touch(transaction: &mut Transaction, name: &str, now_ms: i64) -> Stored<()> {
    let sql = "UPDATE registered_models SET updated_ms = $2 WHERE name = $1";
    transaction.execute(sql, parameters![name, now_ms]).await?;
    Ok(())
}

/// Versions, tags and aliases go with the model.
pub(crate) async fn delete(transaction: &mut Transaction, name: &str) -> Stored<()> {
    transaction.execute("DELETE FROM registered_models WHERE name = $1", parameters![name]).await?;
    Ok(())
}

/// Takes the number of the next version; `None` when there is no such model.
pub(crate) async fn take_version_number(
    transaction: &mut Transaction,
    name: &str,
    now_ms: i64,
) -> Stored<Option<i64>> {
    let sql = "UPDATE registered_models SET next_version = next_version + 1, updated_ms = $2 WHERE name = $1 \
               RETURNING next_version - 1 AS version";
    let found = transaction.fetch_optional(sql, parameters![name, now_ms]).await?;
    found.map(|row| row.int("version")).transpose()
}

/// The version that holds an alias.
pub(crate) async fn holder(rows: &mut impl Rows, name: &str, alias: &str) -> Stored<Option<i64>> {
    let sql = "SELECT version FROM model_aliases WHERE name = $1 AND alias = $2";
    let found = rows.first(sql, parameters![name, alias]).await?;
    found.map(|row| row.int("version")).transpose()
}

/// Gives an alias to a version, away from any other.
pub(crate) async fn set_alias(
    transaction: &mut Transaction,
    name: &str,
    alias: &str,
    version: i64,
) -> Stored<()> {
    let sql = "INSERT INTO model_aliases (name, alias, version) VALUES ($1, $2, $3) \
               ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version";
    transaction.execute(sql, parameters![name, alias, version]).await?;
    Ok(())
}

pub(crate) async fn delete_alias(transaction: &mut Transaction, name: &str, alias: &str) -> Stored<bool> {
    let sql = "DELETE FROM model_aliases WHERE name = $1 AND alias = $2";
    Ok(transaction.execute(sql, parameters![name, alias]).await? > 0)
}
