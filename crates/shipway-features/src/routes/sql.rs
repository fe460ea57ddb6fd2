//! `POST /api/v1/sql`: read-only SQL over the tables.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use futures::StreamExt as _;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shipway_web::{Json, Problem};

use crate::{
    Features, FeaturesError,
    routes::{arrow_stream, ingest::ARROW_STREAM},
};

/// A JSON answer is built in memory, so it is bounded; an Arrow stream is not.
const JSON_ROWS: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sql {
    query: String,
}

#[derive(Serialize)]
struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// Run one query.
pub(crate) async fn sql(
    State(features): State<Features>,
    headers: HeaderMap,
    Json(body): Json<Sql>,
) -> Result<Response, Problem> {
    let planned = features.query(&body.query).await?;
    let mut batches = planned.frame.execute_stream().await.map_err(FeaturesError::from)?;
    let wants_arrow = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accepted| accepted.to_str().is_ok_and(|accepted| accepted.contains(ARROW_STREAM)));
    if wants_arrow {
        return Ok(arrow_stream::respond(batches)?);
    }
    let columns = batches.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut rows = Vec::new();
    while let Some(batch) = batches.next().await {
        rows.extend(arrow_stream::json_rows(&batch.map_err(FeaturesError::from)?)?);
        if rows.len() > JSON_ROWS {
            let got = rows.len() as u64;
            let error =
                FeaturesError::TooLarge { what: "number of rows as JSON", got, limit: JSON_ROWS as u64 };
            return Err(Problem::from(error).with_hint("add a LIMIT, or ask for an Arrow stream"));
        }
    }
    Ok(Json(Rows { columns, rows }).into_response())
}
