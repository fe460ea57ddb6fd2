//! Ensembles come and go. One is recorded only after all its models have loaded and its graph fits them.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use shipway_core::Name;

use super::{Ensemble, StepModel};
use crate::{
    ensemble::{
        error::{EnsembleError, GraphError},
        plan::check_inputs,
        spec::{EnsembleSpec, ModelName, StepSpec},
        status::EnsembleStatus,
    },
    error::ServingError,
    model::deployment::deployment_name,
    service::{Deployment, Serving},
    store::ensembles::{self, Kept},
};

impl Serving {
    /// Deploys an ensemble, or changes one. Until all its models have loaded and fit, nothing is changed: a refusal leaves what was
    /// deployed before. Deploying the same again looks after its models.
    pub async fn deploy_ensemble(
        &self,
        caller: &str,
        name: &str,
        spec: EnsembleSpec,
    ) -> Result<EnsembleStatus, ServingError> {
        let name = deployment_name(name)?;
        spec.check()?;
        let _changing = self.inner.changing.lock().await;
        if self.all().iter().any(|deployment| deployment.name == name) {
            let (name, other) = (name.to_string(), "the deployment of a model");
            return Err(EnsembleError::NameTaken { name, other }.into());
        }
        let before = self.ensemble(name.as_str());
        if let Some(same) = before.as_ref().filter(|before| before.spec == spec) {
            self.look_after(same).await?;
            return Ok(self.ensemble_status(same));
        }
        let version = before.as_ref().map_or(1, |before| before.version + 1);
        let models = models_of(&name, &spec, before.as_deref())?;
        let kept = Kept { name: name.clone(), spec: spec.clone(), version };
        let triton = self.inner.options.triton_metrics;
        let ensemble = Arc::new(Ensemble::new(kept, models, self.inner.clock.now(), triton));
        self.bring_up(&ensemble).await?;
        let kept = Kept { name: name.clone(), spec, version };
        ensembles::put(&self.inner.store, &kept, caller, self.inner.clock.now()).await?;
        tracing::info!(ensemble = %name, version, "deployed");
        let status = self.ensemble_status(&ensemble);
        self.inner.ensembles.write().unwrap_or_else(PoisonError::into_inner).insert(name, ensemble);
        Ok(status)
    }

    /// Loads the models of an ensemble that is about to be deployed, and plans it.
    async fn bring_up(&self, ensemble: &Arc<Ensemble>) -> Result<(), ServingError> {
        let _deploying = Deploying::new(self, ensemble);
        for (step, model) in ensemble.spec.ensemble.steps.iter().zip(&ensemble.models) {
            if let Some(StepModel::Own(own)) = model
                && !own.is_ready()
            {
                self.load_own(own).await.map_err(|error| error.in_step(step.name.as_str()))?;
            }
        }
        self.ready_ensemble(ensemble).await?;
        Ok(check_inputs(&ensemble.spec.ensemble, &ensemble.shapes())?)
    }

    async fn load_own(&self, own: &Deployment) -> Result<(), ServingError> {
        let resolved = self.inner.ports.models.resolve(&own.spec.model, &own.spec.alias).await?;
        let memory = self.memory_for(&own.name, &resolved, own.spec.batching.instances, None)?;
        own.take_over(Arc::new(self.load(&own.name, &own.spec, resolved, memory).await?));
        Ok(())
    }

    /// Takes an ensemble away. Requests that it is answering are answered; its prediction log stays.
    pub(in crate::service) async fn undeploy_ensemble(
        &self,
        caller: &str,
        name: &Name,
    ) -> Result<(), ServingError> {
        ensembles::delete(&self.inner.store, name, caller, self.inner.clock.now()).await?;
        self.inner.ensembles.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        tracing::info!(ensemble = %name, "undeployed");
        Ok(())
    }

