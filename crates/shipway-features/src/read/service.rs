//! The way of a read: resolve the service, wait for the token, take one consistent state per source, answer each key once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError},
    time::Instant,
};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use shipway_core::{Digest, EntityKey, Name, Timestamp, Value, nearest};
use shipway_definitions::Beyond;

use crate::{
    error::{FeaturesError, invalid},
    features::{Features, Inner},
    materialise::Published,
    model::{event::is_computable, token::Token},
    read::{
        answer::{KeyAnswer, answer, nothing},
        plan::{PlannedView, ReadPlan},
        rows::{RequestRow, parse},
    },
};

/// Requests with more lookups than this leave the async executor.
const LARGE_LOOKUPS: usize = 128;

/// What a caller wants to know.
#[derive(Debug, Clone, Default)]
pub struct ReadRequest {
    /// The service.
    pub service: String,
    /// A version of it; without one the version in force.
    pub service_hash: Option<Digest>,
    /// One object per row: the key columns and the request columns of the service.
    pub rows: Vec<Map<String, Json>>,
    /// The moment; without one the present.
    pub at: Option<Timestamp>,
    /// Tokens of ingest requests whose events must be seen.
    pub token: Option<String>,
}

/// The features of a service for every row of the request, in its order.
#[derive(Debug, Clone, Serialize)]
pub struct ReadAnswer {
    /// The service.
    pub service: Name,
    /// The version that answered.
    pub service_hash: Digest,
    /// The moment that every value belongs to: only events strictly before it count.
    pub at: Timestamp,
    /// The columns of every row's values: `view__feature`, then the request columns.
    #[serde(serialize_with = "as_sequence")]
    pub columns: Arc<[String]>,
    /// As the rows of the request.
    pub rows: Vec<AnsweredRow>,
    /// Source to log offset: exactly the events with an arrival before it are in the values.
    pub watermarks: BTreeMap<String, u64>,
}

/// One row of an answer.
#[derive(Debug, Clone, Serialize)]
pub struct AnsweredRow {
    /// As the columns.
    pub values: Vec<Value>,
    /// As the views of the service.
    pub views: Vec<ViewFreshness>,
}

/// How fresh one view is for one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViewFreshness {
    /// The view.
    pub view: Name,
    /// Time of the newest event of the key before the moment; none when there is no such event.
    pub event_time: Option<Timestamp>,
    /// The moment minus the event time, in microseconds.
    pub age_us: Option<i64>,
    /// Whether the age is within the view's objective. Without an objective always; without an event never.
    pub fresh: bool,
}

fn as_sequence<S: Serializer>(columns: &Arc<[String]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(columns.iter())
}

impl Features {
    /// Reads the features of a service. Every value is exact for the moment and the watermarks of the answer, or the whole
    /// read is refused. One point read per distinct key and view.
    pub async fn read(&self, request: ReadRequest) -> Result<ReadAnswer, FeaturesError> {
        let started = Instant::now();
        let inner = &self.inner;
        let plan = inner.plan(&request.service, request.service_hash)?;
        let (got, limit) = (request.rows.len() as u64, inner.limits.read_rows as u64);
        if got > limit {
            return Err(FeaturesError::TooLarge { what: "number of rows", got, limit });
        }
        if let Some(token) = &request.token {
            inner.wait_for(&plan, &Token::parse(token)?).await?;
        }
        let q = request.at.unwrap_or_else(|| inner.clock.now());
        if !is_computable(q) {
            return Err(invalid("at is outside the years 1 to 9999"));
        }
        // A wrong row is told before a view that is not ready: waiting would not mend it.
        let rows = request.rows.iter().enumerate().map(|(index, row)| parse(&plan, index, row));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let read = Read { published: inner.states(&plan)?, rows, plan, q };
        let answered = if read.rows.len() * read.plan.views.len() > LARGE_LOOKUPS {
            let inner = Arc::clone(inner);
            let work = tokio::task::spawn_blocking(move || read.answer(&inner));
            work.await.map_err(|_| FeaturesError::Stopped { what: "the read" })?
        } else {
            read.answer(inner)
        };
        metrics::histogram!("shipway_feature_read_seconds").record(started.elapsed().as_secs_f64());
        answered
    }
}

impl Inner {
    fn plan(&self, service: &str, hash: Option<Digest>) -> Result<Arc<ReadPlan>, FeaturesError> {
        let definitions = self.definitions();
        let versioned = match hash {
            Some(hash) => definitions
                .services_by_hash
                .get(&hash)
                .filter(|held| held.definition.name.as_str() == service),
            None => definitions.services.get(service),
        };
        let versioned = versioned.ok_or_else(|| FeaturesError::UnknownService {
            name: hash.map_or_else(|| service.to_owned(), |hash| format!("{service} at version {hash}")),
            nearest: nearest(service, definitions.services.keys().map(Name::as_str))
                .filter(|near| *near != service)
                .map(str::to_owned),
        })?;
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(&versioned.hash) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(ReadPlan::new(versioned, &definitions)?);
        plans.insert(versioned.hash, Arc::clone(&plan));
        Ok(plan)
    }

