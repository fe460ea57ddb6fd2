//! What stands in the way of a proof. None of it may pass for one.

use std::borrow::Cow;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use shipway_core::{Failure, Kind};
use shipway_lake::LakeError;

use crate::offline::OfflineError;

/// A proof that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The log holds no vector.
    #[error("prediction log {table} holds no feature vector to compare")]
    NothingToCompare {
        /// The table.
        table: String,
    },
    /// Vectors were served by a version of a service that the catalog does not know.
    #[error(
        "prediction log {table}: {vectors} vectors were served by service version {hash}, which is not known"
    )]
    UnknownService {
        /// The table.
        table: String,
        /// The hash that was logged.
        hash: String,
        /// How many vectors carry it.
        vectors: u64,
    },
    /// The log lacks a column that a vector of this service has.
    #[error("prediction log {table}: column {column} does not exist")]
    MissingColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A logged value that cannot be used.
    #[error("prediction log {table}: request {request_id}: {what}")]
    Unusable {
        /// The table.
        table: String,
        /// The request.
        request_id: String,
        /// What is wrong.
        what: String,
    },
    /// The replay gave another number of rows than the log holds. A defect.
    #[error("the replay answered {replayed} vectors for {logged} logged ones")]
    OutOfStep {
        /// Rows replayed.
        replayed: u64,
        /// Rows logged.
        logged: u64,
    },
    /// The replay failed.
    #[error("the replay failed")]
    Replay(#[from] OfflineError),
    /// The lake failed.
    #[error("the lake failed")]
    Lake(#[from] LakeError),
    /// Arrow data could not be read.
    #[error("arrow data could not be read")]
    Arrow(#[from] ArrowError),
}

impl From<DataFusionError> for ProofError {
    fn from(error: DataFusionError) -> Self {
        Self::Replay(error.into())
    }
}

impl Failure for ProofError {
    fn kind(&self) -> Kind {
        match self {
            Self::NothingToCompare { .. } => Kind::Conflict,
            Self::UnknownService { .. } | Self::MissingColumn { .. } | Self::Unusable { .. } => {
                Kind::Conflict
            }
            Self::OutOfStep { .. } | Self::Arrow(_) => Kind::Internal,
            Self::Replay(error) => error.kind(),
            Self::Lake(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NothingToCompare { .. } => "features.nothing_to_compare",
            Self::UnknownService { .. } => "features.service_version_unknown",
            Self::MissingColumn { .. } => "features.prediction_log_column_missing",
            Self::Unusable { .. } => "features.prediction_log_unusable",
            Self::OutOfStep { .. } => "features.replay_out_of_step",
            Self::Replay(error) => error.code(),
            Self::Lake(error) => error.code(),
            Self::Arrow(_) => "features.arrow_invalid",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NothingToCompare { .. } => Some("ask the deployment for predictions first".into()),
            Self::UnknownService { .. } => Some("apply the definitions that it was served with again".into()),
            Self::Replay(error) => error.hint(),
            Self::Lake(error) => error.hint(),
            _ => None,
        }
    }
}
