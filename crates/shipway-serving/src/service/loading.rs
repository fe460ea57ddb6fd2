//! A version's files become a model that is bound to its columns and has a table for its predictions.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use bytes::Bytes;
use shipway_core::{Digest, Name, Timestamp, failure::chain};
use shipway_runtime::{
    Binding, DataFile, Model, RuntimeError, RuntimeOptions,
    mlflow::{self, LoadPlan},
    text,
};

use super::Serving;
use crate::{
    batching::{Batcher, ModelRunner},
    bind::{self, ServiceBinding},
    cache::{Answer, AnswerCache},
    error::ServingError,
    golden,
    memory::Held,
    model::{deployment::DeploymentSpec, settings::BatchingSettings},
    ports::{ModelFile, ResolvedModel, ServiceShape},
    prediction_log::{schema::LogSchema, shadow::ShadowTable, tensors::TensorLog},
    statistics::{Phase, Statistics},
    told,
};

/// The largest model file that is loaded into memory.
pub(super) const MAX_MODEL_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// The largest description of a logged model.
pub(super) const MAX_DESCRIPTION_BYTES: u64 = 1024 * 1024;

/// A version that answers.
pub(crate) struct Served {
    pub(crate) resolved: ResolvedModel,
    pub(crate) model: Arc<Model>,
    pub(crate) source: Source,
    pub(crate) since: Timestamp,
    /// Whoever does not run the model at once waits here.
    pub(crate) batcher: Batcher<ModelRunner>,
    /// How it batches: the deployment's settings, and what they leave to the model.
    pub(crate) batching: BatchingSettings,
    pub(crate) statistics: Arc<Statistics>,
    /// How its tensors are logged, for a model of tensors alone.
    pub(crate) tensor_log: Option<TensorLog>,
    /// Where its answers are logged that nobody sees.
    pub(crate) shadow_table: ShadowTable,
    /// Its answers that are kept, where its deployment says so.
    pub(crate) cache: Option<AnswerCache>,
    /// What it takes of the memory of models.
    pub(crate) memory: Held,
}

/// Where the model's columns come from.
pub(crate) enum Source {
    /// From the request.
    Direct { binding: Binding, schema: Arc<LogSchema> },
    /// From a feature service, by ids.
    Service(ServiceSource),
    /// From tensors of the request only: the model has no columns.
    Tensors,
}

/// A feature service that feeds a model.
pub(crate) struct ServiceSource {
    pub(crate) name: Name,
    /// The version that the model was trained with, if its tags say so.
    pub(crate) pinned: Option<Digest>,
    /// The binding to the version that answered last; replaced when a service that is not pinned gets a new version.
    current: RwLock<Arc<BoundService>>,
}

/// A binding and the table that fits it.
pub(crate) struct BoundService {
    pub(crate) binding: ServiceBinding,
    pub(crate) schema: Arc<LogSchema>,
}

impl ServiceSource {
    pub(crate) fn current(&self) -> Arc<BoundService> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn hash(&self) -> Digest {
        self.current().binding.shape.hash
    }
}

impl Served {
    /// The answer that was given before to what has this key, if it is kept.
    pub(super) fn kept(&self, key: Option<&Digest>) -> Option<Answer> {
        let (cache, key) = self.cache.as_ref().zip(key)?;
        let started = Instant::now();
        let answer = cache.get(key);
        let phase = if answer.is_some() { Phase::CacheHit } else { Phase::CacheMiss };
        self.statistics.record(phase, started.elapsed());
        if answer.is_some() {
            told::kept();
        }
        answer
    }

    /// Keeps an answer, if answers are kept.
    pub(super) fn keep(&self, key: Option<Digest>, answer: impl FnOnce() -> Answer) {
        if let Some((cache, key)) = self.cache.as_ref().zip(key) {
            cache.put(key, answer());
        }
    }
}

