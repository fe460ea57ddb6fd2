//! Logged models that come in, under their own ids, and their scores.

use std::collections::BTreeMap;

use super::{Arrival, Outcome, id, moment, pairs, runs::fitting_points};
use crate::{
    error::{Thing, TrackingError},
    model::{Lifecycle, LoggedModel, Metric, ModelStatus, Pair, bounds},
    service::{Tracking, experiments::location_path},
    store::{
        self,
        pairs::{LOGGED_MODEL_PARAMS, LOGGED_MODEL_TAGS},
    },
};

#[derive(Debug, Clone)]
pub(crate) struct ImportedModel {
    pub(crate) model_id: String,
    /// The experiment here.
    pub(crate) experiment_id: i64,
    pub(crate) name: String,
    pub(crate) model_type: String,
    pub(crate) source_run_id: String,
    pub(crate) status: ModelStatus,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) params: Vec<Pair>,
    pub(crate) tags: Vec<Pair>,
}

impl Tracking {
    /// Brings a logged model in, or adds to the one of that id what it lacks.
    pub(crate) async fn import_logged_model(&self, new: ImportedModel) -> Result<Arrival, TrackingError> {
        id("model_id", &new.model_id)?;
        if !new.model_id.starts_with("m-") {
            return Err(TrackingError::invalid("model_id", "it begins with m-"));
        }
        if !new.source_run_id.is_empty() {
            id("source_run_id", &new.source_run_id)?;
        }
        moment("created_ms", new.created_ms)?;
        moment("updated_ms", new.updated_ms)?;
        bounds::logged_model_name(&new.name)?;
        let mut notes = Vec::new();
        let mut transaction = self.begin().await?;
        let here = store::logged_models::row_of(&mut transaction, &new.model_id).await?;
        let (outcome, artifact_root) = match here {
            Some(mut here) => {
                if here.lifecycle != new.lifecycle {
                    let (is, was) = (here.lifecycle.word(), new.lifecycle.word());
                    notes.push(format!("it is {is} here and {was} there; it stays"));
                }
                if here.status == ModelStatus::Pending && new.status != ModelStatus::Pending {
                    here.status = new.status;
                    here.updated_ms = new.updated_ms;
                    store::logged_models::update(&mut transaction, &here).await?;
                }
                (Outcome::Present, here.artifact_root)
            }
            None => {
                let found = store::experiments::by_id(&mut transaction, new.experiment_id).await?;
                let experiment = found.ok_or_else(|| {
                    TrackingError::missing(Thing::Experiment, new.experiment_id.to_string())
                })?;
                let root = format!("{}/models/{}/artifacts", location_path(&experiment), new.model_id);
                let model = LoggedModel {
                    model_id: new.model_id.clone(),
                    experiment_id: experiment.id,
                    name: new.name,
                    model_type: new.model_type,
                    source_run_id: new.source_run_id,
                    status: new.status,
                    artifact_root: root.clone(),
                    lifecycle: new.lifecycle,
                    created_ms: new.created_ms,
                    updated_ms: new.updated_ms,
                    tags: Vec::new(),
                    params: Vec::new(),
                    metrics: Vec::new(),
                    registrations: Vec::new(),
                };
                store::logged_models::insert(&mut transaction, &model).await?;
                (Outcome::Created, root)
            }
        };
        let owner = new.model_id.as_str();
        let params = (LOGGED_MODEL_PARAMS, &pairs::PARAM);
        pairs::add_missing(&mut transaction, params, owner, new.params, &mut notes).await?;
        let tags = (LOGGED_MODEL_TAGS, &pairs::RUN_TAG);
        pairs::add_missing(&mut transaction, tags, owner, new.tags, &mut notes).await?;
        transaction.commit().await?;
        Ok(Arrival { outcome, artifact_root, notes })
    }

    /// Adds scores to a logged model; those that are there are not doubled. Returns what was left out and why.
    ///
    /// Nobody here saw for which files they were earned, so they belong to none: they are shown, and a gate that asks for scores
    /// of a version's own files does not count them.
    pub(crate) async fn import_scores(
        &self,
        model_id: &str,
        scores: Vec<Metric>,
    ) -> Result<Vec<String>, TrackingError> {
        let (scores, notes) = fitting_points(scores)?;
        let mut transaction = self.begin().await?;
        if store::logged_models::row_of(&mut transaction, model_id).await?.is_none() {
            return Err(TrackingError::missing(Thing::LoggedModel, model_id));
        }
        let mut by_run: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
        for score in &scores {
            by_run.entry(&score.run_id).or_default().push(score);
        }
        for (run_id, scores) in by_run {
            store::evaluations::add(&mut transaction, run_id, None, &scores).await?;
        }
        transaction.commit().await?;
        Ok(notes)
    }
}
