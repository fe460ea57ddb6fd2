//! An ensemble as it is reported, and what it answers.

use serde::Serialize;
use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Digest, Name, Timestamp};

use super::spec::{EnsembleSpec, Ordered};
use crate::{launch::stage::Variant, model::deployment::LoadTrouble, ports::ViewFreshness};

/// An ensemble as it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnsembleStatus {
    /// Its name.
    pub name: Name,
    /// The graph, and how it is deployed.
    #[serde(flatten)]
    pub spec: EnsembleSpec,
    /// Its version: counts how often it was changed, from 1.
    pub version: u64,
    /// Since when it answers.
    pub since: Timestamp,
    /// Whether it answers.
    pub ready: bool,
    /// The types of the outputs; none before its models have been loaded once.
    pub output_types: Ordered<DataType>,
    /// The models of its steps.
    pub models: Vec<StepStatus>,
    /// The version of the feature service that it is bound to.
    pub service_hash: Option<Digest>,
    /// Why it does not answer, or why a version of a step's model does not serve; none when all do.
    pub trouble: Option<LoadTrouble>,
    /// The Delta table of its predictions.
    pub prediction_log: String,
}

/// The model of a step as it is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepStatus {
    /// The step.
    pub step: Name,
    /// The deployment that it asks; none for a model that the ensemble loads for itself.
    pub deployment: Option<Name>,
    /// The registered model.
    pub model: Option<String>,
    /// The alias that is followed.
    pub alias: Option<String>,
    /// The version that answers; none while none is loaded.
    pub version: Option<u64>,
    /// Why the version that the alias names does not serve.
    pub trouble: Option<LoadTrouble>,
}

/// Who answered in a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepVersion {
    /// The step.
    pub step: String,
    /// The deployment that was asked; left out for a model that the ensemble loads for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Name>,
    /// The registered model.
    pub model: String,
    /// Its version.
    pub version: u64,
    /// As what that version answered.
    pub variant: Variant,
    /// Names the answer of the step in the prediction log of its deployment; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// What an ensemble answers, one object of outputs per row asked for, in order.
#[derive(Debug, Clone, Serialize)]
pub struct EnsemblePrediction {
    /// Who answered.
    pub deployment: Name,
    /// The ensemble behind it, which has the same name.
    pub model: Name,
    /// The version of the ensemble.
    pub version: u64,
    /// Always as the one that serves; which part the models of the steps had is in `steps`.
    pub variant: Variant,
    /// The version of the feature service; none without a service.
    pub service_hash: Option<Digest>,
    /// The moment the features were read for.
    pub at: Timestamp,
    /// Per row, the outputs by their names.
    pub predictions: Vec<Map<String, Json>>,
    /// Names this answer in the prediction log.
    pub request_id: String,
    /// Who answered in the steps that ask models.
    pub steps: Vec<StepVersion>,
    /// Per row, how fresh each view was; empty without a service.
    pub feature_age: Vec<Vec<ViewFreshness>>,
    /// Per row, the features that it gave itself; left out when no row gave one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overridden: Vec<Vec<String>>,
}
