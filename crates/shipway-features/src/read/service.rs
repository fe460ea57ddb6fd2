//! The way of a read: resolve the service, wait for the token, take one consistent state per source, answer each key once.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Instant,
};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use shipway_core::{Digest, Name, Timestamp, Value, nearest};

use crate::{
    error::{FeaturesError, invalid},
    features::{Features, Inner},
    materialise::Published,
    model::{event::is_computable, token::Token},
    read::{
        gather::Read,
        plan::{PlannedView, ReadPlan},
        rows::{self, RequestRow},
    },
};

/// Requests with more lookups than this leave the async executor.
const LARGE_LOOKUPS: usize = 128;

/// What messages call features that are asked for by themselves.
const FEATURES: &str = "features_by_themselves";

/// So many choices of features are kept resolved.
const MOST_FEATURE_PLANS: usize = 256;

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
    /// read is refused. Each distinct key of a view is looked up once, all keys of a source together.
    pub async fn read(&self, request: ReadRequest) -> Result<ReadAnswer, FeaturesError> {
        let plan = self.inner.plan(&request.service, request.service_hash)?;
        rows::check_count(request.rows.len(), self.inner.limits.read_rows)?;
        let rows = rows::parse(&plan, &request.rows)?;
        self.inner.read(plan, rows.rows, Moment { at: request.at, token: request.token.as_deref() }).await
    }
}

/// When, and after which events, a read is answered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Moment<'a> {
    /// Without one the present.
    pub(crate) at: Option<Timestamp>,
    /// Tokens of ingest requests whose events must be seen.
    pub(crate) token: Option<&'a str>,
}

impl Inner {
    /// Reads checked rows of a plan.
    pub(crate) async fn read(
        self: &Arc<Self>,
        plan: Arc<ReadPlan>,
        rows: Vec<RequestRow>,
        moment: Moment<'_>,
    ) -> Result<ReadAnswer, FeaturesError> {
        let started = Instant::now();
        rows::check_count(rows.len(), self.limits.read_rows)?;
        if let Some(token) = moment.token {
            self.wait_for(&plan, &Token::parse(token)?).await?;
        }
        let q = moment.at.unwrap_or_else(|| self.clock.now());
        if !is_computable(q) {
            return Err(invalid("at is outside the years 1 to 9999"));
        }
        let read = Read { published: self.states(&plan)?, rows, plan, q };
        let answered = if read.size() > LARGE_LOOKUPS {
            let inner = Arc::clone(self);
            let work = tokio::task::spawn_blocking(move || read.answer(&inner));
            work.await.map_err(|_| FeaturesError::Stopped { what: "the read" })?
        } else {
            read.answer(self)
        };
        metrics::histogram!("shipway_feature_read_seconds").record(started.elapsed().as_secs_f64());
        self.show_hot_keys_now_and_then();
        answered
    }

    /// The plan of a service in force, or of one of its versions.
    pub(crate) fn plan(&self, service: &str, hash: Option<Digest>) -> Result<Arc<ReadPlan>, FeaturesError> {
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

    /// The plan for features that are asked for by themselves, each `view:feature`.
    pub(crate) fn plan_of_features(&self, features: &[String]) -> Result<Arc<ReadPlan>, FeaturesError> {
        let mut plans = self.feature_plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(features) {
            return Ok(Arc::clone(plan));
        }
        let parse = |text: &String| {
            let wrong = || invalid(format!("feature {text}: expected view:feature"));
            let (view, feature) = text.split_once(':').ok_or_else(wrong)?;
            Ok((view.parse::<Name>().map_err(|_| wrong())?, feature.parse::<Name>().map_err(|_| wrong())?))
        };
        let wanted = features.iter().map(parse).collect::<Result<Vec<_>, FeaturesError>>()?;
        let name = Name::new(FEATURES).map_err(|error| invalid(error.to_string()))?;
        let plan = Arc::new(ReadPlan::of_features(name, &wanted, &self.definitions())?);
        if plans.len() >= MOST_FEATURE_PLANS {
            plans.clear();
        }
        plans.insert(features.into(), Arc::clone(&plan));
        Ok(plan)
    }

    pub(crate) async fn wait_for(&self, plan: &ReadPlan, token: &Token) -> Result<(), FeaturesError> {
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
