//! Tables `scorers`, `scorer_versions`.

use shipway_store::{Row, SqlValue, Transaction, parameters};

use super::{CHUNK, Rows, Stored, placeholders};
use crate::model::ScorerVersion;

fn version(row: &Row) -> Stored<ScorerVersion> {
    Ok(ScorerVersion {
        scorer_id: row.text("scorer_id")?,
        experiment_id: row.int("experiment_id")?,
        name: row.text("name")?,
        version: row.int("version")?,
        serialized: row.text("serialized")?,
        created_ms: row.int("created_ms")?,
    })
}

/// The id of a scorer.
pub(crate) async fn id_of(rows: &mut impl Rows, experiment_id: i64, name: &str) -> Stored<Option<String>> {
    let sql = "SELECT scorer_id FROM scorers WHERE experiment_id = $1 AND name = $2";
    let found = rows.first(sql, parameters![experiment_id, name]).await?;
    found.map(|row| row.text("scorer_id")).transpose()
}

pub(crate) async fn insert(
    transaction: &mut Transaction,
    scorer_id: &str,
    experiment_id: i64,
    name: &str,
) -> Stored<()> {
    let sql = "INSERT INTO scorers (scorer_id, experiment_id, name) VALUES ($1, $2, $3)";
    transaction.execute(sql, parameters![scorer_id, experiment_id, name]).await?;
    Ok(())
}

/// The number of the newest version; 0 when there is none.
pub(crate) async fn newest(rows: &mut impl Rows, scorer_id: &str) -> Stored<i64> {
    let sql = "SELECT COALESCE(MAX(version), 0) AS newest FROM scorer_versions WHERE scorer_id = $1";
    let found = rows.first(sql, parameters![scorer_id]).await?;
    found.map_or(Ok(0), |row| row.int("newest"))
}

pub(crate) async fn insert_version(transaction: &mut Transaction, version: &ScorerVersion) -> Stored<()> {
    let sql =
        "INSERT INTO scorer_versions (scorer_id, version, serialized, created_ms) VALUES ($1, $2, $3, $4)";
    let values = parameters![
        version.scorer_id.as_str(),
        version.version,
        version.serialized.as_str(),
        version.created_ms
    ];
    transaction.execute(sql, values).await?;
    Ok(())
}

/// All versions of a scorer, the oldest first.
pub(crate) async fn versions(rows: &mut impl Rows, scorer_id: &str) -> Stored<Vec<ScorerVersion>> {
    let sql = "SELECT v.scorer_id, v.version, v.serialized, v.created_ms, s.experiment_id, s.name FROM scorer_versions v \
               JOIN scorers s ON s.scorer_id = v.scorer_id WHERE v.scorer_id = $1 ORDER BY v.version";
    rows.all(sql, parameters![scorer_id]).await?.iter().map(version).collect()
}

/// The newest version of each scorer of these experiments, by experiment and name.
pub(crate) async fn newest_of_experiments(
    rows: &mut impl Rows,
    experiment_ids: &[i64],
) -> Stored<Vec<ScorerVersion>> {
    let mut found = Vec::new();
    for chunk in experiment_ids.chunks(CHUNK) {
        let sql = format!(
            "SELECT v.scorer_id, v.version, v.serialized, v.created_ms, s.experiment_id, s.name FROM scorers s \
             JOIN scorer_versions v ON v.scorer_id = s.scorer_id WHERE s.experiment_id IN ({}) AND v.version = \
             (SELECT MAX(o.version) FROM scorer_versions o WHERE o.scorer_id = s.scorer_id)",
            placeholders(1, chunk.len())
        );
        let values = chunk.iter().map(|id| SqlValue::from(*id)).collect();
        for row in rows.all(&sql, values).await? {
            found.push(version(&row)?);
        }
    }
    found.sort_by(|left, right| (left.experiment_id, &left.name).cmp(&(right.experiment_id, &right.name)));
    Ok(found)
}

/// The experiments that have scorers and are active.
pub(crate) async fn active_experiments(rows: &mut impl Rows, workspace: &str) -> Stored<Vec<i64>> {
    let sql = "SELECT DISTINCT e.experiment_id FROM experiments e JOIN scorers s ON s.experiment_id = e.experiment_id \
               WHERE e.lifecycle = 'active' AND e.workspace = $1 ORDER BY e.experiment_id";
    rows.all(sql, parameters![workspace]).await?.iter().map(|row| row.int("experiment_id")).collect()
}

/// Takes one version away; false when it was not there.
pub(crate) async fn delete_version(
    transaction: &mut Transaction,
    scorer_id: &str,
    version: i64,
) -> Stored<bool> {
    let sql = "DELETE FROM scorer_versions WHERE scorer_id = $1 AND version = $2";
    Ok(transaction.execute(sql, parameters![scorer_id, version]).await? > 0)
}

/// Versions go with the scorer.
pub(crate) async fn delete(transaction: &mut Transaction, scorer_id: &str) -> Stored<()> {
    transaction.execute("DELETE FROM scorers WHERE scorer_id = $1", parameters![scorer_id]).await?;
    Ok(())
}
