//! The gateway to models of language: its models come from definitions and configuration, its local ones from serving.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value as Json;
use shipway_core::{Clock, Name};
use shipway_definitions::{
    DefinitionSet, LlmCacheScope, LlmDeployment, LlmGuardrail, LlmGuardrailAction, LlmGuardrailOn, LlmModel,
    LlmPrice, LlmRoute,
};
use shipway_dialects::{Nanos, Price, Rates};
use shipway_gateway::{
    CacheScope, CacheSpec, Cooldown, DeploymentSpec, Gateway, GatewayError, GatewayParts, GuardrailAction,
    GuardrailOn, GuardrailSpec, LocalModels, ModelSpec, ProviderSpec, Retries, Route, Timeouts, UnknownPrice,
};
use shipway_lake::Lake;
use shipway_log::EventLog;
use shipway_serving::OpenAiModels;
use shipway_store::Store;
use tokio_util::task::TaskTracker;

use super::llm_calls::CallsInLake;
use crate::{
    configuration::{Configuration, provider_specs},
    failure::CommandFailure,
};

/// The gateway with the providers that its models are put together with.
#[derive(Clone)]
pub(super) struct Models {
    pub(super) gateway: Gateway,
    providers: Arc<Vec<ProviderSpec>>,
}

impl Models {
    pub(super) async fn open(
        configuration: &Configuration,
        (log, store, lake): (&EventLog, &Store, &Lake),
        clock: &Arc<dyn Clock>,
        tracker: &TaskTracker,
    ) -> Result<Self, CommandFailure> {
        let providers = Arc::new(provider_specs(&configuration.providers)?);
        let parts = GatewayParts {
            store: store.clone(),
            log: log.clone(),
            clock: Arc::clone(clock),
            tracker: tracker.clone(),
            cache_bytes: configuration.llm.cache_mib << 20,
        };
        let gateway = Gateway::open(parts).await.map_err(|error| CommandFailure::of(&error))?;
        gateway.carry_calls_to(Arc::new(CallsInLake(lake.clone())));
        Ok(Self { gateway, providers })
    }

    /// Puts the models of `set` in force.
    pub(super) fn installed(&self, set: &DefinitionSet) -> Result<(), GatewayError> {
        let models = set.llm_models.values().map(|versioned| model(&versioned.definition)).collect();
        let guardrails =
            set.llm_guardrails.values().map(|versioned| guardrail(&versioned.definition)).collect();
        self.gateway.install_guarded(models, guardrails, &self.providers)
    }
}

fn guardrail(guardrail: &LlmGuardrail) -> GuardrailSpec {
    GuardrailSpec {
        name: guardrail.name.to_string(),
        on: match guardrail.on {
            LlmGuardrailOn::Input => GuardrailOn::Input,
            LlmGuardrailOn::Output => GuardrailOn::Output,
            LlmGuardrailOn::Both => GuardrailOn::Both,
        },
        action: match guardrail.action {
            LlmGuardrailAction::Block => GuardrailAction::Block,
            LlmGuardrailAction::Redact => GuardrailAction::Redact,
            LlmGuardrailAction::Annotate => GuardrailAction::Annotate,
            LlmGuardrailAction::Shadow => GuardrailAction::Shadow,
        },
        detector: guardrail.find.clone(),
    }
}

fn model(model: &LlmModel) -> ModelSpec {
    let places: BTreeMap<&Name, usize> =
        model.deployments.iter().enumerate().map(|(place, deployment)| (&deployment.name, place)).collect();
    let (timeouts, retries, cooldown) = (&model.timeouts, &model.retries, &model.cooldown);
    ModelSpec {
        name: model.name.to_string(),
        called: model.called.clone(),
        deployments: model.deployments.iter().map(deployment).collect(),
        route: route(&model.route, &places),
        timeouts: Timeouts {
            first_token: duration(timeouts.first_token),
            idle: duration(timeouts.idle),
            total: duration(timeouts.total),
        },
        retries: Retries {
            rate_limit: retries.rate_limit,
            overloaded: retries.overloaded,
            connection: retries.connection,
            timeout: retries.timeout,
        },
        cooldown: Cooldown { failures: cooldown.failures, pause: duration(cooldown.pause) },
        unknown_price: match model.unknown_price {
            shipway_definitions::UnknownPrice::Block => UnknownPrice::Block,
            shipway_definitions::UnknownPrice::Flag => UnknownPrice::Flag,
        },
        cache: model
            .cache
            .map(|cache| CacheSpec { time: duration(cache.time), scope: cache_scope(cache.scope) }),
        guardrails: model.guardrails.iter().map(ToString::to_string).collect(),
    }
}

fn cache_scope(scope: LlmCacheScope) -> CacheScope {
    match scope {
        LlmCacheScope::Key => CacheScope::Key,
        LlmCacheScope::Project => CacheScope::Project,
        LlmCacheScope::Team => CacheScope::Team,
        LlmCacheScope::Organisation => CacheScope::Organisation,
    }
}

fn duration(length: shipway_core::Length) -> Duration {
    Duration::from_micros(length.micros().unsigned_abs())
}

fn deployment(deployment: &LlmDeployment) -> DeploymentSpec {
    DeploymentSpec {
        name: deployment.name.to_string(),
        provider: deployment.provider.to_string(),
        model: deployment.model.clone(),
        price: deployment.price.as_ref().map(price),
        max_output_tokens: deployment.max_output_tokens,
    }
}

fn price(price: &LlmPrice) -> Price {
    let rates = Rates {
        input: Nanos(price.input),
        output: Nanos(price.output),
        cache_read: price.cached_input.map(Nanos),
        cache_write: price.cache_write.map(Nanos),
        ..Rates::default()
    };
    Price { per_million_tokens: rates, ..Price::default() }
}

/// Definitions name deployments that there are, so each has a place.
fn route(written: &LlmRoute, places: &BTreeMap<&Name, usize>) -> Route {
    match written {
        LlmRoute::Deployment(name) => Route::Deployment(places.get(name).copied().unwrap_or_default()),
        LlmRoute::Fallback(routes) => Route::Fallback(routes.iter().map(|one| route(one, places)).collect()),
        LlmRoute::Weighted(routes) => {
            Route::Weighted(routes.iter().map(|(one, weight)| (route(one, places), *weight)).collect())
        }
    }
}

/// The models of text that serving has, under the API that the gateway speaks.
pub(super) struct ServedModels(pub(super) OpenAiModels);

#[async_trait]
impl LocalModels for ServedModels {
    fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    fn list(&self) -> Vec<Json> {
        self.0.list()
    }

    async fn embeddings(&self, body: Bytes) -> Response {
        self.0.embeddings(body).await
    }

    async fn show(&self, name: &str) -> Response {
        self.0.show(name).await
    }
}
