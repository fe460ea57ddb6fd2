//! Tables `model_versions`, `model_version_tags`.

use std::collections::HashMap;

use shipway_core::of_model_key;
use shipway_store::{Row, Transaction, parameters};

use super::{Rows, Stored, all_of};
use crate::model::{ModelVersion, Pair, Stage};

fn version(row: &Row) -> Stored<ModelVersion> {
    Ok(ModelVersion {
        name: row.text("name")?,
        version: row.int("version")?,
        source: row.text("source")?,
        artifact_root: row.text("artifact_root")?,
        artifact_folder: row.text("artifact_folder")?,
        model_id: row.text("model_id")?,
        run_id: row.text("run_id")?,
        run_link: row.text("run_link")?,
        description: row.text("description")?,
        user_id: row.text("user_id")?,
        stage: Stage::from_word(&row.text("stage")?).unwrap_or(Stage::None),
        created_ms: row.int("created_ms")?,
        updated_ms: row.int("updated_ms")?,
        tags: Vec::new(),
        aliases: Vec::new(),
    })
}

/// One whole version.
pub(crate) async fn by_number(rows: &mut impl Rows, name: &str, number: i64) -> Stored<Option<ModelVersion>> {
    let sql = "SELECT * FROM model_versions WHERE name = $1 AND version = $2";
    let found = rows.first(sql, parameters![name, number]).await?;
    Ok(from_rows(rows, found.as_slice()).await?.pop())
}

/// All versions of a model, the newest first.
pub(crate) async fn of_model(rows: &mut impl Rows, name: &str) -> Stored<Vec<ModelVersion>> {
    let sql = "SELECT * FROM model_versions WHERE name = $1 ORDER BY version DESC";
    let found = rows.all(sql, parameters![name]).await?;
    from_rows(rows, &found).await
}

/// Whole versions of searched rows, in their order.
pub(crate) async fn from_rows(rows: &mut impl Rows, found: &[Row]) -> Stored<Vec<ModelVersion>> {
    let mut versions: Vec<ModelVersion> = found.iter().map(version).collect::<Stored<_>>()?;
    let mut names: Vec<String> = versions.iter().map(|version| version.name.clone()).collect();
    names.sort();
    names.dedup();
    let mut tags: HashMap<(String, i64), Vec<Pair>> = HashMap::new();
    let sql = "SELECT name, version, key, value FROM model_version_tags WHERE name IN ({ids}) ORDER BY key";
    for row in all_of(rows, sql, &names).await? {
        let pair = Pair { key: row.text("key")?, value: row.text("value")? };
        tags.entry((row.text("name")?, row.int("version")?)).or_default().push(pair);
    }
    let mut aliases: HashMap<(String, i64), Vec<String>> = HashMap::new();
    let sql = "SELECT name, version, alias FROM model_aliases WHERE name IN ({ids}) ORDER BY alias";
    for row in all_of(rows, sql, &names).await? {
        aliases.entry((row.text("name")?, row.int("version")?)).or_default().push(row.text("alias")?);
    }
    for version in &mut versions {
        let identity = (version.name.clone(), version.version);
        version.tags = tags.remove(&identity).unwrap_or_default();
        version.aliases = aliases.remove(&identity).unwrap_or_default();
    }
    Ok(versions)
}

/// The values that the tag `key` has among versions that are not archived, or that hold an alias.
pub(crate) async fn tag_values(rows: &mut impl Rows, key: &str) -> Stored<Vec<String>> {
    let sql = "SELECT DISTINCT model_version_tags.value AS value FROM model_version_tags JOIN model_versions \
               ON model_versions.name = model_version_tags.name AND model_versions.version = model_version_tags.version \
               WHERE model_version_tags.key = $1 AND (model_versions.stage <> $2 OR EXISTS (SELECT 1 FROM model_aliases \
               WHERE model_aliases.name = model_versions.name AND model_aliases.version = model_versions.version)) \
               ORDER BY value";
    let found = rows.all(sql, parameters![key, Stage::Archived.word()]).await?;
    found.iter().map(|row| row.text("value")).collect()
}

