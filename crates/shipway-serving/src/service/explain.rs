//! Why a model of trees answers what it answers: what each column contributed, or another view of the same rows. Nothing is logged.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use shipway_core::{Name, Timestamp, Value};
use shipway_runtime::OutputKind;

use super::{Question, Serving, Source};
use crate::{
    error::ServingError,
    model::prediction::{PredictRequest, check_rows},
};

/// What is asked of rows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// As for a prediction: ids and request columns, or the model's columns.
    pub rows: Vec<Map<String, Json>>,
    /// The moment to answer for; the present without it. Needs a service.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// What an ingest answered; see [`PredictRequest::token`].
    #[serde(default)]
    pub token: Option<String>,
    /// What is wanted.
    #[serde(default)]
    pub output: ExplainOutput,
}

/// What can be wanted of rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainOutput {
    /// What each column contributed to each raw score (path-dependent TreeSHAP).
    #[default]
    Contributions,
    /// The raw scores, before the objective's link.
    Raw,
    /// The place of the most likely class, from 0.
    Class,
    /// The leaf of each tree.
    LeafIndex,
}

/// The answer for all rows.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Who answered.
    pub deployment: Name,
    /// The model behind it.
    pub model: String,
    /// The model's version.
    pub version: u64,
    /// The moment the features were read for.
    pub at: Timestamp,
    /// What was wanted.
    pub output: ExplainOutput,
    /// Per row.
    pub rows: Vec<RowExplanation>,
}

/// The answer for one row.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum RowExplanation {
    /// Per raw score.
    Contributions(Vec<ScoreExplanation>),
    /// Raw scores, a class, or leaves.
    Numbers(Vec<f64>),
}

/// What makes up one raw score.
#[derive(Debug, Clone, Serialize)]
pub struct ScoreExplanation {
    /// The score of the training data on average.
    pub base: f64,
    /// What each column added to it.
    pub contributions: Map<String, Json>,
}

impl Serving {
    /// Explains rows: all of them or none, by one version of the model. The features are read as for a prediction.
    pub async fn explain(&self, name: &str, request: ExplainRequest) -> Result<Explanation, ServingError> {
        let deployment = self.deployment(name)?;
        let served = self.served(&deployment).await?;
        check_rows(request.rows.len())?;
        let output = request.output;
        let question = Question::from(PredictRequest {
            rows: request.rows,
            at: request.at,
            token: request.token,
            ..PredictRequest::default()
        });
        let gathered = match &served.source {
            Source::Service(service) => self.read_features(&deployment, &served, service, question).await?,
            Source::Direct { .. } | Source::Tensors => self.take_columns(&served, question)?,
        };
        let at = gathered.at;
        let model = Arc::clone(&served.model);
        let columns = gathered.columns.of(&served)?.0.clone();
        // Contributions take the square of the depth for every leaf, so they never run where requests are.
        let explain = move || -> Result<Vec<RowExplanation>, ServingError> {
            let rows: Vec<&[Value]> = gathered.values.iter().map(Vec::as_slice).collect();
            let matrix = model.matrix(&columns, &rows)?;
            let kind = match output {
                ExplainOutput::Contributions => OutputKind::Contributions,
                ExplainOutput::Raw => OutputKind::Raw,
                ExplainOutput::Class => OutputKind::Class,
                ExplainOutput::LeafIndex => OutputKind::LeafIndex,
            };
            let width = model.output_width(kind)?.max(1);
            let numbers = model.output(kind, &matrix, rows.len())?;
            let inputs: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
            Ok(numbers.chunks(width).map(|row| explained(output, row, &inputs)).collect())
        };
        let explaining = self.inner.tracker.spawn_blocking(explain);
        let rows = explaining.await.map_err(|_| ServingError::ModelFailed)??;
        Ok(Explanation {
            deployment: deployment.name.clone(),
            model: served.resolved.name.clone(),
            version: served.resolved.version,
            at,
            output,
            rows,
        })
    }
}

fn explained(output: ExplainOutput, numbers: &[f64], inputs: &[&str]) -> RowExplanation {
    if output != ExplainOutput::Contributions {
        return RowExplanation::Numbers(numbers.to_vec());
    }
    let score = |line: &[f64]| {
        let contribution =
            |(name, number): (&&str, &f64)| ((*name).to_owned(), Value::Float(*number).to_json());
        ScoreExplanation {
            base: line.last().copied().unwrap_or_default(),
            contributions: inputs.iter().zip(line).map(contribution).collect(),
        }
    };
    RowExplanation::Contributions(numbers.chunks(inputs.len() + 1).map(score).collect())
}
