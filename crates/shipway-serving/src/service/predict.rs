//! Rows become predictions: features are read, the model runs, the answer is queued for the log, then it is sent.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use serde_json::{Map, Value as Json};
use shipway_core::{Digest, EntityKey, Name, Sampling, Timestamp, Value, exact_json};
use shipway_runtime::{Binding, ModelFormat};
use uuid::Uuid;

use super::{Deployment, Served, Serving, Source, loading::BoundService, loading::ServiceSource};
use crate::{
    bind,
    error::ServingError,
    model::prediction::{PredictRequest, Prediction},
    ports::{FeatureQuery, ViewFreshness},
    prediction_log::{Entry, schema::LogSchema},
};

/// Rows that a tree model predicts on the thread of the request; more go to a thread that may block.
const ROWS_IN_PLACE: usize = 64;

/// The rows of a request as the model takes them, and what is known of them.
struct Gathered {
    columns: Columns,
    /// Keys of each row; empty without a service.
    keys: Vec<Vec<Value>>,
    values: Vec<Vec<Value>>,
    at: Timestamp,
    service: Option<(Name, Digest)>,
    watermarks: BTreeMap<String, u64>,
    feature_age: Vec<Vec<ViewFreshness>>,
    log: Sampling,
}

/// How the values stand to the model's inputs and to the log's columns.
enum Columns {
    Direct,
    Bound(Arc<BoundService>),
}

impl Columns {
    fn of<'served>(
        &'served self,
        served: &'served Served,
    ) -> Result<(&'served Binding, &'served Arc<LogSchema>), ServingError> {
        match (self, &served.source) {
            (Self::Bound(bound), _) => Ok((&bound.binding.binding, &bound.schema)),
            (Self::Direct, Source::Direct { binding, schema }) => Ok((binding, schema)),
            (Self::Direct, Source::Service(_)) => {
                Err(ServingError::WrongRequest("the deployment reads its columns from a service".to_owned()))
            }
        }
    }
}

impl Serving {
    /// Predicts the rows of a request, all of them or none. One version of the model answers all rows.
    pub async fn predict(&self, name: &str, request: PredictRequest) -> Result<Prediction, ServingError> {
        let started = Instant::now();
        request.check()?;
        let deployment = self.deployment(name)?;
        let served = deployment.served()?;
        self.predict_with(&deployment, served, request, started).await
    }

    /// Puts the digits of decimals back into the rows of `request`, which was read from the body `text`.
    pub(crate) fn restore_digits(
        &self,
        name: &str,
        request: &mut PredictRequest,
        text: &[u8],
    ) -> Result<(), ServingError> {
        let served = self.deployment(name)?.served()?;
        let Source::Service(service) = &served.source else { return Ok(()) };
        let bound = service.current();
        let shape = &bound.binding.shape;
        let is_decimal = |column: &str| {
            let mut given = shape.keys.iter().chain(&shape.request);
            given.any(|(name, data_type)| name == column && data_type.has_decimals())
        };
        exact_json::restore_rows(&mut request.rows, text, is_decimal)
            .map_err(|fault| ServingError::WrongRequest(format!("request body: {fault}")))
    }

    /// Predicts with a version that the caller has already looked at.
    pub(crate) async fn predict_with(
        &self,
        deployment: &Deployment,
        served: Arc<Served>,
        request: PredictRequest,
        started: Instant,
    ) -> Result<Prediction, ServingError> {
        request.check()?;
        let rows = request.rows.len();
        let room = self.inner.log.room(rows).await?;
        let gathered = match &served.source {
            Source::Service(service) => self.read_features(deployment, &served, service, &request).await?,
            Source::Direct { .. } => self.take_columns(&served, &request)?,
        };
        let (gathered, predictions) = self.run(Arc::clone(&served), gathered).await?;
        let (_, schema) = gathered.columns.of(&served)?;
        let latency = started.elapsed();
        let kept = logged_numbers(&gathered);
        let request_id = Uuid::now_v7().to_string();
        let entry = Entry {
            schema: Arc::clone(schema),
            request_id: request_id.clone(),
            at: gathered.at,
            served_at: self.inner.clock.now(),
            deployment: deployment.name.clone(),
            model: served.resolved.name.clone(),
            version: served.resolved.version,
            artifact: served.resolved.artifact,
            service: gathered.service.clone(),
            watermarks: gathered.watermarks,
            rows: picked(&kept, logged_rows(schema, gathered.keys, gathered.values)),
            predictions: picked(&kept, predictions.clone()),
            numbers: kept,
            latency_us: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
        };
        if !entry.rows.is_empty() {
            self.inner.log.write(entry, room)?;
        }
        let label = deployment.name.to_string();
        metrics::counter!("shipway_predictions_total", "deployment" => label.clone()).increment(rows as u64);
        metrics::histogram!("shipway_predict_seconds", "deployment" => label)
            .record(started.elapsed().as_secs_f64());
        Ok(Prediction {
            deployment: deployment.name.clone(),
            model: served.resolved.name.clone(),
            version: served.resolved.version,
            service_hash: gathered.service.map(|(_, hash)| hash),
            at: gathered.at,
            predictions,
            request_id,
            feature_age: gathered.feature_age,
        })
    }