pub(crate) async fn insert(transaction: &mut Transaction, version: &ModelVersion) -> Stored<()> {
    transaction
        .execute(
            "INSERT INTO model_versions (name, version, source, artifact_root, artifact_folder, model_id, run_id, run_link, \
             description, user_id, stage, created_ms, updated_ms, workspace) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            parameters![
                version.name.as_str(),
                version.version,
                version.source.as_str(),
                version.artifact_root.as_str(),
                version.artifact_folder.as_str(),
                version.model_id.as_str(),
                version.run_id.as_str(),
                version.run_link.as_str(),
                version.description.as_str(),
                version.user_id.as_str(),
                version.stage.word(),
                version.created_ms,
                version.updated_ms,
                of_model_key(&version.name).0
            ],
        )
        .await?;
    for tag in &version.tags {
        set_tag(transaction, &version.name, version.version, tag).await?;
    }
    Ok(())
}

/// Writes what can change of a version: description and stage.
pub(crate) async fn update(transaction: &mut Transaction, version: &ModelVersion) -> Stored<()> {
    let sql = "UPDATE model_versions SET description = $3, stage = $4, updated_ms = $5 WHERE name = $1 AND version = $2";
    let values = parameters![
        version.name.as_str(),
        version.version,
        version.description.as_str(),
        version.stage.word(),
        version.updated_ms
    ];
    transaction.execute(sql, values).await?;
    Ok(())
}

/// Moves every other version of the model that is in `stage` to the archive.
pub(crate) async fn archive_others(
    transaction: &mut Transaction,
    version: &ModelVersion,
    now_ms: i64,
) -> Stored<()> {
    let sql = "UPDATE model_versions SET stage = 'Archived', updated_ms = $4 \
               WHERE name = $1 AND stage = $2 AND version <> $3";
    let values = parameters![version.name.as_str(), version.stage.word(), version.version, now_ms];
    transaction.execute(sql, values).await?;
    Ok(())
}

/// Tags and aliases go with the version.
pub(crate) async fn delete(transaction: &mut Transaction, name: &str, number: i64) -> Stored<()> {
    let sql = "DELETE FROM model_versions WHERE name = $1 AND version = $2";
    transaction.execute(sql, parameters![name, number]).await?;
    Ok(())
}

pub(crate) async fn set_tag(
    transaction: &mut Transaction,
    name: &str,
    number: i64,
    tag: &Pair,
) -> Stored<()> {
    let sql = "INSERT INTO model_version_tags (name, version, key, value) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (name, version, key) DO UPDATE SET value = excluded.value";
    transaction.execute(sql, parameters![name, number, tag.key.as_str(), tag.value.as_str()]).await?;
    Ok(())
}

pub(crate) async fn delete_tag(
    transaction: &mut Transaction,
    name: &str,
    number: i64,
    key: &str,
) -> Stored<bool> {
    let sql = "DELETE FROM model_version_tags WHERE name = $1 AND version = $2 AND key = $3";
    Ok(transaction.execute(sql, parameters![name, number, key]).await? > 0)
}

/// The versions that have a tag, each once per alias: name, version, value, alias or null.
pub(crate) async fn tagged(rows: &mut impl Rows, key: &str) -> Stored<Vec<Row>> {
    let sql = "SELECT t.name, t.version, t.value, a.alias FROM model_version_tags t \
               LEFT JOIN model_aliases a ON a.name = t.name AND a.version = t.version \
               WHERE t.key = $1 ORDER BY t.name, t.version, a.alias";
    rows.all(sql, parameters![key]).await
}

/// A version that holds an alias and whose files lie under `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) alias: String,
    pub(crate) folder: String,
}

/// The versions that hold an alias and whose files lie under `root`.
pub(crate) async fn holders_of_root(rows: &mut impl Rows, root: &str) -> Stored<Vec<Holder>> {
    let sql = "SELECT v.name, v.version, a.alias, v.artifact_folder FROM model_versions v \
               JOIN model_aliases a ON a.name = v.name AND a.version = v.version \
               WHERE v.artifact_root = $1 ORDER BY v.name, v.version, a.alias";
    let holder = |row: &Row| {
        Ok(Holder {
            name: row.text("name")?,
            version: row.int("version")?,
            alias: row.text("alias")?,
            folder: row.text("artifact_folder")?,
        })
    };
    rows.all(sql, parameters![root]).await?.iter().map(holder).collect()
}

/// The names of models that have a version with files under `root`, with the folder of each.
pub(crate) async fn with_root(rows: &mut impl Rows, root: &str) -> Stored<Vec<(String, String)>> {
    let sql =
        "SELECT DISTINCT name, artifact_folder FROM model_versions WHERE artifact_root = $1 ORDER BY name";
    let read = |row: &Row| Ok((row.text("name")?, row.text("artifact_folder")?));
    rows.all(sql, parameters![root]).await?.iter().map(read).collect()
}
