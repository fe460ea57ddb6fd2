//! Use cases of experiments.

use shipway_core::DEFAULT_WORKSPACE;
use shipway_store::Transaction;

use crate::{
    artifact_path::ArtifactPath,
    error::{Thing, TrackingError},
    model::{Experiment, Lifecycle, Pair, WorkspaceInfo, bounds},
    service::{Tracking, workspaces},
    store::{self, Rows, pairs::EXPERIMENT_TAGS, purge::Family},
};

/// Finds an experiment by its id, which is a number.
pub(super) async fn find(rows: &mut impl Rows, id: &str) -> Result<Experiment, TrackingError> {
    let found = store::experiments::by_id(rows, number(id)?).await?;
    found.ok_or_else(|| TrackingError::missing(Thing::Experiment, id))
}

/// As [`find`], without its tags.
pub(super) async fn find_bare(rows: &mut impl Rows, id: &str) -> Result<Experiment, TrackingError> {
    let found = store::experiments::bare_by_id(rows, number(id)?).await?;
    found.ok_or_else(|| TrackingError::missing(Thing::Experiment, id))
}

/// The number that the id of an experiment must be.
pub(super) fn number(id: &str) -> Result<i64, TrackingError> {
    let wrong = || {
        let reason = format!("Invalid experiment ID '{id}'. Experiment ID must be a valid integer.");
        TrackingError::invalid("experiment_id", reason)
    };
    id.parse().map_err(|_| wrong())
}

pub(super) fn must_be(experiment: &Experiment, lifecycle: Lifecycle) -> Result<(), TrackingError> {
    if experiment.lifecycle == lifecycle {
        return Ok(());
    }
    let name = experiment.id.to_string();
    Err(TrackingError::WrongLifecycle { thing: Thing::Experiment, name, wanted: lifecycle.word() })
}

/// The path of an experiment's artifact location, without scheme.
pub(super) fn location_path(experiment: &Experiment) -> &str {
    experiment.artifact_location.trim_start_matches("mlflow-artifacts:").trim_start_matches('/')
}

/// Checks an artifact location that a client chose: somewhere in this server's own artifact service.
pub(super) fn own_location(parameter: &str, text: &str) -> Result<String, TrackingError> {
    let wrong = || {
        let reason =
            format!("`{text}` is not in this server's artifact service: expected mlflow-artifacts:/path");
        TrackingError::invalid(parameter, reason)
    };
    let rest = text.strip_prefix("mlflow-artifacts:/").ok_or_else(wrong)?;
    let path = ArtifactPath::parse(rest)?;
    let usable = !path.is_empty() && path.as_str().split('/').all(|segment| segment != "artifacts");
    if usable { Ok(format!("mlflow-artifacts:/{}", path.as_str())) } else { Err(wrong()) }
}

/// Where the artifacts of an experiment lie when its creator does not say it.
pub(super) fn default_location(workspace: &WorkspaceInfo, id: i64) -> String {
    let WorkspaceInfo { name, artifact_root, .. } = workspace;
    if !artifact_root.is_empty() {
        format!("{artifact_root}/{id}")
    } else if name == DEFAULT_WORKSPACE {
        format!("mlflow-artifacts:/{id}")
    } else {
        format!("mlflow-artifacts:/workspaces/{name}/{id}")
    }
}

impl Tracking {
    /// Creates an experiment. Without a location its artifacts lie under its id.
    pub(crate) async fn create_experiment(
        &self,
        name: &str,
        location: Option<&str>,
        tags: Vec<Pair>,
    ) -> Result<i64, TrackingError> {
        bounds::experiment_name(name)?;
        tags.iter().try_for_each(bounds::experiment_tag)?;
        let location = location.filter(|text| !text.is_empty());
        let location = location.map(|text| own_location("artifact_location", text)).transpose()?;
        let mut transaction = self.begin().await?;
        let id = self.add_experiment(&mut transaction, name, location, tags).await?;
        transaction.commit().await?;
        Ok(id)
    }