    async fn wait_for(&self, plan: &ReadPlan, token: &Token) -> Result<(), FeaturesError> {
        for (source, offset) in token.offsets() {
            if plan.sources.iter().any(|name| name.as_str() == source) {
                self.source(source)?.wait_visible(offset, self.limits.token_wait).await?;
            }
        }
        Ok(())
    }

    /// The published state of every source of the plan, each with all views that the plan needs.
    fn states(&self, plan: &ReadPlan) -> Result<Vec<Arc<Published>>, FeaturesError> {
        let mut states = Vec::with_capacity(plan.sources.len());
        for (position, source) in plan.sources.iter().enumerate() {
            let published = self.source(source.as_str())?.published();
            let building = |view: &PlannedView| FeaturesError::Building { view: view.name.to_string() };
            let mut views = plan.views.iter().filter(|view| view.source == position);
            match published {
                Some(published) => {
                    if let Some(view) = views.find(|view| !published.views.contains_key(&view.hash)) {
                        return Err(building(view));
                    }
                    states.push(published);
                }
                None => {
                    let what = || FeaturesError::Stopped { what: "the materialiser" };
                    return Err(views.next().map_or_else(what, building));
                }
            }
        }
        Ok(states)
    }
}

/// A read with everything that it needs.
struct Read {
    plan: Arc<ReadPlan>,
    /// As the plan's sources.
    published: Vec<Arc<Published>>,
    rows: Vec<RequestRow>,
    q: Timestamp,
}

impl Read {
    fn answer(self, inner: &Inner) -> Result<ReadAnswer, FeaturesError> {
        let plan = &self.plan;
        let mut rows: Vec<AnsweredRow> = self
            .rows
            .iter()
            .map(|_| AnsweredRow {
                values: Vec::with_capacity(plan.columns.len()),
                views: Vec::with_capacity(plan.views.len()),
            })
            .collect();
        for view in &plan.views {
            self.answer_view(inner, view, &mut rows)?;
        }
        for (row, asked) in rows.iter_mut().zip(self.rows) {
            row.values.extend(asked.request);
        }
        let watermarks = plan.sources.iter().zip(&self.published);
        Ok(ReadAnswer {
            service: plan.service.clone(),
            service_hash: plan.hash,
            at: self.q,
            columns: Arc::clone(&plan.columns),
            rows,
            watermarks: watermarks
                .map(|(source, published)| (source.to_string(), published.applied))
                .collect(),
        })
    }

    /// Adds the features of one view to all rows; each distinct key is looked up once.
    fn answer_view(
        &self,
        inner: &Inner,
        view: &PlannedView,
        rows: &mut [AnsweredRow],
    ) -> Result<(), FeaturesError> {
        let published = &self.published[view.source];
        let Some(active) = published.views.get(&view.hash) else {
            return Err(FeaturesError::Building { view: view.name.to_string() });
        };
        let mut known: HashMap<EntityKey, KeyAnswer> = HashMap::new();
        for (row, asked) in rows.iter_mut().zip(&self.rows) {
            let key = EntityKey::encode(view.key.iter().map(|&at| &asked.keys[at]));
            let Some(key) = key else {
                self.add(view, nothing(view), row)?;
                continue;
            };
            let found = match known.get(&key) {
                Some(found) => found.clone(),
                None => {
                    let found = answer(published, active, &inner.cache, view, &key, self.q)?;
                    if self.rows.len() > 1 {
                        known.insert(key, found.clone());
                    }
                    found
                }
            };
            self.add(view, found, row)?;
        }
        Ok(())
    }

    /// Adds one key's features to its row, as the view's freshness objective says.
    fn add(&self, view: &PlannedView, found: KeyAnswer, row: &mut AnsweredRow) -> Result<(), FeaturesError> {
        let age_us = found.event_time.map(|time| self.q.micros().saturating_sub(time.micros()));
        let objective_us = view.freshness.map(|freshness| freshness.objective.micros());
        let fresh = objective_us.is_none_or(|objective| age_us.is_some_and(|age| age <= objective));
        let is_stale = age_us.is_some() && !fresh;
        match view.freshness.map(|freshness| freshness.beyond) {
            Some(Beyond::Refuse) if is_stale => {
                return Err(FeaturesError::Stale { view: view.name.to_string() });
            }
            Some(Beyond::Null) if is_stale => row.values.extend(found.values.iter().map(|_| Value::Null)),
            _ => row.values.extend(found.values),
        }
        row.views.push(ViewFreshness {
            view: view.name.clone(),
            event_time: found.event_time,
            age_us,
            fresh,
        });
        Ok(())
    }
}
