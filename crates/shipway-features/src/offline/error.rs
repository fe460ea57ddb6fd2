//! What a training set can be refused for, and what can fail while it is made.

use std::borrow::Cow;

use datafusion::error::DataFusionError;
use shipway_aggregate::AggregationError;
use shipway_core::{DataType, Failure, Kind};
use shipway_expression::ExpressionError;
use shipway_lake::LakeError;

/// A refused or failed training set.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The spine lacks a column that the service needs.
    #[error("spine: column {column} ({role}) does not exist{}", did_you_mean(.nearest))]
    MissingColumn {
        /// The column.
        column: String,
        /// What the column is needed for.
        role: &'static str,
        /// The most similar column of the spine.
        nearest: Option<String>,
    },
    /// A column of the spine has a type that cannot serve.
    #[error("spine: column {column} ({role}) is {got}, expected {expected}")]
    WrongType {
        /// The column.
        column: String,
        /// What the column is needed for.
        role: &'static str,
        /// The Arrow type that it has.
        got: String,
        /// The declared type.
        expected: DataType,
    },
    /// A row of the spine has no value where one is needed.
    #[error("spine: row {row} has no {column} ({role})")]
    MissingValue {
        /// Position of the row, from 0.
        row: u64,
        /// The column.
        column: String,
        /// What the column is needed for.
        role: &'static str,
    },
    /// Two columns of the training set would have one name.
    #[error("training set: column {column} would exist twice")]
    NameTaken {
        /// The name.
        column: String,
    },
    /// A definition that the service names is not known.
    #[error("{what} is not among the definitions")]
    MissingDefinition {
        /// The definition, in words.
        what: String,
    },
    /// A stored expression cannot be compiled any more.
    #[error("an expression of {thing} cannot be compiled")]
    Expression {
        /// The view or service.
        thing: String,
        /// Why not.
        source: Box<ExpressionError>,
    },
    /// `as_of: arrival` without saying up to where, for one of the sources.
    #[error("as of arrival: no watermark for source {source_name}")]
    MissingWatermark {
        /// The source.
        source_name: String,
    },
    /// `as_of: arrival` over events of which nobody recorded when they came.
    #[error("source {source_name}: some events in reach have no receive time")]
    ReceiveTimeUnknown {
        /// The source.
        source_name: String,
    },
    /// A label that cannot be computed.
    #[error("label {label}: {why}")]
    Label {
        /// The label.
        label: String,
        /// What is wrong with it.
        why: String,
    },
    /// The work was told to stop.
    #[error("the training set was cancelled")]
    Cancelled,
    /// Answers that were kept could not be written or read.
    #[error("the kept answers could not be {action}")]
    Kept {
        /// What was being done to them.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A column of history has another type than the source declares.
    #[error("table {table}: column {column} is {got}, the source declares {expected}")]
    HistoryType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The Arrow type that it has.
        got: String,
        /// The declared type.
        expected: DataType,
    },
    /// The value of a feature cannot be given.
    #[error("feature {feature} has no value that can be given")]
    Feature {
        /// `view:feature`.
        feature: String,
        /// Why.
        source: AggregationError,
    },
    /// A view did not answer exactly one row for each row of the spine. A defect, never a wrong training set.
    #[error("view {view}: expected the answer for spine row {expected}, got {got}")]
    OutOfStep {
        /// The view.
        view: String,
        /// The position that was due.
        expected: u64,
        /// What came instead.
        got: String,
    },
    /// The lake failed.
    #[error("the lake failed")]
    Lake(#[from] LakeError),
    /// The query engine failed.
    #[error("the query engine failed")]
    Engine(#[from] DataFusionError),
    /// Arrow data could not be converted.
    #[error("arrow data could not be converted")]
    Arrow(#[from] arrow::error::ArrowError),
}

pub(crate) fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// Streams speak the query engine's error; an edge finds ours inside it with [`OfflineError::inside`].
impl From<OfflineError> for DataFusionError {
    fn from(error: OfflineError) -> Self {
        match error {
            OfflineError::Engine(error) => error,
            error => Self::External(Box::new(error)),
        }
    }
}

impl OfflineError {
    /// The error of this engine that a failed stream carries, if it carries one.
    pub fn inside(error: &DataFusionError) -> Option<&Self> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = next {
            if let Some(ours) = error.downcast_ref::<Self>() {
                return Some(ours);
            }
            next = match error.downcast_ref::<DataFusionError>() {
                Some(DataFusionError::External(inner)) => Some(inner.as_ref()),
                Some(DataFusionError::Shared(inner)) => Some(inner.as_ref()),
                _ => error.source(),
            };
        }
        None
    }
}

impl Failure for OfflineError {
    fn kind(&self) -> Kind {
        match self {
            Self::MissingColumn { .. }
            | Self::WrongType { .. }
            | Self::MissingValue { .. }
            | Self::NameTaken { .. }
            | Self::MissingWatermark { .. }
            | Self::Label { .. }
            | Self::Arrow(_) => Kind::Invalid,
            Self::ReceiveTimeUnknown { .. } | Self::Cancelled => Kind::Conflict,
            Self::Kept { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Kind::Unavailable
            }
            Self::Kept { .. } => Kind::Internal,
            Self::MissingDefinition { .. } => Kind::NotFound,
            Self::HistoryType { .. } => Kind::Conflict,
            Self::Feature { source, .. } => source.kind(),
            Self::OutOfStep { .. } | Self::Expression { .. } => Kind::Internal,
            Self::Lake(error) => error.kind(),
            Self::Engine(error) => engine_kind(error),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::MissingColumn { .. } => "features.spine_column_missing",
            Self::WrongType { .. } => "features.spine_column_type",
            Self::MissingValue { .. } => "features.spine_value_missing",
            Self::NameTaken { .. } => "features.training_set_name_taken",
            Self::MissingDefinition { .. } => "features.definition_missing",
            Self::Expression { .. } => "features.expression_invalid",
            Self::MissingWatermark { .. } => "features.watermark_missing",
            Self::ReceiveTimeUnknown { .. } => "features.receive_time_unknown",
            Self::Label { .. } => "features.label_invalid",
            Self::Cancelled => "features.training_set_cancelled",
            Self::Kept { .. } => "features.kept_answers_failed",
            Self::HistoryType { .. } => "features.history_type",
            Self::Feature { source, .. } => source.code(),
            Self::OutOfStep { .. } => "features.training_set_out_of_step",
            Self::Lake(error) => error.code(),
            Self::Engine(error) => match error.find_root() {
                DataFusionError::ResourcesExhausted(_) => "features.memory_exhausted",
                _ => OfflineError::inside(error).map_or("features.engine_failed", Failure::code),
            },
            Self::Arrow(_) => "features.arrow_invalid",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::MissingColumn { .. } => Some("add the column to the spine, or rename one with AS".into()),
            Self::WrongType { expected: DataType::Timestamp, .. } => {
                Some("cast it to a timestamp: a bare number or text has no unit".into())
            }
            Self::WrongType { .. } => Some("cast the column in the spine's query".into()),
            Self::MissingValue { .. } => Some("filter such rows out of the spine".into()),
            Self::NameTaken { .. } => Some("rename the spine's column with AS".into()),
            Self::MissingWatermark { .. } => {
                Some("give the log offset up to which its events had arrived".into())
            }
            Self::ReceiveTimeUnknown { .. } => Some(
                "an earlier release did not record it; keep to later rows with `from`, or give watermarks"
                    .into(),
            ),
            Self::Feature { source, .. } => source.hint(),
            Self::Lake(error) => error.hint(),
            Self::Engine(error) => match error.find_root() {
                DataFusionError::ResourcesExhausted(_) => {
                    Some("raise the memory limit of the lake, or free space in its spill folder".into())
                }
                _ => OfflineError::inside(error).and_then(Failure::hint),
            },
            _ => None,
        }
    }
}

fn engine_kind(error: &DataFusionError) -> Kind {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Kind::Exhausted,
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::SQL(..) => {
            Kind::Invalid
        }
        _ => OfflineError::inside(error).map_or(Kind::Internal, Failure::kind),
    }
}
