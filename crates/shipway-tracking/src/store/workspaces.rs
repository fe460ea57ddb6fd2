//! Table `workspaces`, and what lies in a workspace.

use std::collections::BTreeSet;

use shipway_store::{Row, SqlValue, Transaction, parameters};

use super::{CHUNK, Rows, Stored, placeholders};
use crate::model::WorkspaceInfo;

/// The tables of what lies in a workspace by itself, and what their rows are called.
pub(crate) const INSIDE: [(&str, &str); 4] = [
    ("registered_models", "registered models"),
    ("experiments", "experiments"),
    ("evaluation_datasets", "evaluation data sets"),
    ("webhooks", "webhooks"),
];

fn workspace(row: &Row) -> Stored<WorkspaceInfo> {
    Ok(WorkspaceInfo {
        name: row.text("name")?,
        description: row.optional_text("description")?,
        artifact_root: row.text("artifact_root")?,
    })
}

/// Every workspace, by name.
pub(crate) async fn all(rows: &mut impl Rows) -> Stored<Vec<WorkspaceInfo>> {
    let found = rows.all("SELECT * FROM workspaces ORDER BY name", parameters![]).await?;
    found.iter().map(workspace).collect()
}

pub(crate) async fn by_name(rows: &mut impl Rows, name: &str) -> Stored<Option<WorkspaceInfo>> {
    let found = rows.first("SELECT * FROM workspaces WHERE name = $1", parameters![name]).await?;
    found.as_ref().map(workspace).transpose()
}

/// Writes a new workspace; a conflict when the name is taken.
pub(crate) async fn insert(transaction: &mut Transaction, new: &WorkspaceInfo, now_ms: i64) -> Stored<()> {
    let sql = "INSERT INTO workspaces (name, description, artifact_root, created_ms) VALUES ($1, $2, $3, $4)";
    let description = new.description.as_deref();
    let values = parameters![new.name.as_str(), description, new.artifact_root.as_str(), now_ms];
    transaction.execute(sql, values).await?;
    Ok(())
}

pub(crate) async fn update(transaction: &mut Transaction, changed: &WorkspaceInfo) -> Stored<()> {
    let sql = "UPDATE workspaces SET description = $2, artifact_root = $3 WHERE name = $1";
    let description = changed.description.as_deref();
    let values = parameters![changed.name.as_str(), description, changed.artifact_root.as_str()];
    transaction.execute(sql, values).await?;
    Ok(())
}

pub(crate) async fn delete(transaction: &mut Transaction, name: &str) -> Stored<()> {
    transaction.execute("DELETE FROM workspaces WHERE name = $1", parameters![name]).await?;
    Ok(())
}

/// How many things of each kind lie in a workspace; kinds of which there are none are left out.
pub(crate) async fn contents(rows: &mut impl Rows, name: &str) -> Stored<Vec<(&'static str, i64)>> {
    let mut found = Vec::new();
    for (table, words) in INSIDE {
        let sql = format!("SELECT COUNT(*) AS number FROM {table} WHERE workspace = $1");
        let number = rows.first(&sql, parameters![name]).await?.map(|row| row.int("number")).transpose()?;
        found.extend(number.filter(|number| *number > 0).map(|number| (words, number)));
    }
    Ok(found)
}

/// The ids of the experiments of a workspace, also of those that are deleted.
pub(crate) async fn experiment_ids(rows: &mut impl Rows, name: &str) -> Stored<Vec<i64>> {
    let sql = "SELECT experiment_id FROM experiments WHERE workspace = $1 ORDER BY experiment_id";
    rows.all(sql, parameters![name]).await?.iter().map(|row| row.int("experiment_id")).collect()
}

/// Those of the experiments that lie in a workspace.
pub(crate) async fn experiments_among(
    rows: &mut impl Rows,
    workspace: &str,
    ids: &[i64],
) -> Stored<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    for some in ids.chunks(CHUNK) {
        let list = placeholders(2, some.len());
        let sql = format!(
            "SELECT experiment_id FROM experiments WHERE workspace = $1 AND experiment_id IN ({list})"
        );
        let mut values: Vec<SqlValue> = parameters![workspace];
        values.extend(some.iter().map(|id| SqlValue::from(*id)));
        for row in rows.all(&sql, values).await? {
            found.insert(row.int("experiment_id")?);
        }
    }
    Ok(found)
}

/// The names of experiments of one workspace that are taken in another, at most `limit`.
pub(crate) async fn taken_experiments(
    rows: &mut impl Rows,
    (from, to): (&str, &str),
    limit: i64,
) -> Stored<Vec<String>> {
    let sql = "SELECT e.name FROM experiments e WHERE e.workspace = $1 AND EXISTS (SELECT 1 FROM experiments o \
               WHERE o.workspace = $2 AND o.name = e.name) ORDER BY e.name LIMIT $3";
    rows.all(sql, parameters![from, to, limit]).await?.iter().map(|row| row.text("name")).collect()
}

/// Moves what lies in a workspace by itself, but for registered models, into another.
pub(crate) async fn move_contents(transaction: &mut Transaction, from: &str, to: &str) -> Stored<()> {
    let sql = "UPDATE experiments SET workspace = $2, full_name = $3 || name WHERE workspace = $1";
    transaction.execute(sql, parameters![from, to, format!("{to}/")]).await?;
    for table in ["evaluation_datasets", "webhooks"] {
        let sql = format!("UPDATE {table} SET workspace = $2 WHERE workspace = $1");
        transaction.execute(&sql, parameters![from, to]).await?;
    }
    Ok(())
}

/// Takes evaluation data sets and webhooks of a workspace away.
pub(crate) async fn delete_loose_contents(transaction: &mut Transaction, name: &str) -> Stored<()> {
    for table in ["evaluation_datasets", "webhooks"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE workspace = $1"), parameters![name]).await?;
    }
    Ok(())
}

/// The workspace of an experiment.
pub(crate) async fn of_experiment(rows: &mut impl Rows, id: i64) -> Stored<Option<String>> {
    let sql = "SELECT workspace FROM experiments WHERE experiment_id = $1";
    let found = rows.first(sql, parameters![id]).await?;
    found.map(|row| row.text("workspace")).transpose()
}

/// The workspace of an evaluation data set.
pub(crate) async fn of_dataset(rows: &mut impl Rows, dataset_id: &str) -> Stored<Option<String>> {
    let sql = "SELECT workspace FROM evaluation_datasets WHERE dataset_id = $1";
    let found = rows.first(sql, parameters![dataset_id]).await?;
    found.map(|row| row.text("workspace")).transpose()
}
