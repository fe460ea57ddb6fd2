//! Training sets: as an Arrow stream, into a table at once or as a job, and made again from their recipes.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use shipway_core::{Permission, ResourceType, Timestamp};
use shipway_web::{Caller, Json, Path, Problem, must_be_allowed_every};

use crate::{
    Features,
    offline::Label,
    routes::arrow_stream,
    stored::{KeptTrainingSet, StoreOptions},
    training::{ArrivalRule, Spine, TrainingSet, TrainingSetStream},
};

/// How many rows the whole training set will have, so that a client can show progress.
const SPINE_ROWS: HeaderName = HeaderName::from_static("x-shipway-spine-rows");

/// The version of the service, to be kept with the model.
const SERVICE_HASH: HeaderName = HeaderName::from_static("x-shipway-service-hash");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Build {
    service: String,
    spine: SpineBody,
    time: String,
    #[serde(default)]
    as_of: AsOfBody,
    watermarks: Option<BTreeMap<String, u64>>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    #[serde(default)]
    labels: Vec<Label>,
    #[serde(default)]
    output: OutputBody,
    /// For a table: false answers at once with a job.
    wait: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum SpineBody {
    Table(String),
    Sql(String),
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
enum AsOfBody {
    #[default]
    EventTime,
    Arrival,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct OutputBody {
    #[serde(rename = "format")]
    _format: Option<ArrowOnly>,
    table: Option<String>,
    #[serde(default)]
    replace: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ArrowOnly {
    Arrow,
}

/// Where a training set is made again.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rebuild {
    into: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Kept {
    training_sets: Vec<KeptTrainingSet>,
}

impl Build {
    /// What is asked for, and the table to write it to, if any.
    pub(crate) fn into_wanted(self) -> (TrainingSet, Option<String>) {
        let wanted = TrainingSet {
            service: self.service,
            spine: match self.spine {
                SpineBody::Table(table) => Spine::Table(table),
                SpineBody::Sql(query) => Spine::Sql(query),
            },
            time: self.time,
            arrival: match (self.as_of, self.watermarks) {
                (AsOfBody::EventTime, _) => ArrivalRule::Any,
                (AsOfBody::Arrival, None) => ArrivalRule::Received,
                (AsOfBody::Arrival, Some(watermarks)) => ArrivalRule::Before(watermarks),
            },
            from: self.from,
            to: self.to,
            labels: self.labels,
        };
        (wanted, self.output.table)
    }
}

/// Build a training set. One that is kept writes a table.
pub(crate) async fn build(
    State(features): State<Features>,
    caller: Caller,
    Json(body): Json<Build>,
) -> Result<Response, Problem> {
    let (wait, options) = (body.wait, StoreOptions { replace: body.output.replace });
    let (wanted, table) = body.into_wanted();
    if table.is_some() {
        must_be_allowed_every(&caller, ResourceType::Table, Permission::Write)?;
    }
    let (mut response, rows, hash) = match table {
        Some(table) if wait == Some(false) => {
            let job = features.submit_training_set(wanted, &table, options, &caller.name).await?;
            return Ok((StatusCode::ACCEPTED, Json(job)).into_response());
        }
        Some(table) => {
            let stored = features.store_training_set(wanted, &table, options).await?;
            let (rows, hash) = (stored.rows, stored.service_hash);
            (Json(stored).into_response(), rows, hash)
        }
        None => {
            let TrainingSetStream { batches, rows, service_hash } = features.training_set(wanted).await?;
            (arrow_stream::respond(batches)?, rows, service_hash)
        }
    };
    response.headers_mut().insert(SPINE_ROWS, HeaderValue::from(rows));
    if let Ok(hash) = HeaderValue::from_str(&hash.to_string()) {
        response.headers_mut().insert(SERVICE_HASH, hash);
    }
    Ok(response)
}

/// List the kept training sets with their recipes.
pub(crate) async fn list(State(features): State<Features>) -> Result<Json<Kept>, Problem> {
    Ok(Json(Kept { training_sets: features.kept_training_sets().await? }))
}

/// Show a kept training set and its recipe.
pub(crate) async fn show(
    State(features): State<Features>,
    Path(table): Path<String>,
) -> Result<Json<KeptTrainingSet>, Problem> {
    Ok(Json(features.kept_training_set(&table).await?))
}

/// Make a kept training set again, as a job, and compare every bit.
pub(crate) async fn rebuild(
    State(features): State<Features>,
    caller: Caller,
    Path(table): Path<String>,
    Json(body): Json<Rebuild>,
) -> Result<Response, Problem> {
    let job = features.submit_rebuild(&table, body.into.as_deref(), &caller.name).await?;
    Ok((StatusCode::ACCEPTED, Json(job)).into_response())
}
