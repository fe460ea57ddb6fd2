//! A deployment: its name, what it is bound to, and what serves it at the moment.

use serde::{Deserialize, Serialize};
use shipway_core::{Digest, Name, Timestamp};
use uuid::Uuid;

use crate::{
    error::ServingError,
    launch::status::LaunchStatus,
    model::{
        settings::{BatchingSettings, CacheSettings, QueueSettings},
        share::Share,
    },
};

/// The longest name: the prediction log's table is named after the deployment, with a prefix.
const LONGEST_NAME: usize = 50;

/// What a deployment is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentSpec {
    /// A registered model.
    pub model: String,
    /// An alias of it; whatever version the alias names is served.
    pub alias: String,
    /// The feature service that turns ids into the model's columns; without it, requests bring the columns.
    #[serde(default)]
    pub service: Option<Name>,
    /// Which requests run together.
    #[serde(default)]
    pub batching: BatchingSettings,
    /// Who may wait, and how long.
    #[serde(default)]
    pub queue: QueueSettings,
    /// Whether answers are kept.
    #[serde(default)]
    pub cache: CacheSettings,
    /// The share of requests whose rows are logged, from 0 to 1; all without it. A feature service may log fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_share: Option<Share>,
    /// Whether an ensemble loads it for one of its steps: it has no prediction log then.
    #[serde(skip)]
    pub is_step: bool,
}

impl DeploymentSpec {
    /// Checks the bounds of the settings.
    pub(crate) fn check(&self) -> Result<(), ServingError> {
        self.batching.check()?;
        self.cache.check()?;
        self.queue.check()
    }

    /// Whether the rows of this request are logged.
    pub(crate) fn logs(&self, request_id: &Uuid) -> bool {
        self.log_share.is_none_or(|share| share.has(request_id.as_bytes()))
    }
}

/// A deployment as it is reported.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeploymentStatus {
    /// Its name.
    pub name: Name,
    /// What it is bound to.
    #[serde(flatten)]
    pub spec: DeploymentSpec,
    /// The version that answers; none while no version has ever loaded.
    pub serves: Option<ServedVersion>,
    /// Whether that version is not loaded because others need the memory; it is when it is asked.
    #[serde(rename = "parked")]
    pub is_parked: bool,
    /// Why the version that the alias names does not serve; none when it does.
    pub trouble: Option<LoadTrouble>,
    /// The launch that goes on; none while none does.
    pub launch: Option<LaunchStatus>,
    /// The Delta table of its predictions.
    pub prediction_log: String,
}

/// The version that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServedVersion {
    /// Its number.
    pub version: u64,
    /// The digest of its files.
    pub artifact: Digest,
    /// The version of the feature service that it is bound to.
    pub service_hash: Option<Digest>,
    /// Whether the model's tag pins that version of the service.
    pub service_pinned: bool,
    /// What runs it, for an ONNX model: `onnxruntime` or `rten`; left out for others, and while it is not loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onnx_engine: Option<&'static str>,
    /// Since when it answers.
    pub since: Timestamp,
}

/// Why a version did not take over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadTrouble {
    /// The version, if the alias could be resolved.
    pub version: Option<u64>,
    /// When it was tried last.
    pub at: Timestamp,
    /// The error's code.
    pub code: &'static str,
    /// The error in words.
    pub detail: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// Checks that `name` can name a deployment and its prediction log.
pub(crate) fn deployment_name(name: &str) -> Result<Name, ServingError> {
    let wrong = |reason: String| ServingError::WrongName { name: name.to_owned(), reason };
    if name.len() > LONGEST_NAME {
        return Err(wrong(format!("it is longer than {LONGEST_NAME} characters")));
    }
    Name::new(name).map_err(|_| wrong("expected a lower-case letter, then a-z, 0-9 and _".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leaves_room_for_the_name_of_its_log() {
        assert!(deployment_name(&"a".repeat(50)).is_ok());
        assert!(deployment_name(&"a".repeat(51)).is_err());
        assert!(deployment_name("Late-Arrivals").is_err());
    }
}
