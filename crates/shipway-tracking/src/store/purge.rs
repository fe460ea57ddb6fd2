//! Tables `deletions` and `loose_blobs`, and what takes deleted things away for good.
//!
//! A run or a logged model goes when it is deleted long enough, or lies in an experiment that is; a version in the registry protects both
//! it is made of. What hangs on a row goes with it.

use shipway_core::Digest;
use shipway_store::{Row, SqlValue, Transaction, parameters};

use super::{Rows, Stored, placeholders};

/// The families that are deleted softly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Experiment,
    Run,
    LoggedModel,
}

impl Family {
    pub(crate) const ALL: [Self; 3] = [Self::Experiment, Self::Run, Self::LoggedModel];

    /// What it is called in the tables `deletions` and `imports`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Experiment => "experiment",
            Self::Run => "run",
            Self::LoggedModel => "logged_model",
        }
    }

    const fn table(self) -> &'static str {
        match self {
            Self::Experiment => "experiments",
            Self::Run => "runs",
            Self::LoggedModel => "logged_models",
        }
    }

    const fn id(self) -> &'static str {
        match self {
            Self::Experiment => "CAST(x.experiment_id AS TEXT)",
            Self::Run => "x.run_id",
            Self::LoggedModel => "x.model_id",
        }
    }

    /// That the row `x` is deleted since before $1.
    fn is_due(self) -> String {
        format!(
            "x.lifecycle = 'deleted' AND EXISTS (SELECT 1 FROM deletions d WHERE d.kind = '{}' AND d.item = {} \
             AND d.deleted_ms <= $1)",
            self.word(),
            self.id()
        )
    }
}

/// The experiments that are deleted since before $1.
fn due_experiments() -> String {
    format!("SELECT x.experiment_id FROM experiments x WHERE {}", Family::Experiment.is_due())
}

/// That a version in the registry is made of the row `x`.
fn is_protected(family: Family) -> String {
    let by_id = match family {
        Family::Run => "v.run_id = x.run_id",
        _ => "v.model_id = x.model_id",
    };
    format!(
        "(EXISTS (SELECT 1 FROM model_versions v WHERE {by_id}) \
         OR EXISTS (SELECT 1 FROM model_versions v WHERE v.artifact_root = x.artifact_root))"
    )
}

/// The rows `x` of runs or logged models that are due, or lie in an experiment that is.
fn due(family: Family) -> String {
    format!(
        "FROM {} x WHERE (({}) OR x.experiment_id IN ({}))",
        family.table(),
        family.is_due(),
        due_experiments()
    )
}

/// A thing that goes: its id and the root of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condemned {
    pub(crate) id: String,
    pub(crate) root: String,
}

/// Deleted things that are not noted yet, at most `limit`.
pub(crate) async fn unnoted(rows: &mut impl Rows, family: Family, limit: i64) -> Stored<Vec<String>> {
    let sql = format!(
        "SELECT {id} AS item FROM {table} x WHERE x.lifecycle = 'deleted' AND NOT EXISTS (SELECT 1 FROM deletions d \
         WHERE d.kind = '{word}' AND d.item = {id}) LIMIT {limit}",
        id = family.id(),
        table = family.table(),
        word = family.word()
    );
    rows.all(&sql, parameters![]).await?.iter().map(|row| row.text("item")).collect()
}

/// Notes that things are deleted since a moment; what is noted already stays so.
pub(crate) async fn note(
    transaction: &mut Transaction,
    family: Family,
    items: &[String],
    now_ms: i64,
) -> Stored<()> {
    let sql =
        "INSERT INTO deletions (kind, item, deleted_ms) VALUES {rows} ON CONFLICT (kind, item) DO NOTHING";
    let values = items.iter().map(|item| parameters![family.word(), item.as_str(), now_ms]).collect();
    transaction.insert_rows(sql, values).await?;
    Ok(())
}

