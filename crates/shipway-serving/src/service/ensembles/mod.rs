//! Ensembles while they are deployed.
//!
//! - `deploy`: they come and go
//! - `follow`: they are planned when their models are there, and a version that does not fit does not take over
//! - `ask`: rows go through the steps
//! - `features`: ids become inputs
//! - `record`: what was answered is logged

mod ask;
mod deploy;
mod features;
mod follow;
mod record;

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
};

use shipway_core::{DataType, Digest, Name, Timestamp};
use tokio::sync::Mutex;

pub(crate) use ask::EnsembleQuestion;
pub(super) use follow::adopt;

use super::{Deployment, Serving};
use crate::{
    ensemble::{
        plan::Plan,
        shape::Shape,
        spec::{EnsembleSpec, Ordered},
        status::{EnsembleStatus, StepStatus},
    },
    error::ServingError,
    model::deployment::LoadTrouble,
    ports::ServiceShape,
    prediction_log::schema::{LogSchema, table_of},
    statistics::Statistics,
    store::ensembles::Kept,
};

/// One ensemble while it is deployed.
pub(crate) struct Ensemble {
    pub(crate) name: Name,
    pub(crate) spec: EnsembleSpec,
    /// Counts how often it was changed, from 1.
    pub(crate) version: u64,
    digest: Digest,
    since: Timestamp,
    pub(crate) statistics: Arc<Statistics>,
    /// For each step of the graph, the model that it asks, if it asks one.
    models: Vec<Option<StepModel>>,
    state: RwLock<State>,
    /// Held by whoever plans it.
    planning: Mutex<()>,
    /// Taken out of service by hand, until it is loaded again or the server starts anew.
    unloaded: AtomicBool,
}

/// The model that a step asks.
enum StepModel {
    /// That of a deployment, with its queue, its launches and its log.
    Deployment(Name),
    /// One of the ensemble's own.
    Own(Arc<Deployment>),
}

#[derive(Default)]
struct State {
    /// For each step of the graph, what its model takes and gives; none before it was loaded once.
    shapes: Vec<Option<Shape>>,
    ready: Option<Arc<Ready>>,
    trouble: Option<LoadTrouble>,
}

/// What an ensemble runs.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) plan: Arc<Plan>,
    /// The outputs, with their types.
    pub(crate) outputs: Arc<[(String, DataType)]>,
    bound: Arc<Bound>,
}

/// Where the inputs come from and where answers are logged.
struct Bound {
    /// The version of the feature service; none where requests bring the inputs.
    shape: Option<ServiceShape>,
    schema: Arc<LogSchema>,
}

impl Ensemble {
    fn new(kept: Kept, models: Vec<Option<StepModel>>, since: Timestamp, triton_metrics: bool) -> Self {
        let Kept { name, spec, version } = kept;
        let state = State { shapes: vec![None; models.len()], ..State::default() };
        Self {
            digest: spec.digest(),
            statistics: Arc::new(Statistics::of(name.as_str(), version, triton_metrics)),
            name,
            spec,
            version,
            since,
            models,
            state: RwLock::new(state),
            planning: Mutex::new(()),
            unloaded: AtomicBool::new(false),
        }
    }

    /// What it runs, once it has been planned.
    pub(crate) fn ready(&self) -> Option<Arc<Ready>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).ready.clone()
    }

    /// For each step of the graph, what its model takes and gives, once it has been planned.
    fn shapes(&self) -> Vec<Option<Shape>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).shapes.clone()
    }

    fn put(&self, shapes: Vec<Option<Shape>>, ready: Arc<Ready>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = State { shapes, ready: Some(ready), trouble: None };
    }

    /// From now on, what was read over this version of the feature service is logged in its table.
    fn rebind(&self, bound: &Arc<Bound>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(ready) = &mut state.ready {
            *ready = Arc::new(Ready { bound: Arc::clone(bound), ..Ready::clone(ready) });
        }
    }

    fn trouble(&self) -> Option<LoadTrouble> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    fn report(&self, trouble: Option<LoadTrouble>) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).trouble = trouble;
    }

    pub(crate) fn is_unloaded(&self) -> bool {
        self.unloaded.load(Ordering::Acquire)
    }

    /// Whether nothing is known against its graph.
    pub(super) fn is_planned(&self) -> bool {
        self.ready().is_some() || self.trouble().is_none()
    }

    /// The models that it loads for itself.
    fn own(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.models.iter().filter_map(|model| match model {
            Some(StepModel::Own(deployment)) => Some(deployment),
            _ => None,
        })
    }

    fn asks(&self, name: &Name) -> bool {
        self.models.iter().any(|model| matches!(model, Some(StepModel::Deployment(other)) if other == name))
    }

    /// The columns that a request brings: keys and request columns with a feature service, which may be none before it was planned.
    pub(crate) fn taken(&self) -> Vec<(String, DataType)> {
        match (&self.spec.service, self.ready()) {
            (None, _) => self.spec.ensemble.inputs.0.clone(),
            (Some(_), ready) => ready
                .and_then(|ready| {
                    let shape = ready.bound.shape.as_ref()?;
                    let is_key = |name: &String| shape.keys.iter().any(|(key, _)| key == name);
                    let request = shape.request.iter().filter(|(name, _)| !is_key(name));
                    Some(shape.keys.iter().chain(request).cloned().collect())
                })
                .unwrap_or_default(),
        }
    }
}

impl Serving {
    /// All ensembles, by name.
    pub fn ensembles(&self) -> Vec<EnsembleStatus> {
        self.all_ensembles().iter().map(|ensemble| self.ensemble_status(ensemble)).collect()
    }

