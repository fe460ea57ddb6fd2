//! Tables `datasets`, `run_inputs`, `run_input_tags`, `run_models`: what runs read and produced.

use std::collections::HashMap;

use shipway_store::{Row, Transaction, parameters};

use super::{Rows, Stored, all_of, placeholders};
use crate::model::{DatasetInput, LinkedModel, Pair};

/// The tag of an input that says what its data set was read for.
pub(crate) const CONTEXT_TAG: &str = "mlflow.data.context";

/// Records that a run read a data set. The same data set of an experiment is kept once; saying it again changes nothing.
pub(crate) async fn add_dataset(
    transaction: &mut Transaction,
    experiment_id: i64,
    run_id: &str,
    new_id: &str,
    input: &DatasetInput,
) -> Stored<()> {
    transaction
        .execute(
            "INSERT INTO datasets (dataset_id, experiment_id, name, digest, source_type, source, schema_text, profile) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (experiment_id, name, digest) DO NOTHING",
            parameters![
                new_id,
                experiment_id,
                input.name.as_str(),
                input.digest.as_str(),
                input.source_type.as_str(),
                input.source.as_str(),
                input.schema.as_deref(),
                input.profile.as_deref()
            ],
        )
        .await?;
    let sql = "SELECT dataset_id FROM datasets WHERE experiment_id = $1 AND name = $2 AND digest = $3";
    let found = transaction
        .fetch_optional(sql, parameters![experiment_id, input.name.as_str(), input.digest.as_str()])
        .await?;
    let dataset_id =
        found.map(|row| row.text("dataset_id")).transpose()?.unwrap_or_else(|| new_id.to_owned());
    let sql = "INSERT INTO run_inputs (run_id, dataset_id) VALUES ($1, $2) ON CONFLICT (run_id, dataset_id) DO NOTHING";
    transaction.execute(sql, parameters![run_id, dataset_id.as_str()]).await?;
    let tags = input
        .tags
        .iter()
        .map(|tag| parameters![run_id, dataset_id.as_str(), tag.key.as_str(), tag.value.as_str()])
        .collect::<Vec<_>>();
    if !tags.is_empty() {
        let sql = "INSERT INTO run_input_tags (run_id, dataset_id, key, value) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (run_id, dataset_id, key) DO UPDATE SET value = excluded.value";
        transaction.execute_many(sql, tags).await?;
    }
    Ok(())
}

/// Which way a logged model went through a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Input,
    Output,
}

impl Direction {
    const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

pub(crate) async fn add_models(
    transaction: &mut Transaction,
    run_id: &str,
    direction: Direction,
    models: &[LinkedModel],
) -> Stored<()> {
    if models.is_empty() {
        return Ok(());
    }
    let values = models
        .iter()
        .map(|model| parameters![run_id, model.model_id.as_str(), direction.word(), model.step])
        .collect();
    let sql = "INSERT INTO run_models (run_id, model_id, direction, step) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (run_id, direction, model_id) DO UPDATE SET step = excluded.step";
    transaction.execute_many(sql, values).await?;
    Ok(())
}

/// The data sets that many runs read.
pub(crate) const DATASETS_OF_ALL: &str = "SELECT i.run_id, d.* FROM run_inputs i \
    JOIN datasets d ON d.dataset_id = i.dataset_id WHERE i.run_id IN ({ids}) ORDER BY d.name, d.digest";

/// The models that many runs read and produced.
pub(crate) const MODELS_OF_ALL: &str =
    "SELECT * FROM run_models WHERE run_id IN ({ids}) ORDER BY step, model_id";

/// Per run, the data sets that it read.
pub(crate) async fn datasets_of_all(
    rows: &mut impl Rows,
    run_ids: &[String],
) -> Stored<HashMap<String, Vec<DatasetInput>>> {
    let found = all_of(rows, DATASETS_OF_ALL, run_ids).await?;
    datasets_by_run(rows, &found).await
}

/// The rows of [`DATASETS_OF_ALL`] by run, with their tags.
pub(crate) async fn datasets_by_run(
    rows: &mut impl Rows,
    found: &[Row],
) -> Stored<HashMap<String, Vec<DatasetInput>>> {
    let mut run_ids = found.iter().map(|row| row.text("run_id")).collect::<Stored<Vec<_>>>()?;
    run_ids.sort();
    run_ids.dedup();
    let sql =
        "SELECT run_id, dataset_id, key, value FROM run_input_tags WHERE run_id IN ({ids}) ORDER BY key";
    let mut tags: HashMap<(String, String), Vec<Pair>> = HashMap::new();
    for row in all_of(rows, sql, &run_ids).await? {
        let owner = (row.text("run_id")?, row.text("dataset_id")?);
        tags.entry(owner).or_default().push(Pair { key: row.text("key")?, value: row.text("value")? });
    }
    let mut by_run: HashMap<String, Vec<DatasetInput>> = HashMap::new();
    for row in found {
        let owner = (row.text("run_id")?, row.text("dataset_id")?);
        let tags = tags.remove(&owner).unwrap_or_default();
        by_run.entry(owner.0).or_default().push(DatasetInput {
            name: row.text("name")?,
            digest: row.text("digest")?,
            source_type: row.text("source_type")?,
            source: row.text("source")?,
            schema: row.optional_text("schema_text")?,
            profile: row.optional_text("profile")?,
            tags,
        });
    }
    Ok(by_run)
}

/// The model of a row of [`MODELS_OF_ALL`], and whether the run read it or produced it.
pub(crate) fn linked_model(row: &Row) -> Stored<(LinkedModel, Direction)> {
    let model = LinkedModel { model_id: row.text("model_id")?, step: row.int("step")? };
    let is_input = row.str("direction")? == Direction::Input.word();
    Ok((model, if is_input { Direction::Input } else { Direction::Output }))
}

/// A data set as a summary names it: experiment, name, digest and context.
pub(crate) type DatasetSummary = (i64, String, String, Option<String>);

/// The data sets that runs of these experiments read, at most `limit`.
pub(crate) async fn summaries(
    rows: &mut impl Rows,
    experiment_ids: &[i64],
    limit: i64,
) -> Stored<Vec<DatasetSummary>> {
    if experiment_ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT DISTINCT d.experiment_id, d.name, d.digest, t.value AS context FROM datasets d \
         JOIN run_inputs i ON i.dataset_id = d.dataset_id LEFT JOIN run_input_tags t ON t.run_id = i.run_id \
         AND t.dataset_id = i.dataset_id AND t.key = 'mlflow.data.context' \
         WHERE d.experiment_id IN ({}) ORDER BY d.name, d.digest LIMIT {limit}",
        placeholders(1, experiment_ids.len())
    );
    let ids = experiment_ids.iter().map(|id| (*id).into()).collect();
    let found = rows.all(&sql, ids).await?;
    found
        .iter()
        .map(|row| {
            Ok((
                row.int("experiment_id")?,
                row.text("name")?,
                row.text("digest")?,
                row.optional_text("context")?,
            ))
        })
        .collect()
}
