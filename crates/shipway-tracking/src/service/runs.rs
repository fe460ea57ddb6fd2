//! Use cases of runs themselves; what is logged for them is in `logging`.

use std::collections::BTreeMap;

use crate::{
    error::{Thing, TrackingError},
    model::{Lifecycle, Pair, Run, RunInfo, RunStatus, bounds},
    service::{
        Tracking,
        experiments::{self, location_path},
        names::{new_id, new_name},
    },
    store::{self, Rows, pairs::RUN_TAGS, purge::Family},
};

/// The tag that repeats a run's name.
pub(super) const NAME_TAG: &str = "mlflow.runName";

#[derive(Debug, Clone, Default)]
pub(crate) struct NewRun {
    /// Empty means experiment 0.
    pub(crate) experiment_id: String,
    pub(crate) user_id: String,
    pub(crate) name: String,
    pub(crate) start_ms: Option<i64>,
    pub(crate) tags: Vec<Pair>,
}

/// What a client wants changed; `None` stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunChange {
    pub(crate) status: Option<RunStatus>,
    pub(crate) end_ms: Option<i64>,
    pub(crate) name: Option<String>,
}

pub(super) async fn find(rows: &mut impl Rows, run_id: &str) -> Result<RunInfo, TrackingError> {
    let found = store::runs::info_of(rows, run_id).await?;
    found.ok_or_else(|| TrackingError::missing(Thing::Run, run_id))
}

/// The run, if it is active: a deleted run records nothing.
pub(super) async fn find_active(rows: &mut impl Rows, run_id: &str) -> Result<RunInfo, TrackingError> {
    let info = find(rows, run_id).await?;
    if info.lifecycle == Lifecycle::Active {
        return Ok(info);
    }
    Err(TrackingError::WrongLifecycle { thing: Thing::Run, name: run_id.to_owned(), wanted: "active" })
}

/// The name and the name tag are one thing; two different ones cannot both be meant.
fn name_of(new: &NewRun) -> Result<String, TrackingError> {
    let tag = new.tags.iter().find(|tag| tag.key == NAME_TAG).map(|tag| tag.value.as_str());
    match (new.name.as_str(), tag.unwrap_or_default()) {
        ("", "") => Ok(new_name()),
        ("", name) | (name, "") => Ok(name.to_owned()),
        (name, tag) if name == tag => Ok(name.to_owned()),
        (name, tag) => {
            let reason =
                format!("both run_name `{name}` and tag {NAME_TAG} `{tag}` are given, with different values");
            Err(TrackingError::invalid("run_name", reason))
        }
    }
}

impl Tracking {
    pub(crate) async fn create_run(&self, new: NewRun) -> Result<Run, TrackingError> {
        let mut new = new;
        new.tags = bounds::shortened(&new.tags, bounds::RUN_TAG_VALUE_LENGTH);
        new.tags.iter().try_for_each(bounds::run_tag)?;
        let name = name_of(&new)?;
        let run_id = new_id();
        let mut transaction = self.begin_on_run(&run_id).await?;
        let experiment_id = if new.experiment_id.is_empty() { "0" } else { &new.experiment_id };
        let experiment = experiments::find_bare(&mut transaction, experiment_id).await?;
        // Nothing is experiment 0, which is in one workspace alone.
        if experiment.workspace != self.workspace().as_str() {
            return Err(TrackingError::missing(Thing::Experiment, experiment_id));
        }
        experiments::must_be(&experiment, Lifecycle::Active)?;
        let info = RunInfo {
            experiment_id: experiment.id,
            name: name.clone(),
            user_id: if new.user_id.is_empty() { "unknown".to_owned() } else { new.user_id },
            status: RunStatus::Running,
            start_ms: new.start_ms.unwrap_or_else(|| self.now_ms()),
            end_ms: None,
            artifact_root: format!("{}/{run_id}/artifacts", location_path(&experiment)),
            lifecycle: Lifecycle::Active,
            run_id,
        };
        // Of two equal keys the last counts.
        let given = new.tags.into_iter().filter(|tag| tag.key != NAME_TAG).map(|tag| (tag.key, tag.value));
        let tags: BTreeMap<String, String> = given.chain([(NAME_TAG.to_owned(), name)]).collect();
        let tags: Vec<Pair> = tags.into_iter().map(|(key, value)| Pair { key, value }).collect();
        let run = info.run_id.as_str().into();
        transaction
            .execute_together(vec![store::runs::inserting(&info), RUN_TAGS.setting(&run, &tags)])
            .await?;
        transaction.commit().await?;
        Ok(Run { tags, ..Run::new(info) })
    }

    pub(crate) async fn run(&self, run_id: &str) -> Result<Run, TrackingError> {
        let found = store::runs::by_id(&mut self.reader(), run_id).await?;
        found.ok_or_else(|| TrackingError::missing(Thing::Run, run_id))
    }

    pub(crate) async fn run_info(&self, run_id: &str) -> Result<RunInfo, TrackingError> {
        find(&mut self.reader(), run_id).await
    }

    pub(crate) async fn update_run(&self, run_id: &str, change: RunChange) -> Result<RunInfo, TrackingError> {
        let mut transaction = self.begin_on_run(run_id).await?;
        let mut info = find_active(&mut transaction, run_id).await?;
        info.status = change.status.unwrap_or(info.status);
        info.end_ms = change.end_ms.or(info.end_ms);
        let mut changes = Vec::new();
        if let Some(name) = change.name.filter(|name| !name.is_empty()) {
            let tag = Pair::new(NAME_TAG, name.as_str());
            bounds::run_tag(&tag)?;
            changes.push(RUN_TAGS.setting(&run_id.into(), &[tag]));
            info.name = name;
        }
        changes.push(store::runs::updating(&info));
        transaction.execute_together(changes).await?;
        transaction.commit().await?;
        Ok(info)
    }

    /// Deletes or restores a run; doing it twice changes nothing.
    pub(crate) async fn move_run(&self, run_id: &str, to: Lifecycle) -> Result<(), TrackingError> {
        let mut transaction = self.begin_on_run(run_id).await?;
        let mut info = find(&mut transaction, run_id).await?;
        info.lifecycle = to;
        store::runs::update(&mut transaction, &info).await?;
        match to {
            Lifecycle::Active => store::purge::forget(&mut transaction, Family::Run, run_id).await?,
            Lifecycle::Deleted => {
                let (item, now_ms) = ([run_id.to_owned()], self.now_ms());
                store::purge::note(&mut transaction, Family::Run, &item, now_ms).await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn delete_run_tag(&self, run_id: &str, key: &str) -> Result<(), TrackingError> {
        let mut transaction = self.begin_on_run(run_id).await?;
        find_active(&mut transaction, run_id).await?;
        if !RUN_TAGS.delete(&mut transaction, &run_id.into(), key).await? {
            return Err(TrackingError::missing(Thing::Tag, key));
        }
        Ok(transaction.commit().await?)
    }
}
