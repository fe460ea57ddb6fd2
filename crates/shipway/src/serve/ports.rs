//! Plugs capabilities into each other, so that none of them depends on another.

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use shipway_access::{AccessError, Accounts};
use shipway_catalog::{
    Binding, DefinitionListener, ListenerError, PortError, Rebuild, RebuildCosts, ServiceBindings,
};
use shipway_core::{DataType, Digest, Failure, Kind, Name, ResourceType, nearest};
use shipway_definitions::{DefinitionSet, Versioned, View};
use shipway_features::{Features, ReadRequest, ServedVectorLog, ServiceDemand};
use shipway_serving::{
    DeploymentStatus, EnsembleStatus, FeatureAnswer, FeatureQuery, FeatureRow, FeatureSource, ModelFile,
    ModelSource, PortFailure, ResolvedModel, SERVICE_HASH_TAG, ServiceShape, Serving, ViewFreshness,
};
use shipway_streams::{Sinks, Streams};
use shipway_tracking::{Ownership, Replay, ReplaySource, ResolvedVersion, TaggedVersion, Tracking};
use shipway_web::Caller;
use tokio::sync::watch;

use super::gateway::Models;

/// The model registry, as serving needs it.
pub(super) struct ModelsForServing(pub(super) Tracking);

#[async_trait]
impl ModelSource for ModelsForServing {
    async fn resolve(&self, model: &str, alias: &str) -> Result<ResolvedModel, PortFailure> {
        self.0.resolve_alias(model, alias).await.map(resolved).map_err(PortFailure::new)
    }

    async fn resolve_version(&self, model: &str, version: u64) -> Result<ResolvedModel, PortFailure> {
        // A number beyond the range is that of no version, and is refused as one.
        let version = u32::try_from(version).unwrap_or(u32::MAX);
        self.0.resolve_version(model, version).await.map(resolved).map_err(PortFailure::new)
    }

    async fn promote(&self, caller: &str, model: &str, alias: &str, version: u64) -> Result<(), PortFailure> {
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        self.0.promote(caller, model, alias, version).await.map(|_| ()).map_err(PortFailure::new)
    }

    async fn read(&self, _: &ResolvedModel, file: &ModelFile) -> Result<Bytes, PortFailure> {
        self.0.read_file(&file.digest).await.map_err(PortFailure::new)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.alias_changes()
    }
}

fn resolved(version: ResolvedVersion) -> ResolvedModel {
    let files = version.files.into_iter();
    ResolvedModel {
        name: version.model,
        version: version.version.into(),
        artifact: version.artifact_digest,
        files: files
            .map(|file| ModelFile { path: file.path, digest: file.digest, bytes: file.bytes })
            .collect(),
        tags: version.tags.into_iter().collect(),
    }
}

/// The feature platform, as serving needs it.
pub(super) struct FeaturesForServing {
    pub(super) features: Features,
    pub(super) definitions: watch::Receiver<Arc<DefinitionSet>>,
}

#[async_trait]
impl FeatureSource for FeaturesForServing {
    async fn shape(&self, service: &str, service_hash: Option<Digest>) -> Result<ServiceShape, PortFailure> {
        let definitions = Arc::clone(&self.definitions.borrow());
        // By name it is the version that answers, which may still be the one before the newest.
        let service_hash = service_hash.or_else(|| self.features.serving_version(service).ok());
        let found = match service_hash {
            Some(hash) => definitions
                .services_by_hash
                .get(&hash)
                .filter(|held| held.definition.name.as_str() == service),
            None => definitions.services.get(service),
        };
        let Some(versioned) = found else {
            return Err(PortFailure::new(UnknownService::new(service, service_hash, &definitions)));
        };
        let named = |columns: &[(Name, DataType)]| {
            columns.iter().map(|(name, data_type)| (name.to_string(), *data_type)).collect()
        };
        let service = &versioned.definition;
        Ok(ServiceShape {
            hash: versioned.hash,
            keys: named(&service.entity_keys),
            request: named(&service.request),
            columns: service.columns().iter().map(|column| (column.name.clone(), column.data_type)).collect(),
        })
    }

