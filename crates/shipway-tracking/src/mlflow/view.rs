//! Answers of this wire, as protobuf writes JSON: unset fields left out, 64-bit integers as numbers.

use serde_json::{Map, Value, json};
use shipway_core::of_model_key;

use crate::{
    model::{Experiment, LoggedModel, Metric, ModelVersion, Pair, RegisteredModel},
    service::{FileEntry, Found},
};

/// An object that leaves out what is unset.
#[derive(Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn text(self, name: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.set(name, text) }
    }

    pub(crate) fn list(self, name: &str, values: Vec<Value>) -> Self {
        if values.is_empty() { self } else { self.set(name, values) }
    }

    pub(crate) fn optional(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    pub(crate) fn value(self) -> Value {
        Value::Object(self.0)
    }
}

/// A double; what JSON has no number for is a text.
pub(super) fn double(number: f64) -> Value {
    if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        (if number > 0.0 { "Infinity" } else { "-Infinity" }).into()
    } else {
        number.into()
    }
}

fn pairs(pairs: &[Pair]) -> Vec<Value> {
    pairs.iter().map(|pair| json!({ "key": pair.key, "value": pair.value })).collect()
}

pub(crate) fn artifact_uri(root: &str) -> String {
    format!("mlflow-artifacts:/{root}")
}

/// One page under the name of its items.
pub(crate) fn page<T>(name: &str, found: &Found<T>, item: impl Fn(&T) -> Value) -> Value {
    Fields::default()
        .list(name, found.items.iter().map(item).collect())
        .optional("next_page_token", found.next_page_token.clone())
        .value()
}

pub(crate) fn experiment(experiment: &Experiment) -> Value {
    Fields::default()
        .set("experiment_id", experiment.id.to_string())
        .set("name", experiment.name.as_str())
        .set("artifact_location", experiment.artifact_location.as_str())
        .set("lifecycle_stage", experiment.lifecycle.word())
        .set("last_update_time", experiment.updated_ms)
        .set("creation_time", experiment.created_ms)
        .list("tags", pairs(&experiment.tags))
        .value()
}

pub(crate) fn metric(metric: &Metric) -> Value {
    Fields::default()
        .set("key", metric.key.as_str())
        .set("value", double(metric.value))
        .set("timestamp", metric.timestamp_ms)
        .set("step", metric.step)
        .text("dataset_name", &metric.dataset_name)
        .text("dataset_digest", &metric.dataset_digest)
        .text("model_id", &metric.model_id)
        .text("run_id", &metric.run_id)
        .value()
}

/// Files of a listing; `folder` is put before each name where the wire wants paths.
pub(crate) fn files(folder: &str, entries: &[FileEntry]) -> Vec<Value> {
    let file = |(name, bytes): &FileEntry| {
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        Fields::default()
            .set("path", path)
            .set("is_dir", bytes.is_none())
            .optional("file_size", *bytes)
            .value()
    };
    entries.iter().map(file).collect()
}

pub(crate) fn logged_model(model: &LoggedModel) -> Value {
    let registration = |(key, version): &(String, i64)| json!({ "name": of_model_key(key).1, "version": version.to_string() });
    let info = Fields::default()
        .set("model_id", model.model_id.as_str())
        .set("experiment_id", model.experiment_id.to_string())
        .set("name", model.name.as_str())
        .set("creation_timestamp_ms", model.created_ms)
        .set("last_updated_timestamp_ms", model.updated_ms)
        .set("artifact_uri", artifact_uri(&model.artifact_root))
        .set("status", model.status.word())
        .text("model_type", &model.model_type)
        .text("source_run_id", &model.source_run_id)
        .list("tags", pairs(&model.tags))
        .list("registrations", model.registrations.iter().map(registration).collect());
    let data = Fields::default()
        .list("params", pairs(&model.params))
        .list("metrics", model.metrics.iter().map(metric).collect());
    json!({ "info": info.value(), "data": data.value() })
}

pub(crate) fn model_version(version: &ModelVersion) -> Value {
    Fields::default()
        .set("name", of_model_key(&version.name).1)
        .set("version", version.version.to_string())
        .set("creation_timestamp", version.created_ms)
        .set("last_updated_timestamp", version.updated_ms)
        .text("user_id", &version.user_id)
        .set("current_stage", version.stage.word())
        .set("description", version.description.as_str())
        .set("source", version.source.as_str())
        .set("run_id", version.run_id.as_str())
        .set("status", "READY")
        .list("tags", pairs(&version.tags))
        .set("run_link", version.run_link.as_str())
        .list("aliases", version.aliases.iter().map(|alias| alias.as_str().into()).collect())
        .text("model_id", &version.model_id)
        .value()
}

pub(crate) fn registered_model(model: &RegisteredModel) -> Value {
    let alias = |(alias, version): &(String, i64)| json!({ "alias": alias, "version": version.to_string() });
    Fields::default()
        .set("name", of_model_key(&model.name).1)
        .set("creation_timestamp", model.created_ms)
        .set("last_updated_timestamp", model.updated_ms)
        .text("description", &model.description)
        .list("latest_versions", model.latest_versions.iter().map(model_version).collect())
        .list("tags", pairs(&model.tags))
        .list("aliases", model.aliases.iter().map(alias).collect())
        .value()
}
