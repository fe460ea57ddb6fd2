//! Opens every part in order, and takes them down in reverse without losing anything.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use shipway_access::Accounts;
use shipway_blob::BlobStore;
use shipway_catalog::{Catalog, CatalogPorts};
use shipway_core::{Clock, Failure, SystemClock};
use shipway_features::{Features, FeaturesOptions, Limits, VerificationSchedule, ViewCare};
use shipway_gateway::IdentifyKeys;
use shipway_lake::{Lake, LakeOptions};
use shipway_log::{EventLog, LogOptions};
use shipway_online::{OnlineOptions, OnlineStore};
use shipway_runtime::{RuntimeOptions, python::ModelFolder};
use shipway_serving::{Serving, ServingOptions, ServingPorts};
use shipway_store::{
    Store,
    jobs::{JobOptions, Jobs},
};
use shipway_streams::{Sinks, Streams, StreamsOptions};
use shipway_tracking::{Interface, Tracking};
use shipway_web::{Identify, Routes};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::{
    gateway::Models,
    intake::IntakeForStreams,
    jobs,
    outflow::OutflowForSinks,
    ports::{
        AccountsForTracking, CostsForPlans, DemandForVersions, DeploymentsForPlans, FeaturesForServing,
        InstallViews, ModelsForPlans, ModelsForServing, ReplaysForGates, ServedVectors,
    },
};
use crate::{
    configuration::{Configuration, broker_options, onnx_library},
    failure::CommandFailure,
    metadata,
};

/// How long background work may take to end after the last request.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(60);

/// Everything that runs in this process.
pub(super) struct Platform {
    pub(super) features: Features,
    pub(super) serving: Serving,
    pub(super) streams: Streams,
    pub(super) sinks: Sinks,
    accounts: Accounts,
    catalog: Catalog,
    tracking: Tracking,
    models: Models,
    interface: Option<Interface>,
    log: EventLog,
    store: Store,
    jobs: Jobs,
    tracker: TaskTracker,
    started: Instant,
}

impl Platform {
    /// Opens the data folder, creating what is missing, and finishes what a crash left half-way.
    pub(super) async fn open(configuration: &Configuration, later: &Handle) -> Result<Self, CommandFailure> {
        let data = &configuration.data;
        fs_err::create_dir_all(data)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let tracker = TaskTracker::new();
        let interface = open_interface(configuration)?;
        // The log first: its lock keeps a second server off this data folder.
        let log = EventLog::open(&data.join("log"), LogOptions::default()).map_err(because)?;
        let store = metadata::open(configuration).await?;
        let accounts = open_accounts(configuration, &store, &clock).await?;
        let lake = open_lake(configuration)?;
        let online = open_online(configuration)?;
        let catalog = Catalog::open(store.clone(), Arc::clone(&clock)).await.map_err(because)?;
        let features = Features::open(FeaturesOptions {
            log: log.clone(),
            online,
            lake: lake.clone(),
            store: store.clone(),
            definitions: catalog.subscribe(),
            clock: Arc::clone(&clock),
            tracker: tracker.clone(),
            data_dir: data.clone(),
            limits: limits(configuration),
            read_copy: configuration.read_copy.store()?,
        })
        .await
        .map_err(because)?;
        let streams = open_streams(configuration, &features, &clock, &tracker)?;
        let sinks = Sinks::new(&streams, Arc::new(OutflowForSinks(features.clone())));
        let models = Models::open(configuration, (&log, &store, &lake), &clock, (&tracker, later)).await?;
        let install = InstallViews {
            features: features.clone(),
            streams: streams.clone(),
            sinks: sinks.clone(),
            models: models.clone(),
        };
        catalog.listen(Arc::new(install)).await;
        let tracking = open_tracking(configuration, &store, &catalog, &clock).await?;
        let ports = ServingPorts {
            models: Arc::new(ModelsForServing(tracking.clone())),
            features: Arc::new(FeaturesForServing {
                features: features.clone(),
                definitions: catalog.subscribe(),
            }),
        };
        let options = serving_options(configuration)?;
        let serving = Serving::open(store.clone(), lake, ports, options, Arc::clone(&clock), tracker.clone())
            .await
            .map_err(because)?;
        models.serves(&serving);
        let parts = Parts { features: &features, tracking: &tracking, serving: &serving };
        parts.plug_into_each_other(&catalog, configuration);
        tracking.set_ownership(Arc::new(AccountsForTracking(accounts.clone())));
        let jobs = open_jobs(configuration, &store, clock).await?;
        features.set_jobs(jobs.clone());
        tracking.set_jobs(&jobs);
        features.care_for_views(care(configuration));
        // Last: what a crash interrupted goes on only when everything that it needs is there.
        jobs.start(&tracker);
        tracking.start_webhooks(&tracker);
        if let Some(after) = configuration.tracking.purge_after() {
            tracking.purge_after(after, &tracker);
        }
        begin_to_flow(&catalog, &streams, &sinks, &models).await?;
        let started = Instant::now();
        Ok(Self {
            features,
            serving,
            streams,
            sinks,
            accounts,
            catalog,
            tracking,
            models,
            interface,
            log,
            store,
            jobs,
            tracker,
            started,
        })
    }