    /// Opens what was deployed before; its models are loaded with those of deployments.
    pub(in crate::service) async fn open_ensembles(&self) -> Result<(), ServingError> {
        let triton = self.inner.options.triton_metrics;
        for kept in ensembles::all(&self.inner.store).await? {
            let name = kept.name.clone();
            let models = models_of(&name, &kept.spec, None)?;
            let ensemble = Arc::new(Ensemble::new(kept, models, self.inner.clock.now(), triton));
            self.inner.ensembles.write().unwrap_or_else(PoisonError::into_inner).insert(name, ensemble);
        }
        Ok(())
    }

    /// Refuses to take away what ensembles ask.
    pub(in crate::service) fn must_be_unused(&self, name: &Name) -> Result<(), ServingError> {
        let using = self.all_ensembles().into_iter().filter(|ensemble| ensemble.asks(name));
        let ensembles: Vec<String> = using.map(|ensemble| format!("ensemble `{}`", ensemble.name)).collect();
        match ensembles.is_empty() {
            true => Ok(()),
            false => Err(EnsembleError::IsUsed { name: name.to_string(), ensembles }.into()),
        }
    }

    /// Takes an ensemble out of service, with the models that it loaded for itself.
    pub(in crate::service) fn unload_ensemble(&self, ensemble: &Ensemble) {
        ensemble.unloaded.store(true, Ordering::Release);
        ensemble.own().for_each(|own| own.unload());
        tracing::info!(ensemble = %ensemble.name, "unloaded");
    }

    /// Takes an ensemble back into service, and looks after its models in any case.
    pub(in crate::service) async fn load_ensemble_again(
        &self,
        ensemble: &Arc<Ensemble>,
    ) -> Result<(), ServingError> {
        ensemble.unloaded.store(false, Ordering::Release);
        ensemble.own().for_each(|own| own.unloaded.store(false, Ordering::Release));
        self.look_after(ensemble).await
    }
}

/// An ensemble that is about to be deployed: its models make room for each other meanwhile.
struct Deploying<'serving>(&'serving Serving);

impl<'serving> Deploying<'serving> {
    fn new(serving: &'serving Serving, ensemble: &Arc<Ensemble>) -> Self {
        let deploying = Some(Arc::clone(ensemble));
        *serving.inner.deploying.write().unwrap_or_else(PoisonError::into_inner) = deploying;
        Self(serving)
    }
}

impl Drop for Deploying<'_> {
    fn drop(&mut self) {
        *self.0.inner.deploying.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The models of the steps. Those that the ensemble loads for itself are those of `before`, where it has the same.
fn models_of(
    name: &Name,
    spec: &EnsembleSpec,
    before: Option<&Ensemble>,
) -> Result<Vec<Option<StepModel>>, ServingError> {
    let model = |step: &StepSpec| match model_of(step)? {
        None => Ok(None),
        Some(ModelName::Deployment(deployment)) => named(step, &deployment).map(Some),
        Some(ModelName::Registered { model, alias }) => {
            let (own, part) = (own_name(name, step)?, spec.part(model, alias));
            let same = |held: &&Arc<Deployment>| held.name == own && held.spec == part;
            let deployment = match before.and_then(|before| before.own().find(same)) {
                Some(held) => Arc::clone(held),
                None => Arc::new(Deployment::new(own, part, None)),
            };
            Ok(Some(StepModel::Own(deployment)))
        }
    };
    spec.ensemble.steps.iter().map(model).collect()
}

fn model_of(step: &StepSpec) -> Result<Option<ModelName>, ServingError> {
    let Some(model) = &step.model else { return Ok(None) };
    let model = ModelName::of(model).map_err(|reason| GraphError::at_step(step.name.as_str(), reason))?;
    Ok(Some(model))
}

fn named(step: &StepSpec, deployment: &str) -> Result<StepModel, ServingError> {
    let name = deployment_name(deployment).map_err(|error| error.in_step(step.name.as_str()))?;
    Ok(StepModel::Deployment(name))
}

/// What the model of a step is called in metrics and logs.
fn own_name(ensemble: &Name, step: &StepSpec) -> Result<Name, ServingError> {
    Name::new(format!("{ensemble}__{}", step.name)).map_err(|_| {
        let reason = "its name and that of the ensemble have more than 61 characters together";
        GraphError::at_step(step.name.as_str(), reason).into()
    })
}
