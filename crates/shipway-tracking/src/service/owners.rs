//! Where things belong: which experiment, and, for files, which registered models they are versions of. What a caller was granted is
//! granted on those.

use super::{
    Tracking,
    artifacts::{Owner, is_within, place},
    experiments, logged_models, runs, traces,
};
use crate::{
    artifact_path::ArtifactPath,
    error::{Thing, TrackingError},
    model_source::ModelSource,
    store,
};

/// How a request names a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Experiment(String),
    ExperimentName(String),
    Run(String),
    LoggedModel(String),
    Trace(String),
    /// A trace that may be there already.
    TraceToBe(String),
    EvaluationDataset(String),
    /// A path of the artifact service.
    File(ArtifactPath),
    RegisteredModel(String),
    /// The source of a model version.
    Source(String),
}

/// Where a thing belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// To one of these experiments each, by id: all of them count.
    Experiments(Vec<i64>),
    /// To an experiment, and to the registered models whose versions have these files: each of them counts alone.
    Files { experiment: i64, models: Vec<String> },
    /// It is a registered model.
    Model(String),
}

impl Tracking {
    /// Where a thing belongs. What does not exist is an error, as it is for whoever asks for it.
    pub(crate) async fn belongs(&self, named: &Named) -> Result<Belongs, TrackingError> {
        let rows = &mut self.reader();
        let one = |experiment: i64| Belongs::Experiments(vec![experiment]);
        Ok(match named {
            Named::Experiment(id) => one(experiments::find(rows, id).await?.id),
            Named::ExperimentName(name) => one(self.experiment_by_name(name).await?.id),
            Named::Run(id) => one(runs::find(rows, id).await?.experiment_id),
            Named::LoggedModel(id) => one(logged_models::find(rows, id).await?.experiment_id),
            Named::Trace(id) => one(traces::find(rows, id).await?.experiment_id),
            Named::TraceToBe(id) => {
                let found = store::traces::row_of(rows, id).await?;
                Belongs::Experiments(found.into_iter().map(|trace| trace.experiment_id).collect())
            }
            Named::EvaluationDataset(id) => {
                let ids = self.evaluation_dataset(id).await?.experiment_ids;
                Belongs::Experiments(ids)
            }
            Named::File(path) => self.file_belongs(path).await?,
            Named::RegisteredModel(name) => Belongs::Model(name.clone()),
            Named::Source(source) => self.source_belongs(source).await?,
        })
    }

    async fn file_belongs(&self, path: &ArtifactPath) -> Result<Belongs, TrackingError> {
        let rows = &mut self.reader();
        let found = place(rows, path).await?;
        let experiment = match &found.owner {
            Owner::Run { run_id } => runs::find(rows, run_id).await?.experiment_id,
            Owner::LoggedModel { model_id, .. } => logged_models::find(rows, model_id).await?.experiment_id,
            Owner::Trace => {
                let trace = store::traces::by_root(rows, &found.root).await?;
                trace.ok_or_else(|| TrackingError::missing(Thing::Artifact, path.as_str()))?.experiment_id
            }
        };
        let versions = store::versions::with_root(rows, &found.root).await?;
        let within = versions.into_iter().filter(|(_, folder)| is_within(folder, &found.path));
        Ok(Belongs::Files { experiment, models: within.map(|(name, _)| name).collect() })
    }

    async fn source_belongs(&self, source: &str) -> Result<Belongs, TrackingError> {
        let rows = &mut self.reader();
        let one = |experiment: i64| Belongs::Experiments(vec![experiment]);
        Ok(match ModelSource::parse(source)? {
            ModelSource::LoggedModel(id) => one(logged_models::find(rows, &id).await?.experiment_id),
            ModelSource::Run { run_id, .. } => one(runs::find(rows, &run_id).await?.experiment_id),
            ModelSource::Version { name, .. } | ModelSource::Alias { name, .. } => Belongs::Model(name),
            ModelSource::Artifacts(path) => self.file_belongs(&path).await?,
        })
    }
}
