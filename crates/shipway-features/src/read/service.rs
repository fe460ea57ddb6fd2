//! The way of a read: resolve the service, wait for the token, take one consistent state per source, answer each key once.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Digest, Name, Timestamp, Value};

use crate::{
    error::{FeaturesError, invalid},
    features::{Features, Inner},
    materialise::{Published, off_the_executor},
    model::{event::is_computable, token::Token},
    read::{
        columns::Columns,
        gather::{Desk, Read},
        plan::ReadPlan,
        rows::{self, RequestRow},
        sources::SourceStates,
    },
    spans,
};

/// Requests with more lookups than this leave the async executor: below it, leaving costs more than the work.
pub(crate) const LARGE_LOOKUPS: usize = 1_024;

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
    pub columns: Columns,
    /// The type of each column.
    #[serde(serialize_with = "as_sequence")]
    pub types: Arc<[DataType]>,
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
    /// The features with objectives of their own that the age is beyond.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale_features: Vec<Name>,
}

/// What belongs to a whole answer, whatever its rows look like.
pub(crate) struct AnswerHead<'a> {
    pub(crate) service: &'a Name,
    pub(crate) service_hash: Digest,
    pub(crate) at: Timestamp,
    pub(crate) watermarks: &'a BTreeMap<String, u64>,
}

impl ReadAnswer {
    /// What belongs to the whole answer.
    pub(crate) fn head(&self) -> AnswerHead<'_> {
        let (service, service_hash) = (&self.service, self.service_hash);
        AnswerHead { service, service_hash, at: self.at, watermarks: &self.watermarks }
    }
}

pub(crate) fn as_sequence<T: Serialize, S: Serializer>(
    columns: &Arc<[T]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
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
        let asked = rows.len();
        let read = Read { published: self.states(&plan)?, rows, plan, q };
        let answered = if read.size() > LARGE_LOOKUPS {
            let inner = Arc::clone(self);
            let work = tokio::task::spawn_blocking(move || read.answer(&inner.desk()));
            work.await.map_err(|_| FeaturesError::Stopped { what: "the read" })?
        } else {
            read.answer(&self.desk())
        };
        self.read_seconds.record(started.elapsed().as_secs_f64());
        spans::read(started, asked, &answered);
        self.show_hot_keys_now_and_then();
        answered
    }

    fn desk(&self) -> Desk<'_> {
        let hot_keys = Some((&self.hot_keys, self.reads.load(Ordering::Relaxed)));
        Desk { cache: &self.cache, clock: &*self.clock, hot_keys }
    }

    /// Reads keys of one view out of `published`, which has its state: a row for each key, in their order. Nobody asked for them, so they
    /// do not count among the keys that are read.
    pub(crate) async fn read_keys(
        self: &Arc<Self>,
        plan: &Arc<ReadPlan>,
        published: &Arc<Published>,
        keys: Vec<Vec<Value>>,
        q: Timestamp,
    ) -> Result<Vec<AnsweredRow>, FeaturesError> {
        let rows = keys.into_iter().map(|keys| RequestRow { keys, request: Vec::new() });
        let states = SourceStates::Own(Arc::clone(published));
        let read = Read { plan: Arc::clone(plan), published: vec![states], rows: rows.collect(), q };
        let inner = Arc::clone(self);
        let answered =
            off_the_executor(self, move || read.answer(&Desk { hot_keys: None, ..inner.desk() })).await?;
        Ok(answered.rows)
    }

    pub(crate) async fn wait_for(&self, plan: &ReadPlan, token: &Token) -> Result<(), FeaturesError> {
        for (source, offset) in token.offsets() {
            if plan.sources.iter().any(|name| name.as_str() == source) {
                self.source(source)?.wait_visible(offset, self.limits.token_wait).await?;
            }
        }
        Ok(())
    }
}
