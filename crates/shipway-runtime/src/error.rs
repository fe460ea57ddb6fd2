//! What can be wrong with a model file, with the runtime under it, or with the rows given to it.

use std::{borrow::Cow, path::PathBuf};

use shipway_core::{Failure, Kind};

/// Why a model does not load or does not predict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The bytes are not a model of the stated format, or are cut or damaged.
    #[error("{format} model: {reason}")]
    Damaged {
        /// The format that was expected.
        format: &'static str,
        /// Where and what.
        reason: String,
    },
    /// A sound model that uses something this runtime does not evaluate.
    #[error("{format} model: {what} is not supported")]
    Unsupported {
        /// The format of the model.
        format: &'static str,
        /// The part that is not supported, by its own name.
        what: String,
    },
    /// A column that the model needs is not among the given ones.
    #[error("model input `{column}` is not among the {given} given columns")]
    ColumnMissing {
        /// The model's name for the column.
        column: String,
        /// How many columns were given.
        given: usize,
        /// The given column whose name is most like it.
        nearest: Option<String>,
    },
    /// A list of input names does not match the model's inputs.
    #[error("the model has {expected} inputs, {got} names were given")]
    InputNames {
        /// Inputs of the model.
        expected: usize,
        /// Names given.
        got: usize,
    },
    /// A value cannot be what its column must be.
    #[error("row {row}: column `{column}` must be {expected}, got {got}")]
    WrongValue {
        /// Position of the row in the request, from 0.
        row: usize,
        /// The column.
        column: String,
        /// What the model needs there.
        expected: &'static str,
        /// The type that came.
        got: &'static str,
    },
    /// Rows have another width than the columns they were bound with, or a matrix is not rows times inputs.
    #[error("expected {expected} values in {what}, got {got}")]
    Shape {
        /// The row or the matrix.
        what: String,
        /// The values needed.
        expected: usize,
        /// The values given.
        got: usize,
    },
    /// ONNX Runtime's shared library is not configured or does not load.
    #[error("onnx models need the ONNX Runtime library: {reason}")]
    OnnxLibrary {
        /// The path that was tried, if one is configured.
        path: Option<PathBuf>,
        /// Why it is not usable.
        reason: String,
    },
    /// ONNX Runtime refused the model or failed while running it.
    #[error("onnx runtime could not {action}")]
    Onnx {
        /// What it was asked to do.
        action: &'static str,
        /// Its own words.
        #[source]
        source: ort::Error,
    },
    /// The model is stored as a Python pickle, which is code and is never run here.
    #[error("`{file}` is a Python pickle; pickles are never loaded")]
    Pickled {
        /// The file, as the MLmodel names it.
        file: String,
    },
    /// A logged MLflow model has no flavor that this runtime loads.
    #[error("the logged model has no flavor that can be served (it has: {flavors})")]
    NoFlavor {
        /// The flavors it has, joined by commas.
        flavors: String,
    },
    /// The description of a logged MLflow model is not readable.
    #[error("MLmodel: {reason}")]
    Description {
        /// Where and what.
        reason: String,
    },
}

impl RuntimeError {
    pub(crate) fn onnx(action: &'static str) -> impl Fn(ort::Error) -> Self {
        move |source| Self::Onnx { action, source }
    }
}

impl Failure for RuntimeError {
    fn kind(&self) -> Kind {
        match self {
            Self::OnnxLibrary { .. } => Kind::Unavailable,
            _ => Kind::Invalid,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "runtime.model_damaged",
            Self::Unsupported { .. } => "runtime.model_unsupported",
            Self::ColumnMissing { .. } => "runtime.column_missing",
            Self::InputNames { .. } => "runtime.input_names",
            Self::WrongValue { .. } => "runtime.wrong_value",
            Self::Shape { .. } => "runtime.shape",
            Self::OnnxLibrary { .. } => "runtime.onnx_library",
            Self::Onnx { .. } => "runtime.onnx_failed",
            Self::Pickled { .. } => "runtime.model_pickled",
            Self::NoFlavor { .. } => "runtime.no_flavor",
            Self::Description { .. } => "runtime.description",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::ColumnMissing { nearest: Some(nearest), .. } => Some(format!("did you mean `{nearest}`?").into()),
            Self::OnnxLibrary { .. } => Some(
                "pip install onnxruntime (1.24 or newer), then set `runtime.onnx_library` to its \
                 onnxruntime/capi/libonnxruntime.so.* file"
                    .into(),
            ),
            Self::Pickled { .. } => Some(
                "log the booster, which is stored as text: mlflow.lightgbm.log_model(model.booster_), or log it as ONNX".into(),
            ),
            Self::NoFlavor { .. } => Some("log the model with mlflow.lightgbm or mlflow.onnx".into()),
            _ => None,
        }
    }
}