    /// Every route of every capability.
    pub(super) fn routes(&self) -> Routes {
        shipway_catalog::routes(self.catalog.clone())
            .merge(shipway_features::routes(self.features.clone()))
            .merge(shipway_streams::routes(self.streams.clone()))
            .merge(shipway_streams::sink_routes(self.sinks.clone()))
            .merge(shipway_tracking::routes(self.tracking.clone()))
            .merge(shipway_serving::routes(self.serving.clone()))
            .merge(shipway_gateway::routes(self.models.gateway.clone()))
            .merge(shipway_access::routes(self.accounts.clone()))
            .merge(
                shipway_access::mlflow_routes(self.accounts.clone())
                    .with_problem_renderer(shipway_tracking::render_mlflow_problem),
            )
            .merge(jobs::routes(self.jobs.clone()))
            .merge(self.interface.clone().map(Interface::routes).unwrap_or_default())
    }

    /// Who tells which users there are.
    pub(super) fn users(&self) -> Arc<dyn Identify> {
        let accounts = Arc::new(self.accounts.clone());
        Arc::new(IdentifyKeys { gateway: self.models.gateway.clone(), accounts })
    }

    pub(super) fn uptime_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Writes what is in memory to its place and closes everything. Called after the last request was answered.
    /// Ends what callers would keep open for ever.
    pub(super) fn ends_connections(&self) {
        self.models.gateway.end_connections();
    }

    pub(super) async fn shutdown(&self) {
        self.streams.shutdown().await;
        self.sinks.shutdown().await;
        self.jobs.stop().await;
        self.tracking.stop_webhooks().await;
        if let Err(error) = self.serving.shutdown().await {
            tracing::error!(error = %shipway_core::failure::chain(&error), "the prediction log could not be written out");
        }
        if let Err(error) = self.models.gateway.shutdown().await {
            tracing::error!(error = %shipway_core::failure::chain(&error), "the books of calls could not be written");
        }
        self.features.shutdown().await;
        self.tracker.close();
        if tokio::time::timeout(BACKGROUND_PATIENCE, self.tracker.wait()).await.is_err() {
            tracing::warn!("background work did not end in time; it is taken up again at the next start");
        }
        self.log.close().await;
        self.store.close().await;
    }
}

/// Capabilities that ask each other through ports.
struct Parts<'a> {
    features: &'a Features,
    tracking: &'a Tracking,
    serving: &'a Serving,
}

impl Parts<'_> {
    fn plug_into_each_other(&self, catalog: &Catalog, configuration: &Configuration) {
        let Self { features, tracking, serving } = *self;
        features.set_served_vectors(Arc::new(ServedVectors(serving.clone())));
        tracking.set_replays(Arc::new(ReplaysForGates(features.clone())));
        catalog.plug(CatalogPorts {
            costs: Some(Arc::new(CostsForPlans(features.clone()))),
            bindings: vec![
                Arc::new(ModelsForPlans(tracking.clone())),
                Arc::new(DeploymentsForPlans(serving.clone())),
            ],
        });
        features
            .set_demand(Arc::new(DemandForVersions { serving: serving.clone(), tracking: tracking.clone() }));
        if configuration.verify.every_minutes > 0 {
            features.verify_on(VerificationSchedule {
                every: Duration::from_secs(configuration.verify.every_minutes * 60),
                vectors: configuration.verify.vectors,
            });
        }
    }
}

/// The accounts of this server. Without a token everybody would be let in as the operator, so it does not start when there are users.
pub(super) async fn open_accounts(
    configuration: &Configuration,
    store: &Store,
    clock: &Arc<dyn Clock>,
) -> Result<Accounts, CommandFailure> {
    let asks = configuration.token.is_some();
    let accounts = Accounts::open(store.clone(), Arc::clone(clock), asks).await.map_err(because)?;
    let users = accounts.count();
    if !asks && users > 0 {
        let have = if users == 1 {
            "1 user has an account".to_owned()
        } else {
            format!("{users} users have accounts")
        };
        let message = format!("{have}, and no token is set: everybody would be let in as the operator");
        return Err(CommandFailure::new(message).with_hint("set SHIPWAY_TOKEN"));
    }
    Ok(accounts)
}

/// The streams of this server, whose groups at brokers are called as the server is.
fn open_streams(
    configuration: &Configuration,
    features: &Features,
    clock: &Arc<dyn Clock>,
    tracker: &TaskTracker,
) -> Result<Streams, CommandFailure> {
    let own_group = format!("shipway-{}", metadata::server_id(&configuration.data)?);
    Ok(Streams::new(StreamsOptions {
        brokers: broker_options(&configuration.brokers, &own_group)?,
        intake: Arc::new(IntakeForStreams(features.clone())),
        clock: Arc::clone(clock),
        tracker: tracker.clone(),
    }))
}

