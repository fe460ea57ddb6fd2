//! What serving needs of other capabilities. The binary plugs them in, so that capabilities do not depend on each other.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Digest, Failure, Kind, Sampling, Timestamp, Value};
use tokio::sync::watch;

/// The tag of a model version that names the version of the feature service it was trained with.
pub const SERVICE_HASH_TAG: &str = "shipway.service_hash";

/// Models by name and alias.
#[async_trait]
pub trait ModelSource: Send + Sync {
    /// The version that `alias` of `model` names now, or a failure with the nearest name.
    async fn resolve(&self, model: &str, alias: &str) -> Result<ResolvedModel, PortFailure>;

    /// A version by its number.
    async fn resolve_version(&self, model: &str, version: u64) -> Result<ResolvedModel, PortFailure>;

    /// Gives `alias` of `model` to a version in the name of `caller`, if every gate before it is met.
    async fn promote(&self, caller: &str, model: &str, alias: &str, version: u64) -> Result<(), PortFailure>;

    /// The content of one of the model's files.
    async fn read(&self, model: &ResolvedModel, file: &ModelFile) -> Result<Bytes, PortFailure>;

    /// A number that changes after an alias has moved, was set or was removed; which one does not matter.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// Features by ids.
#[async_trait]
pub trait FeatureSource: Send + Sync {
    /// What a version of the service takes and gives; the current version without a hash.
    async fn shape(&self, service: &str, service_hash: Option<Digest>) -> Result<ServiceShape, PortFailure>;

    /// The features of each row, in order.
    async fn read(&self, query: FeatureQuery<'_>) -> Result<FeatureAnswer, PortFailure>;
}

/// A version of a model, found through an alias.
#[derive(Debug, Clone)]
pub struct ResolvedModel {
    /// The registered model.
    pub name: String,
    /// The version's number.
    pub version: u64,
    /// The digest of everything in the version's folder: the same digest, the same model.
    pub artifact: Digest,
    /// The files of its folder.
    pub files: Vec<ModelFile>,
    /// The version's tags.
    pub tags: BTreeMap<String, String>,
}

/// A file of a model's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Relative to the folder, with `/` between parts.
    pub path: String,
    /// The digest of its content.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

/// What a version of a feature service takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceShape {
    /// The version.
    pub hash: Digest,
    /// The ids that a row must have.
    pub keys: Vec<(String, DataType)>,
    /// The columns that come with the request and are handed through; they are among `columns` too.
    pub request: Vec<(String, DataType)>,
    /// What it gives, in order: `view__feature` and the request columns.
    pub columns: Vec<(String, DataType)>,
}

/// A question for features.
#[derive(Debug, Clone)]
pub struct FeatureQuery<'request> {
    /// The service.
    pub service: &'request str,
    /// The version; the current one without it.
    pub service_hash: Option<Digest>,
    /// The ids and request columns of each row.
    pub rows: &'request [Map<String, Json>],
    /// The moment to answer for; the present without it.
    pub at: Option<Timestamp>,
    /// What an ingest answered: wait until its events are visible.
    pub token: Option<&'request str>,
}

/// The features of the rows of a question.
#[derive(Debug, Clone)]
pub struct FeatureAnswer {
    /// The version of the service that answered.
    pub service_hash: Digest,
    /// The moment it answered for, one for all rows.
    pub at: Timestamp,
    /// The names of the values, in the order of each row.
    pub columns: Vec<String>,
    /// One per row asked for, in order.
    pub rows: Vec<FeatureRow>,
    /// Per source, the arrival offset before which every event is in the answer.
    pub watermarks: BTreeMap<String, u64>,
    /// Whose vectors are logged.
    pub log: Sampling,
}

/// The features of one row.
#[derive(Debug, Clone)]
pub struct FeatureRow {
    /// In the order of [`FeatureAnswer::columns`].
    pub values: Vec<Value>,
    /// How fresh each view was.
    pub views: Vec<ViewFreshness>,
}

/// How fresh a view was for one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViewFreshness {
    /// The view.
    pub view: String,
    /// The time of its newest event for the row's key; none if it has none.
    pub event_time: Option<Timestamp>,
    /// How long before the answer's moment that was.
    pub age_us: Option<i64>,
    /// Whether that is within the view's freshness objective.
    pub fresh: bool,
}

/// A failure of whatever is behind a port, with its own kind, code and hint.
pub struct PortFailure(Box<dyn Failure + Send + Sync>);

impl PortFailure {
    /// Carries `failure` through the port.
    pub fn new(failure: impl Failure + Send + Sync + 'static) -> Self {
        Self(Box::new(failure))
    }
}

impl fmt::Debug for PortFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl fmt::Display for PortFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl std::error::Error for PortFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl Failure for PortFailure {
    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn code(&self) -> &'static str {
        self.0.code()
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        self.0.hint()
    }
}