impl Serving {
    /// Reads, loads and binds a version. Nothing that serves is touched.
    pub(super) async fn load(
        &self,
        name: &Name,
        spec: &DeploymentSpec,
        resolved: ResolvedModel,
        memory: Held,
    ) -> Result<Served, ServingError> {
        let model = Arc::new(self.load_model(&resolved, spec.batching.instances).await?);
        self.warm_up(&resolved, &model).await?;
        let source = match &spec.service {
            None if !model.takes_rows() => Source::Tensors,
            None => {
                let columns: Vec<String> = model.inputs().iter().map(|input| input.name.clone()).collect();
                let schema = LogSchema::of_model(name, &model);
                if !spec.is_step {
                    self.inner.lake.ensure_table(&schema.table, Arc::clone(&schema.arrow)).await?;
                }
                Source::Direct { binding: model.bind(&columns)?, schema: Arc::new(schema) }
            }
            Some(service) => {
                let pinned = bind::pinned_service(&resolved)?;
                let shape = self.inner.ports.features.shape(service.as_str(), pinned).await?;
                let bound = self.bind_service(name, service, &resolved, &model, shape).await?;
                Source::Service(ServiceSource {
                    name: service.clone(),
                    pinned,
                    current: RwLock::new(Arc::new(bound)),
                })
            }
        };
        let tensor_log = match &source {
            Source::Tensors => self.tensor_log(name, &resolved, &model).await,
            Source::Direct { .. } | Source::Service(_) => None,
        };
        let statistics =
            Arc::new(Statistics::of(name.as_str(), resolved.version, self.inner.options.triton_metrics));
        let batching = spec.batching.for_model(&model);
        let batcher = Batcher::new(
            ModelRunner(Arc::clone(&model)),
            batching,
            spec.queue,
            Arc::clone(&statistics),
            self.inner.tracker.clone(),
        );
        let (since, shadow_table) = (self.inner.clock.now(), ShadowTable::default());
        let cache = (spec.cache.max_bytes > 0).then(|| AnswerCache::new(spec.cache.max_bytes));
        Ok(Served {
            resolved,
            model,
            source,
            since,
            batcher,
            batching,
            statistics,
            tensor_log,
            shadow_table,
            cache,
            memory,
        })
    }

    /// How the tensors of a version are logged; not at all where the table has columns of their names with other types, from a version before.
    /// That keeps no version from serving.
    async fn tensor_log(&self, name: &Name, resolved: &ResolvedModel, model: &Model) -> Option<TensorLog> {
        let log = TensorLog::of(name, model.signature()?);
        let made = self.inner.lake.ensure_table(&log.schema.table, Arc::clone(&log.schema.arrow)).await;
        if let Err(error) = &made {
            tracing::warn!(deployment = %name, version = resolved.version, error = chain(error), "its answers are not logged");
        }
        made.is_ok().then_some(log)
    }

