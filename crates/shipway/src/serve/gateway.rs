//! The gateway to models of language: its models come from definitions and configuration, its local ones from serving.

use std::sync::Arc;

use async_trait::async_trait;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value as Json;
use shipway_core::{Clock, Failure as _, Kind};
use shipway_definitions::DefinitionSet;
use shipway_gateway::{
    Classifiers, ContentLimits, Gateway, GatewayError, GatewayParts, LocalModels, ProviderSpec, Server,
    Servers, Unclassified,
};
use shipway_lake::{Lake, LakeOptions};
use shipway_log::EventLog;
use shipway_serving::{OpenAiModels, Serving};
use shipway_store::Store;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::{llm_calls::CallsInLake, llm_models, llm_traces::TracesInLakes};
use crate::{
    configuration::{Configuration, LlmRole, provider_specs},
    failure::CommandFailure,
    metadata,
};

/// Nothing is sorted there: rows are appended and looked through.
const CONTENTS_MEMORY_BYTES: usize = 128 << 20;

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
        tasks: (&TaskTracker, &Handle),
    ) -> Result<Self, CommandFailure> {
        let models = Self::without_table(configuration, (log, store), clock, tasks).await?;
        models.gateway.carry_calls_to(Arc::new(CallsInLake(lake.clone())));
        let contents = open_contents(configuration)?;
        models.gateway.keep_traces_in(Arc::new(TracesInLakes { facts: lake.clone(), contents }));
        Ok(models)
    }

    /// The gateway of a replica, whose calls go into the table of its owner.
    pub(super) async fn replica(
        configuration: &Configuration,
        (log, store): (&EventLog, &Store),
        clock: &Arc<dyn Clock>,
        tasks: (&TaskTracker, &Handle),
    ) -> Result<Self, CommandFailure> {
        let models = Self::without_table(configuration, (log, store), clock, tasks).await?;
        models.gateway.carry_calls_to_owner();
        Ok(models)
    }

    async fn without_table(
        configuration: &Configuration,
        (log, store): (&EventLog, &Store),
        clock: &Arc<dyn Clock>,
        (tracker, later): (&TaskTracker, &Handle),
    ) -> Result<Self, CommandFailure> {
        let providers = Arc::new(provider_specs(&configuration.providers)?);
        let parts = GatewayParts {
            store: store.clone(),
            log: log.clone(),
            clock: Arc::clone(clock),
            tracker: tracker.clone(),
            later: later.clone(),
            cache_bytes: configuration.llm.cache_mib << 20,
            content: ContentLimits {
                most_bytes: configuration.llm.content_mib << 20,
                days: configuration.llm.content_days,
                in_spans: configuration.spans.llm_content,
            },
            servers: servers(configuration)?,
            keyring: configuration.secrets.keyring()?,
            media: configuration.llm.media.fetcher()?,
        };
        let gateway = Gateway::open(parts).await.map_err(|error| CommandFailure::of(&error))?;
        Ok(Self { gateway, providers })
    }

    /// What serving has can be asked under the same API, and by guardrails.
    pub(super) fn serves(&self, serving: &Serving) {
        self.gateway.set_local_models(Arc::new(ServedModels(OpenAiModels(serving.clone()))));
        self.gateway.set_classifiers(Arc::new(ServedClassifiers(serving.clone())));
    }

    /// Puts the models of `set` in force.
    pub(super) fn installed(&self, set: &DefinitionSet) -> Result<(), GatewayError> {
        let models = set.llm_models.values().map(|versioned| llm_models::model(&versioned.definition));
        let guardrails = set.llm_guardrails.values();
        let guardrails = guardrails.map(|versioned| llm_models::guardrail(&versioned.definition)).collect();
        self.gateway.install_guarded(models.collect::<Result<_, _>>()?, guardrails, &self.providers)
    }
}

/// What was asked and answered is in a lake of its own: no query that people write reaches it, and it goes by whole days.
fn open_contents(configuration: &Configuration) -> Result<Lake, CommandFailure> {
    let options = LakeOptions {
        memory_limit_bytes: CONTENTS_MEMORY_BYTES,
        ..LakeOptions::new(configuration.data.join("llm_contents"))
    };
    Lake::open(options).map_err(|error| CommandFailure::of(&error))
}

fn servers(configuration: &Configuration) -> Result<Servers, CommandFailure> {
    let role = configuration.llm.role;
    if role == LlmRole::Alone {
        return Ok(Servers::One);
    }
    if configuration.metadata.url.is_none() {
        let message = "llm.role is owner, and the metadata are in SQLite, which other servers do not reach";
        return Err(CommandFailure::new(message)
            .with_hint("set metadata.url to a database of PostgreSQL, or leave llm.role out"));
    }
    let id = metadata::server_id(&configuration.data)?;
    Ok(Servers::Several(Server { id, is_owner: role == LlmRole::Owner }))
}

/// The classifiers of texts that serving has, for guardrails.
struct ServedClassifiers(Serving);

#[async_trait]
impl Classifiers for ServedClassifiers {
    async fn scores(&self, name: &str, texts: Vec<String>) -> Result<Vec<(String, f32)>, Unclassified> {
        self.0.classify(name, texts).await.map_err(|error| match error.kind() {
            Kind::NotFound => Unclassified::Missing,
            Kind::Exhausted | Kind::Unavailable => Unclassified::Busy,
            Kind::TooLarge => Unclassified::TooLong,
            Kind::Invalid if error.code() == "serving.no_scores" => Unclassified::Missing,
            _ => {
                tracing::warn!(deployment = name, error = %error, "a classifier of a guardrail failed");
                Unclassified::Failed
            }
        })
    }
}

/// The models of text that serving has, under the API that the gateway speaks.
struct ServedModels(OpenAiModels);

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
