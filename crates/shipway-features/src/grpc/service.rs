//! The two methods: translate, call the one function that every wire calls, translate back.

use std::sync::Arc;

use serde_json::Map;
use shipway_core::{DataType, Digest, Name, Timestamp, Value};
use shipway_web::Problem;
use tonic::{Request, Response, Status};

use super::{
    answer,
    v1::{self, feature_service_server::FeatureService},
    value,
};
use crate::{
    Events,
    error::{FeaturesError, invalid},
    read::{
        ReadPlan, Reads,
        columnar::RowsBuilder,
        rows::{ListedKey, RequestRow, RequestRows, check_columns, check_count},
        service::Moment,
    },
};

/// The feature platform, or what a reader has of it, as a gRPC service.
pub(super) struct Service(pub(super) Reads);

#[tonic::async_trait]
impl FeatureService for Service {
    async fn read(&self, request: Request<v1::ReadRequest>) -> Result<Response<v1::ReadResponse>, Status> {
        self.answer(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn push(&self, request: Request<v1::PushRequest>) -> Result<Response<v1::PushResponse>, Status> {
        self.take_in(request.into_inner()).await.map(Response::new).map_err(status)
    }
}

fn status(error: FeaturesError) -> Status {
    Problem::from(error).into()
}

impl Service {
    async fn answer(&self, request: v1::ReadRequest) -> Result<v1::ReadResponse, FeaturesError> {
        let reads = &self.0;
        let is_service = request.features.is_empty();
        let plan = match (is_service, request.service.is_empty()) {
            (true, _) => {
                let hash = request.service_hash.as_deref().map(str::parse::<Digest>).transpose();
                let hash = hash.map_err(|error| invalid(format!("service_hash: {error}")))?;
                reads.plan(&request.service, hash)?
            }
            (false, true) => reads.plan_of_features(&request.features)?,
            (false, false) => return Err(invalid("a read names a service or features, not both")),
        };
        let rows = rows(&plan, &request.columns, reads.limits().read_rows)?;
        let at = request.at_us.map(Timestamp);
        let moment = Moment { at, token: request.token.as_deref() };
        let answer = reads.read(Arc::clone(&plan), rows.rows, moment).await?;
        let mut response = answer::response(&plan, answer, rows.lists.as_deref());
        if !is_service {
            (response.service, response.service_hash) = (String::new(), String::new());
        }
        Ok(response)
    }

    async fn take_in(&self, request: v1::PushRequest) -> Result<v1::PushResponse, FeaturesError> {
        let Reads::Own(features) = &self.0 else {
            return Err(FeaturesError::ReaderOnly { what: "events are not taken in here".to_owned() });
        };
        let count = length(&request.columns)?;
        check_count(count, features.limits().ingest_events)?;
        let event = |row| {
            let columns = request.columns.iter();
            let cell = |column: &v1::Column| {
                (column.name.clone(), column.values.get(row).map(value::event_json).unwrap_or_default())
            };
            columns.map(cell).collect::<Map<_, _>>()
        };
        let answer =
            features.ingest(&request.source, Events::Objects((0..count).map(event).collect())).await?;
        let refused = answer
            .refused
            .into_iter()
            .map(|refused| v1::Refused { index: refused.index as u64, reason: refused.reason });
        Ok(v1::PushResponse {
            acknowledged: answer.acknowledged as u64,
            duplicates: answer.duplicates as u64,
            quarantined: answer.quarantined as u64,
            late: answer.late as u64,
            refused: refused.collect(),
            token: answer.token,
        })
    }
}

/// How many rows the columns have.
fn length(columns: &[v1::Column]) -> Result<usize, FeaturesError> {
    let count = columns.first().map_or(0, |column| column.values.len());
    match columns.iter().find(|column| column.values.len() != count) {
        None => Ok(count),
        Some(other) => Err(invalid(format!(
            "column {} has {} values, {} has {count}",
            other.name,
            other.values.len(),
            columns[0].name
        ))),
    }
}

/// The rows of the request; a key that is a list asks for several entities.
fn rows(plan: &ReadPlan, columns: &[v1::Column], limit: usize) -> Result<RequestRows, FeaturesError> {
    let count = length(columns)?;
    check_count(count, limit)?;
    check_columns(plan, columns.iter().map(|column| column.name.as_str()), None)?;
    let chosen = |wanted: &[(Name, DataType)], kind: &str| {
        let find = |(name, data_type): &(Name, DataType)| {
            let column = columns.iter().find(|column| column.name == name.as_str());
            let column = column.ok_or_else(|| invalid(format!("the {kind} {name} is missing")))?;
            Ok((column, *data_type))
        };
        wanted.iter().map(find).collect::<Result<Vec<_>, FeaturesError>>()
    };
    let (keys, request) = (chosen(&plan.keys, "key column")?, chosen(&plan.request, "request column")?);
    let read = |value: &v1::Value, (column, data_type): (&v1::Column, DataType), row: usize| {
        value::read(value, data_type)
            .map_err(|why| invalid(format!("row {row}: column {}: {why}", column.name)))
    };
    let mut rows = RowsBuilder::new(plan, limit);
    for row in 0..count {
        let mut listed = Vec::new();
        let mut key_values = Vec::with_capacity(keys.len());
        for (key, column) in keys.iter().enumerate() {
            let cell = &column.0.values[row];
            if let Some(v1::value::Kind::List(list)) = &cell.kind {
                let values = list.values.iter().map(|item| read(item, *column, row));
                listed.push(ListedKey { key, values: values.collect::<Result<_, _>>()? });
                key_values.push(Value::Null);
            } else {
                key_values.push(read(cell, *column, row)?);
            }
        }
        let request = request.iter().map(|column| read(&column.0.values[row], *column, row));
        let row = RequestRow { keys: key_values, request: request.collect::<Result<_, _>>()? };
        rows.push(row, listed)?;
    }
    Ok(rows.finish())
}
