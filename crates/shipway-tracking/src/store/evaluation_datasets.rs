//! Tables `evaluation_datasets`, `evaluation_dataset_tags`, `evaluation_dataset_experiments`.

use std::collections::HashMap;

use shipway_store::{Row, Transaction, parameters};

use super::{Rows, Stored, all_of, evaluation_records, pairs::EVALUATION_DATASET_TAGS};
use crate::model::EvaluationDataset;

fn dataset(row: &Row) -> Stored<EvaluationDataset> {
    Ok(EvaluationDataset {
        dataset_id: row.text("dataset_id")?,
        name: row.text("name")?,
        digest: row.text("digest")?,
        schema: row.text("schema_json")?,
        records: 0,
        created_ms: row.int("created_ms")?,
        updated_ms: row.int("updated_ms")?,
        created_by: row.text("created_by")?,
        updated_by: row.text("updated_by")?,
        tags: Vec::new(),
        experiment_ids: Vec::new(),
    })
}

/// One whole data set, without its records.
pub(crate) async fn by_id(rows: &mut impl Rows, dataset_id: &str) -> Stored<Option<EvaluationDataset>> {
    let sql = "SELECT * FROM evaluation_datasets WHERE dataset_id = $1";
    let found = rows.first(sql, parameters![dataset_id]).await?;
    Ok(from_rows(rows, found.as_slice()).await?.pop())
}

/// Whole data sets of searched rows, in their order.
pub(crate) async fn from_rows(rows: &mut impl Rows, found: &[Row]) -> Stored<Vec<EvaluationDataset>> {
    let mut datasets: Vec<EvaluationDataset> = found.iter().map(dataset).collect::<Stored<_>>()?;
    let ids: Vec<String> = datasets.iter().map(|dataset| dataset.dataset_id.clone()).collect();
    let mut tags = EVALUATION_DATASET_TAGS.of_all(rows, &ids).await?;
    let mut counts = evaluation_records::counts(rows, &ids).await?;
    let mut experiments: HashMap<String, Vec<i64>> = HashMap::new();
    let sql = "SELECT dataset_id, experiment_id FROM evaluation_dataset_experiments WHERE dataset_id IN ({ids}) \
               ORDER BY experiment_id";
    for row in all_of(rows, sql, &ids).await? {
        experiments.entry(row.text("dataset_id")?).or_default().push(row.int("experiment_id")?);
    }
    for dataset in &mut datasets {
        dataset.tags = tags.remove(&dataset.dataset_id).unwrap_or_default();
        dataset.records = counts.remove(&dataset.dataset_id).unwrap_or_default();
        dataset.experiment_ids = experiments.remove(&dataset.dataset_id).unwrap_or_default();
    }
    Ok(datasets)
}

pub(crate) async fn insert(
    transaction: &mut Transaction,
    workspace: &str,
    dataset: &EvaluationDataset,
) -> Stored<()> {
    transaction
        .execute(
            "INSERT INTO evaluation_datasets (dataset_id, name, digest, schema_json, created_ms, updated_ms, created_by, \
             updated_by, workspace) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            parameters![
                dataset.dataset_id.as_str(),
                dataset.name.as_str(),
                dataset.digest.as_str(),
                dataset.schema.as_str(),
                dataset.created_ms,
                dataset.updated_ms,
                dataset.created_by.as_str(),
                dataset.updated_by.as_str(),
                workspace
            ],
        )
        .await?;
    let owner = dataset.dataset_id.as_str().into();
    EVALUATION_DATASET_TAGS.set(transaction, &owner, &dataset.tags).await?;
    link(transaction, &dataset.dataset_id, &dataset.experiment_ids).await
}

/// Writes what changes with the records: digest, schema, and when and by whom.
pub(crate) async fn update(transaction: &mut Transaction, dataset: &EvaluationDataset) -> Stored<()> {
    let sql = "UPDATE evaluation_datasets SET digest = $2, schema_json = $3, updated_ms = $4, updated_by = $5 \
               WHERE dataset_id = $1";
    let values = parameters![
        dataset.dataset_id.as_str(),
        dataset.digest.as_str(),
        dataset.schema.as_str(),
        dataset.updated_ms,
        dataset.updated_by.as_str()
    ];
    transaction.execute(sql, values).await?;
    Ok(())
}

/// Records, tags and experiments go with the data set.
pub(crate) async fn delete(transaction: &mut Transaction, dataset_id: &str) -> Stored<()> {
    let sql = "DELETE FROM evaluation_datasets WHERE dataset_id = $1";
    transaction.execute(sql, parameters![dataset_id]).await?;
    Ok(())
}

/// Adds the data set to experiments; one that has it already keeps it.
pub(crate) async fn link(
    transaction: &mut Transaction,
    dataset_id: &str,
    experiment_ids: &[i64],
) -> Stored<()> {
    let sql = "INSERT INTO evaluation_dataset_experiments (dataset_id, experiment_id) VALUES ($1, $2) \
               ON CONFLICT (dataset_id, experiment_id) DO NOTHING";
    let values = experiment_ids.iter().map(|id| parameters![dataset_id, *id]).collect();
    transaction.execute_many(sql, values).await?;
    Ok(())
}

/// Takes the data set out of experiments, and says out of how many.
pub(crate) async fn unlink(
    transaction: &mut Transaction,
    dataset_id: &str,
    experiment_ids: &[i64],
) -> Stored<u64> {
    let sql = "DELETE FROM evaluation_dataset_experiments WHERE dataset_id = $1 AND experiment_id = $2";
    let values = experiment_ids.iter().map(|id| parameters![dataset_id, *id]).collect();
    transaction.execute_many(sql, values).await
}
