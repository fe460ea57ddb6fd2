//! The use cases of serving, behind one handle.
//!
//! - `loading`: a version's files become a model that is bound to its columns
//! - `python`: the same for a version that is code
//! - `deploy`: deployments come and go
//! - `follow`: the served version follows its alias
//! - `predict`: rows become predictions
//! - `infer`: tensors become tensors
//! - `variants`: which version answers a request
//! - `launches`: a candidate comes to serve step by step
//! - `running`: a launch while it goes on
//! - `parking`: models make room for each other
//! - `ensembles/`: rows go through the steps of an ensemble
//! - `embed`: texts become embeddings
//! - `classify`: texts get a score for each label
//! - `preview`: a candidate runs over what was served
//! - `explain`: why a model answers what it answers
//! - `labels`: what came true of predictions
//! - `label_queue`: such labels on their way to their table

mod classify;
mod deploy;
mod embed;
mod ensembles;
mod explain;
mod follow;
mod infer;
mod label_queue;
mod labels;
mod launches;
mod loading;
mod parking;
mod predict;
mod preview;
mod python;
mod running;
mod variants;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use shipway_core::{Clock, Name, nearest};
use shipway_lake::Lake;
use shipway_runtime::RuntimeOptions;
use shipway_store::Store;
use tokio::sync::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ensemble::error::EnsembleError,
    error::ServingError,
    memory::ModelMemory,
    model::deployment::{DeploymentSpec, DeploymentStatus, LoadTrouble, ServedVersion},
    ports::{FeatureSource, ModelSource},
    prediction_log::{PredictionLog, schema::table_of},
    store::{self, deployments},
};
use label_queue::LabelQueues;
use running::Running;

pub(crate) use embed::Embedder;
pub(crate) use ensembles::{Ensemble, EnsembleQuestion};
pub use explain::{ExplainOutput, ExplainRequest, Explanation, RowExplanation, ScoreExplanation};
pub(crate) use infer::{Inferred, TensorQuestion};
pub use labels::{Label, Labels, LabelsKept, label_table_of};
pub(crate) use loading::{Served, Source};
pub(crate) use predict::{Question, Rows};
pub use preview::{Preview, PreviewRequest};
pub(crate) use variants::{Part, Target};

/// What serving needs of other capabilities.
#[derive(Clone)]
pub struct ServingPorts {
    /// Where models come from.
    pub models: Arc<dyn ModelSource>,
    /// Where features come from.
    pub features: Arc<dyn FeatureSource>,
}

/// How serving runs models and counts what they do.
#[derive(Debug, Clone, Default)]
pub struct ServingOptions {
    /// How models run.
    pub runtime: RuntimeOptions,
    /// Whether inferences are counted under the names of Triton's metrics too.
    pub triton_metrics: bool,
    /// How many bytes of models are loaded at most, by the sizes of their files; without it, any.
    pub model_memory: Option<u64>,
}

/// Everything that is deployed, and the log of what it answers. Cheap to clone.
#[derive(Clone)]
pub struct Serving {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    lake: Lake,
    ports: ServingPorts,
    options: ServingOptions,
    clock: Arc<dyn Clock>,
    tracker: TaskTracker,
    log: PredictionLog,
    labels: LabelQueues,
    deployments: RwLock<BTreeMap<Name, Arc<Deployment>>>,
    ensembles: RwLock<BTreeMap<Name, Arc<Ensemble>>>,
    /// The ensemble that is about to be deployed, if one is.
    deploying: RwLock<Option<Arc<Ensemble>>>,
    memory: Arc<ModelMemory>,
    /// Held by whoever decides which models make room.
    parking: std::sync::Mutex<()>,
    /// Whether what was deployed before is still being loaded: then nothing makes room for anything.
    opening: AtomicBool,
    /// Held by whoever changes what is deployed or which version serves.
    changing: Mutex<()>,
    stop: CancellationToken,
}

/// One deployment while it is deployed.
pub(crate) struct Deployment {
    pub(crate) name: Name,
    pub(crate) spec: DeploymentSpec,
    served: RwLock<Option<Arc<Served>>>,
    trouble: RwLock<Option<LoadTrouble>>,
    /// What would serve if it was asked: its memory was given to others.
    parked: RwLock<Option<ServedVersion>>,
    /// Held by whoever loads it because it was asked.
    loading: Mutex<()>,
    /// The launch that goes on, if one does.
    launch: RwLock<Option<Arc<Running>>>,
    /// Taken out of service by hand, until it is loaded again or the server starts anew.
    unloaded: AtomicBool,
}

impl Serving {
    /// Opens what was deployed before: loads each model, starts the prediction log and the task that follows the aliases.
    /// A model that does not load is reported in its status and tried again; it does not keep the others from serving.
    pub async fn open(
        store: Store,
        lake: Lake,
        ports: ServingPorts,
        options: ServingOptions,
        clock: Arc<dyn Clock>,
        tracker: TaskTracker,
    ) -> Result<Self, ServingError> {
        store.migrate(store::OWNER, store::MIGRATIONS).await?;
        let log = PredictionLog::start(lake.clone(), &tracker);
        let changes = ports.models.changes();
        let stop = CancellationToken::new();
        let known = deployments::all(&store)
            .await?
            .into_iter()
            .map(|(name, spec)| (name.clone(), Arc::new(Deployment::new(name, spec, None))))
            .collect();
        let memory = ModelMemory::new(options.model_memory);
        let inner = Inner {
            store,
            lake,
            ports,
            options,
            clock,
            tracker,
            log,
            labels: LabelQueues::default(),
            deployments: RwLock::new(known),
            ensembles: RwLock::default(),
            deploying: RwLock::default(),
            memory,
            parking: std::sync::Mutex::new(()),
            opening: AtomicBool::new(true),
            changing: Mutex::new(()),
            stop,
        };
        let serving = Self { inner: Arc::new(inner) };
        serving.open_ensembles().await?;
        serving.refresh().await;
        serving.inner.opening.store(false, Ordering::Release);
        serving.resume_launches().await?;
        serving.inner.tracker.spawn(serving.clone().follow(changes));
        serving.inner.tracker.spawn(serving.clone().judge_launches());
        Ok(serving)
    }

