//! Table `runs`, and the assembly of whole runs.

use shipway_store::{Row, SqlValue, Transaction, parameters};

use super::{
    Rows, Stored, inputs, metrics,
    pairs::{RUN_PARAMS, RUN_TAGS},
};
use crate::model::{Lifecycle, Run, RunInfo, RunStatus};

fn info(row: &Row) -> Stored<RunInfo> {
    Ok(RunInfo {
        run_id: row.text("run_id")?,
        experiment_id: row.int("experiment_id")?,
        name: row.text("name")?,
        user_id: row.text("user_id")?,
        status: RunStatus::from_word(&row.text("status")?).unwrap_or(RunStatus::Running),
        start_ms: row.int("start_ms")?,
        end_ms: row.optional_int("end_ms")?,
        artifact_root: row.text("artifact_root")?,
        lifecycle: Lifecycle::from_word(&row.text("lifecycle")?),
    })
}

/// A run's own row, without what was logged for it.
pub(crate) async fn info_of(rows: &mut impl Rows, run_id: &str) -> Stored<Option<RunInfo>> {
    let found = rows.first("SELECT * FROM runs WHERE run_id = $1", parameters![run_id]).await?;
    found.as_ref().map(info).transpose()
}

/// The run that owns an artifact root.
pub(crate) async fn by_root(rows: &mut impl Rows, root: &str) -> Stored<Option<RunInfo>> {
    let found = rows.first("SELECT * FROM runs WHERE artifact_root = $1", parameters![root]).await?;
    found.as_ref().map(info).transpose()
}

/// One whole run.
pub(crate) async fn by_id(rows: &mut impl Rows, run_id: &str) -> Stored<Option<Run>> {
    let found = rows.first("SELECT * FROM runs WHERE run_id = $1", parameters![run_id]).await?;
    Ok(from_rows(rows, found.as_slice()).await?.pop())
}

/// Whole runs of searched rows, in their order. Costs a fixed number of queries per 500 runs, however much they logged.
pub(crate) async fn from_rows(rows: &mut impl Rows, found: &[Row]) -> Stored<Vec<Run>> {
    let infos: Vec<RunInfo> = found.iter().map(info).collect::<Stored<_>>()?;
    let ids: Vec<String> = infos.iter().map(|info| info.run_id.clone()).collect();
    let mut metrics = metrics::latest_of_all(rows, &ids).await?;
    let mut params = RUN_PARAMS.of_all(rows, &ids).await?;
    let mut tags = RUN_TAGS.of_all(rows, &ids).await?;
    let mut datasets = inputs::datasets_of_all(rows, &ids).await?;
    let mut models = inputs::models_of_all(rows, &ids).await?;
    let assemble = |info: RunInfo| {
        let id = info.run_id.clone();
        let (model_inputs, model_outputs) = models.remove(&id).unwrap_or_default();
        Run {
            metrics: metrics.remove(&id).unwrap_or_default(),
            params: params.remove(&id).unwrap_or_default(),
            tags: tags.remove(&id).unwrap_or_default(),
            datasets: datasets.remove(&id).unwrap_or_default(),
            model_inputs,
            model_outputs,
            info,
        }
    };
    Ok(infos.into_iter().map(assemble).collect())
}

pub(crate) async fn insert(transaction: &mut Transaction, info: &RunInfo) -> Stored<()> {
    transaction
        .execute(
            "INSERT INTO runs (run_id, experiment_id, name, user_id, status, start_ms, end_ms, artifact_root, lifecycle) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            parameters![
                info.run_id.as_str(),
                info.experiment_id,
                info.name.as_str(),
                info.user_id.as_str(),
                info.status.word(),
                info.start_ms,
                info.end_ms,
                info.artifact_root.as_str(),
                info.lifecycle.word()
            ],
        )
        .await?;
    Ok(())
}

/// Writes what can change of a run: name, status, end, lifecycle.
pub(crate) async fn update(transaction: &mut Transaction, info: &RunInfo) -> Stored<()> {
    let sql = "UPDATE runs SET name = $2, status = $3, end_ms = $4, lifecycle = $5 WHERE run_id = $1";
    let values: Vec<SqlValue> = parameters![
        info.run_id.as_str(),
        info.name.as_str(),
        info.status.word(),
        info.end_ms,
        info.lifecycle.word()
    ];
    transaction.execute(sql, values).await?;
    Ok(())
}