/// Forgets that a thing was deleted: it was restored.
pub(crate) async fn forget(transaction: &mut Transaction, family: Family, item: &str) -> Stored<()> {
    let sql = "DELETE FROM deletions WHERE kind = $1 AND item = $2";
    transaction.execute(sql, parameters![family.word(), item]).await?;
    Ok(())
}

/// The same for every run of an experiment.
pub(crate) async fn forget_runs_of(transaction: &mut Transaction, experiment_id: i64) -> Stored<()> {
    let sql = "DELETE FROM deletions WHERE kind = 'run' AND item IN (SELECT run_id FROM runs WHERE experiment_id = $1)";
    transaction.execute(sql, parameters![experiment_id]).await?;
    Ok(())
}

/// Runs or logged models that go, at most `limit`.
pub(crate) async fn condemned(
    rows: &mut impl Rows,
    family: Family,
    before_ms: i64,
    limit: i64,
) -> Stored<Vec<Condemned>> {
    let sql = format!(
        "SELECT {} AS item, x.artifact_root {} AND NOT {} LIMIT {limit}",
        family.id(),
        due(family),
        is_protected(family)
    );
    let read = |row: &Row| Ok(Condemned { id: row.text("item")?, root: row.text("artifact_root")? });
    rows.all(&sql, parameters![before_ms]).await?.iter().map(read).collect()
}

/// How many runs or logged models go, and the bytes of their files: shared ones count for each.
pub(crate) async fn weighed(rows: &mut impl Rows, family: Family, before_ms: i64) -> Stored<(i64, i64)> {
    let (due, protected) = (due(family), is_protected(family));
    let sql = format!("SELECT COUNT(*) AS number {due} AND NOT {protected}");
    let number = rows.first(&sql, parameters![before_ms]).await?.map(|row| row.int("number")).transpose()?;
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(a.bytes), 0) AS BIGINT) AS bytes FROM artifacts a \
         WHERE a.root IN (SELECT x.artifact_root {due} AND NOT {protected})"
    );
    let bytes = rows.first(&sql, parameters![before_ms]).await?.map(|row| row.int("bytes")).transpose()?;
    Ok((number.unwrap_or_default(), bytes.unwrap_or_default()))
}

/// Runs or logged models that would go, and do not because a version is made of them; at most `limit`.
pub(crate) async fn protected(
    rows: &mut impl Rows,
    family: Family,
    before_ms: i64,
    limit: i64,
) -> Stored<Vec<String>> {
    let sql = format!(
        "SELECT {} AS item {} AND {} ORDER BY item LIMIT {limit}",
        family.id(),
        due(family),
        is_protected(family)
    );
    rows.all(&sql, parameters![before_ms]).await?.iter().map(|row| row.text("item")).collect()
}

/// The experiments that are due, and in which nothing is protected.
pub(crate) async fn condemned_experiments(rows: &mut impl Rows, before_ms: i64) -> Stored<Vec<i64>> {
    let inside = |family: Family| {
        format!(
            "AND NOT EXISTS (SELECT 1 FROM {} x WHERE x.experiment_id = e.experiment_id AND {})",
            family.table(),
            is_protected(family)
        )
    };
    let sql = format!(
        "SELECT e.experiment_id FROM experiments e WHERE e.experiment_id IN ({}) {} {} ORDER BY e.experiment_id",
        due_experiments(),
        inside(Family::Run),
        inside(Family::LoggedModel)
    );
    rows.all(&sql, parameters![before_ms]).await?.iter().map(|row| row.int("experiment_id")).collect()
}

