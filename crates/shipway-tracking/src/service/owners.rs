//! Where things belong: which workspace, which experiment, and, for files, which registered models they are versions of. What a caller was granted is
//! granted on those.

use shipway_core::{Failure, Kind};

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
    /// The key of a registered model.
    Model(String),
    /// The source of a model version.
    Source(String),
    Workspace(String),
}

/// Where a thing belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// To one of these experiments each, by id: all of them count.
    Experiments(Vec<i64>),
    /// To an experiment, and to the registered models whose versions have these files: each of them counts alone.
    Files { experiment: i64, models: Vec<String> },
    /// It is a registered model, of this key.
    Model(String),
    /// It is a workspace.
    Workspace(String),
}

impl Named {
    /// The error of whoever asks for it where it is not.
    fn missing(&self) -> TrackingError {
        let (thing, name) = match self {
            Self::Experiment(id) | Self::ExperimentName(id) => (Thing::Experiment, id.as_str()),
            Self::Run(id) => (Thing::Run, id.as_str()),
            Self::LoggedModel(id) => (Thing::LoggedModel, id.as_str()),
            Self::Trace(id) | Self::TraceToBe(id) => (Thing::Trace, id.as_str()),
            Self::EvaluationDataset(id) => (Thing::EvaluationDataset, id.as_str()),
            Self::File(path) => (Thing::Artifact, path.as_str()),
            Self::Source(source) => (Thing::Artifact, source.as_str()),
            Self::Model(key) => (Thing::RegisteredModel, key.as_str()),
            Self::Workspace(name) => (Thing::Workspace, name.as_str()),
        };
        TrackingError::missing(thing, name)
    }
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
            Named::Model(key) => Belongs::Model(key.clone()),
            Named::Workspace(name) => Belongs::Workspace(name.clone()),
            Named::Source(source) => self.source_belongs(source).await?,
        })
    }

    /// Refuses what lies in another workspace than this is seen from, as if it were not there. What is nowhere is left to whoever asks for
    /// it.
    pub(crate) async fn must_be_here(&self, named: &Named) -> Result<(), TrackingError> {
        let rows = &mut self.reader();
        let here = self.workspace().as_str();
        if let Named::EvaluationDataset(id) = named {
            let home = store::workspaces::of_dataset(rows, id).await?;
            return if home.is_none_or(|home| home == here) { Ok(()) } else { Err(named.missing()) };
        }
        for experiment in self.experiments_of(named).await? {
            let home = store::workspaces::of_experiment(rows, experiment).await?;
            if home.is_some_and(|home| home != here) {
                return Err(named.missing());
            }
        }
        Ok(())
    }

    /// The experiments that a thing belongs to; none where it does not exist.
    async fn experiments_of(&self, named: &Named) -> Result<Vec<i64>, TrackingError> {
        if let Named::LoggedModel(id) = named {
            // Also one that is deleted.
            let found = store::logged_models::row_of(&mut self.reader(), id).await?;
            return Ok(found.map(|model| model.experiment_id).into_iter().collect());
        }
        match self.belongs(named).await {
            Ok(Belongs::Experiments(ids)) => Ok(ids),
            Ok(Belongs::Files { experiment, .. }) => Ok(vec![experiment]),
            Ok(Belongs::Model(_) | Belongs::Workspace(_)) => Ok(Vec::new()),
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Invalid) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Those of the experiments that lie in the workspace that this is seen from.
    pub(super) async fn experiments_here(&self, ids: &[String]) -> Result<Vec<String>, TrackingError> {
        if !self.is_divided() {
            return Ok(ids.to_vec());
        }
        let numbers: Vec<i64> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        let here = self.workspace().as_str();
        let own = store::workspaces::experiments_among(&mut self.reader(), here, &numbers).await?;
        let is_own = |id: &&String| id.parse().is_ok_and(|id: i64| own.contains(&id));
        Ok(ids.iter().filter(is_own).cloned().collect())
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
            ModelSource::Version { name, .. } | ModelSource::Alias { name, .. } => {
                Belongs::Model(self.model_key(&name)?)
            }
            ModelSource::Artifacts(path) => self.file_belongs(&path).await?,
        })
    }
}
