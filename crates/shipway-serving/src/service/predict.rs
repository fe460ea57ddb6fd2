//! Rows become predictions: features are read, the model runs, the answer is queued for the log, then it is sent.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value as Json};
use shipway_core::{Digest, EntityKey, Name, Sampling, Timestamp, Value, exact_json};
use shipway_runtime::Binding;

use super::{
    Deployment, Served, Serving, Source,
    loading::{BoundService, ServiceSource},
    variants::{Asked, Part},
};
use crate::{
    batching::{Done, Urgency, Work},
    bind,
    cache::{self, Answer},
    error::ServingError,
    launch::stage::Variant,
    model::prediction::{PredictRequest, Prediction, check_rows},
    overrides::{self, Overrides},
    ports::{FeatureQuery, ViewFreshness},
    prediction_log::{Entry, Room, schema::LogSchema},
    statistics::Phase,
    told,
};

/// Rows that a tree model predicts on the thread of the request; more go to a thread that may block.
const ROWS_IN_PLACE: usize = 64;

/// What is asked of a deployment that predicts rows.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) rows: Rows,
    /// The moment to predict for; the present without it. Needs a service.
    pub(crate) at: Option<Timestamp>,
    /// What an ingest answered; see [`PredictRequest::token`].
    pub(crate) token: Option<String>,
    pub(crate) urgency: Urgency,
    /// Who asks; see [`PredictRequest::key`].
    pub(crate) key: Option<String>,
}

/// The rows of a question.
#[derive(Clone)]
pub(crate) enum Rows {
    /// Values by their names.
    Named(Vec<Map<String, Json>>),
    /// The values of the model's inputs, in their order; for deployments without a service only.
    Ordered(Vec<Vec<Value>>),
}

impl Rows {
    fn count(&self) -> usize {
        match self {
            Self::Named(rows) => rows.len(),
            Self::Ordered(rows) => rows.len(),
        }
    }

    /// The value of a column in the first row, as text.
    fn first(&self, served: &Served, column: &str) -> Option<String> {
        let text = |json: Json| match json {
            Json::Null => None,
            Json::String(text) => Some(text),
            other => Some(other.to_string()),
        };
        match self {
            Self::Named(rows) => text(rows.first()?.get(column)?.clone()),
            Self::Ordered(rows) => {
                let place = served.model.inputs().iter().position(|input| input.name == column)?;
                text(rows.first()?.get(place)?.to_json())
            }
        }
    }
}

impl From<PredictRequest> for Question {
    fn from(request: PredictRequest) -> Self {
        let urgency =
            Urgency { priority: request.priority, timeout: request.timeout_ms.map(Duration::from_millis) };
        Self {
            rows: Rows::Named(request.rows),
            at: request.at,
            token: request.token,
            urgency,
            key: request.key,
        }
    }
}

/// The rows of a request as the model takes them, and what is known of them.
pub(super) struct Gathered {
    pub(super) columns: Columns,
    /// Keys of each row; empty without a service.
    keys: Vec<Vec<Value>>,
    pub(super) values: Vec<Vec<Value>>,
    /// What the rows override, and the values as they were read; `values` are those of the model then.
    overrides: Overrides,
    as_read: Option<Vec<Vec<Value>>>,
    pub(super) at: Timestamp,
    service: Option<(Name, Digest)>,
    watermarks: BTreeMap<String, u64>,
    feature_age: Vec<Vec<ViewFreshness>>,
    log: Sampling,
}

/// How the values stand to the model's inputs and to the log's columns.
pub(super) enum Columns {
    Direct,
    Bound(Arc<BoundService>),
}

impl Columns {
    pub(super) fn of<'served>(
        &'served self,
        served: &'served Served,
    ) -> Result<(&'served Binding, &'served Arc<LogSchema>), ServingError> {
        match (self, &served.source) {
            (Self::Bound(bound), _) => Ok((&bound.binding.binding, &bound.schema)),
            (Self::Direct, Source::Direct { binding, schema }) => Ok((binding, schema)),
            (Self::Direct, Source::Service(_) | Source::Tensors) => {
                Err(ServingError::WrongRequest("the deployment reads its columns from a service".to_owned()))
            }
        }
    }
}

impl Serving {
    /// Predicts the rows of a request, all of them or none. One version of the model answers all rows.
    pub async fn predict(&self, name: &str, request: PredictRequest) -> Result<Prediction, ServingError> {
        let started = Instant::now();
        let target = self.target(name, None).await?;
        self.ask(&target, Question::from(request), started).await
    }