    async fn read(&self, query: FeatureQuery<'_>) -> Result<FeatureAnswer, PortFailure> {
        let request = ReadRequest {
            service: query.service.to_owned(),
            service_hash: query.service_hash,
            rows: query.rows.to_vec(),
            at: query.at,
            token: query.token.map(str::to_owned),
        };
        let answer = self.features.read(request).await.map_err(PortFailure::new)?;
        let log = {
            let definitions = self.definitions.borrow();
            definitions.services.get(query.service).map(|service| service.definition.log).unwrap_or_default()
        };
        let rows = answer.rows.into_iter().map(|row| FeatureRow {
            values: row.values,
            views: row
                .views
                .into_iter()
                .map(|view| ViewFreshness {
                    view: view.view.to_string(),
                    event_time: view.event_time,
                    age_us: view.age_us,
                    fresh: view.fresh,
                })
                .collect(),
        });
        Ok(FeatureAnswer {
            service_hash: answer.service_hash,
            at: answer.at,
            columns: answer.columns.to_vec(),
            rows: rows.collect(),
            watermarks: answer.watermarks,
            log,
        })
    }
}

/// A deployment names a service, or a version of one, that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("service {wanted} does not exist")]
struct UnknownService {
    wanted: String,
    nearest: Option<String>,
}

impl UnknownService {
    fn new(service: &str, hash: Option<Digest>, definitions: &DefinitionSet) -> Self {
        let wanted = hash.map_or_else(|| service.to_owned(), |hash| format!("{service} at version {hash}"));
        let nearest = nearest(service, definitions.services.keys().map(Name::as_str)).map(str::to_owned);
        Self { wanted, nearest }
    }
}

impl Failure for UnknownService {
    fn kind(&self) -> Kind {
        Kind::NotFound
    }

    fn code(&self) -> &'static str {
        "features.unknown_service"
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match &self.nearest {
            Some(near) => format!("did you mean {near}?").into(),
            None => "GET /api/v1/definitions lists the services".into(),
        })
    }
}

/// Installs applied definitions in the feature platform, before `apply` is answered.
pub(super) struct InstallViews {
    pub(super) features: Features,
    pub(super) streams: Streams,
    pub(super) sinks: Sinks,
    pub(super) models: Models,
}

#[async_trait]
impl DefinitionListener for InstallViews {
    async fn applied(&self, set: Arc<DefinitionSet>) -> Result<(), ListenerError> {
        let installed = self.features.installed(&set).await;
        let models = self.models.installed(&set);
        // Streams come second: what they read goes into sources that have their columns by then.
        self.streams.installed(&set).await;
        // Sinks come last: a view that has failed to be installed is none that they could send.
        installed.map_err(|error| Box::new(error) as ListenerError)?;
        models.map_err(|error| Box::new(error) as ListenerError)?;
        self.sinks.installed(&set).await.map_err(|error| Box::new(error) as ListenerError)
    }
}

/// What builds cost, as plans tell it.
pub(super) struct CostsForPlans(pub(super) Features);

#[async_trait]
impl RebuildCosts for CostsForPlans {
    async fn of(&self, view: &Versioned<View>) -> Result<Option<Rebuild>, PortError> {
        let cost = self.0.build_cost(view).await.map_err(|error| Box::new(error) as PortError)?;
        Ok(cost.map(|cost| Rebuild {
            rows: cost.rows,
            files: cost.files,
            bytes: cost.bytes,
            seconds: cost.seconds,
            rows_per_second: cost.rows_per_second,
            measured_builds: cost.measured_builds,
        }))
    }
}

/// The model versions that were trained on a version of a service, as plans and drops need them.
pub(super) struct ModelsForPlans(pub(super) Tracking);

#[async_trait]
impl ServiceBindings for ModelsForPlans {
    async fn list(&self) -> Result<Vec<Binding>, PortError> {
        let tagged = self.0.versions_tagged(SERVICE_HASH_TAG).await;
        let tagged = tagged.map_err(|error| Box::new(error) as PortError)?.into_iter();
        // A tag that is no hash binds to nothing.
        let binding = |version: TaggedVersion| {
            Some(Binding::Model {
                service_version: version.value.parse().ok()?,
                name: version.model,
                version: version.version.into(),
                aliases: version.aliases,
            })
        };
        Ok(tagged.filter_map(binding).collect())
    }
}

/// The deployments that read a service, as plans and drops need them.
pub(super) struct DeploymentsForPlans(pub(super) Serving);

