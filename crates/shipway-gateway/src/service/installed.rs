//! The models in force, ready for calls.

use std::{collections::HashMap, sync::Arc};

use crate::{
    cache::Measure,
    credentials::Surroundings,
    error::GatewayError,
    figures::Figures,
    guard::{Guardrail, Guardrails, Guards},
    health::Health,
    model::{DeploymentSpec, GuardrailSpec, ModelSpec, ProviderSpec, Side},
    upstream::Provider,
};

/// Every model by each of its names.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    by_name: HashMap<String, Arc<Model>>,
    models: Vec<Arc<Model>>,
    guardrails: Guardrails,
    providers: HashMap<String, Arc<Provider>>,
}

/// A model with what answers.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) spec: ModelSpec,
    /// At the places of the specification.
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) guards: Guards,
    /// How often an answer to a question that is about the same would have been the right one.
    pub(crate) likeness: Arc<Measure>,
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
        guardrails: Vec<GuardrailSpec>,
        providers: &[ProviderSpec],
        before: &Self,
        surroundings: &Surroundings,
    ) -> Result<Self, GatewayError> {
        let mut kept = HashMap::new();
        for spec in providers {
            let provider = match before.providers.get(&spec.name).filter(|provider| provider.is_of(spec)) {
                Some(provider) => Arc::clone(provider),
                None => Arc::new(Provider::new(spec.clone(), surroundings)?),
            };
            kept.insert(spec.name.clone(), provider);
        }
        let mut compiled = Guardrails::new();
        for spec in guardrails {
            let earlier = before.guardrails.get(&spec.name).map(Arc::as_ref);
            compiled.insert(spec.name.clone(), Arc::new(Guardrail::new(spec, earlier)?));
        }
        let mut built = Vec::with_capacity(models.len());
        for spec in models {
            let guards = guards(&spec, &compiled)?;
            built.push(Arc::new(model(spec, guards, &kept, before)));
        }
        let models = built;
        let mut by_name = HashMap::new();
        for model in &models {
            by_name.insert(model.spec.name.clone(), Arc::clone(model));
            for called in &model.spec.called {
                by_name.insert(called.clone(), Arc::clone(model));
            }
        }
        Ok(Self { by_name, models, guardrails: compiled, providers: kept })
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Model>> {
        self.by_name.get(name)
    }

    /// All guardrails, by name.
    pub(crate) fn guardrails(&self) -> Vec<&Arc<Guardrail>> {
        let mut all: Vec<_> = self.guardrails.values().collect();
        all.sort_by(|left, right| left.spec.name.cmp(&right.spec.name));
        all
    }

    /// A provider of the configuration.
    pub(crate) fn provider(&self, name: &str) -> Option<&Arc<Provider>> {
        self.providers.get(name)
    }

    pub(crate) fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.values()
    }

    pub(crate) fn models(&self) -> &[Arc<Model>] {
        &self.models
    }
}

/// A model whose guardrail is missing is not put in force: it would let through what it must not.
fn guards(spec: &ModelSpec, compiled: &Guardrails) -> Result<Guards, GatewayError> {
    let named = |name: &String| {
        let missing =
            || GatewayError::invalid("guardrails", format!("model {}: {name} does not exist", spec.name));
        compiled.get(name).cloned().ok_or_else(missing)
    };
    let guards = spec.guardrails.iter().map(named).collect::<Result<_, _>>().map(Guards)?;
    let reroute = [Side::Input, Side::Output].iter().any(|side| guards.reroute(*side));
    if reroute && spec.detours.on_guardrail.is_none() {
        let reason = format!("model {}: a guardrail reroutes, and nothing says where to", spec.name);
        return Err(GatewayError::invalid("guardrails", reason));
    }
    Ok(guards)
}

fn model(
    spec: ModelSpec,
    guards: Guards,
    providers: &HashMap<String, Arc<Provider>>,
    before: &Installed,
) -> Model {
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
    // What was measured by other vectors says nothing about these.
    let similar = |spec: &ModelSpec| {
        let similar = spec.cache.as_ref()?.similar.as_ref()?;
        Some((similar.embeddings.clone(), similar.same))
    };
    let same_likeness = earlier.filter(|model| similar(&model.spec) == similar(&spec));
    let likeness = same_likeness.map(|model| Arc::clone(&model.likeness)).unwrap_or_default();
    Model { deployments: deployments.collect(), guards, likeness, spec }
}