/// Takes runs or logged models away with all that hangs on them. Their blobs are noted as loose.
pub(crate) async fn remove(
    transaction: &mut Transaction,
    family: Family,
    condemned: &[Condemned],
) -> Stored<()> {
    for Condemned { root, .. } in condemned {
        loosen_root(transaction, root).await?;
        transaction.execute("DELETE FROM artifacts WHERE root = $1", parameters![root.as_str()]).await?;
    }
    let list = placeholders(1, condemned.len());
    let ids = || condemned.iter().map(|one| SqlValue::from(one.id.as_str())).collect::<Vec<_>>();
    for table in ["deletions", "imports"] {
        let sql = format!("DELETE FROM {table} WHERE kind = '{}' AND item IN ({list})", family.word());
        transaction.execute(&sql, ids()).await?;
    }
    if family == Family::Run {
        // Points refer to no row: see migration 5.
        transaction.execute(&format!("DELETE FROM metrics WHERE run_id IN ({list})"), ids()).await?;
    }
    let sql = format!("DELETE FROM {} AS x WHERE {} IN ({list})", family.table(), family.id());
    transaction.execute(&sql, ids()).await?;
    Ok(())
}

/// Takes an experiment away if nothing is in it any more; false when something is.
pub(crate) async fn remove_experiment(transaction: &mut Transaction, id: i64) -> Stored<bool> {
    for table in ["runs", "logged_models", "traces"] {
        let sql = format!("SELECT experiment_id FROM {table} WHERE experiment_id = $1 LIMIT 1");
        if transaction.fetch_optional(&sql, parameters![id]).await?.is_some() {
            return Ok(false);
        }
    }
    transaction.execute("DELETE FROM datasets WHERE experiment_id = $1", parameters![id]).await?;
    for table in ["deletions", "imports"] {
        let sql = format!("DELETE FROM {table} WHERE kind = 'experiment' AND item = $1");
        transaction.execute(&sql, parameters![id.to_string()]).await?;
    }
    transaction.execute("DELETE FROM experiments WHERE experiment_id = $1", parameters![id]).await?;
    Ok(true)
}

/// Notes that the blobs of a root may be needed by nobody else.
pub(crate) async fn loosen_root(transaction: &mut Transaction, root: &str) -> Stored<()> {
    let sql = "INSERT INTO loose_blobs (digest) SELECT DISTINCT digest FROM artifacts WHERE root = $1 \
               ON CONFLICT (digest) DO NOTHING";
    transaction.execute(sql, parameters![root]).await?;
    Ok(())
}

/// Notes that blobs may be needed by nobody else.
pub(crate) async fn loosen(transaction: &mut Transaction, digests: &[Digest]) -> Stored<()> {
    let sql = "INSERT INTO loose_blobs (digest) VALUES {rows} ON CONFLICT (digest) DO NOTHING";
    let values = digests.iter().map(|digest| parameters![digest.to_string()]).collect();
    transaction.insert_rows(sql, values).await?;
    Ok(())
}

/// Blobs that are to be looked at, and whether a path still needs each.
pub(crate) async fn loose(transaction: &mut Transaction, limit: i64) -> Stored<Vec<(String, bool)>> {
    let sql = format!(
        "SELECT l.digest, CAST(CASE WHEN EXISTS (SELECT 1 FROM artifacts a WHERE a.digest = l.digest) THEN 1 ELSE 0 END \
         AS BIGINT) AS needed FROM loose_blobs l ORDER BY l.digest LIMIT {limit}"
    );
    let found = transaction.fetch_all(&sql, parameters![]).await?;
    found.iter().map(|row| Ok((row.text("digest")?, row.int("needed")? != 0))).collect()
}

/// Forgets that these were to be looked at.
pub(crate) async fn settle(transaction: &mut Transaction, digests: &[String]) -> Stored<()> {
    let sql = format!("DELETE FROM loose_blobs WHERE digest IN ({})", placeholders(1, digests.len()));
    let values = digests.iter().map(|digest| SqlValue::from(digest.as_str())).collect();
    transaction.execute(&sql, values).await?;
    Ok(())
}

/// Whether a blob waits to be looked at.
pub(crate) async fn has_loose(rows: &mut impl Rows) -> Stored<bool> {
    Ok(rows.first("SELECT digest FROM loose_blobs LIMIT 1", parameters![]).await?.is_some())
}
