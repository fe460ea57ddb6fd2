//! The models in force, ready for calls.

use std::{collections::HashMap, sync::Arc};

use crate::{
    error::GatewayError,
    figures::Figures,
    health::Health,
    model::{DeploymentSpec, ModelSpec, ProviderSpec},
    upstream::Provider,
};

/// Every model by each of its names.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    by_name: HashMap<String, Arc<Model>>,
    models: Vec<Arc<Model>>,
    providers: HashMap<String, Arc<Provider>>,
}

/// A model with what answers.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) spec: ModelSpec,
    /// At the places of the specification.
    pub(crate) deployments: Vec<Deployment>,
}

/// A deployment with its provider and how it fared.
#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) spec: DeploymentSpec,
    /// None: it is not in the configuration.
    pub(crate) provider: Option<Arc<Provider>>,
    pub(crate) health: Arc<Health>,
    pub(crate) figures: Arc<Figures>,
}

impl Installed {
    /// What is known of how deployments fare is carried over from `before`, as are connections.
    pub(crate) fn new(
        models: Vec<ModelSpec>,
        providers: &[ProviderSpec],
        before: &Self,
    ) -> Result<Self, GatewayError> {
        let mut kept = HashMap::new();
        for spec in providers {
            let provider = match before.providers.get(&spec.name).filter(|provider| provider.is_of(spec)) {
                Some(provider) => Arc::clone(provider),
                None => Arc::new(Provider::new(spec.clone())?),
            };
            kept.insert(spec.name.clone(), provider);
        }
        let models: Vec<Arc<Model>> =
            models.into_iter().map(|spec| Arc::new(model(spec, &kept, before))).collect();
        let mut by_name = HashMap::new();
        for model in &models {
            by_name.insert(model.spec.name.clone(), Arc::clone(model));
            for called in &model.spec.called {
                by_name.insert(called.clone(), Arc::clone(model));
            }
        }
        Ok(Self { by_name, models, providers: kept })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Model>> {
        self.by_name.get(name)
    }

    /// A provider of the configuration.
    pub(crate) fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.get(name)
    }

    pub(crate) fn models(&self) -> &[Arc<Model>] {
        &self.models
    }
}

fn model(spec: ModelSpec, providers: &HashMap<String, Arc<Provider>>, before: &Installed) -> Model {
    let earlier = before.find(&spec.name);
    let deployments = spec.deployments.iter().map(|deployment| {
        let provider = providers.get(&deployment.provider).cloned();
        if provider.is_none() {
            tracing::warn!(
                model = spec.name,
                deployment = deployment.name,
                provider = deployment.provider,
                "the provider of a deployment is not in the configuration; it is left out"
            );
        }
        let same = |other: &&Deployment| {
            other.spec.name == deployment.name
                && other.spec.provider == deployment.provider
                && other.spec.model == deployment.model
        };
        let kept = earlier.and_then(|model| model.deployments.iter().find(same));
        let (health, figures) =
            kept.map(|kept| (Arc::clone(&kept.health), Arc::clone(&kept.figures))).unwrap_or_default();
        Deployment { spec: deployment.clone(), provider, health, figures }
    });
    Model { deployments: deployments.collect(), spec }
}
