//! What is brought, in the form in which the server takes it. Times that end in _ms are milliseconds since the epoch.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;
use shipway_core::Digest;

pub(super) type Texts = BTreeMap<String, String>;

pub(super) const ACTIVE: &str = "active";
pub(super) const DELETED: &str = "deleted";
/// The tag that makes a registered model, or a version, a prompt.
pub(super) const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Experiment {
    /// Its id at the source.
    pub(crate) experiment_id: String,
    pub(crate) name: String,
    pub(crate) lifecycle: &'static str,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) tags: Texts,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Run {
    pub(crate) run_id: String,
    /// At the source; where it is sent, the id there.
    pub(crate) experiment_id: String,
    pub(crate) name: String,
    pub(crate) user_id: String,
    pub(crate) status: String,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: Option<i64>,
    pub(crate) lifecycle: &'static str,
    pub(crate) params: Texts,
    pub(crate) tags: Texts,
    /// The latest point of each metric: which metrics there are, and whether one has moved on.
    #[serde(skip)]
    pub(crate) latest: Vec<Point>,
    #[serde(skip)]
    pub(crate) inputs: Inputs,
    /// Where the source says that its files are.
    #[serde(skip)]
    pub(crate) artifact_uri: String,
}

impl Run {
    /// What the source says of it, in short: as long as it stays the same, so does the run.
    pub(super) fn digest(&self) -> String {
        digest_of(&(self, &self.latest, &self.inputs))
    }
}

/// One point of a metric. `value` is a number, or a text for what is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Point {
    pub(crate) key: String,
    pub(crate) value: Json,
    pub(crate) timestamp_ms: i64,
    pub(crate) step: i64,
    /// Which run earned the score, and on what; these belong to logged models.
    pub(crate) run_id: String,
    pub(crate) dataset_name: String,
    pub(crate) dataset_digest: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Inputs {
    pub(crate) datasets: Vec<Dataset>,
    pub(crate) model_inputs: Vec<Link>,
    pub(crate) model_outputs: Vec<Link>,
}

impl Inputs {
    pub(super) fn is_empty(&self) -> bool {
        self.datasets.is_empty() && self.model_inputs.is_empty() && self.model_outputs.is_empty()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Dataset {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) source_type: String,
    pub(crate) source: String,
    pub(crate) schema: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) tags: Texts,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Link {
    pub(crate) model_id: String,
    pub(crate) step: i64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct LoggedModel {
    pub(crate) model_id: String,
    pub(crate) experiment_id: String,
    pub(crate) name: String,
    pub(crate) model_type: String,
    pub(crate) source_run_id: String,
    pub(crate) status: String,
    pub(crate) lifecycle: &'static str,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) params: Texts,
    pub(crate) tags: Texts,
    #[serde(skip)]
    pub(crate) scores: Vec<Point>,
    #[serde(skip)]
    pub(crate) artifact_uri: String,
}

impl LoggedModel {
    /// As [`Run::digest`].
    pub(super) fn digest(&self) -> String {
        digest_of(&(self, &self.scores))
    }
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) tags: Texts,
    /// Alias to version.
    #[serde(skip)]
    pub(crate) aliases: BTreeMap<String, i64>,
}

impl Registration {
    pub(super) fn is_prompt(&self) -> bool {
        is_prompt(&self.tags)
    }
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) version: i64,
    pub(crate) source: String,
    /// Whether `source` names files that are brought.
    pub(crate) has_files: bool,
    pub(crate) run_id: String,
    pub(crate) model_id: String,
    pub(crate) run_link: String,
    pub(crate) description: String,
    pub(crate) user_id: String,
    pub(crate) stage: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) tags: Texts,
}

impl Version {
    pub(super) fn is_prompt(&self) -> bool {
        is_prompt(&self.tags)
    }

    /// `late_arrivals/3`.
    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.name, self.version)
    }
}

fn is_prompt(tags: &Texts) -> bool {
    tags.get(PROMPT_TAG).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

fn digest_of(said: &impl Serialize) -> String {
    Digest::of(serde_json::to_vec(said).unwrap_or_default()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_sees_params_points_and_links_and_not_where_the_run_is_sent() {
        let run = Run { run_id: "r".into(), ..Run::default() };
        let digest = run.digest();
        let mut longer = run.clone();
        longer.params.insert("a".into(), "1".into());
        assert_ne!(longer.digest(), digest);
        let mut later = run.clone();
        later.latest.push(Point {
            key: "auc".into(),
            value: 0.5.into(),
            timestamp_ms: 1,
            step: 2,
            run_id: String::new(),
            dataset_name: String::new(),
            dataset_digest: String::new(),
        });
        assert_ne!(later.digest(), digest);
        let mut linked = run.clone();
        linked.inputs.model_outputs.push(Link { model_id: "m-1".into(), step: 0 });
        assert_ne!(linked.digest(), digest);
        assert_eq!(Run { artifact_uri: "elsewhere".into(), ..run }.digest(), digest);
    }
}
