//! What training code logs for a run: metrics, params, tags, inputs and outputs. Every request may be sent again.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use shipway_store::Transaction;

use crate::{
    artifact_digest,
    error::{Thing, TrackingError},
    filter::page::{Bounds, Page, wrong_token},
    model::{DatasetInput, Lifecycle, LinkedModel, Metric, Pair, bounds},
    service::{
        Found, Tracking, logged_models,
        names::new_id,
        runs::{NAME_TAG, find_active},
    },
    store::{
        self,
        inputs::{DatasetSummary, Direction},
        pairs::{PairTable, RUN_PARAMS, RUN_TAGS},
    },
};

/// The tag of a run that lists its models in the old way.
const MODELS_TAG: &str = "mlflow.log-model.history";
const MODELS_BYTES: usize = 1_000_000;

const HISTORY_BOUNDS: Bounds = Bounds { default: 25_000, max: 25_000 };

/// Adds parameters that never change: the same value again is fine, another one is refused.
pub(super) async fn add_params(
    transaction: &mut Transaction,
    table: PairTable,
    owner: &str,
    params: &[Pair],
) -> Result<(), TrackingError> {
    if params.is_empty() {
        return Ok(());
    }
    params_unchanged(transaction, table, owner, params).await?;
    Ok(table.add(transaction, &owner.into(), params).await?)
}

/// Refuses parameters that are there with another value.
async fn params_unchanged(
    transaction: &mut Transaction,
    table: PairTable,
    owner: &str,
    params: &[Pair],
) -> Result<(), TrackingError> {
    let known = table.of(transaction, owner).await?;
    for param in params {
        if let Some(old) = known.iter().find(|old| old.key == param.key && old.value != param.value) {
            return Err(TrackingError::ParamChanged {
                owner: owner.to_owned(),
                key: param.key.clone(),
                old: old.value.clone(),
                new: param.value.clone(),
            });
        }
    }
    Ok(())
}

impl Tracking {
    /// Logs a batch in one transaction: all of it or nothing.
    pub(crate) async fn log_batch(
        &self,
        run_id: &str,
        metrics: &[Metric],
        params: &[Pair],
        tags: &[Pair],
    ) -> Result<(), TrackingError> {
        let params = bounds::shortened(params, bounds::PARAM_VALUE_LENGTH);
        let tags = bounds::shortened(tags, bounds::RUN_TAG_VALUE_LENGTH);
        bounds::batch(metrics, &params, &tags)?;
        let mut transaction = self.begin_on_run(run_id).await?;
        let mut info = find_active(&mut transaction, run_id).await?;
        let owner = run_id.into();
        let mut changes = vec![RUN_PARAMS.adding(&owner, &params), RUN_TAGS.setting(&owner, &tags)];
        changes.extend(store::metrics::adding(&info, metrics));
        // The name tag renames the run.
        if let Some(name) = tags.iter().rev().find(|tag| tag.key == NAME_TAG) {
            info.name.clone_from(&name.value);
            changes.push(store::runs::updating(&info));
        }
        let changed = transaction.execute_together(changes).await?;
        let all_new = changed.first().is_some_and(|added| *added == params.len() as u64);
        if !all_new {
            params_unchanged(&mut transaction, RUN_PARAMS, run_id, &params).await?;
        }
        add_evaluations(&mut transaction, run_id, metrics).await?;
        Ok(transaction.commit().await?)
    }

    /// Adds a model, described as JSON, to the list of models in the run's tag: what clients did before logged models.
    pub(crate) async fn record_model(&self, run_id: &str, text: &str) -> Result<(), TrackingError> {
        let described = described_model(text)?;
        let mut transaction = self.begin_on_run(run_id).await?;
        find_active(&mut transaction, run_id).await?;
        let tags = RUN_TAGS.of(&mut transaction, run_id).await?;
        let present = tags.iter().find(|tag| tag.key == MODELS_TAG);
        let mut list: Vec<Value> = match present {
            None => Vec::new(),
            Some(tag) => serde_json::from_str(&tag.value).map_err(|_| {
                TrackingError::invalid(MODELS_TAG, "the run's tag is not the list that it should be")
            })?,
        };
        list.push(described);
        let value = Value::from(list).to_string();
        if value.len() > MODELS_BYTES {
            let reason = format!("the list of the run's models would be longer than {MODELS_BYTES} bytes");
            return Err(TrackingError::invalid("model_json", reason));
        }
        RUN_TAGS.set(&mut transaction, &run_id.into(), &[Pair::new(MODELS_TAG, value)]).await?;
        Ok(transaction.commit().await?)
    }