    async fn read_features(
        &self,
        deployment: &Deployment,
        served: &Served,
        service: &ServiceSource,
        request: &PredictRequest,
    ) -> Result<Gathered, ServingError> {
        let query = FeatureQuery {
            service: service.name.as_str(),
            service_hash: service.pinned,
            rows: &request.rows,
            at: request.at,
            token: request.token.as_deref(),
        };
        let answer = self.inner.ports.features.read(query).await?;
        if answer.rows.len() != request.rows.len() {
            return Err(ServingError::WrongRequest(format!(
                "{} rows were asked for, features came for {}",
                request.rows.len(),
                answer.rows.len()
            )));
        }
        let bound = self.rebind(&deployment.name, served, service, answer.service_hash).await?;
        let keys = request
            .rows
            .iter()
            .map(|row: &Map<String, Json>| bind::key_values(&bound.binding.shape, row))
            .collect();
        let (values, feature_age) = answer.rows.into_iter().map(|row| (row.values, row.views)).unzip();
        Ok(Gathered {
            keys,
            values: bind::in_order(&bound.binding, &answer.columns, values)?,
            columns: Columns::Bound(bound),
            at: answer.at,
            service: Some((service.name.clone(), answer.service_hash)),
            watermarks: answer.watermarks,
            feature_age,
            log: answer.log,
        })
    }

    fn take_columns(&self, served: &Served, request: &PredictRequest) -> Result<Gathered, ServingError> {
        if request.at.is_some() || request.token.is_some() {
            return Err(ServingError::WrongRequest(
                "`at` and `token` are for features; this deployment has no feature service".to_owned(),
            ));
        }
        let values = bind::direct_values(&served.model, &request.rows)?;
        Ok(Gathered {
            columns: Columns::Direct,
            keys: Vec::new(),
            values,
            at: self.inner.clock.now(),
            service: None,
            watermarks: BTreeMap::new(),
            feature_age: Vec::new(),
            log: Sampling::All,
        })
    }

    /// Runs the model: few rows of a tree model here, anything longer where it holds up nobody.
    async fn run(
        &self,
        served: Arc<Served>,
        gathered: Gathered,
    ) -> Result<(Gathered, Vec<Vec<f64>>), ServingError> {
        let in_place =
            gathered.values.len() <= ROWS_IN_PLACE && served.model.format() == ModelFormat::LightGbmText;
        let predict = move |gathered: Gathered| -> Result<(Gathered, Vec<Vec<f64>>), ServingError> {
            let (binding, _) = gathered.columns.of(&served)?;
            let rows: Vec<&[Value]> = gathered.values.iter().map(Vec::as_slice).collect();
            let predictions = served.model.predict(binding, &rows)?;
            Ok((gathered, predictions))
        };
        if in_place {
            return predict(gathered);
        }
        let running = self.inner.tracker.spawn_blocking(move || predict(gathered));
        running.await.map_err(|_| ServingError::ShuttingDown)?
    }
}

/// Which rows of the request are logged, as their service says.
fn logged_numbers(gathered: &Gathered) -> Vec<usize> {
    let all = 0..gathered.values.len();
    let is_kept = |row: &usize| {
        let key = gathered.keys.get(*row).and_then(EntityKey::encode);
        gathered.log.keeps(key.as_ref().map_or(&[], EntityKey::as_bytes))
    };
    match gathered.log {
        Sampling::All => all.collect(),
        _ => all.filter(is_kept).collect(),
    }
}

/// The rows of these numbers, which are in order.
fn picked<T>(numbers: &[usize], rows: Vec<T>) -> Vec<T> {
    if numbers.len() == rows.len() {
        return rows;
    }
    let mut wanted = numbers.iter().copied().peekable();
    let keep = |(number, row)| wanted.next_if_eq(&number).map(|_| row);
    rows.into_iter().enumerate().filter_map(keep).collect()
}

/// The rows as the log has them: keys, then the values that are not keys.
fn logged_rows(schema: &LogSchema, keys: Vec<Vec<Value>>, values: Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    let mut keys = keys.into_iter();
    values
        .into_iter()
        .map(|values| {
            let mut row = keys.next().unwrap_or_default();
            row.extend(schema.values.iter().map(|place| values.get(*place).cloned().unwrap_or(Value::Null)));
            row
        })
        .collect()
}
