//! Deployments come and go. A deployment is recorded only after its model has loaded and fits its service.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use super::{Deployment, Serving, ensembles};
use crate::{
    ensemble::error::EnsembleError,
    error::ServingError,
    model::deployment::{DeploymentSpec, DeploymentStatus, deployment_name},
    store::deployments,
};

impl Serving {
    /// Deploys, or binds an existing deployment to something else. Until the new model has loaded and fits, nothing is
    /// changed: a refusal leaves what was deployed before. Deploying the same again only looks after its alias.
    pub async fn deploy(
        &self,
        caller: &str,
        name: &str,
        spec: DeploymentSpec,
    ) -> Result<DeploymentStatus, ServingError> {
        let name = deployment_name(name)?;
        spec.check()?;
        let _changing = self.inner.changing.lock().await;
        if self.ensemble(name.as_str()).is_some() {
            return Err(EnsembleError::NameTaken { name: name.to_string(), other: "an ensemble" }.into());
        }
        let existing = self.deployment(name.as_str()).ok().filter(|existing| existing.spec == spec);
        if let Some(existing) = existing {
            self.try_update(&existing).await?;
            return Ok(existing.status());
        }
        let resolved = self.inner.ports.models.resolve(&spec.model, &spec.alias).await?;
        let goes = self.deployment(name.as_str()).ok().and_then(|deployment| deployment.serving());
        let memory = self.memory_for(&name, &resolved, spec.batching.instances, goes.as_deref())?;
        let served = self.load(&name, &spec, resolved, memory).await?;
        let deployment = Arc::new(Deployment::new(name.clone(), spec, Some(served)));
        let served = deployment.served()?;
        let replanned = self.replanned(&deployment, &served)?;
        deployments::put(&self.inner.store, &name, &deployment.spec, caller, self.inner.clock.now()).await?;
        tracing::info!(deployment = %name, model = deployment.spec.model, version = served.resolved.version, "deployed");
        if let Ok(before) = self.deployment(name.as_str()) {
            self.cancel_launch(&before, "the deployment was changed").await;
        }
        let status = deployment.status();
        self.inner.deployments.write().unwrap_or_else(PoisonError::into_inner).insert(name, deployment);
        ensembles::adopt(replanned);
        Ok(status)
    }

    /// Loads a deployment again that was taken out of service, and looks after its alias in any case.
    pub async fn load_again(&self, name: &str) -> Result<(), ServingError> {
        let _changing = self.inner.changing.lock().await;
        if let Some(ensemble) = self.ensemble(name) {
            return self.load_ensemble_again(&ensemble).await;
        }
        let deployment = self.deployment(name)?;
        deployment.unloaded.store(false, Ordering::Release);
        self.try_update(&deployment).await
    }

    /// Takes a deployment out of service until it is loaded again or the server starts anew. Requests that it is answering are
    /// answered; then its model's memory is free.
    pub async fn unload(&self, name: &str) -> Result<(), ServingError> {
        let _changing = self.inner.changing.lock().await;
        if let Some(ensemble) = self.ensemble(name) {
            self.unload_ensemble(&ensemble);
            return Ok(());
        }
        let deployment = self.deployment(name)?;
        self.cancel_launch(&deployment, "the deployment was taken out of service").await;
        deployment.unload();
        tracing::info!(deployment = %deployment.name, "unloaded");
        Ok(())
    }

    /// Takes a deployment away. Requests that it is answering are answered; its prediction log stays.
    pub async fn undeploy(&self, caller: &str, name: &str) -> Result<(), ServingError> {
        let _changing = self.inner.changing.lock().await;
        if let Some(ensemble) = self.ensemble(name) {
            return self.undeploy_ensemble(caller, &ensemble.name).await;
        }
        let deployment = self.deployment(name)?;
        self.must_be_unused(&deployment.name)?;
        self.cancel_launch(&deployment, "the deployment was taken away").await;
        deployments::delete(&self.inner.store, &deployment.name, caller, self.inner.clock.now()).await?;
        self.inner.deployments.write().unwrap_or_else(PoisonError::into_inner).remove(&deployment.name);
        tracing::info!(deployment = %deployment.name, "undeployed");
        Ok(())
    }
}