    /// The ensemble of this name, if that is what has it.
    pub fn status_of_ensemble(&self, name: &str) -> Option<EnsembleStatus> {
        self.ensemble(name).map(|ensemble| self.ensemble_status(&ensemble))
    }

    pub(crate) fn all_ensembles(&self) -> Vec<Arc<Ensemble>> {
        self.inner.ensembles.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn ensemble(&self, name: &str) -> Option<Arc<Ensemble>> {
        self.inner.ensembles.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The ensemble of this name, if it has that version and that is what has the name.
    pub(crate) fn ensemble_version(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<Arc<Ensemble>>, ServingError> {
        let Some(ensemble) = self.ensemble(name) else { return Ok(None) };
        match version.filter(|version| ensemble.version.to_string() != *version) {
            Some(wanted) => Err(ServingError::OtherVersion {
                name: name.to_owned(),
                wanted: wanted.to_owned(),
                served: ensemble.version,
            }),
            None => Ok(Some(ensemble)),
        }
    }

    /// All deployments, and the models that ensembles load for themselves.
    pub(super) fn everything(&self) -> Vec<Arc<Deployment>> {
        let mut all = self.all();
        let deploying = self.inner.deploying.read().unwrap_or_else(PoisonError::into_inner).clone();
        for ensemble in self.all_ensembles().into_iter().chain(deploying) {
            for own in ensemble.own() {
                // One that is deployed anew shares models with the one before.
                if !all.iter().any(|held| Arc::ptr_eq(held, own)) {
                    all.push(Arc::clone(own));
                }
            }
        }
        all
    }

    /// The name of a deployment or of an ensemble.
    pub(crate) fn name_of(&self, name: &str) -> Result<Name, ServingError> {
        match self.ensemble(name) {
            Some(ensemble) => Ok(ensemble.name.clone()),
            None => Ok(self.deployment(name)?.name.clone()),
        }
    }

    /// Whether an ensemble answers, at once or when its models are loaded again.
    pub(crate) fn is_ensemble_ready(&self, ensemble: &Ensemble) -> bool {
        let answers = |model: &StepModel| {
            self.step_model(model).is_ok_and(|deployment| {
                let well = |served: &Arc<super::Served>| served.trouble_now().is_none();
                deployment.parked().is_some() || deployment.serving().as_ref().is_some_and(well)
            })
        };
        !ensemble.is_unloaded() && ensemble.is_planned() && ensemble.models.iter().flatten().all(answers)
    }

    /// Refuses an ensemble that does not answer, with why.
    pub(crate) fn ensemble_must_answer(&self, ensemble: &Ensemble) -> Result<(), ServingError> {
        if self.is_ensemble_ready(ensemble) {
            return Ok(());
        }
        if ensemble.is_unloaded() {
            return Err(ServingError::Unloaded(ensemble.name.to_string()));
        }
        let trouble = self.ensemble_status(ensemble).trouble;
        Err(ServingError::NotLoaded {
            name: ensemble.name.to_string(),
            reason: trouble
                .map_or_else(|| "its models are being loaded".to_owned(), |trouble| trouble.detail),
        })
    }

    fn step_model(&self, model: &StepModel) -> Result<Arc<Deployment>, ServingError> {
        match model {
            StepModel::Deployment(name) => self.deployment(name.as_str()),
            StepModel::Own(deployment) => Ok(Arc::clone(deployment)),
        }
    }

    fn ensemble_status(&self, ensemble: &Ensemble) -> EnsembleStatus {
        let ready = ensemble.ready();
        let models: Vec<StepStatus> = ensemble
            .spec
            .ensemble
            .steps
            .iter()
            .zip(&ensemble.models)
            .filter_map(|(step, model)| Some(self.step_status(&step.name, model.as_ref()?)))
            .collect();
        let of_steps = models.iter().find_map(|model| {
            let trouble = model.trouble.clone()?;
            Some(LoadTrouble { detail: format!("step `{}`: {}", model.step, trouble.detail), ..trouble })
        });
        EnsembleStatus {
            name: ensemble.name.clone(),
            spec: ensemble.spec.clone(),
            version: ensemble.version,
            since: ensemble.since,
            ready: self.is_ensemble_ready(ensemble),
            output_types: Ordered(ready.as_ref().map_or_else(Vec::new, |ready| ready.outputs.to_vec())),
            models,
            service_hash: ready.and_then(|ready| Some(ready.bound.shape.as_ref()?.hash)),
            trouble: ensemble.trouble().or(of_steps),
            prediction_log: table_of(&ensemble.name),
        }
    }

    fn step_status(&self, step: &Name, model: &StepModel) -> StepStatus {
        let deployment = self.step_model(model).ok();
        let served = deployment.as_ref().and_then(|deployment| deployment.serving());
        let parked = || deployment.as_ref()?.parked().map(|parked| parked.version);
        let now = || served.as_ref()?.trouble_now();
        StepStatus {
            step: step.clone(),
            deployment: match model {
                StepModel::Deployment(name) => Some(name.clone()),
                StepModel::Own(_) => None,
            },
            model: deployment.as_ref().map(|deployment| deployment.spec.model.clone()),
            alias: deployment.as_ref().map(|deployment| deployment.spec.alias.clone()),
            version: served.as_ref().map(|served| served.resolved.version).or_else(parked),
            trouble: deployment.as_ref().and_then(|deployment| deployment.trouble()).or_else(now),
        }
    }
}