#[async_trait]
impl ServiceBindings for DeploymentsForPlans {
    async fn list(&self) -> Result<Vec<Binding>, PortError> {
        let binding = |deployment: DeploymentStatus| {
            Some(Binding::Deployment {
                service: deployment.spec.service?,
                name: deployment.name,
                model: deployment.spec.model,
                version: deployment.serves.as_ref().map(|serves| serves.version),
                service_version: deployment.serves.and_then(|serves| serves.service_hash),
            })
        };
        let of_ensemble = |ensemble: EnsembleStatus| {
            Some(Binding::Deployment {
                service: ensemble.spec.service?,
                model: ensemble.name.to_string(),
                name: ensemble.name,
                version: Some(ensemble.version),
                service_version: ensemble.service_hash,
            })
        };
        let ensembles = self.0.ensembles().into_iter().filter_map(of_ensemble);
        Ok(self.0.deployments().into_iter().filter_map(binding).chain(ensembles).collect())
    }
}

/// The prediction log, as the proof needs it.
pub(super) struct ServedVectors(pub(super) Serving);

#[async_trait]
impl ServedVectorLog for ServedVectors {
    async fn flushed(&self, deployment: &str) -> Result<String, Box<dyn Failure + Send + Sync>> {
        let boxed = |error| Box::new(error) as Box<dyn Failure + Send + Sync>;
        let table = match self.0.status_of_ensemble(deployment) {
            Some(status) => status.prediction_log,
            None => self.0.status_of(deployment).map_err(boxed)?.prediction_log,
        };
        self.0.flush().await.map_err(boxed)?;
        Ok(table)
    }

    fn deployments(&self) -> Vec<String> {
        let ensembles = self.0.ensembles().into_iter().map(|status| status.name.to_string());
        self.0.deployments().into_iter().map(|status| status.name.to_string()).chain(ensembles).collect()
    }
}

/// Deployments and the model registry, as the keeper of the states of views needs them.
pub(super) struct DemandForVersions {
    pub(super) serving: Serving,
    pub(super) tracking: Tracking,
}

#[async_trait]
impl ServiceDemand for DemandForVersions {
    async fn needed(&self) -> Result<Vec<Digest>, Box<dyn Failure + Send + Sync>> {
        let pinned = self.tracking.version_tags(SERVICE_HASH_TAG).await;
        let pinned = pinned.map_err(|error| Box::new(error) as Box<dyn Failure + Send + Sync>)?;
        let deployed = self.serving.deployments();
        let deployed = deployed.into_iter().filter_map(|status| status.serves?.service_hash);
        let of_ensembles = self.serving.ensembles().into_iter().filter_map(|status| status.service_hash);
        let deployed = deployed.chain(of_ensembles);
        // A tag that is no hash pins nothing: a deployment of that version is refused.
        Ok(pinned.iter().filter_map(|tag| tag.parse().ok()).chain(deployed).collect())
    }
}

/// The last replays of served vectors, as gates need them.
pub(super) struct ReplaysForGates(pub(super) Features);

#[async_trait]
impl ReplaySource for ReplaysForGates {
    async fn last(&self, deployment: &str) -> Result<Option<Replay>, Box<dyn Failure + Send + Sync>> {
        let last = self.0.last_verification(deployment).await;
        let last = last.map_err(|error| Box::new(error) as Box<dyn Failure + Send + Sync>)?;
        Ok(last.map(|last| Replay { ended: last.ended, compared: last.compared, differing: last.differing }))
    }
}

/// Who may do what to the experiments and models that callers make.
pub(super) struct AccountsForTracking(pub(super) Accounts);

fn told(result: Result<(), AccessError>) -> Result<(), Box<dyn Failure + Send + Sync>> {
    result.map_err(|error| Box::new(error) as Box<dyn Failure + Send + Sync>)
}

#[async_trait]
impl Ownership for AccountsForTracking {
    async fn made(
        &self,
        caller: &Caller,
        resource: ResourceType,
        id: &str,
    ) -> Result<(), Box<dyn Failure + Send + Sync>> {
        told(self.0.made(caller, resource, id).await)
    }

    async fn renamed(
        &self,
        caller: &Caller,
        resource: ResourceType,
        from: &str,
        to: &str,
    ) -> Result<(), Box<dyn Failure + Send + Sync>> {
        told(self.0.renamed(caller, resource, from, to).await)
    }

    async fn gone(
        &self,
        caller: &Caller,
        resource: ResourceType,
        id: &str,
    ) -> Result<(), Box<dyn Failure + Send + Sync>> {
        told(self.0.gone(caller, resource, id).await)
    }
}
