//! Use cases: fetch, judge, record. One file per family; every change is one transaction.
//!
//! - `experiments`, `runs`, `logging`, `logged_models`: what training code records
//! - `artifacts`: files of runs and logged models
//! - `registry`, `versions`: registered models
//! - `promotion`: who may take an alias
//! - `bound`: which versions carry a tag
//! - `resolve`: what serving needs to know of a version
//! - `search`: what a search asks for and gives

mod artifacts;
mod bound;
mod experiments;
mod gates;
mod logged_models;
mod logging;
mod names;
mod promotion;
mod registry;
mod resolve;
mod runs;
mod search;
mod versions;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use serde_json::Value;
use shipway_blob::BlobStore;
use shipway_core::Clock;
use shipway_store::{
    Store, Transaction,
    audit::{self, AuditEntry},
};
use tokio::sync::watch;

pub(crate) use artifacts::FileEntry;
pub use bound::TaggedVersion;
pub use gates::{GateSource, ReplaySource};
pub(crate) use logged_models::NewLoggedModel;
pub use promotion::Promotion;
pub(crate) use registry::{ModelReport, VersionReport};
pub use resolve::{ModelFile, ResolvedVersion};
pub(crate) use runs::{NewRun, RunChange};
pub(crate) use search::{Found, LoggedModelSearch, OrderRequest, SearchRequest};
pub(crate) use versions::NewVersion;

use crate::{error::TrackingError, store};

/// Experiments, runs, artifacts and the model registry. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Tracking {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    blobs: BlobStore,
    gates: Arc<dyn GateSource>,
    /// What gates may ask about served vectors, once it is plugged in.
    replays: OnceLock<Arc<dyn ReplaySource>>,
    clock: Arc<dyn Clock>,
    alias_changes: watch::Sender<u64>,
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
        let (alias_changes, _) = watch::channel(0);
        let replays = OnceLock::new();
        let tracking = Self { inner: Arc::new(Inner { store, blobs, gates, replays, clock, alias_changes }) };
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

    fn now_ms(&self) -> i64 {
        self.inner.clock.now().micros().div_euclid(1_000)
    }

    fn reader(&self) -> &Store {
        &self.inner.store
    }

    async fn begin(&self) -> Result<Transaction, TrackingError> {
        Ok(self.inner.store.begin().await?)
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
