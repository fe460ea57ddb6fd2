//! A server that answers calls of models of language and does nothing else, beside the owner of the metadata: keys, limits and definitions
//! are the owner's, the ledger is its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{extract::State, http::StatusCode, response::IntoResponse};
use serde_json::{Value, json};
use shipway_catalog::{Catalog, definitions_mark};
use shipway_core::{Clock, Permission, ResourceType, SystemClock};
use shipway_gateway::IdentifyKeys;
use shipway_log::{EventLog, LogOptions};
use shipway_store::Store;
use shipway_web::{Caller, Credentials, Identify, Json, Problem, Routes};
use tokio::{runtime::Handle, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{gateway::Models, observe::Metrics, platform::open_accounts};
use crate::{configuration::Configuration, failure::CommandFailure, metadata};

/// How often it is looked whether the owner has other definitions.
const LOOKS_EVERY: Duration = Duration::from_millis(500);
/// How long background work may take to end after the last request.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(30);

/// Everything that runs in a replica.
pub(super) struct Replica {
    models: Models,
    log: EventLog,
    store: Store,
    tracker: TaskTracker,
    stop: CancellationToken,
    started: Instant,
}

/// A replica knows the operator and virtual keys; accounts are the owner's.
#[derive(Debug)]
struct NoAccounts;

#[async_trait]
impl Identify for NoAccounts {
    async fn identify(&self, _: &Credentials) -> Result<Option<Caller>, Problem> {
        Ok(None)
    }
}

impl Replica {
    /// Opens the ledger in the data folder, and the metadata of the owner.
    pub(super) async fn open(configuration: &Configuration, later: &Handle) -> Result<Self, CommandFailure> {
        fs_err::create_dir_all(&configuration.data)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let tracker = TaskTracker::new();
        // The log first: its lock keeps a second server off this data folder.
        let log = EventLog::open(&configuration.data.join("log"), LogOptions::default())
            .map_err(|error| CommandFailure::of(&error))?;
        let store = metadata::open_of_owner(configuration).await?;
        // It knows no users, but where there are some it does not let everybody in as the operator.
        open_accounts(configuration, &store, &clock).await?;
        let models = Models::replica(configuration, (&log, &store), &clock, (&tracker, later)).await?;
        let definitions = Definitions { store: store.clone(), clock, models: models.clone() };
        let mark = definitions.install().await?;
        let stop = CancellationToken::new();
        tracker.spawn(definitions.follow(mark, stop.clone()));
        Ok(Self { models, log, store, tracker, stop, started: Instant::now() })
    }

    /// Who tells which callers there are.
    pub(super) fn users(&self) -> Arc<dyn Identify> {
        Arc::new(IdentifyKeys { gateway: self.models.gateway.clone(), accounts: Arc::new(NoAccounts) })
    }

    /// Calls of models, keys, groups; and what operators and their tools ask.
    pub(super) fn routes(self: &Arc<Self>, metrics: Metrics, stopping: watch::Receiver<bool>) -> Routes {
        let health = Health { replica: Arc::clone(self), metrics, stopping };
        let own = Routes::new()
            .get("/healthz", Permission::Public, healthz)
            .get("/readyz", Permission::Public, readyz)
            .get("/metrics", Permission::Read, render)
            .get("/api/v1/status", Permission::Read, status)
            .about(ResourceType::Server)
            .with_state(health);
        shipway_gateway::routes(self.models.gateway.clone()).merge(own)
    }

    /// Writes what is in memory to its place, and gives back what was leased. Called after the last request was answered.
    pub(super) async fn shutdown(&self) {
        self.stop.cancel();
        if let Err(error) = self.models.gateway.shutdown().await {
            tracing::error!(error = %shipway_core::failure::chain(&error), "the books of calls could not be written");
        }
        self.tracker.close();
        if tokio::time::timeout(BACKGROUND_PATIENCE, self.tracker.wait()).await.is_err() {
            tracing::warn!("background work did not end in time; it is taken up again at the next start");
        }
        self.log.close().await;
        self.store.close().await;
    }
}

/// The definitions of the owner, as they are put in force here.
struct Definitions {
    store: Store,
    clock: Arc<dyn Clock>,
    models: Models,
}

impl Definitions {
    /// Puts what the owner has in force; returns what to compare with.
    async fn install(&self) -> Result<String, CommandFailure> {
        let of = |error: shipway_catalog::CatalogError| CommandFailure::of(&error);
        // Before it is read: what changes meanwhile is read again.
        let mark = definitions_mark(&self.store).await.map_err(of)?;
        let catalog = Catalog::open(self.store.clone(), Arc::clone(&self.clock)).await.map_err(of)?;
        self.models.installed(&catalog.current()).map_err(|error| CommandFailure::of(&error))?;
        Ok(mark)
    }

    async fn follow(self, mut mark: String, stop: CancellationToken) {
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOKS_EVERY) => {}
            }
            match definitions_mark(&self.store).await {
                Ok(found) if found == mark => is_failing = false,
                // That the database cannot be reached is said by what shares the limits.
                Err(_) => {}
                Ok(_) => match self.install().await {
                    Ok(installed) => mark = installed,
                    Err(failure) if !is_failing => {
                        is_failing = true;
                        tracing::error!(
                            error = failure.message,
                            "definitions of the owner could not be put in force; it is tried again"
                        );
                    }
                    Err(_) => {}
                },
            }
        }
    }
}

#[derive(Clone)]
struct Health {
    replica: Arc<Replica>,
    metrics: Metrics,
    stopping: watch::Receiver<bool>,
}

async fn healthz() -> &'static str {
    "ok"
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    if *health.stopping.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else {
        (StatusCode::OK, "ready")
    }
}

async fn render(State(health): State<Health>) -> impl IntoResponse {
    ([("content-type", "text/plain; version=0.0.4; charset=utf-8")], health.metrics.render())
}

async fn status(State(health): State<Health>) -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": health.replica.started.elapsed().as_secs(),
        "stopping": *health.stopping.borrow(),
        "llm": { "role": "replica" },
    }))
}
