//! The served version follows its alias: loaded beside the one that serves, put in its place between two requests.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use shipway_core::{Failure as _, failure::chain};
use tokio::sync::watch;

use super::{Deployment, Serving, parking::bytes_of};
use crate::{bind::pinned_service, error::ServingError, model::deployment::LoadTrouble, service::Source};

/// How long after a version did not load it is tried again, if its alias does not move before.
const RETRY_AFTER: Duration = Duration::from_secs(15);

impl Serving {
    /// Looks at every alias once, and returns when the versions they name serve or have failed to load. The background task
    /// does the same whenever the models change.
    pub async fn refresh(&self) {
        let _changing = self.inner.changing.lock().await;
        for deployment in self.everything() {
            // The failure is in the deployment's status, where it is looked for.
            let _ = self.try_update(&deployment).await;
        }
        self.plan_ensembles().await;
    }

    pub(super) async fn follow(self, mut changes: watch::Receiver<u64>) {
        loop {
            let troubled = self.everything().iter().any(|deployment| deployment.trouble().is_some())
                || self.has_troubled_ensembles();
            tokio::select! {
                () = self.inner.stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(RETRY_AFTER), if troubled => {}
            }
            self.refresh().await;
        }
    }

    /// Brings the deployment to the version that its alias names; on failure the old version keeps serving, and the status
    /// has the reason.
    pub(super) async fn try_update(&self, deployment: &Deployment) -> Result<(), ServingError> {
        if deployment.is_unloaded() {
            return Ok(());
        }
        let mut version = None;
        let outcome = self.update(deployment, &mut version).await;
        match &outcome {
            Ok(()) => deployment.report(None),
            Err(error) => {
                metrics::counter!(
                    "shipway_deployment_load_failures_total",
                    "deployment" => deployment.name.to_string()
                )
                .increment(1);
                let known = deployment
                    .trouble()
                    .is_some_and(|trouble| trouble.version == version && trouble.code == error.code());
                if !known {
                    tracing::warn!(deployment = %deployment.name, version, error = chain(error), "version does not load");
                }
                deployment.report(Some(LoadTrouble {
                    version,
                    at: self.inner.clock.now(),
                    code: error.code(),
                    detail: chain(error),
                    hint: error.hint().map(|hint| hint.into_owned()),
                }));
            }
        }
        outcome
    }

    async fn update(&self, deployment: &Deployment, version: &mut Option<u64>) -> Result<(), ServingError> {
        let spec = &deployment.spec;
        let instances = spec.batching.instances;
        let resolved = self.inner.ports.models.resolve(&spec.model, &spec.alias).await?;
        *version = Some(resolved.version);
        if let Some(serving) = deployment.serving() {
            let pin = match &serving.source {
                Source::Service(service) => service.pinned,
                Source::Direct { .. } | Source::Tensors => None,
            };
            let same_pin = spec.service.is_none() || pinned_service(&resolved)? == pin;
            if serving.resolved.version == resolved.version
                && serving.resolved.artifact == resolved.artifact
                && same_pin
            {
                return Ok(());
            }
        }
        let crowded = self.inner.opening.load(Ordering::Acquire)
            && deployment.serving().is_none()
            && self.inner.memory.missing(bytes_of(&resolved, instances)) > 0;
        if crowded || deployment.parked().is_some() {
            deployment.park(self.version_of(deployment, &resolved).await?);
            return Ok(());
        }
        let launch =
            deployment.launch().filter(|launch| launch.candidate.resolved.version == resolved.version);
        let served = match launch {
            // The candidate of a launch that somebody promoted by hand: it is there already.
            Some(launch) => Arc::clone(&launch.candidate),
            None => {
                let goes = deployment.serving();
                let memory = self.memory_for(&deployment.name, &resolved, instances, goes.as_deref())?;
                Arc::new(self.load(&deployment.name, spec, resolved, memory).await?)
            }
        };
        let version = served.resolved.version;
        self.put_in_place(deployment, served)?;
        tracing::info!(deployment = %deployment.name, version, "version takes over");
        let moved = format!("alias {} was given to version {} by hand", spec.alias, version);
        self.cancel_launch(deployment, &moved).await;
        metrics::counter!("shipway_deployment_switches_total", "deployment" => deployment.name.to_string())
            .increment(1);
        Ok(())
    }
}