    /// Binds `served` to the version of its service that has just answered, when that is another one than before.
    pub(super) async fn rebind(
        &self,
        name: &Name,
        served: &Served,
        service: &ServiceSource,
        hash: Digest,
    ) -> Result<Arc<BoundService>, ServingError> {
        let current = service.current();
        if current.binding.shape.hash == hash {
            return Ok(current);
        }
        if let Some(pinned) = service.pinned {
            return Err(ServingError::OtherService { expected: pinned.short(), got: hash.short() });
        }
        let shape = self.inner.ports.features.shape(service.name.as_str(), Some(hash)).await?;
        let bound =
            Arc::new(self.bind_service(name, &service.name, &served.resolved, &served.model, shape).await?);
        *service.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&bound);
        Ok(bound)
    }

    async fn bind_service(
        &self,
        name: &Name,
        service: &Name,
        resolved: &ResolvedModel,
        model: &Model,
        shape: ServiceShape,
    ) -> Result<BoundService, ServingError> {
        let binding = bind::bind(model, resolved, service.as_str(), shape)?;
        let schema = LogSchema::of_service(name, &binding.shape);
        self.inner.lake.ensure_table(&schema.table, Arc::clone(&schema.arrow)).await?;
        Ok(BoundService { binding, schema: Arc::new(schema) })
    }

    /// Loads a version so that `instances` of its batches may run at once.
    pub(super) async fn load_model(
        &self,
        resolved: &ResolvedModel,
        instances: usize,
    ) -> Result<Model, ServingError> {
        match self.load_here(resolved, instances).await {
            Err(ServingError::Runtime(refusal)) if refusal.is_left_to_python() => {
                self.load_outside(resolved, refusal).await
            }
            loaded => loaded,
        }
    }

    /// Loads a version that this process runs.
    async fn load_here(&self, resolved: &ResolvedModel, instances: usize) -> Result<Model, ServingError> {
        let paths: Vec<String> = resolved.files.iter().map(|file| file.path.clone()).collect();
        let plan = self.plan(resolved, &paths).await?;
        let file =
            resolved.files.iter().find(|file| file.path == plan.file).ok_or_else(|| {
                RuntimeError::Description { reason: format!("`{}` was not logged", plan.file) }
            })?;
        let content = self.read_file(resolved, file, MAX_MODEL_BYTES).await?;
        let mut data = Vec::new();
        for (path, name) in plan.data_files(&content, &paths)? {
            if let Some(file) = resolved.files.iter().find(|file| file.path == path) {
                let content = self.read_file(resolved, file, MAX_MODEL_BYTES).await?;
                data.push(DataFile { path: name, content: content.as_ref().into() });
            }
        }
        let mut texts = Vec::new();
        for (path, name) in plan.text_files(&paths) {
            if let Some(file) = resolved.files.iter().find(|file| file.path == path) {
                let content = self.read_file(resolved, file, text::MAX_FILE_BYTES).await?;
                texts.push(DataFile { path: name.to_owned(), content: content.as_ref().into() });
            }
        }
        let options = RuntimeOptions { sessions: instances, ..self.inner.options.runtime.clone() };
        let loading =
            self.inner.tracker.spawn_blocking(move || plan.load_text(&content, &data, &texts, &options));
        Ok(loading.await.map_err(|_| ServingError::ShuttingDown)??)
    }

    /// Which of the version's files to load: as its description says, or, without one, as folders of encoders of texts are laid out.
    async fn plan(&self, resolved: &ResolvedModel, paths: &[String]) -> Result<LoadPlan, ServingError> {
        let described = resolved.files.iter().find(|file| file.path == mlflow::DESCRIPTION);
        let Some(description) = described else {
            let reason = format!("not among the {} files of the version", paths.len());
            return Ok(text::plan_of_folder(paths).ok_or(RuntimeError::Description { reason })?);
        };
        let description = self.read_file(resolved, description, MAX_DESCRIPTION_BYTES).await?;
        Ok(mlflow::plan(&String::from_utf8_lossy(&description), paths)?)
    }

    /// Runs the golden inputs of a version, which it must answer as they say; without them the example that was logged with it, so
    /// that its first caller does not pay for what only a first run does.
    async fn warm_up(&self, resolved: &ResolvedModel, model: &Arc<Model>) -> Result<(), ServingError> {
        let named = |name: &str| resolved.files.iter().find(|file| file.path == name);
        let model = Arc::clone(model);
        if let Some(file) = named(golden::FILE) {
            let content = self.read_file(resolved, file, golden::MAX_BYTES).await?;
            let checking = self.inner.tracker.spawn_blocking(move || golden::check(&model, &content));
            return checking.await.map_err(|_| ServingError::ModelFailed)?.map_err(|reason| {
                ServingError::GoldenMismatch {
                    model: resolved.name.clone(),
                    version: resolved.version,
                    reason,
                }
            });
        }
        let Some(file) = named(golden::EXAMPLE).filter(|file| file.bytes <= golden::MAX_BYTES) else {
            return Ok(());
        };
        let content = self.read_file(resolved, file, golden::MAX_BYTES).await?;
        let running = self.inner.tracker.spawn_blocking(move || {
            serde_json::from_slice(&content).map(|body| golden::run(&model, body).map(|_| ()))
        });
        // An example is for people; what it says is not promised, so it keeps no version from serving.
        let ran = running.await.map_err(|_| ServingError::ModelFailed)?;
        if let Ok(Err(error)) = ran {
            tracing::info!(model = resolved.name, version = resolved.version, %error, "the example does not run");
        }
        Ok(())
    }

    pub(super) async fn read_file(
        &self,
        resolved: &ResolvedModel,
        file: &ModelFile,
        limit: u64,
    ) -> Result<Bytes, ServingError> {
        let too_large = |bytes: u64| ServingError::ModelTooLarge { file: file.path.clone(), bytes, limit };
        if file.bytes > limit {
            return Err(too_large(file.bytes));
        }
        let content = self.inner.ports.models.read(resolved, file).await?;
        if content.len() as u64 > limit {
            return Err(too_large(content.len() as u64));
        }
        if Digest::of(&content) != file.digest {
            return Err(ServingError::FileChanged {
                model: resolved.name.clone(),
                file: file.path.clone(),
                expected: file.digest,
            });
        }
        Ok(content)
    }
}