fn serving_options(configuration: &Configuration) -> Result<ServingOptions, CommandFailure> {
    let settings = &configuration.runtime;
    let python = settings.python.options(&configuration.data, settings.threads)?;
    if let Some(python) = &python {
        ModelFolder::clear(python)
            .map_err(|error| CommandFailure::new(format!("{}: {error}", python.folder.display())))?;
    }
    let found = || onnx_library::found(&configuration.data);
    let device = settings.onnx_device.parse();
    let device =
        device.map_err(|reason: String| CommandFailure::new(format!("runtime.onnx_device: {reason}")))?;
    let engine = settings.onnx_engine.parse();
    let engine =
        engine.map_err(|reason: String| CommandFailure::new(format!("runtime.onnx_engine: {reason}")))?;
    let runtime = RuntimeOptions {
        onnx_engine: engine,
        onnx_library: settings.onnx_library.clone().or_else(found),
        threads: settings.threads,
        inter_threads: settings.inter_threads,
        device,
        python,
        ..RuntimeOptions::default()
    };
    let mib = settings.model_memory_mib;
    let model_memory = (mib > 0).then(|| mib.saturating_mul(1 << 20));
    Ok(ServingOptions { runtime, triton_metrics: settings.triton_metrics, model_memory })
}

fn open_online(configuration: &Configuration) -> Result<OnlineStore, CommandFailure> {
    let options =
        OnlineOptions { cache_bytes: configuration.online.cache_mib << 20, ..OnlineOptions::default() };
    OnlineStore::open_with(&configuration.data.join("online"), &options).map_err(because)
}

fn open_interface(configuration: &Configuration) -> Result<Option<Interface>, CommandFailure> {
    configuration.mlflow.interface.as_deref().map(Interface::open).transpose().map_err(because)
}

/// Starts what comes from brokers, and what is sent on.
async fn begin_to_flow(
    catalog: &Catalog,
    streams: &Streams,
    sinks: &Sinks,
    models: &Models,
) -> Result<(), CommandFailure> {
    let definitions = catalog.subscribe().borrow().clone();
    models.installed(&definitions).map_err(because)?;
    streams.installed(&definitions).await;
    sinks.installed(&definitions).await.map_err(because)
}

async fn open_tracking(
    configuration: &Configuration,
    store: &Store,
    catalog: &Catalog,
    clock: &Arc<dyn Clock>,
) -> Result<Tracking, CommandFailure> {
    let blobs = BlobStore::open_local(&configuration.data.join("objects")).map_err(because)?;
    let gates = Arc::new(catalog.subscribe());
    let tracking = Tracking::open(store.clone(), blobs, gates, Arc::clone(clock)).await.map_err(because)?;
    tracking.set_webhooks(&configuration.webhooks.settings()).map_err(because)?;
    Ok(tracking)
}

async fn open_jobs(
    configuration: &Configuration,
    store: &Store,
    clock: Arc<dyn Clock>,
) -> Result<Jobs, CommandFailure> {
    let options = JobOptions { concurrency: configuration.jobs.concurrency.max(1), ..JobOptions::default() };
    Jobs::open(store.clone(), clock, options).await.map_err(because)
}

fn open_lake(configuration: &Configuration) -> Result<Lake, CommandFailure> {
    let mut options = LakeOptions::new(configuration.data.join("lake"));
    options.memory_limit_bytes = configuration.lake.memory_limit_mib << 20;
    if configuration.lake.partitions > 0 {
        options.target_partitions = Some(configuration.lake.partitions);
    }
    options.outside = configuration.sources.outside()?;
    Lake::open(options).map_err(because)
}

fn limits(configuration: &Configuration) -> Limits {
    let lake = &configuration.lake;
    Limits {
        retention: Duration::from_secs(lake.retention_hours.saturating_mul(3_600)),
        upkeep_every: (lake.upkeep_seconds > 0).then(|| Duration::from_secs(lake.upkeep_seconds)),
        bulk_rows: configuration.features.build_rows.max(1),
        sink_records: configuration.features.sink_records,
        builds_are_jobs: true,
        ..Limits::default()
    }
}

/// What is done about the states of views without being asked.
fn care(configuration: &Configuration) -> ViewCare {
    let hours = |hours: u64| (hours > 0).then(|| Duration::from_secs(hours.saturating_mul(3_600)));
    ViewCare {
        heal_every: hours(configuration.features.heal_every_hours),
        retire_after: hours(configuration.features.retire_after_hours),
    }
}

fn because(error: impl Failure + 'static) -> CommandFailure {
    CommandFailure::of(&error)
}
