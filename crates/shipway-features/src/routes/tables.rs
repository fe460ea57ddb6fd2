//! `/api/v1/tables`: the Delta tables, and files to load into them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shipway_core::Kind;
use shipway_lake::files::FileFormat;
use shipway_web::{BodyStream, Json, Path, Problem, Query};

use crate::{Features, FeaturesError, LoadAnswer, LoadRequest, TableUpkeep};

#[derive(Serialize)]
pub(crate) struct Tables {
    tables: Vec<Table>,
}

#[derive(Serialize)]
struct Table {
    name: String,
    version: u64,
    rows: Option<u64>,
    files: u64,
    bytes: u64,
    columns: Vec<Column>,
}

#[derive(Serialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    data_type: String,
}

#[derive(Deserialize)]
pub(crate) struct Load {
    format: String,
    load_id: Option<String>,
    wait: Option<bool>,
}

/// List the tables.
pub(crate) async fn list(State(features): State<Features>) -> Result<Json<Tables>, Problem> {
    let summaries = features.lake().tables().await.map_err(FeaturesError::from)?;
    let tables = summaries.into_iter().map(|summary| Table {
        name: summary.name,
        version: summary.version,
        rows: summary.rows,
        files: summary.files,
        bytes: summary.bytes,
        columns: summary
            .schema
            .fields()
            .iter()
            .map(|field| Column { name: field.name().clone(), data_type: field.data_type().to_string() })
            .collect(),
    });
    Ok(Json(Tables { tables: tables.collect() }))
}

/// Load a file, at most once under its load id.
pub(crate) async fn load(
    State(features): State<Features>,
    Path(name): Path<String>,
    Query(query): Query<Load>,
    body: BodyStream,
) -> Result<Json<LoadAnswer>, Problem> {
    let format: FileFormat = query.format.parse().map_err(|error: shipway_lake::files::NotAFormat| {
        Problem::new(Kind::Invalid, "features.file_format", error.to_string())
    })?;
    let request =
        LoadRequest { table: name, format, load_id: query.load_id, wait: query.wait.unwrap_or(true) };
    Ok(Json(features.load(request, body).await?))
}

#[derive(Serialize)]
pub(crate) struct Maintained {
    table: String,
    files_removed: u64,
    files_added: u64,
    bytes_rewritten: u64,
    files_deleted: u64,
    log_entries_deleted: u64,
}

/// Join and sort the files of a table now, and remove what is older than the retention.
pub(crate) async fn maintain(
    State(features): State<Features>,
    Path(name): Path<String>,
) -> Result<Json<Maintained>, Problem> {
    let done = features.maintain(&name).await?;
    Ok(Json(Maintained {
        table: name,
        files_removed: done.files_removed,
        files_added: done.files_added,
        bytes_rewritten: done.bytes_rewritten,
        files_deleted: done.files_deleted,
        log_entries_deleted: done.log_entries_deleted,
    }))
}

#[derive(Serialize)]
pub(crate) struct Upkeep {
    retention_hours: u64,
    every_seconds: Option<u64>,
    tables: Vec<TableUpkeep>,
}

/// Say what the upkeep did to each table since the server started.
pub(crate) async fn upkeep(State(features): State<Features>) -> Json<Upkeep> {
    let limits = features.limits();
    std::future::ready(Json(Upkeep {
        retention_hours: limits.retention.as_secs() / 3_600,
        every_seconds: limits.upkeep_every.map(|every| every.as_secs()),
        tables: features.upkeep(),
    }))
    .await
}
