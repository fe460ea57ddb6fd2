//! `POST /api/v1/training-sets`: a point-in-time-correct training set, as an Arrow stream or into a table.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use shipway_core::{Digest, Timestamp};
use shipway_web::{Json, Problem};

use crate::{
    Features,
    routes::arrow_stream,
    training::{ArrivalRule, Spine, TrainingSet, TrainingSetStream, WrittenTrainingSet},
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
    output: OutputBody,
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
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ArrowOnly {
    Arrow,
}

#[derive(Serialize)]
struct Written {
    table: String,
    rows: u64,
    table_version: u64,
    service_hash: Digest,
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
            arrival: match self.as_of {
                AsOfBody::EventTime => ArrivalRule::Any,
                AsOfBody::Arrival => ArrivalRule::Before(self.watermarks),
            },
            from: self.from,
            to: self.to,
        };
        (wanted, self.output.table)
    }
}

/// Build a training set.
pub(crate) async fn build(
    State(features): State<Features>,
    Json(body): Json<Build>,
) -> Result<Response, Problem> {
    let (wanted, table) = body.into_wanted();
    let (mut response, rows, hash) = match table {
        Some(table) => {
            let written = features.write_training_set(wanted, &table).await?;
            let WrittenTrainingSet { rows, table_version, service_hash } = written;
            (Json(Written { table, rows, table_version, service_hash }).into_response(), rows, service_hash)
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