    /// Puts the digits of decimals back into the rows of `request`, which was read from the body `text`.
    pub(crate) async fn restore_digits(
        &self,
        name: &str,
        request: &mut PredictRequest,
        text: &[u8],
    ) -> Result<(), ServingError> {
        let served = self.served(&self.deployment(name)?).await?;
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

    /// Predicts with one version.
    async fn predict_with(
        &self,
        deployment: &Deployment,
        served: &Arc<Served>,
        part: Part,
        question: Question,
        started: Instant,
    ) -> Result<Prediction, ServingError> {
        let rows = question.rows.count();
        check_rows(rows)?;
        let urgency = question.urgency;
        let room = match deployment.spec.logs(&part.request_id) {
            true => self.room(part.variant, rows).await?,
            false => None,
        };
        let gathered = match &served.source {
            Source::Service(service) => self.read_features(deployment, served, service, question).await?,
            Source::Direct { .. } | Source::Tensors => self.take_columns(served, question)?,
        };
        served.statistics.record(Phase::ComputeInput, started.elapsed());
        let (mut gathered, predictions) = self.run(served, gathered, urgency).await?;
        let ran = Instant::now();
        let overridden = gathered.overrides.names();
        let feature_age = std::mem::take(&mut gathered.feature_age);
        let (at, service_hash) = (gathered.at, gathered.service.as_ref().map(|(_, hash)| *hash));
        if let Some(room) = room {
            let schema = Arc::clone(gathered.columns.of(served)?.1);
            let schema = self.log_schema(deployment, served, part.variant, schema).await?;
            let answered = (part, predictions.as_slice(), started.elapsed());
            self.log_rows((deployment, served), schema, gathered, answered, room)?;
        }
        served.statistics.record(Phase::ComputeOutput, ran.elapsed());
        if part.variant != Variant::Shadow {
            served.statistics.answered(rows, started.elapsed());
        }
        Ok(Prediction {
            deployment: deployment.name.clone(),
            model: served.resolved.name.clone(),
            version: served.resolved.version,
            variant: part.variant,
            service_hash,
            at,
            predictions,
            request_id: part.request_id.to_string(),
            feature_age,
            overridden,
        })
    }

    /// Room in the log for rows that are answered in this part. For answers that nobody sees nothing waits: without room they are not
    /// logged, and counted.
    pub(super) async fn room(&self, variant: Variant, rows: usize) -> Result<Option<Room>, ServingError> {
        if variant != Variant::Shadow {
            return Ok(Some(self.inner.log.room(rows).await?));
        }
        let room = self.inner.log.room_now(rows);
        if room.is_none() {
            metrics::counter!("shipway_shadow_rows_not_logged_total").increment(rows as u64);
        }
        Ok(room)
    }

    /// Where rows of a version go that are answered in this part: the prediction log, or the table of answers that nobody sees.
    pub(super) async fn log_schema(
        &self,
        deployment: &Deployment,
        served: &Served,
        variant: Variant,
        schema: Arc<LogSchema>,
    ) -> Result<Arc<LogSchema>, ServingError> {
        match variant {
            Variant::Stable | Variant::Canary => Ok(schema),
            Variant::Shadow => {
                Ok(served.shadow_table.schema(&self.inner.lake, &deployment.name, &schema).await?)
            }
        }
    }

    /// Queues the rows of an answer for the log: its id, its predictions, and how long it took.
    fn log_rows(
        &self,
        (deployment, served): (&Deployment, &Served),
        schema: Arc<LogSchema>,
        gathered: Gathered,
        (part, predictions, latency): (Part, &[Vec<f64>], Duration),
        room: Room,
    ) -> Result<(), ServingError> {
        let kept = logged_numbers(&gathered);
        if kept.is_empty() {
            return Ok(());
        }
        let entry = Entry {
            request_id: part.request_id.to_string(),
            at: gathered.at,
            served_at: self.inner.clock.now(),
            deployment: deployment.name.clone(),
            model: served.resolved.name.clone(),
            version: served.resolved.version,
            variant: part.variant,
            artifact: served.resolved.artifact,
            service: gathered.service,
            watermarks: gathered.watermarks,
            overridden: picked_some(&kept, gathered.overrides.logged()),
            rows: picked(
                &kept,
                logged_rows(&schema, gathered.keys, gathered.as_read.unwrap_or(gathered.values)),
            ),
            schema,
            predictions: picked(&kept, predictions.to_vec()),
            numbers: kept,
            latency_us: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
        };
        self.inner.log.write(entry, room)
    }

    pub(super) async fn read_features(
        &self,
        deployment: &Deployment,
        served: &Served,
        service: &ServiceSource,
        request: Question,
    ) -> Result<Gathered, ServingError> {
        let Rows::Named(mut rows) = request.rows else {
            return Err(ServingError::WrongRequest(
                "a deployment with a feature service takes ids by their names".to_owned(),
            ));
        };
        let overrides = overrides::taken_out(&service.current().binding.shape, &mut rows);
        let query = FeatureQuery {
            service: service.name.as_str(),
            service_hash: service.pinned,
            rows: &rows,
            at: request.at,
            token: request.token.as_deref(),
        };
        let answer = self.inner.ports.features.read(query).await?;
        if answer.rows.len() != rows.len() {
            return Err(ServingError::WrongRequest(format!(
                "{} rows were asked for, features came for {}",
                rows.len(),
                answer.rows.len()
            )));
        }
        let bound = self.rebind(&deployment.name, served, service, answer.service_hash).await?;
        let keys =
            rows.iter().map(|row: &Map<String, Json>| bind::key_values(&bound.binding.shape, row)).collect();
        let (values, feature_age) = answer.rows.into_iter().map(|row| (row.values, row.views)).unzip();
        let read = bind::in_order(&bound.binding.columns, &answer.columns, values)?;
        let (values, as_read) = match overrides.is_empty() {
            true => (read, None),
            false => (overrides.over(&bound.binding.shape, &bound.binding.columns, &read)?, Some(read)),
        };
        Ok(Gathered {
            keys,
            values,
            overrides,
            as_read,
            columns: Columns::Bound(bound),
            at: answer.at,
            service: Some((service.name.clone(), answer.service_hash)),
            watermarks: answer.watermarks,
            feature_age,
            log: answer.log,
        })
    }

    pub(super) fn take_columns(&self, served: &Served, request: Question) -> Result<Gathered, ServingError> {
        served.model.must_take_rows()?;
        if request.at.is_some() || request.token.is_some() {
            return Err(ServingError::WrongRequest(
                "`at` and `token` are for features; this deployment has no feature service".to_owned(),
            ));
        }
        let values = match request.rows {
            Rows::Named(rows) => bind::direct_values(&served.model, &rows)?,
            Rows::Ordered(values) => values,
        };
        Ok(Gathered {
            columns: Columns::Direct,
            keys: Vec::new(),
            values,
            overrides: Overrides::default(),
            as_read: None,
            at: self.inner.clock.now(),
            service: None,
            watermarks: BTreeMap::new(),
            feature_age: Vec::new(),
            log: Sampling::All,
        })
    }

    /// Runs the model unless it has answered the same before: few rows of a tree model here, anything longer where it holds up nobody, with others that wait.
    async fn run(
        &self,
        served: &Arc<Served>,
        mut gathered: Gathered,
        urgency: Urgency,
    ) -> Result<(Gathered, Vec<Vec<f64>>), ServingError> {
        let (binding, _) = gathered.columns.of(served)?;
        let service = gathered.service.as_ref().map(|(_, hash)| *hash);
        let key = served.cache.as_ref().map(|_| cache::key_of_rows(service, &gathered.values));
        if let Some(Answer::Rows(predictions)) = served.kept(key.as_ref()) {
            return Ok((gathered, predictions));
        }
        if gathered.values.len() <= ROWS_IN_PLACE && served.model.format().is_native() {
            let started = Instant::now();
            let rows: Vec<&[Value]> = gathered.values.iter().map(Vec::as_slice).collect();
            let predictions = served.model.predict(binding, &rows)?;
            served.statistics.ran(rows.len(), started.elapsed());
            served.statistics.record(Phase::ComputeInfer, started.elapsed());
            told::ran(started, rows.len());
            served.keep(key, || Answer::Rows(predictions.clone()));
            return Ok((gathered, predictions));
        }
        let binding = binding.clone();
        let work = Work::Rows { binding, rows: std::mem::take(&mut gathered.values) };
        match served.batcher.submit(work, urgency).await? {
            Done::Rows { rows, predictions } => {
                gathered.values = rows;
                served.keep(key, || Answer::Rows(predictions.clone()));
                Ok((gathered, predictions))
            }
            Done::Tensors(_) => Err(ServingError::ModelFailed),
        }
    }
}

impl Asked for Question {
    type Answer = Prediction;

    fn key(&self, served: &Served, column: Option<&str>) -> Option<String> {
        self.key.clone().or_else(|| self.rows.first(served, column?))
    }

    async fn answer(
        self,
        serving: &Serving,
        deployment: &Deployment,
        served: &Arc<Served>,
        part: Part,
        started: Instant,
    ) -> Result<Prediction, ServingError> {
        serving.predict_with(deployment, served, part, self, started).await
    }

    fn predictions(_: &Served, answer: &Prediction) -> Vec<Vec<f64>> {
        answer.predictions.clone()
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

/// The same of what there may be nothing of.
fn picked_some<T>(numbers: &[usize], rows: Vec<T>) -> Vec<T> {
    if rows.is_empty() { rows } else { picked(numbers, rows) }
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
