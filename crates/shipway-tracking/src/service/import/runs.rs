//! Runs that come in, under their own ids and with their own times.

use super::{Arrival, Outcome, id, moment, pairs};
use crate::{
    error::{Thing, TrackingError},
    model::{DatasetInput, Lifecycle, LinkedModel, Metric, Pair, RunInfo, RunStatus, bounds},
    service::{
        Tracking,
        experiments::location_path,
        names::new_id,
        runs::{NAME_TAG, find},
    },
    store::{
        self,
        inputs::Direction,
        pairs::{RUN_PARAMS, RUN_TAGS},
    },
};

/// Points in one request, at most.
pub(super) const POINTS: usize = 10_000;

#[derive(Debug, Clone)]
pub(crate) struct ImportedRun {
    pub(crate) run_id: String,
    /// The experiment here.
    pub(crate) experiment_id: i64,
    pub(crate) name: String,
    pub(crate) user_id: String,
    pub(crate) status: RunStatus,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: Option<i64>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) params: Vec<Pair>,
    pub(crate) tags: Vec<Pair>,
}

/// What a run read and made.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImportedInputs {
    pub(crate) datasets: Vec<DatasetInput>,
    pub(crate) model_inputs: Vec<LinkedModel>,
    pub(crate) model_outputs: Vec<LinkedModel>,
}

/// What the row here is not as the source has it. A run that had no end here takes the one that it got there meanwhile.
fn compare(here: &RunInfo, new: &ImportedRun, notes: &mut Vec<String>) -> Option<RunInfo> {
    if here.experiment_id != new.experiment_id {
        notes.push(format!("it is in experiment {} here; it stays there", here.experiment_id));
    }
    if here.lifecycle != new.lifecycle {
        let (is, was) = (here.lifecycle.word(), new.lifecycle.word());
        notes.push(format!("it is {is} here and {was} there; it stays"));
    }
    let goes_on = matches!(here.status, RunStatus::Running | RunStatus::Scheduled) && here.end_ms.is_none();
    if goes_on && (here.status, here.end_ms) != (new.status, new.end_ms) {
        return Some(RunInfo { status: new.status, end_ms: new.end_ms, ..here.clone() });
    }
    if here.status != new.status {
        notes.push(format!(
            "its status is {} here and {} there; it stays",
            here.status.word(),
            new.status.word()
        ));
    }
    None
}

impl Tracking {
    /// Brings a run in, without what is logged in bulk; or adds to the one of that id what it lacks.
    pub(crate) async fn import_run(&self, new: ImportedRun) -> Result<Arrival, TrackingError> {
        id("run_id", &new.run_id)?;
        moment("start_ms", new.start_ms)?;
        moment("end_ms", new.end_ms.unwrap_or_default())?;
        let run_id = new.run_id.clone();
        let mut notes = Vec::new();
        let mut transaction = self.begin_on_run(&run_id).await?;
        let here = store::runs::info_of(&mut transaction, &run_id).await?;
        let (outcome, artifact_root, mut tags) = match here {
            Some(here) => {
                if let Some(ended) = compare(&here, &new, &mut notes) {
                    store::runs::update(&mut transaction, &ended).await?;
                }
                (Outcome::Present, here.artifact_root, new.tags)
            }
            None => {
                let found = store::experiments::by_id(&mut transaction, new.experiment_id).await?;
                let experiment = found.ok_or_else(|| {
                    TrackingError::missing(Thing::Experiment, new.experiment_id.to_string())
                })?;
                let tagged = new.tags.iter().find(|tag| tag.key == NAME_TAG).map(|tag| tag.value.clone());
                let named = (!new.name.is_empty()).then_some(new.name);
                let info = RunInfo {
                    artifact_root: format!("{}/{run_id}/artifacts", location_path(&experiment)),
                    experiment_id: experiment.id,
                    name: named.or(tagged).unwrap_or_default(),
                    user_id: if new.user_id.is_empty() { "unknown".to_owned() } else { new.user_id },
                    status: new.status,
                    start_ms: new.start_ms,
                    end_ms: new.end_ms,
                    lifecycle: new.lifecycle,
                    run_id: run_id.clone(),
                };
                transaction.execute_together(vec![store::runs::inserting(&info)]).await?;
                let mut tags = new.tags;
                tags.retain(|tag| tag.key != NAME_TAG);
                if !info.name.is_empty() {
                    tags.push(Pair::new(NAME_TAG, info.name));
                }
                (Outcome::Created, info.artifact_root, tags)
            }
        };
        // The name of a run that is here may have been changed since.
        if outcome == Outcome::Present {
            tags.retain(|tag| tag.key != NAME_TAG);
        }
        let owner = run_id.as_str();
        let params = (RUN_PARAMS, &pairs::PARAM);
        pairs::add_missing(&mut transaction, params, owner, new.params, &mut notes).await?;
        pairs::add_missing(&mut transaction, (RUN_TAGS, &pairs::RUN_TAG), owner, tags, &mut notes).await?;
        transaction.commit().await?;
        Ok(Arrival { outcome, artifact_root, notes })
    }

