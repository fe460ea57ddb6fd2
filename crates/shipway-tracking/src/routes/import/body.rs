//! What an import sends. Times that end in _ms are milliseconds since the epoch; words are those of the MLflow wire.

use std::collections::BTreeMap;

use serde::Deserialize;
use shipway_web::Problem;

use super::wrong_word;
use crate::{
    model::{DatasetInput, Lifecycle, LinkedModel, Metric, ModelStatus, Pair, RunStatus, Stage},
    service::import::{
        ImportedExperiment, ImportedInputs, ImportedModel, ImportedRegistration, ImportedRun, ImportedVersion,
    },
};

type Texts = BTreeMap<String, String>;

fn pairs(texts: Texts) -> Vec<Pair> {
    texts.into_iter().map(|(key, value)| Pair { key, value }).collect()
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stands {
    Active,
    Deleted,
}

impl From<Stands> for Lifecycle {
    fn from(stands: Stands) -> Self {
        match stands {
            Stands::Active => Self::Active,
            Stands::Deleted => Self::Deleted,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Experiment {
    experiment_id: String,
    name: String,
    lifecycle: Stands,
    created_ms: i64,
    updated_ms: i64,
    tags: Texts,
}

impl From<Experiment> for ImportedExperiment {
    fn from(body: Experiment) -> Self {
        Self {
            id: body.experiment_id,
            name: body.name,
            lifecycle: body.lifecycle.into(),
            created_ms: body.created_ms,
            updated_ms: body.updated_ms,
            tags: pairs(body.tags),
        }
    }
}

/// An id of an experiment here.
fn experiment_id(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| wrong_word("experiment_id", text))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    run_id: String,
    experiment_id: String,
    name: String,
    user_id: String,
    status: String,
    start_ms: i64,
    end_ms: Option<i64>,
    lifecycle: Stands,
    params: Texts,
    tags: Texts,
}

impl TryFrom<Run> for ImportedRun {
    type Error = Problem;

    fn try_from(body: Run) -> Result<Self, Problem> {
        Ok(Self {
            run_id: body.run_id,
            experiment_id: experiment_id(&body.experiment_id)?,
            name: body.name,
            user_id: body.user_id,
            status: RunStatus::from_word(&body.status).ok_or_else(|| wrong_word("status", &body.status))?,
            start_ms: body.start_ms,
            end_ms: body.end_ms,
            lifecycle: body.lifecycle.into(),
            params: pairs(body.params),
            tags: pairs(body.tags),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dataset {
    name: String,
    digest: String,
    source_type: String,
    source: String,
    schema: Option<String>,
    profile: Option<String>,
    tags: Texts,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    model_id: String,
    step: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inputs {
    datasets: Vec<Dataset>,
    model_inputs: Vec<Link>,
    model_outputs: Vec<Link>,
}

impl From<Inputs> for ImportedInputs {
    fn from(body: Inputs) -> Self {
        let dataset = |one: Dataset| DatasetInput {
            name: one.name,
            digest: one.digest,
            source_type: one.source_type,
            source: one.source,
            schema: one.schema,
            profile: one.profile,
            tags: pairs(one.tags),
        };
        let link = |one: Link| LinkedModel { model_id: one.model_id, step: one.step };
        Self {
            datasets: body.datasets.into_iter().map(dataset).collect(),
            model_inputs: body.model_inputs.into_iter().map(link).collect(),
            model_outputs: body.model_outputs.into_iter().map(link).collect(),
        }
    }
}

/// JSON has no numbers for what is none.
#[derive(Debug, Clone, Copy, Deserialize)]
enum NoNumber {
    #[serde(rename = "NaN")]
    Nan,
    #[serde(rename = "Infinity")]
    Infinity,
    #[serde(rename = "-Infinity")]
    NegativeInfinity,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Value {
    Number(f64),
    Word(NoNumber),
}

impl From<Value> for f64 {
    fn from(value: Value) -> Self {
        match value {
            Value::Number(number) => number,
            Value::Word(NoNumber::Nan) => Self::NAN,
            Value::Word(NoNumber::Infinity) => Self::INFINITY,
            Value::Word(NoNumber::NegativeInfinity) => Self::NEG_INFINITY,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Point {
    key: String,
    value: Value,
    timestamp_ms: i64,
    step: i64,
    /// These belong to scores of logged models.
    #[serde(default)]
    run_id: String,
    #[serde(default)]
    dataset_name: String,
    #[serde(default)]
    dataset_digest: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Points {
    metrics: Vec<Point>,
}

impl Points {
    fn metrics(self) -> impl Iterator<Item = Metric> {
        self.metrics.into_iter().map(|point| Metric {
            key: point.key,
            value: point.value.into(),
            timestamp_ms: point.timestamp_ms,
            step: point.step,
            model_id: String::new(),
            run_id: point.run_id,
            dataset_name: point.dataset_name,
            dataset_digest: point.dataset_digest,
        })
    }

    pub(super) fn of_run(self, run_id: &str) -> Vec<Metric> {
        self.metrics().map(|metric| Metric { run_id: run_id.to_owned(), ..metric }).collect()
    }

    pub(super) fn of_model(self, model_id: &str) -> Vec<Metric> {
        self.metrics().map(|metric| Metric { model_id: model_id.to_owned(), ..metric }).collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoggedModel {
    model_id: String,
    experiment_id: String,
    name: String,
    model_type: String,
    source_run_id: String,
    status: String,
    lifecycle: Stands,
    created_ms: i64,
    updated_ms: i64,
    params: Texts,
    tags: Texts,
}

impl TryFrom<LoggedModel> for ImportedModel {
    type Error = Problem;

    fn try_from(body: LoggedModel) -> Result<Self, Problem> {
        Ok(Self {
            model_id: body.model_id,
            experiment_id: experiment_id(&body.experiment_id)?,
            name: body.name,
            model_type: body.model_type,
            source_run_id: body.source_run_id,
            status: ModelStatus::from_word(&body.status).ok_or_else(|| wrong_word("status", &body.status))?,
            lifecycle: body.lifecycle.into(),
            created_ms: body.created_ms,
            updated_ms: body.updated_ms,
            params: pairs(body.params),
            tags: pairs(body.tags),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    name: String,
    description: String,
    created_ms: i64,
    updated_ms: i64,
    tags: Texts,
}

impl From<Registration> for ImportedRegistration {
    fn from(body: Registration) -> Self {
        Self {
            name: body.name,
            description: body.description,
            created_ms: body.created_ms,
            updated_ms: body.updated_ms,
            tags: pairs(body.tags),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    name: String,
    version: i64,
    source: String,
    has_files: bool,
    run_id: String,
    model_id: String,
    run_link: String,
    description: String,
    user_id: String,
    stage: String,
    created_ms: i64,
    updated_ms: i64,
    tags: Texts,
}

impl TryFrom<Version> for ImportedVersion {
    type Error = Problem;

    fn try_from(body: Version) -> Result<Self, Problem> {
        Ok(Self {
            name: body.name,
            version: body.version,
            source: body.source,
            has_files: body.has_files,
            run_id: body.run_id,
            model_id: body.model_id,
            run_link: body.run_link,
            description: body.description,
            user_id: body.user_id,
            stage: Stage::from_word(&body.stage).ok_or_else(|| wrong_word("stage", &body.stage))?,
            created_ms: body.created_ms,
            updated_ms: body.updated_ms,
            tags: pairs(body.tags),
        })
    }
}
