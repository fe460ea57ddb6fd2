//! Table `evaluations`: scores of logged models, each with the artifacts it was computed for.

use std::collections::HashMap;

use shipway_core::Digest;
use shipway_store::{Row, Transaction, parameters};

use super::{Rows, Stored, all_of};
use crate::{
    model::{Metric, run::stored_value},
    promote::Evaluation,
};

fn value(row: &Row) -> Stored<f64> {
    Ok(if row.int("is_nan")? != 0 { f64::NAN } else { row.real("value")? })
}

/// Adds the scores of one model. A score that is there already keeps the artifacts it was first recorded with.
pub(crate) async fn add(
    transaction: &mut Transaction,
    run_id: &str,
    artifact: Option<Digest>,
    points: &[&Metric],
) -> Stored<()> {
    let artifact = artifact.map(|digest| digest.to_string()).unwrap_or_default();
    let values = points
        .iter()
        .map(|point| {
            let (value, is_nan) = stored_value(point.value);
            parameters![
                point.model_id.as_str(),
                point.key.as_str(),
                point.dataset_name.as_str(),
                point.dataset_digest.as_str(),
                point.step,
                point.timestamp_ms,
                value,
                is_nan,
                run_id,
                artifact.as_str()
            ]
        })
        .collect();
    let sql = "INSERT INTO evaluations (model_id, metric, dataset_name, dataset_digest, step, timestamp_ms, value, is_nan, \
               run_id, artifact_digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    transaction.execute_many(sql, values).await?;
    Ok(())
}

/// The scores of one logged model.
pub(crate) async fn of_model(rows: &mut impl Rows, model_id: &str) -> Stored<Vec<Evaluation>> {
    let sql =
        "SELECT * FROM evaluations WHERE model_id = $1 ORDER BY metric, dataset_name, timestamp_ms, step";
    let found = rows.all(sql, parameters![model_id]).await?;
    let evaluation = |row: &Row| {
        Ok(Evaluation {
            metric: row.text("metric")?,
            value: value(row)?,
            dataset_name: row.text("dataset_name")?,
            dataset_digest: row.text("dataset_digest")?,
            step: row.int("step")?,
            timestamp_ms: row.int("timestamp_ms")?,
            artifact: row.text("artifact_digest")?.parse().ok(),
        })
    };
    found.iter().map(evaluation).collect()
}

/// Per logged model, the latest score of each metric, data set and run.
pub(crate) async fn latest_of_all(
    rows: &mut impl Rows,
    model_ids: &[String],
) -> Stored<HashMap<String, Vec<Metric>>> {
    let sql = "SELECT * FROM evaluations e WHERE e.model_id IN ({ids}) AND NOT EXISTS (SELECT 1 FROM evaluations later \
               WHERE later.model_id = e.model_id AND later.metric = e.metric AND later.dataset_name = e.dataset_name \
               AND later.dataset_digest = e.dataset_digest AND later.run_id = e.run_id AND (later.step > e.step \
               OR (later.step = e.step AND (later.timestamp_ms > e.timestamp_ms \
               OR (later.timestamp_ms = e.timestamp_ms AND (later.is_nan < e.is_nan \
               OR (later.is_nan = e.is_nan AND later.value > e.value))))))) ORDER BY e.metric, e.dataset_name, e.run_id";
    let mut found: HashMap<String, Vec<Metric>> = HashMap::new();
    for row in all_of(rows, sql, model_ids).await? {
        let model_id = row.text("model_id")?;
        found.entry(model_id.clone()).or_default().push(Metric {
            key: row.text("metric")?,
            value: value(&row)?,
            timestamp_ms: row.int("timestamp_ms")?,
            step: row.int("step")?,
            model_id,
            run_id: row.text("run_id")?,
            dataset_name: row.text("dataset_name")?,
            dataset_digest: row.text("dataset_digest")?,
        });
    }
    Ok(found)
}
