//! Experiments that come in: a name that is here is the same experiment; an id is kept where it is free.

use serde_json::json;

use super::{Arrival, Kind, Outcome, moment, pairs};
use crate::{
    error::TrackingError,
    model::{Experiment, Lifecycle, Pair, bounds},
    service::{Tracking, experiments::default_location, workspaces},
    store::{self, pairs::EXPERIMENT_TAGS},
};

/// Ids beyond it are not kept: the next ones count on from the greatest.
const GREATEST_ID: i64 = 1_000_000_000_000_000_000;

#[derive(Debug, Clone)]
pub(crate) struct ImportedExperiment {
    /// Its id at the source.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) tags: Vec<Pair>,
}

/// An experiment that is here now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlacedExperiment {
    /// Its id here.
    pub(crate) id: i64,
    pub(crate) arrival: Arrival,
}

impl Tracking {
    /// Brings an experiment into the workspace that this is seen from, or finds the one of that name and adds the tags that it lacks.
    pub(crate) async fn import_experiment(
        &self,
        caller: &str,
        new: ImportedExperiment,
    ) -> Result<PlacedExperiment, TrackingError> {
        bounds::experiment_name(&new.name)?;
        moment("created_ms", new.created_ms)?;
        moment("updated_ms", new.updated_ms)?;
        let mut notes = Vec::new();
        let mut transaction = self.begin().await?;
        let workspace = workspaces::must_exist(&mut transaction, self.workspace().as_str()).await?;
        if let Some(here) = store::experiments::by_name(&mut transaction, &workspace.name, &new.name).await? {
            let owner = here.id.to_string();
            let known = store::imports::is_known(&mut transaction, Kind::Experiment.word(), &owner).await?;
            if here.lifecycle != new.lifecycle {
                let (is, was) = (here.lifecycle.word(), new.lifecycle.word());
                notes.push(format!("it is {is} here and {was} there; it stays"));
            }
            let table = (EXPERIMENT_TAGS, &pairs::EXPERIMENT_TAG);
            pairs::add_missing(&mut transaction, table, here.id, new.tags, &mut notes).await?;
            let now_ms = self.now_ms();
            store::imports::mark(&mut transaction, Kind::Experiment.word(), &owner, "merged", now_ms).await?;
            transaction.commit().await?;
            let outcome = if known { Outcome::Present } else { Outcome::Merged };
            let arrival = Arrival { outcome, artifact_root: String::new(), notes };
            return Ok(PlacedExperiment { id: here.id, arrival });
        }
        let wanted = new.id.parse().ok().filter(|id| (0..=GREATEST_ID).contains(id));
        let is_free = match wanted {
            Some(id) => store::experiments::by_id(&mut transaction, id).await?.is_none(),
            None => false,
        };
        let id = match wanted.filter(|_| is_free) {
            Some(id) => id,
            None => store::experiments::next_id(&mut transaction).await?,
        };
        let experiment = Experiment {
            id,
            name: new.name,
            artifact_location: default_location(&workspace, id),
            workspace: workspace.name,
            lifecycle: new.lifecycle,
            created_ms: new.created_ms,
            updated_ms: new.updated_ms,
            tags: pairs::fitting(&pairs::EXPERIMENT_TAG, new.tags, &mut notes),
        };
        store::experiments::insert(&mut transaction, &experiment).await?;
        let (item, now_ms) = (id.to_string(), self.now_ms());
        store::imports::mark(&mut transaction, Kind::Experiment.word(), &item, "created", now_ms).await?;
        let detail = json!({ "name": experiment.name, "id_there": new.id });
        self.audit(&mut transaction, caller, "tracking.import", format!("experiment/{id}"), detail).await?;
        transaction.commit().await?;
        let arrival = Arrival { outcome: Outcome::Created, artifact_root: String::new(), notes };
        Ok(PlacedExperiment { id, arrival })
    }
}