    /// Adds points to the history of a run; those that are there are not doubled. Returns what was left out and why.
    pub(crate) async fn import_metrics(
        &self,
        run_id: &str,
        points: Vec<Metric>,
    ) -> Result<Vec<String>, TrackingError> {
        let (points, notes) = fitting_points(points)?;
        let mut transaction = self.begin_on_run(run_id).await?;
        let info = find(&mut transaction, run_id).await?;
        if !points.is_empty() {
            transaction.execute_together(store::metrics::adding(&info, &points).into()).await?;
        }
        transaction.commit().await?;
        Ok(notes)
    }

    /// Records the data sets that a run read, and the logged models that it read and made. Returns what was left out and why.
    pub(crate) async fn import_inputs(
        &self,
        run_id: &str,
        inputs: ImportedInputs,
    ) -> Result<Vec<String>, TrackingError> {
        let mut notes = Vec::new();
        let mut transaction = self.begin_on_run(run_id).await?;
        let info = find(&mut transaction, run_id).await?;
        let mut datasets = inputs.datasets;
        datasets.sort_by(|one, other| (&one.name, &one.digest).cmp(&(&other.name, &other.digest)));
        for dataset in &datasets {
            match bounds::dataset(dataset) {
                Ok(()) => {
                    let (experiment, new) = (info.experiment_id, new_id());
                    store::inputs::add_dataset(&mut transaction, experiment, run_id, &new, dataset).await?;
                }
                Err(error) => notes.push(format!("data set left out: {error}")),
            }
        }
        for (direction, models) in
            [(Direction::Input, inputs.model_inputs), (Direction::Output, inputs.model_outputs)]
        {
            let mut found = Vec::new();
            for model in models {
                match store::logged_models::row_of(&mut transaction, &model.model_id).await? {
                    Some(_) => found.push(model),
                    None => notes.push(format!("link left out: logged model {} is not here", model.model_id)),
                }
            }
            store::inputs::add_models(&mut transaction, run_id, direction, &found).await?;
        }
        transaction.commit().await?;
        Ok(notes)
    }
}

/// The points that fit, and one sentence for each metric of which some do not.
pub(super) fn fitting_points(points: Vec<Metric>) -> Result<(Vec<Metric>, Vec<String>), TrackingError> {
    if points.len() > POINTS {
        return Err(TrackingError::invalid("metrics", format!("at most {POINTS} points can come at once")));
    }
    let mut notes: Vec<String> = Vec::new();
    let mut kept = Vec::with_capacity(points.len());
    for point in points {
        match bounds::metric(&point) {
            Ok(()) => kept.push(point),
            Err(error) => notes.push(format!("metric left out: {error}")),
        }
    }
    notes.dedup();
    Ok((kept, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(status: RunStatus, end_ms: Option<i64>) -> (RunInfo, ImportedRun) {
        let info = RunInfo {
            run_id: "r".into(),
            experiment_id: 1,
            name: "n".into(),
            user_id: "u".into(),
            status,
            start_ms: 1,
            end_ms,
            artifact_root: "1/r/artifacts".into(),
            lifecycle: Lifecycle::Active,
        };
        let new = ImportedRun {
            run_id: "r".into(),
            experiment_id: 1,
            name: "n".into(),
            user_id: "u".into(),
            status: RunStatus::Finished,
            start_ms: 1,
            end_ms: Some(9),
            lifecycle: Lifecycle::Active,
            params: Vec::new(),
            tags: Vec::new(),
        };
        (info, new)
    }

    #[test]
    fn a_run_that_goes_on_here_takes_the_end_that_it_got_there() {
        let (here, new) = run(RunStatus::Running, None);
        let mut notes = Vec::new();
        let ended = compare(&here, &new, &mut notes).unwrap();
        assert_eq!((ended.status, ended.end_ms), (RunStatus::Finished, Some(9)));
        assert!(notes.is_empty());
    }

    #[test]
    fn a_run_that_was_taken_up_again_here_is_left_alone() {
        let (here, new) = run(RunStatus::Running, Some(5));
        let mut notes = Vec::new();
        assert!(compare(&here, &new, &mut notes).is_none());
        assert_eq!(notes, ["its status is RUNNING here and FINISHED there; it stays"]);
    }

    #[test]
    fn points_that_do_not_fit_are_told_once_for_each_reason() {
        let bad = Metric { key: "../x".into(), ..Metric::default() };
        let good = Metric { key: "auc".into(), value: f64::NAN, ..Metric::default() };
        let (kept, notes) = fitting_points(vec![bad.clone(), bad, good]).unwrap();
        assert_eq!((kept.len(), notes.len()), (1, 1));
        assert!(fitting_points(vec![Metric::default(); POINTS + 1]).is_err());
    }
}
