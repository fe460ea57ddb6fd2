//! Tables `experiments`, `experiment_tags`.

use std::collections::HashMap;

use shipway_store::{Row, SqlValue, Transaction, parameters};

use super::{Rows, Stored, pairs::EXPERIMENT_TAGS, placeholders};
use crate::model::{Experiment, Lifecycle, Pair};

fn experiment(row: &Row) -> Stored<Experiment> {
    Ok(Experiment {
        id: row.int("experiment_id")?,
        workspace: row.text("workspace")?,
        name: row.text("name")?,
        artifact_location: row.text("artifact_location")?,
        lifecycle: Lifecycle::from_word(&row.text("lifecycle")?),
        created_ms: row.int("created_ms")?,
        updated_ms: row.int("updated_ms")?,
        tags: Vec::new(),
    })
}

pub(crate) async fn by_id(rows: &mut impl Rows, id: i64) -> Stored<Option<Experiment>> {
    let found = rows.first("SELECT * FROM experiments WHERE experiment_id = $1", parameters![id]).await?;
    with_tags(rows, found).await
}

/// As [`by_id`], without its tags.
pub(crate) async fn bare_by_id(rows: &mut impl Rows, id: i64) -> Stored<Option<Experiment>> {
    let found = rows.first("SELECT * FROM experiments WHERE experiment_id = $1", parameters![id]).await?;
    found.as_ref().map(experiment).transpose()
}

/// The name of an experiment that no other has.
fn full_name(workspace: &str, name: &str) -> String {
    format!("{workspace}/{name}")
}

pub(crate) async fn by_name(rows: &mut impl Rows, workspace: &str, name: &str) -> Stored<Option<Experiment>> {
    let sql = "SELECT * FROM experiments WHERE full_name = $1";
    let found = rows.first(sql, parameters![full_name(workspace, name)]).await?;
    with_tags(rows, found).await
}

async fn with_tags(rows: &mut impl Rows, found: Option<Row>) -> Stored<Option<Experiment>> {
    let Some(row) = found else { return Ok(None) };
    let mut experiment = experiment(&row)?;
    experiment.tags = EXPERIMENT_TAGS.of(rows, experiment.id).await?;
    Ok(Some(experiment))
}

/// The experiments of searched rows, with their tags.
pub(crate) async fn from_rows(rows: &mut impl Rows, found: &[Row]) -> Stored<Vec<Experiment>> {
    let mut experiments: Vec<Experiment> = found.iter().map(experiment).collect::<Stored<_>>()?;
    let mut tags: HashMap<i64, Vec<Pair>> = HashMap::new();
    for chunk in experiments.chunks(super::CHUNK) {
        let sql = format!(
            "SELECT experiment_id, key, value FROM experiment_tags WHERE experiment_id IN ({}) ORDER BY key",
            placeholders(1, chunk.len())
        );
        let ids = chunk.iter().map(|experiment| SqlValue::from(experiment.id)).collect();
        for row in rows.all(&sql, ids).await? {
            let pair = Pair { key: row.text("key")?, value: row.text("value")? };
            tags.entry(row.int("experiment_id")?).or_default().push(pair);
        }
    }
    for experiment in &mut experiments {
        experiment.tags = tags.remove(&experiment.id).unwrap_or_default();
    }
    Ok(experiments)
}

/// The number that the next experiment gets.
pub(crate) async fn next_id(transaction: &mut Transaction) -> Stored<i64> {
    let sql = "SELECT COALESCE(MAX(experiment_id) + 1, 0) AS next_id FROM experiments";
    match transaction.fetch_optional(sql, parameters![]).await? {
        Some(row) => row.int("next_id"),
        None => Ok(0),
    }
}

/// Writes a new experiment; a conflict when the name is taken.
pub(crate) async fn insert(transaction: &mut Transaction, experiment: &Experiment) -> Stored<()> {
    transaction
        .execute(
            "INSERT INTO experiments (experiment_id, full_name, workspace, name, artifact_location, lifecycle, created_ms, \
             updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            parameters![
                experiment.id,
                full_name(&experiment.workspace, &experiment.name),
                experiment.workspace.as_str(),
                experiment.name.as_str(),
                experiment.artifact_location.as_str(),
                experiment.lifecycle.word(),
                experiment.created_ms,
                experiment.updated_ms
            ],
        )
        .await?;
    EXPERIMENT_TAGS.set(transaction, &experiment.id.into(), &experiment.tags).await
}

/// Gives an experiment another name in its workspace.
pub(crate) async fn rename(
    transaction: &mut Transaction,
    experiment: &Experiment,
    name: &str,
    now_ms: i64,
) -> Stored<()> {
    let sql = "UPDATE experiments SET full_name = $2, name = $3, updated_ms = $4 WHERE experiment_id = $1";
    let full_name = full_name(&experiment.workspace, name);
    transaction.execute(sql, parameters![experiment.id, full_name, name, now_ms]).await?;
    Ok(())
}

/// Moves an experiment, with its runs, to another lifecycle.
pub(crate) async fn set_lifecycle(
    transaction: &mut Transaction,
    id: i64,
    lifecycle: Lifecycle,
    now_ms: i64,
) -> Stored<()> {
    let word = lifecycle.word();
    let sql = "UPDATE experiments SET lifecycle = $2, updated_ms = $3 WHERE experiment_id = $1";
    transaction.execute(sql, parameters![id, word, now_ms]).await?;
    let sql = "UPDATE runs SET lifecycle = $2 WHERE experiment_id = $1";
    transaction.execute(sql, parameters![id, word]).await?;
    Ok(())
}
