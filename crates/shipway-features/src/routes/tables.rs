//! `/api/v1/tables`: the Delta tables, and files to load into them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shipway_core::Kind;
use shipway_lake::files::FileFormat;
use shipway_web::{BodyStream, Json, Path, Problem, Query};

use crate::{Features, FeaturesError, LoadAnswer, LoadRequest};

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