    /// Records the data sets and logged models that a run read.
    pub(crate) async fn log_inputs(
        &self,
        run_id: &str,
        datasets: &[DatasetInput],
        models: &[LinkedModel],
    ) -> Result<(), TrackingError> {
        if datasets.len() + models.len() > bounds::INPUTS {
            let reason = format!("at most {} inputs can be logged at once", bounds::INPUTS);
            return Err(TrackingError::invalid("datasets", reason));
        }
        datasets.iter().try_for_each(bounds::dataset)?;
        let mut transaction = self.begin_on_run(run_id).await?;
        let info = find_active(&mut transaction, run_id).await?;
        // In one order: two runs of an experiment that record the same data sets must not wait for each other in a circle.
        let mut datasets: Vec<&DatasetInput> = datasets.iter().collect();
        datasets.sort_by_key(|input| (&input.name, &input.digest));
        for input in datasets {
            store::inputs::add_dataset(&mut transaction, info.experiment_id, run_id, &new_id(), input)
                .await?;
        }
        link_models(&mut transaction, run_id, Direction::Input, models).await?;
        Ok(transaction.commit().await?)
    }

    /// Records the logged models that a run produced.
    pub(crate) async fn log_outputs(
        &self,
        run_id: &str,
        models: &[LinkedModel],
    ) -> Result<(), TrackingError> {
        let mut transaction = self.begin_on_run(run_id).await?;
        find_active(&mut transaction, run_id).await?;
        link_models(&mut transaction, run_id, Direction::Output, models).await?;
        Ok(transaction.commit().await?)
    }

    /// Every point of one metric of a run, in the order of time.
    pub(crate) async fn metric_history(
        &self,
        run_id: &str,
        key: &str,
        max_results: Option<i64>,
        page_token: &str,
    ) -> Result<Found<Metric>, TrackingError> {
        let identity = format!("history|{run_id}|{key}");
        let page = Page::of(max_results, page_token, HISTORY_BOUNDS, &identity)?;
        self.run_info(run_id).await?;
        let found = store::metrics::history(&mut self.reader(), run_id, key, &page).await?;
        let (items, end) = found.ok_or_else(wrong_token)?;
        Ok(Found { items, next_page_token: end.map(|place| place.token(&identity)) })
    }

    /// The data sets that runs of these experiments read; at most 1,000, as the wire has no pages for them.
    pub(crate) async fn dataset_summaries(
        &self,
        experiment_ids: &[String],
    ) -> Result<Vec<DatasetSummary>, TrackingError> {
        let own = self.experiments_here(experiment_ids).await?;
        let ids: Vec<i64> = own.iter().filter_map(|id| id.parse().ok()).collect();
        Ok(store::inputs::summaries(&mut self.reader(), &ids, 1_000).await?)
    }
}

/// What the list in the tag keeps of a model's description.
fn described_model(text: &str) -> Result<Value, TrackingError> {
    let wrong = |reason: String| TrackingError::invalid("model_json", reason);
    let model: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| wrong(format!("Malformed model info: it is not a JSON object: {error}")))?;
    let required = ["artifact_path", "flavors", "utc_time_created", "run_id"];
    let missing: Vec<&str> = required.into_iter().filter(|field| !model.contains_key(*field)).collect();
    if !missing.is_empty() {
        return Err(wrong(format!("Model json is missing mandatory fields: {}", missing.join(", "))));
    }
    let kept = ["run_id", "utc_time_created", "artifact_path", "model_uuid"];
    let mut described: Map<String, Value> =
        model.iter().filter(|(field, _)| kept.contains(&field.as_str())).map(owned).collect();
    if let Some(Value::Object(flavors)) = model.get("flavors") {
        let without_config = |(flavor, settings): (&String, &Value)| match settings {
            Value::Object(settings) => {
                let settings = settings.iter().filter(|(field, _)| *field != "config").map(owned);
                (flavor.clone(), Value::Object(settings.collect()))
            }
            other => (flavor.clone(), other.clone()),
        };
        described.insert("flavors".to_owned(), flavors.iter().map(without_config).collect());
    }
    Ok(Value::Object(described))
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

async fn link_models(
    transaction: &mut Transaction,
    run_id: &str,
    direction: Direction,
    models: &[LinkedModel],
) -> Result<(), TrackingError> {
    for model in models {
        logged_models::find(transaction, &model.model_id).await?;
    }
    Ok(store::inputs::add_models(transaction, run_id, direction, models).await?)
}

/// Records the points that name a logged model as evaluations of the artifacts that the model has at this moment.
async fn add_evaluations(
    transaction: &mut Transaction,
    run_id: &str,
    metrics: &[Metric],
) -> Result<(), TrackingError> {
    let mut by_model: BTreeMap<&str, Vec<&Metric>> = BTreeMap::new();
    for metric in metrics.iter().filter(|metric| !metric.model_id.is_empty()) {
        by_model.entry(&metric.model_id).or_default().push(metric);
    }
    for (model_id, points) in by_model {
        let model = logged_models::find(transaction, model_id).await?;
        if model.lifecycle == Lifecycle::Deleted {
            return Err(TrackingError::missing(Thing::LoggedModel, model_id));
        }
        let files = store::artifacts::of_root(transaction, &model.artifact_root).await?;
        let artifact = artifact_digest::of_files(files.iter().map(|file| (file.path.as_str(), file.digest)));
        store::evaluations::add(transaction, run_id, artifact, &points).await?;
    }
    Ok(())
}
