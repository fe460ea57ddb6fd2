//! Use cases: fetch, judge, record. One file per family; every change is one transaction.
//!
//! - `experiments`, `runs`, `logging`, `logged_models`: what training code records
//! - `metric_samples`: histories of metrics for charts
//! - `evaluation_datasets`, `evaluation_records`, `scorers`: what evaluations stand on
//! - `webhooks`: who is told of changes, and what is still to be told
//! - `cursor`: page tokens that say after which item a page begins
//! - `artifacts`: files of runs and logged models
//! - `registry`, `versions`: registered models
//! - `promotion`: who may take an alias
//! - `purge`: what is taken away for good
//! - `import`: what was recorded by another server
//! - `bound`: which versions carry a tag
//! - `resolve`: what serving needs to know of a version
//! - `owners`: which experiment and which models a thing belongs to
//! - `ownership`: who is told of things that are made, renamed and gone
//! - `workspaces`: what keeps the things of groups apart
//! - `search`: what a search asks for and gives
//! - `traces`, `spans`, `assessments`: what is recorded of traces
//! - `trace_reading`, `trace_search`, `trace_metrics`: what is read of them

mod artifacts;
mod assessments;
mod bound;
mod cursor;
mod evaluation_datasets;
mod evaluation_records;
mod experiments;
mod gates;
pub(crate) mod import;
mod logged_models;
mod logging;
mod metric_samples;
mod names;
mod owners;
mod ownership;
mod promotion;
mod purge;
mod registry;
mod resolve;
mod runs;
mod scorers;
mod search;
mod spans;
mod trace_metrics;
mod trace_reading;
mod trace_search;
mod traces;
mod versions;
mod webhooks;
mod workspaces;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use serde_json::Value;
use shipway_blob::BlobStore;
use shipway_core::{Clock, Workspace};
use shipway_store::{
    Store, Transaction,
    audit::{self, AuditEntry},
    jobs::Jobs,
};
use tokio::sync::{RwLock, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use artifacts::FileEntry;
pub(crate) use assessments::{AssessmentChange, whole};
pub use bound::TaggedVersion;
pub(crate) use evaluation_datasets::NewDataset;
pub use gates::{GateSource, ReplaySource};
pub(crate) use logged_models::NewLoggedModel;
pub(crate) use owners::{Belongs, Named};
pub use ownership::Ownership;
pub use promotion::Promotion;
pub use purge::PURGE_JOB;
pub(crate) use purge::PurgePlan;
pub(crate) use registry::{ModelReport, VersionReport};
pub use resolve::{ModelFile, ResolvedVersion};
pub(crate) use runs::{NewRun, RunChange};
pub(crate) use search::{Found, LoggedModelSearch, OrderRequest, SearchRequest};
pub(crate) use trace_metrics::MetricRequest;
pub(crate) use trace_reading::Part;
pub(crate) use traces::{NewTrace, TraceDeletion};
pub(crate) use versions::NewVersion;
pub(crate) use webhooks::{NewWebhook, WebhookChange};
pub(crate) use workspaces::WorkspaceChange;

use crate::{error::TrackingError, store, webhook::send::Sender};

/// Experiments, runs, artifacts and the model registry. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Tracking {
    inner: Arc<Inner>,
    /// What it is seen from. Keys of models, and ids, are the same from everywhere.
    workspace: Workspace,
}

struct Inner {
    store: Store,
    blobs: BlobStore,
    gates: Arc<dyn GateSource>,
    /// What gates may ask about served vectors, once it is plugged in.
    replays: OnceLock<Arc<dyn ReplaySource>>,
    /// Who is told of what is made, renamed and gone, once it is plugged in.
    ownership: OnceLock<Arc<dyn Ownership>>,
    clock: Arc<dyn Clock>,
    alias_changes: watch::Sender<u64>,
    /// Counts commits that may have left something for webhooks.
    news: watch::Sender<u64>,
    /// Who sends to webhooks, once the operator has decided what they may reach.
    sender: OnceLock<Sender>,
    /// Shared by those who give paths to blobs, and held alone by who removes blobs that no path names.
    paths: RwLock<()>,
    /// What does work that outlives a request, once it is there.
    jobs: OnceLock<Jobs>,
    /// The workspaces that there are.
    workspaces: workspaces::Known,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl fmt::Debug for Tracking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tracking").finish_non_exhaustive()
    }
}

impl Tracking {
    /// Opens tracking over a metadata database and an object store: creates or migrates its tables, and makes sure that the
    /// experiment `Default` with the id 0 exists.
    pub async fn open(
        store: Store,
        blobs: BlobStore,
        gates: Arc<dyn GateSource>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TrackingError> {
        store.migrate("tracking", store::MIGRATIONS).await?;
        let inner = Inner {
            store,
            blobs,
            gates,
            replays: OnceLock::new(),
            ownership: OnceLock::new(),
            clock,
            alias_changes: watch::channel(0).0,
            news: watch::channel(0).0,
            sender: OnceLock::new(),
            paths: RwLock::new(()),
            jobs: OnceLock::new(),
            workspaces: workspaces::Known::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let tracking = Self { inner: Arc::new(inner), workspace: Workspace::default() };
        tracking.learn_workspaces().await?;
        tracking.create_default_experiment().await?;
        Ok(tracking)
    }

    /// Plugs in what gates may ask about served vectors; the first one stays. Without it such a gate is never met.
    pub fn set_replays(&self, replays: Arc<dyn ReplaySource>) {
        let _ = self.inner.replays.set(replays);
    }

    /// Counts committed changes of aliases, from 0 at the start. A change is seen here after it can be resolved.
    pub fn alias_changes(&self) -> watch::Receiver<u64> {
        self.inner.alias_changes.subscribe()
    }

    fn announce_alias_change(&self) {
        self.inner.alias_changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.inner.clock.now().micros().div_euclid(1_000)
    }

    fn reader(&self) -> &Store {
        &self.inner.store
    }

    async fn begin(&self) -> Result<Transaction, TrackingError> {
        Ok(self.inner.store.begin().await?)
    }

    /// Begins a change of what belongs to one run alone.
    async fn begin_on_run(&self, run_id: &str) -> Result<Transaction, TrackingError> {
        Ok(self.inner.store.begin_on(run_id).await?)
    }

    async fn audit(
        &self,
        transaction: &mut Transaction,
        caller: &str,
        action: &str,
        subject: String,
        detail: Value,
    ) -> Result<(), TrackingError> {
        let entry = AuditEntry { actor: caller.to_owned(), action: action.to_owned(), subject, detail };
        Ok(audit::record(transaction, &entry, self.inner.clock.now()).await?)
    }
}
