//! Why a graph is refused: the step, the name, and what was expected.

use std::{borrow::Cow, fmt};

use shipway_core::{Failure, Kind};

use crate::error::ServingError;

/// A graph that cannot be run as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphError {
    /// Where: a step, an input, an output; nothing for the graph as a whole.
    place: Place,
    /// What is wrong.
    reason: String,
    /// What can be done about it.
    hint: Option<String>,
}

/// A part of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Graph,
    Input(String),
    Step(String),
    Output(String),
}

impl GraphError {
    pub(crate) fn new(place: Place, reason: impl Into<String>) -> Self {
        Self { place, reason: reason.into(), hint: None }
    }

    pub(crate) fn at_step(step: &str, reason: impl Into<String>) -> Self {
        Self::new(Place::Step(step.to_owned()), reason)
    }

    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for GraphError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Graph => formatter.write_str("ensemble")?,
            Place::Input(name) => write!(formatter, "input `{name}`")?,
            Place::Step(name) => write!(formatter, "step `{name}`")?,
            Place::Output(name) => write!(formatter, "output `{name}`")?,
        }
        write!(formatter, ": {}", self.reason)
    }
}

impl std::error::Error for GraphError {}

impl Failure for GraphError {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn code(&self) -> &'static str {
        "serving.wrong_ensemble"
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        self.hint.clone().map(Cow::Owned)
    }
}

/// Why an ensemble was refused or did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnsembleError {
    /// The graph cannot be run as it is written.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A step was refused or failed.
    #[error("step `{step}`: {failure}")]
    InStep {
        /// The step.
        step: String,
        /// What its model, or whatever else is behind it, refused.
        failure: Box<ServingError>,
    },
    /// The model of a step answered as no version that the graph was planned for.
    #[error("its model was replaced meanwhile")]
    Moved,
    /// An output is null where its tensor has no such value.
    #[error("output `{output}` has no value in row {row}, and {datatype} has none for that")]
    NullOutput {
        /// The output.
        output: String,
        /// Position in the request, from 0.
        row: usize,
        /// The type of its tensor.
        datatype: &'static str,
    },
    /// What was asked is asked of models only.
    #[error("deployment `{0}` is an ensemble")]
    IsEnsemble(String),
    /// What has this name is of the other kind.
    #[error("`{name}` is {other} already")]
    NameTaken {
        /// The name.
        name: String,
        /// What has it.
        other: &'static str,
    },
    /// Ensembles ask the deployment in their steps.
    #[error("deployment `{name}` is asked by {}", ensembles.join(", "))]
    IsUsed {
        /// The deployment.
        name: String,
        /// The ensembles.
        ensembles: Vec<String>,
    },
    /// An ensemble cannot use a version that was to take over.
    #[error("ensemble `{ensemble}` cannot use it: {reason}")]
    Unfit {
        /// The ensemble.
        ensemble: String,
        /// What does not fit.
        reason: String,
    },
}

impl Failure for EnsembleError {
    fn kind(&self) -> Kind {
        match self {
            Self::Graph(error) => error.kind(),
            Self::InStep { failure, .. } => failure.kind(),
            Self::Moved => Kind::Unavailable,
            Self::NullOutput { .. } => Kind::Invalid,
            Self::IsEnsemble(_) | Self::NameTaken { .. } | Self::IsUsed { .. } | Self::Unfit { .. } => {
                Kind::Conflict
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Graph(error) => error.code(),
            Self::InStep { failure, .. } => failure.code(),
            Self::Moved => "serving.step_moved",
            Self::NullOutput { .. } => "serving.null_output",
            Self::IsEnsemble(_) => "serving.is_ensemble",
            Self::NameTaken { .. } => "serving.name_taken",
            Self::IsUsed { .. } => "serving.is_used",
            Self::Unfit { .. } => "serving.unfit_for_ensemble",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Graph(error) => error.hint(),
            Self::InStep { failure, .. } => failure.hint(),
            Self::Moved => Some("ask again".into()),
            Self::NullOutput { .. } => {
                Some("make it a value with COALESCE in the ensemble, or ask natively, where it is null".into())
            }
            Self::IsEnsemble(_) => {
                Some("launches, previews, explanations and embeddings are of models: ask for a step's".into())
            }
            Self::NameTaken { .. } => Some("take it away first, or choose another name".into()),
            Self::IsUsed { .. } => Some("take the ensembles away first, or deploy them with other steps".into()),
            Self::Unfit { .. } => Some(
                "deploy the ensemble with steps that fit both versions, or with the new version as a deployment of its own".into(),
            ),
        }
    }
}

impl ServingError {
    /// The same, with the step of an ensemble in front.
    pub(crate) fn in_step(self, step: &str) -> Self {
        Self::Ensemble(EnsembleError::InStep { step: step.to_owned(), failure: Box::new(self) })
    }

    /// Whether it was turned away because too many wait, or its time ran out.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::QueueFull { .. } | Self::TooLate { .. })
    }

    /// Whether the model of a step was replaced while an ensemble was asked.
    pub(crate) fn is_moved(&self) -> bool {
        match self {
            Self::Ensemble(EnsembleError::Moved) => true,
            Self::Ensemble(EnsembleError::InStep { failure, .. }) => failure.is_moved(),
            _ => false,
        }
    }
}

impl From<GraphError> for ServingError {
    fn from(error: GraphError) -> Self {
        Self::Ensemble(error.into())
    }
}