    pub(super) async fn create_default_experiment(&self) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        if store::experiments::next_id(&mut transaction).await? == 0 {
            self.add_experiment(&mut transaction, "Default", None, Vec::new()).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn add_experiment(
        &self,
        transaction: &mut Transaction,
        name: &str,
        location: Option<String>,
        tags: Vec<Pair>,
    ) -> Result<i64, TrackingError> {
        let workspace = workspaces::must_exist(transaction, self.workspace().as_str()).await?;
        if store::experiments::by_name(transaction, &workspace.name, name).await?.is_some() {
            return Err(TrackingError::Exists { thing: Thing::Experiment, name: name.to_owned() });
        }
        let id = store::experiments::next_id(transaction).await?;
        let now_ms = self.now_ms();
        let experiment = Experiment {
            id,
            name: name.to_owned(),
            artifact_location: location.unwrap_or_else(|| default_location(&workspace, id)),
            workspace: workspace.name,
            lifecycle: Lifecycle::Active,
            created_ms: now_ms,
            updated_ms: now_ms,
            tags,
        };
        store::experiments::insert(transaction, &experiment).await?;
        Ok(id)
    }

    pub(crate) async fn experiment(&self, id: &str) -> Result<Experiment, TrackingError> {
        find(&mut self.reader(), id).await
    }

    pub(crate) async fn experiment_by_name(&self, name: &str) -> Result<Experiment, TrackingError> {
        let workspace = self.workspace().as_str();
        let found = store::experiments::by_name(&mut self.reader(), workspace, name).await?;
        found.ok_or_else(|| TrackingError::missing(Thing::Experiment, name))
    }

    pub(crate) async fn rename_experiment(&self, id: &str, name: &str) -> Result<(), TrackingError> {
        bounds::experiment_name(name)?;
        let mut transaction = self.begin().await?;
        let experiment = find(&mut transaction, id).await?;
        must_be(&experiment, Lifecycle::Active)?;
        let holder = store::experiments::by_name(&mut transaction, &experiment.workspace, name).await?;
        if holder.is_some_and(|other| other.id != experiment.id) {
            return Err(TrackingError::Exists { thing: Thing::Experiment, name: name.to_owned() });
        }
        store::experiments::rename(&mut transaction, &experiment, name, self.now_ms()).await?;
        Ok(transaction.commit().await?)
    }

    /// Deletes an experiment and its runs, or restores them.
    pub(crate) async fn move_experiment(&self, id: &str, to: Lifecycle) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        let experiment = find(&mut transaction, id).await?;
        if experiment.lifecycle != to {
            store::experiments::set_lifecycle(&mut transaction, experiment.id, to, self.now_ms()).await?;
            let item = experiment.id.to_string();
            match to {
                Lifecycle::Active => {
                    store::purge::forget(&mut transaction, Family::Experiment, &item).await?;
                    store::purge::forget_runs_of(&mut transaction, experiment.id).await?;
                }
                Lifecycle::Deleted => {
                    store::purge::note(&mut transaction, Family::Experiment, &[item], self.now_ms()).await?;
                }
            }
        }
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn set_experiment_tag(&self, id: &str, tag: Pair) -> Result<(), TrackingError> {
        bounds::experiment_tag(&tag)?;
        let mut transaction = self.begin().await?;
        let experiment = find(&mut transaction, id).await?;
        must_be(&experiment, Lifecycle::Active)?;
        EXPERIMENT_TAGS.set(&mut transaction, &experiment.id.into(), &[tag]).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn delete_experiment_tag(&self, id: &str, key: &str) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        let experiment = find(&mut transaction, id).await?;
        must_be(&experiment, Lifecycle::Active)?;
        if !EXPERIMENT_TAGS.delete(&mut transaction, &experiment.id.into(), key).await? {
            return Err(TrackingError::missing(Thing::Tag, key));
        }
        Ok(transaction.commit().await?)
    }
}
