//! What can be wrong with a model file, with the runtime under it, or with the rows given to it.

use std::{borrow::Cow, path::PathBuf};

use shipway_core::{Failure, Kind};

use crate::python::PythonError;

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
    /// An ONNX model uses something that rten, which runs such models where there is no ONNX Runtime, does not have.
    #[error("onnx model: rten, which runs it where there is no ONNX Runtime, does not have {lacks}")]
    Fallback {
        /// All of it, by its own names.
        lacks: String,
    },
    /// The engine of ONNX models refused the model or failed while running it.
    #[error("{engine} could not {action}: {reason}")]
    Onnx {
        /// Which engine.
        engine: &'static str,
        /// What it was asked to do.
        action: &'static str,
        /// Its own words, shortened.
        reason: String,
    },
    /// A model of tensors is asked for rows of columns, and its tensors are none.
    #[error("the model takes tensors, not rows of columns: {reason}")]
    NoRows {
        /// What keeps its tensors from being rows.
        reason: String,
    },
    /// A model of rows is asked for tensors of its own.
    #[error("a {format} model has no tensors of its own")]
    NoTensors {
        /// The format of the model.
        format: &'static str,
    },
    /// A tensor does not fit the model's input of that name.
    #[error("input `{name}`: {reason}")]
    WrongTensor {
        /// The tensor.
        name: String,
        /// What was expected, and what came.
        reason: String,
    },
    /// The model has no tensor of that name.
    #[error("there is no {place} `{name}`; the model has {known}")]
    UnknownTensor {
        /// `input` or `output`.
        place: &'static str,
        /// The name given.
        name: String,
        /// The names that there are.
        known: String,
        /// The one most like it.
        nearest: Option<String>,
    },
    /// A string for an ONNX model is not UTF-8, or has a zero in it.
    #[error("a string for an onnx model must be UTF-8")]
    NotText,
    /// The model is stored as a Python pickle, which is code and is never run here.
    #[error("`{file}` is a Python pickle; pickles are never loaded in the server")]
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
    /// A model that is code, or its process.
    #[error(transparent)]
    Python(#[from] PythonError),
}

impl RuntimeError {
    /// Whether nothing in this process runs the model, so that it may be one for a process of Python.
    pub const fn is_left_to_python(&self) -> bool {
        matches!(self, Self::Pickled { .. } | Self::NoFlavor { .. } | Self::Unsupported { .. })
    }

    pub(crate) fn onnx(action: &'static str) -> impl Fn(ort::Error) -> Self {
        move |error| {
            let words = error.to_string();
            // The file and the line of its own source say nothing to whoever reads this.
            let reason: String = words.lines().next().unwrap_or_default().chars().take(300).collect();
            Self::Onnx { engine: "onnx runtime", action, reason }
        }
    }
}

impl Failure for RuntimeError {
    fn kind(&self) -> Kind {
        match self {
            Self::OnnxLibrary { .. } => Kind::Unavailable,
            Self::Python(error) => error.kind(),
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
            Self::Fallback { .. } => "runtime.onnx_fallback",
            Self::Onnx { .. } => "runtime.onnx_failed",
            Self::NoRows { .. } => "runtime.no_rows",
            Self::NoTensors { .. } => "runtime.no_tensors",
            Self::WrongTensor { .. } => "runtime.wrong_tensor",
            Self::UnknownTensor { .. } => "runtime.unknown_tensor",
            Self::NotText => "runtime.not_text",
            Self::Pickled { .. } => "runtime.model_pickled",
            Self::NoFlavor { .. } => "runtime.no_flavor",
            Self::Description { .. } => "runtime.description",
            Self::Python(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::ColumnMissing { nearest: Some(nearest), .. } => Some(format!("did you mean `{nearest}`?").into()),
            Self::UnknownTensor { nearest: Some(nearest), .. } => Some(format!("did you mean `{nearest}`?").into()),
            Self::Unsupported { format: "text" | "tokenizer", .. } => {
                Some("with {\"task\": \"tensors\"} in shipway_text.json beside it, it is served as a model of tensors".into())
            }
            Self::NoRows { .. } => Some("ask it over the Open Inference protocol: /v2/models/{name}/infer".into()),
            Self::OnnxLibrary { .. } => Some(
                "`shipway runtime install` and start the server anew, or set `runtime.onnx_library` to a library of 1.24 or newer".into(),
            ),
            Self::Fallback { .. } => Some(
                "`shipway runtime install` and start the server anew, so that ONNX Runtime runs it; if `runtime.onnx_engine` is set to rten, set it to auto".into(),
            ),
            Self::Pickled { .. } => Some(
                "log the booster, which is stored as text: mlflow.lightgbm.log_model(model.booster_), or log it as ONNX; or set `runtime.python.interpreter`, so that models of Python run in processes of their own".into(),
            ),
            Self::Onnx { action: "use the GPU", .. } => {
                Some("`shipway runtime install --gpu` installs a library with CUDA; or set `runtime.onnx_device` to cpu".into())
            }
            Self::NoFlavor { .. } => Some(
                "log the model with mlflow.lightgbm, mlflow.xgboost, mlflow.catboost (format=\"json\") or mlflow.onnx; or set `runtime.python.interpreter`, so that models of Python run in processes of their own".into(),
            ),
            Self::Python(error) => error.hint(),
            _ => None,
        }
    }
}
