//! Registered models, as a person or a script asks for them.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::Serialize;
use shipway_core::{Digest, Permission, ResourceType, Timestamp, Value};
use shipway_web::{Caller, Json, Path, Problem, Routes};

use crate::{
    model::{Pair, RegisteredModel},
    promote::Evaluation,
    service::{ModelReport, Tracking, VersionReport},
};

pub(crate) fn routes() -> Routes<Tracking> {
    Routes::new().get("/api/v1/models", Permission::Read, list).get(
        "/api/v1/models/{name}",
        Permission::Read,
        get,
    )
}

#[derive(Debug, Serialize)]
struct ModelsView {
    models: Vec<ModelView>,
}

#[derive(Debug, Serialize)]
struct ModelView {
    name: String,
    description: String,
    created: Timestamp,
    updated: Timestamp,
    newest_version: Option<i64>,
    /// Alias to version.
    aliases: BTreeMap<String, i64>,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct ModelDetailView {
    #[serde(flatten)]
    model: ModelView,
    /// The newest first.
    versions: Vec<VersionView>,
}

#[derive(Debug, Serialize)]
struct VersionView {
    version: i64,
    created: Timestamp,
    created_by: String,
    description: String,
    aliases: Vec<String>,
    source: String,
    model_id: Option<String>,
    run_id: Option<String>,
    /// The digest of its files now; absent when it has none.
    artifact_digest: Option<Digest>,
    artifact_bytes: i64,
    tags: BTreeMap<String, String>,
    evaluations: Vec<EvaluationView>,
}

#[derive(Debug, Serialize)]
struct EvaluationView {
    metric: String,
    /// A number, or `NaN`.
    value: Value,
    dataset: Option<String>,
    dataset_digest: Option<String>,
    step: i64,
    at: Timestamp,
    /// Whether it was recorded for the files that the version has now.
    of_own_artifact: bool,
}

fn moment(milliseconds: i64) -> Timestamp {
    Timestamp(milliseconds.saturating_mul(1_000))
}

fn set(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn map(pairs: Vec<Pair>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, pair.value)).collect()
}

impl From<RegisteredModel> for ModelView {
    fn from(model: RegisteredModel) -> Self {
        Self {
            newest_version: model.latest_versions.iter().map(|version| version.version).max(),
            name: model.name,
            description: model.description,
            created: moment(model.created_ms),
            updated: moment(model.updated_ms),
            aliases: model.aliases.into_iter().collect(),
            tags: map(model.tags),
        }
    }
}

impl From<VersionReport> for VersionView {
    fn from(report: VersionReport) -> Self {
        let VersionReport { version, artifact, bytes, evaluations } = report;
        let evaluation = |one: Evaluation| EvaluationView {
            metric: one.metric,
            value: Value::float(one.value),
            dataset: set(one.dataset_name),
            dataset_digest: set(one.dataset_digest),
            step: one.step,
            at: moment(one.timestamp_ms),
            of_own_artifact: artifact.is_some() && one.artifact == artifact,
        };
        Self {
            version: version.version,
            created: moment(version.created_ms),
            created_by: version.user_id,
            description: version.description,
            aliases: version.aliases,
            source: version.source,
            model_id: set(version.model_id),
            run_id: set(version.run_id),
            artifact_digest: artifact,
            artifact_bytes: bytes,
            tags: map(version.tags),
            evaluations: evaluations.into_iter().map(evaluation).collect(),
        }
    }
}

/// All registered models that the caller may see, of every workspace, by key.
async fn list(State(tracking): State<Tracking>, caller: Caller) -> Result<Json<ModelsView>, Problem> {
    let sees = |key: &str| caller.access.allows(ResourceType::RegisteredModel, key, Permission::Read);
    let models = tracking.registered_models().await?.into_iter().filter(|model| sees(&model.name));
    Ok(Json(ModelsView { models: models.map(Into::into).collect() }))
}

/// One registered model with its versions and their evaluations.
async fn get(
    State(tracking): State<Tracking>,
    Path(name): Path<String>,
) -> Result<Json<ModelDetailView>, Problem> {
    let ModelReport { model, versions } = tracking.model_report(&name).await?;
    let versions = versions.into_iter().map(Into::into).collect();
    Ok(Json(ModelDetailView { model: model.into(), versions }))
}
