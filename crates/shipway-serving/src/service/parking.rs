//! Where memory is bounded, models that were asked longest ago make room for others: they are *parked*, and loaded again when they are asked.

use std::sync::{Arc, PoisonError};

use shipway_core::{Failure as _, Name, failure::chain};
use shipway_runtime::OnnxEngine;

use super::{Deployment, Served, Serving, Source};
use crate::{
    bind::pinned_service,
    error::ServingError,
    memory::{Held, longest_unused},
    model::deployment::{LoadTrouble, ServedVersion},
    ports::ResolvedModel,
};

/// What a version is counted for: its files, for each of the instances that it runs in.
pub(super) fn bytes_of(resolved: &ResolvedModel, instances: usize) -> u64 {
    let files: u64 = resolved.files.iter().map(|file| file.bytes).sum();
    files.saturating_mul(instances as u64)
}

impl Serving {
    /// Memory for a version of a deployment that is about to be loaded. Others are parked for it, except those that are being launched.
    /// `goes` is the version that the new one replaces: what it takes is free soon.
    pub(super) fn memory_for(
        &self,
        name: &Name,
        resolved: &ResolvedModel,
        instances: usize,
        goes: Option<&Served>,
    ) -> Result<Held, ServingError> {
        let (memory, bytes) = (&self.inner.memory, bytes_of(resolved, instances));
        let Some(budget) = memory.budget() else { return Ok(memory.hold(bytes)) };
        let _parking = self.inner.parking.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = || ServingError::NoModelMemory {
            model: resolved.name.clone(),
            version: resolved.version,
            bytes,
            budget,
        };
        if bytes > budget {
            return Err(refused());
        }
        let missing = memory.missing(bytes).saturating_sub(goes.map_or(0, |served| served.memory.bytes()));
        let others: Vec<(Arc<Deployment>, Arc<Served>)> = self
            .everything()
            .into_iter()
            .filter(|deployment| deployment.name != *name && deployment.launch().is_none())
            .filter_map(|deployment| deployment.serving().map(|served| (deployment, served)))
            .collect();
        let kept: Vec<(i64, u64)> =
            others.iter().map(|(_, served)| (served.used_at_ms(), served.memory.bytes())).collect();
        for place in longest_unused(&kept, missing).ok_or_else(refused)? {
            if let Some((deployment, served)) = others.get(place) {
                deployment.park(served.version());
                metrics::counter!("shipway_models_parked_total", "deployment" => deployment.name.to_string())
                    .increment(1);
                tracing::info!(deployment = %deployment.name, "parked");
            }
        }
        Ok(memory.hold(bytes))
    }

    /// The version of a deployment that answers. One that is parked is loaded for it; those who ask meanwhile wait for the same.
    pub(crate) async fn served(&self, deployment: &Arc<Deployment>) -> Result<Arc<Served>, ServingError> {
        if let Some(served) = deployment.serving() {
            return Ok(served);
        }
        if deployment.parked().is_none() {
            return deployment.served();
        }
        let (serving, parked) = (self.clone(), Arc::clone(deployment));
        // Goes on when the caller goes away: others wait for it too.
        let loading = self.inner.tracker.spawn(async move {
            let _loading = parked.loading.lock().await;
            if let Some(served) = parked.serving() {
                return Ok(served);
            }
            let spec = &parked.spec;
            let resolved = serving.inner.ports.models.resolve(&spec.model, &spec.alias).await?;
            let version = resolved.version;
            let loaded = async {
                let memory = serving.memory_for(&parked.name, &resolved, spec.batching.instances, None)?;
                serving.load(&parked.name, spec, resolved, memory).await.map(Arc::new)
            };
            let loaded = loaded.await;
            let loaded = match loaded {
                Ok(served) if !parked.is_unloaded() => {
                    serving.put_in_place(&parked, Arc::clone(&served)).map(|()| served)
                }
                loaded => loaded,
            };
            match &loaded {
                Ok(_) if !parked.is_unloaded() => parked.report(None),
                Ok(_) => return Err(ServingError::Unloaded(parked.name.to_string())),
                Err(error) => parked.report(Some(LoadTrouble {
                    version: Some(version),
                    at: serving.inner.clock.now(),
                    code: error.code(),
                    detail: chain(error),
                    hint: error.hint().map(|hint| hint.into_owned()),
                })),
            }
            loaded
        });
        loading.await.map_err(|_| ServingError::ModelFailed)?
    }

    /// The version that `resolved` would serve as, without loading it.
    pub(super) async fn version_of(
        &self,
        deployment: &Deployment,
        resolved: &ResolvedModel,
    ) -> Result<ServedVersion, ServingError> {
        let (mut service_hash, mut service_pinned) = (None, false);
        if let Some(service) = &deployment.spec.service {
            let pinned = pinned_service(resolved)?;
            service_hash = Some(self.inner.ports.features.shape(service.as_str(), pinned).await?.hash);
            service_pinned = pinned.is_some();
        }
        Ok(ServedVersion {
            version: resolved.version,
            artifact: resolved.artifact,
            service_hash,
            service_pinned,
            onnx_engine: None,
            since: self.inner.clock.now(),
        })
    }
}

impl Served {
    /// How it is reported.
    pub(super) fn version(&self) -> ServedVersion {
        let (service_hash, service_pinned) = match &self.source {
            Source::Service(service) => (Some(service.hash()), service.pinned.is_some()),
            Source::Direct { .. } | Source::Tensors => (None, false),
        };
        ServedVersion {
            version: self.resolved.version,
            artifact: self.resolved.artifact,
            service_hash,
            service_pinned,
            onnx_engine: self.model.onnx_engine().map(OnnxEngine::word),
            since: self.since,
        }
    }

    /// When it was asked last, or else loaded.
    fn used_at_ms(&self) -> i64 {
        let asked = i64::try_from(self.statistics.last_ms()).unwrap_or(i64::MAX);
        asked.max(self.since.micros() / 1_000)
    }
}