    /// Stops following aliases and writes what is left of the prediction log. Predictions are refused from here on.
    pub async fn shutdown(&self) -> Result<(), ServingError> {
        self.inner.stop.cancel();
        self.inner.log.stop().await
    }

    /// Returns when every prediction answered before is in its table.
    pub async fn flush(&self) -> Result<(), ServingError> {
        self.inner.log.flush().await
    }

    /// Whether every deployment has a version that has loaded, or will be when it is asked. A version whose process is being started
    /// anew is its own trouble, and not that of all others.
    pub fn ready(&self) -> bool {
        let are_deployments =
            self.everything().iter().all(|deployment| deployment.is_unloaded() || deployment.is_ready());
        let are_planned = |ensemble: &Arc<Ensemble>| ensemble.is_unloaded() || ensemble.is_planned();
        are_deployments && self.all_ensembles().iter().all(are_planned)
    }

    /// Whether the server stops before so much time is over; returns when either is known.
    pub(crate) async fn is_stopping_within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.inner.stop.cancelled()).await.is_ok()
    }

    /// All deployments, by name.
    pub fn deployments(&self) -> Vec<DeploymentStatus> {
        self.all().iter().map(|deployment| deployment.status()).collect()
    }

    /// One deployment.
    pub fn status_of(&self, name: &str) -> Result<DeploymentStatus, ServingError> {
        Ok(self.deployment(name)?.status())
    }

    pub(crate) fn all(&self) -> Vec<Arc<Deployment>> {
        self.inner.deployments.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn deployment(&self, name: &str) -> Result<Arc<Deployment>, ServingError> {
        if self.ensemble(name).is_some() {
            return Err(EnsembleError::IsEnsemble(name.to_owned()).into());
        }
        let deployments = self.inner.deployments.read().unwrap_or_else(PoisonError::into_inner);
        deployments.get(name).cloned().ok_or_else(|| ServingError::UnknownDeployment {
            name: name.to_owned(),
            nearest: nearest(name, deployments.keys().map(Name::as_str)).map(str::to_owned),
        })
    }
}

impl Deployment {
    fn new(name: Name, spec: DeploymentSpec, served: Option<Served>) -> Self {
        Self {
            name,
            spec,
            served: RwLock::new(served.map(Arc::new)),
            trouble: RwLock::new(None),
            parked: RwLock::new(None),
            loading: Mutex::new(()),
            launch: RwLock::new(None),
            unloaded: AtomicBool::new(false),
        }
    }

    /// The version that answers now. Whoever holds it keeps it alive, also after another has taken over.
    pub(crate) fn served(&self) -> Result<Arc<Served>, ServingError> {
        self.serving().ok_or_else(|| {
            if self.is_unloaded() {
                return ServingError::Unloaded(self.name.to_string());
            }
            let trouble = self.trouble();
            ServingError::NotLoaded {
                name: self.name.to_string(),
                reason: trouble.map_or_else(|| "it is being loaded".to_owned(), |trouble| trouble.detail),
            }
        })
    }

    /// Whether it answers, at once or when it is loaded again.
    pub(crate) fn is_ready(&self) -> bool {
        self.serving().is_some() || self.parked().is_some()
    }

    /// What would serve if it was asked, where its memory was given to others.
    pub(crate) fn parked(&self) -> Option<ServedVersion> {
        self.parked.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the memory of its model to others.
    fn park(&self, version: ServedVersion) {
        *self.parked.write().unwrap_or_else(PoisonError::into_inner) = Some(version);
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether it was taken out of service by hand.
    pub(crate) fn is_unloaded(&self) -> bool {
        self.unloaded.load(Ordering::Acquire)
    }

    /// Takes it out of service: the model's memory is free when the requests that it answers are done.
    fn unload(&self) {
        self.unloaded.store(true, Ordering::Release);
        *self.parked.write().unwrap_or_else(PoisonError::into_inner) = None;
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.report(None);
    }

    pub(crate) fn serving(&self) -> Option<Arc<Served>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn trouble(&self) -> Option<LoadTrouble> {
        self.trouble.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The launch that goes on, if one does.
    pub(crate) fn launch(&self) -> Option<Arc<Running>> {
        self.launch.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The versions that answer: the one that serves, and the candidate of a launch.
    pub(crate) fn versions(&self) -> Vec<Arc<Served>> {
        let candidate = self.launch().map(|launch| Arc::clone(&launch.candidate));
        self.serving().into_iter().chain(candidate).collect()
    }

    fn put_launch(&self, launch: Option<Arc<Running>>) {
        *self.launch.write().unwrap_or_else(PoisonError::into_inner) = launch;
    }

    fn take_over(&self, served: Arc<Served>) {
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Some(served);
        *self.parked.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn report(&self, trouble: Option<LoadTrouble>) {
        *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn status(&self) -> DeploymentStatus {
        let serving = self.serving();
        let parked = serving.is_none().then(|| self.parked()).flatten();
        DeploymentStatus {
            name: self.name.clone(),
            spec: self.spec.clone(),
            is_parked: parked.is_some(),
            trouble: self.trouble().or_else(|| serving.as_ref()?.trouble_now()),
            serves: serving.map(|served| served.version()).or(parked),
            launch: self.launch().map(|launch| launch.status()),
            prediction_log: table_of(&self.name),
        }
    }
}
