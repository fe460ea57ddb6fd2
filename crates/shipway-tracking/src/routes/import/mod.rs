//! `POST /api/v1/import/mlflow/…`: things that were recorded by another MLflow server come in, one at a time, with their ids and times.
//!
//! They come into the workspace that the request names, as on the wire of MLflow. Every request may be sent again. What it does not say itself is in `service/import`.
//!
//! - `body`: what is sent

mod body;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shipway_core::{Kind as FailureKind, Permission::Manage};
use shipway_web::{BodyError, BodyStream, Caller, Json, Path, Problem, Query, Routes};

use crate::{
    artifact_path::ArtifactPath,
    error::TrackingError,
    mlflow::Here,
    service::{
        Named, Tracking,
        import::{Arrival, FileOutcome, ImportedModel, ImportedRun, ImportedVersion, Kind},
    },
};

/// The greatest file: 5 GiB. Files are streamed, so their size costs no memory.
const FILE_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// A run has as many params and tags as it likes, and one data set up to 17 MiB of text.
const ITEM_BYTES: u64 = 64 * 1024 * 1024;

pub(crate) fn routes() -> Routes<Tracking> {
    Routes::new()
        .post("/api/v1/import/mlflow/marks", Manage, marks)
        .post("/api/v1/import/mlflow/done", Manage, done)
        .post_with_limit("/api/v1/import/mlflow/experiments", Manage, ITEM_BYTES, experiment)
        .post_with_limit("/api/v1/import/mlflow/runs", Manage, ITEM_BYTES, run)
        .post_with_limit("/api/v1/import/mlflow/runs/{run_id}/inputs", Manage, ITEM_BYTES, inputs)
        .post("/api/v1/import/mlflow/runs/{run_id}/metrics", Manage, metrics)
        .post_with_limit("/api/v1/import/mlflow/logged-models", Manage, ITEM_BYTES, logged_model)
        .post("/api/v1/import/mlflow/logged-models/{model_id}/metrics", Manage, scores)
        .post_with_limit("/api/v1/import/mlflow/registered-models", Manage, ITEM_BYTES, registration)
        .post_with_limit("/api/v1/import/mlflow/versions", Manage, ITEM_BYTES, version)
        .get("/api/v1/import/mlflow/files", Manage, files)
        .put_with_limit("/api/v1/import/mlflow/files/{*path}", Manage, FILE_BYTES, file)
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MarkedKind {
    Run,
    LoggedModel,
}

impl From<MarkedKind> for Kind {
    fn from(kind: MarkedKind) -> Self {
        match kind {
            MarkedKind::Run => Self::Run,
            MarkedKind::LoggedModel => Self::LoggedModel,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marks {
    kind: MarkedKind,
    ids: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    kind: MarkedKind,
    id: String,
    digest: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    root: String,
}

/// What was left out of a request, and why.
#[derive(Debug, Serialize)]
struct Notes {
    notes: Vec<String>,
}

/// Under which digests items came whole.
async fn marks(Here(tracking): Here, Json(body): Json<Marks>) -> Result<Json<Value>, Problem> {
    let digests = tracking.import_marks(body.kind.into(), &body.ids).await?;
    Ok(Json(json!({ "digests": digests })))
}

/// Notes that an item came whole.
async fn done(Here(tracking): Here, Json(body): Json<Done>) -> Result<Json<Value>, Problem> {
    tracking.import_done(body.kind.into(), &body.id, &body.digest).await?;
    Ok(Json(json!({})))
}

async fn experiment(
    Here(tracking): Here,
    caller: Caller,
    Json(body): Json<body::Experiment>,
) -> Result<Json<Value>, Problem> {
    let placed = tracking.import_experiment(&caller.name, body.into()).await?;
    let arrival = placed.arrival;
    Ok(Json(json!({
        "experiment_id": placed.id.to_string(), "outcome": arrival.outcome, "notes": arrival.notes,
    })))
}

async fn run(Here(tracking): Here, Json(body): Json<body::Run>) -> Result<Json<Arrival>, Problem> {
    let new: ImportedRun = body.try_into()?;
    let experiment = Named::Experiment(new.experiment_id.to_string());
    tracking.import_stays_here(&[experiment, Named::Run(new.run_id.clone())]).await?;
    Ok(Json(tracking.import_run(new).await?))
}

async fn inputs(
    Here(tracking): Here,
    Path(run_id): Path<String>,
    Json(body): Json<body::Inputs>,
) -> Result<Json<Notes>, Problem> {
    tracking.import_stays_here(&[Named::Run(run_id.clone())]).await?;
    Ok(Json(Notes { notes: tracking.import_inputs(&run_id, body.into()).await? }))
}

async fn metrics(
    Here(tracking): Here,
    Path(run_id): Path<String>,
    Json(body): Json<body::Points>,
) -> Result<Json<Notes>, Problem> {
    tracking.import_stays_here(&[Named::Run(run_id.clone())]).await?;
    Ok(Json(Notes { notes: tracking.import_metrics(&run_id, body.of_run(&run_id)).await? }))
}

async fn logged_model(
    Here(tracking): Here,
    Json(body): Json<body::LoggedModel>,
) -> Result<Json<Arrival>, Problem> {
    let new: ImportedModel = body.try_into()?;
    let experiment = Named::Experiment(new.experiment_id.to_string());
    tracking.import_stays_here(&[experiment, Named::LoggedModel(new.model_id.clone())]).await?;
    Ok(Json(tracking.import_logged_model(new).await?))
}

async fn scores(
    Here(tracking): Here,
    Path(model_id): Path<String>,
    Json(body): Json<body::Points>,
) -> Result<Json<Notes>, Problem> {
    tracking.import_stays_here(&[Named::LoggedModel(model_id.clone())]).await?;
    Ok(Json(Notes { notes: tracking.import_scores(&model_id, body.of_model(&model_id)).await? }))
}

async fn registration(
    Here(tracking): Here,
    caller: Caller,
    Json(body): Json<body::Registration>,
) -> Result<Json<Value>, Problem> {
    let placed = tracking.import_registration(&caller.name, body.into()).await?;
    let arrival = placed.arrival;
    Ok(Json(json!({ "outcome": arrival.outcome, "notes": arrival.notes, "aliases": placed.aliases })))
}

async fn version(
    Here(tracking): Here,
    caller: Caller,
    Json(body): Json<body::Version>,
) -> Result<Json<Arrival>, Problem> {
    let new: ImportedVersion = body.try_into()?;
    let mut touched = vec![Named::Run(new.run_id.clone()), Named::LoggedModel(new.model_id.clone())];
    touched.extend(new.has_files.then(|| Named::Source(new.source.clone())));
    tracking.import_stays_here(&touched).await?;
    Ok(Json(tracking.import_version(&caller.name, new).await?))
}

/// Paths and sizes of the files that a run or a logged model has here.
async fn files(Here(tracking): Here, Query(query): Query<Files>) -> Result<Json<Value>, Problem> {
    let root = ArtifactPath::parse(&query.root)?;
    tracking.import_stays_here(&[Named::File(root.clone())]).await?;
    let files = tracking.imported_files(&root).await?;
    Ok(Json(json!({ "files": files })))
}

#[derive(Debug, Serialize)]
struct FileView {
    outcome: FileOutcome,
}

async fn file(
    Here(tracking): Here,
    Path(path): Path<String>,
    content: BodyStream,
) -> Result<Json<FileView>, Problem> {
    let path = ArtifactPath::parse(&path)?;
    tracking.import_stays_here(&[Named::File(path.clone())]).await?;
    match tracking.import_file(&path, content).await {
        Ok(outcome) => Ok(Json(FileView { outcome })),
        Err(TrackingError::Blob(blob)) => match blob.content::<BodyError>() {
            Some(BodyError::TooLarge { limit_bytes }) => {
                Err(BodyError::TooLarge { limit_bytes: *limit_bytes }.into())
            }
            _ => Err(TrackingError::from(blob).into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// A word that is none of those that a field may have.
fn wrong_word(field: &str, word: &str) -> Problem {
    let shown: String = word.chars().take(80).collect();
    Problem::new(
        FailureKind::Invalid,
        "tracking.invalid_value",
        format!("invalid value for {field}: `{shown}`"),
    )
}
