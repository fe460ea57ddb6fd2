//! Table `logged_models`, and the assembly of whole logged models.

use std::collections::HashMap;

use shipway_store::{Row, Transaction, parameters};

use super::{
    Rows, Stored, all_of, evaluations,
    pairs::{LOGGED_MODEL_PARAMS, LOGGED_MODEL_TAGS},
};
use crate::model::{Lifecycle, LoggedModel, ModelStatus};

fn model(row: &Row) -> Stored<LoggedModel> {
    Ok(LoggedModel {
        model_id: row.text("model_id")?,
        experiment_id: row.int("experiment_id")?,
        name: row.text("name")?,
        model_type: row.text("model_type")?,
        source_run_id: row.text("source_run_id")?,
        status: ModelStatus::from_word(&row.text("status")?).unwrap_or(ModelStatus::Unspecified),
        artifact_root: row.text("artifact_root")?,
        lifecycle: Lifecycle::from_word(&row.text("lifecycle")?),
        created_ms: row.int("created_ms")?,
        updated_ms: row.int("updated_ms")?,
        tags: Vec::new(),
        params: Vec::new(),
        metrics: Vec::new(),
        registrations: Vec::new(),
    })
}

/// A logged model's own row, without tags, params and metrics.
pub(crate) async fn row_of(rows: &mut impl Rows, model_id: &str) -> Stored<Option<LoggedModel>> {
    let found = rows.first("SELECT * FROM logged_models WHERE model_id = $1", parameters![model_id]).await?;
    found.as_ref().map(model).transpose()
}

/// The logged model that owns an artifact root.
pub(crate) async fn by_root(rows: &mut impl Rows, root: &str) -> Stored<Option<LoggedModel>> {
    let found = rows.first("SELECT * FROM logged_models WHERE artifact_root = $1", parameters![root]).await?;
    found.as_ref().map(model).transpose()
}

/// One whole logged model.
pub(crate) async fn by_id(rows: &mut impl Rows, model_id: &str) -> Stored<Option<LoggedModel>> {
    let found = rows.first("SELECT * FROM logged_models WHERE model_id = $1", parameters![model_id]).await?;
    Ok(from_rows(rows, found.as_slice()).await?.pop())
}

/// Whole logged models of searched rows, in their order.
pub(crate) async fn from_rows(rows: &mut impl Rows, found: &[Row]) -> Stored<Vec<LoggedModel>> {
    let mut models: Vec<LoggedModel> = found.iter().map(model).collect::<Stored<_>>()?;
    let ids: Vec<String> = models.iter().map(|model| model.model_id.clone()).collect();
    let mut tags = LOGGED_MODEL_TAGS.of_all(rows, &ids).await?;
    let mut params = LOGGED_MODEL_PARAMS.of_all(rows, &ids).await?;
    let mut metrics = evaluations::latest_of_all(rows, &ids).await?;
    let mut registrations: HashMap<String, Vec<(String, i64)>> = HashMap::new();
    let sql =
        "SELECT model_id, name, version FROM model_versions WHERE model_id IN ({ids}) ORDER BY name, version";
    for row in all_of(rows, sql, &ids).await? {
        let registration = (row.text("name")?, row.int("version")?);
        registrations.entry(row.text("model_id")?).or_default().push(registration);
    }
    for model in &mut models {
        model.tags = tags.remove(&model.model_id).unwrap_or_default();
        model.params = params.remove(&model.model_id).unwrap_or_default();
        model.metrics = metrics.remove(&model.model_id).unwrap_or_default();
        model.registrations = registrations.remove(&model.model_id).unwrap_or_default();
    }
    Ok(models)
}

pub(crate) async fn insert(transaction: &mut Transaction, model: &LoggedModel) -> Stored<()> {
    transaction
        .execute(
            "INSERT INTO logged_models (model_id, experiment_id, name, model_type, source_run_id, status, artifact_root, \
             lifecycle, created_ms, updated_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            parameters![
                model.model_id.as_str(),
                model.experiment_id,
                model.name.as_str(),
                model.model_type.as_str(),
                model.source_run_id.as_str(),
                model.status.word(),
                model.artifact_root.as_str(),
                model.lifecycle.word(),
                model.created_ms,
                model.updated_ms
            ],
        )
        .await?;
    let owner = model.model_id.as_str().into();
    LOGGED_MODEL_TAGS.set(transaction, &owner, &model.tags).await?;
    LOGGED_MODEL_PARAMS.set(transaction, &owner, &model.params).await
}

/// Writes what can change of a logged model: status and lifecycle.
pub(crate) async fn update(transaction: &mut Transaction, model: &LoggedModel) -> Stored<()> {
    let sql = "UPDATE logged_models SET status = $2, lifecycle = $3, updated_ms = $4 WHERE model_id = $1";
    let values =
        parameters![model.model_id.as_str(), model.status.word(), model.lifecycle.word(), model.updated_ms];
    transaction.execute(sql, values).await?;
    Ok(())
}
