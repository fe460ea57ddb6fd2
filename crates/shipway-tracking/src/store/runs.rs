//! Table `runs`, and the assembly of whole runs.

use std::collections::HashMap;

use shipway_store::{Change, Row, Transaction, parameters};

use super::{
    Rows, Stored,
    inputs::{self, Direction},
    metrics,
    pairs::{RUN_PARAMS, RUN_TAGS, pair},
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

/// Whole runs of searched rows, in their order. Costs a fixed number of queries, however many runs there are and however much they
/// logged.
pub(crate) async fn from_rows(rows: &mut impl Rows, found: &[Row]) -> Stored<Vec<Run>> {
    let infos: Vec<RunInfo> = found.iter().map(info).collect::<Stored<_>>()?;
    if infos.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = infos.iter().map(|info| info.run_id.clone()).collect();
    let (params, tags) = (RUN_PARAMS.query_of_all(), RUN_TAGS.query_of_all());
    let queries = [metrics::LATEST_OF_ALL, &params, &tags, inputs::DATASETS_OF_ALL, inputs::MODELS_OF_ALL];
    let logged: [Vec<Row>; 5] = rows.among(&queries, &ids).await?.try_into().unwrap_or_default();
    let [metrics, params, tags, datasets, models] = logged;
    let mut runs: Vec<Run> = infos.into_iter().map(Run::new).collect();
    let mut owners = Owners::of(&ids);
    for row in &metrics {
        if let Some(run) = owners.owner(&mut runs, row.str("run_id")?) {
            run.metrics.push(metrics::metric(row)?);
        }
    }
    for row in &params {
        if let Some(run) = owners.owner(&mut runs, row.str("owner")?) {
            run.params.push(pair(row)?);
        }
    }
    for row in &tags {
        if let Some(run) = owners.owner(&mut runs, row.str("owner")?) {
            run.tags.push(pair(row)?);
        }
    }
    for (id, datasets) in inputs::datasets_by_run(rows, &datasets).await? {
        if let Some(run) = owners.owner(&mut runs, &id) {
            run.datasets = datasets;
        }
    }
    for row in &models {
        let (model, direction) = inputs::linked_model(row)?;
        if let Some(run) = owners.owner(&mut runs, row.str("run_id")?) {
            match direction {
                Direction::Input => run.model_inputs.push(model),
                Direction::Output => run.model_outputs.push(model),
            }
        }
    }
    for run in &mut runs {
        // The databases need not sort all of them for that.
        run.metrics.sort_by(|one, other| one.key.cmp(&other.key));
        run.params.sort_by(|one, other| one.key.cmp(&other.key));
        run.tags.sort_by(|one, other| one.key.cmp(&other.key));
    }
    Ok(runs)
}

/// Which of many runs a row belongs to. Rows of one run mostly come one after the other.
struct Owners<'a> {
    places: HashMap<&'a str, usize>,
    last: (&'a str, usize),
}

impl<'a> Owners<'a> {
    fn of(ids: &'a [String]) -> Self {
        let places = ids.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
        Self { places, last: ("", 0) }
    }

    fn owner<'r>(&mut self, runs: &'r mut [Run], id: &str) -> Option<&'r mut Run> {
        if self.last.0 != id
            && let Some((id, place)) = self.places.get_key_value(id)
        {
            self.last = (id, *place);
        }
        runs.get_mut(self.last.1).filter(|run| run.info.run_id == id)
    }
}

/// What inserting a run changes.
pub(crate) fn inserting(info: &RunInfo) -> Change {
    Change::statement(
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
}

/// Writes what can change of a run: name, status, end, lifecycle.
pub(crate) async fn update(transaction: &mut Transaction, info: &RunInfo) -> Stored<()> {
    transaction.execute_together(vec![updating(info)]).await?;
    Ok(())
}

/// What [`update`] changes.
pub(crate) fn updating(info: &RunInfo) -> Change {
    Change::statement(
        "UPDATE runs SET name = $2, status = $3, end_ms = $4, lifecycle = $5 WHERE run_id = $1",
        parameters![
            info.run_id.as_str(),
            info.name.as_str(),
            info.status.word(),
            info.end_ms,
            info.lifecycle.word()
        ],
    )
}
