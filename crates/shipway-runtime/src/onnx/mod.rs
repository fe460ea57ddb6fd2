//! ONNX models, run by ONNX Runtime, or by rten where there is none.
//!
//! - `external`: weights in other files
//! - `engine`: which of the two runs a model
//! - `onnxruntime`: models that ONNX Runtime runs
//! - `library`: its shared library, loaded when the first model needs it
//! - `tensors`: its tensors as ours, and ours as its
//! - `fallback/`: models that rten runs
//! - `sessions`: as many of a model as batches run at once
//! - `tabular`: models of rows and columns

mod engine;
mod external;
mod fallback;
mod library;
mod onnxruntime;
mod sessions;
mod tabular;
mod tensors;

use std::collections::BTreeSet;

pub use engine::OnnxEngine;
use fallback::Fallback;
use onnxruntime::OnnxRuntime;
use shipway_core::Value;
use tabular::Tabular;

use crate::{
    data::DataFile,
    error::RuntimeError,
    input::ModelInput,
    model::RuntimeOptions,
    tensor::{Tensor, TensorSignature},
};

const FORMAT: &str = "onnx";

fn unsupported(what: impl Into<String>) -> RuntimeError {
    RuntimeError::Unsupported { format: FORMAT, what: what.into() }
}

/// A model in the engine that runs it, the tensors it takes and gives, and how rows go in and come out.
#[derive(Debug)]
pub(crate) struct Onnx {
    running: Running,
    signature: TensorSignature,
    /// Or why the model's tensors are no rows, in words.
    tabular: Result<Tabular, String>,
}

#[derive(Debug)]
enum Running {
    OnnxRuntime(OnnxRuntime),
    Rten(Box<Fallback>),
}

/// The files that a model keeps weights in, by the names that it has for them.
pub(crate) fn data_files(bytes: &[u8]) -> Result<BTreeSet<String>, RuntimeError> {
    external::locations(bytes)
}

impl Onnx {
    pub(crate) fn load(
        bytes: &[u8],
        data: &[DataFile],
        options: &RuntimeOptions,
    ) -> Result<Self, RuntimeError> {
        external::check(bytes, data)?;
        let (running, signature) = if engine::is_fallback(options)? {
            let (model, signature) = Fallback::load(bytes, data, options)?;
            (Running::Rten(Box::new(model)), signature)
        } else {
            let (model, signature) = OnnxRuntime::load(bytes, data, options)?;
            (Running::OnnxRuntime(model), signature)
        };
        let tabular = Tabular::of(&signature).map_err(|refusal| match refusal {
            RuntimeError::Unsupported { what, .. } => what,
            other => other.to_string(),
        });
        Ok(Self { running, signature, tabular })
    }

    /// The engine that runs it, in the word of the setting.
    pub(crate) const fn engine(&self) -> OnnxEngine {
        match self.running {
            Running::OnnxRuntime(_) => OnnxEngine::OnnxRuntime,
            Running::Rten(_) => OnnxEngine::Rten,
        }
    }

    /// The tensors it takes and gives.
    pub(crate) const fn signature(&self) -> &TensorSignature {
        &self.signature
    }

    /// The columns of its rows; none when its tensors are no rows.
    pub(crate) fn inputs(&self) -> Vec<ModelInput> {
        self.tabular.as_ref().map(Tabular::inputs).unwrap_or_default()
    }

    /// Numbers per row; 0 when its tensors are no rows.
    pub(crate) fn outputs(&self) -> usize {
        self.tabular.as_ref().map_or(0, Tabular::outputs)
    }

    /// The rows that tensors of the model hold, if its tensors are rows.
    pub(crate) fn rows_of(&self, tensors: &[Tensor]) -> Option<Vec<Vec<Value>>> {
        self.tabular.as_ref().ok()?.rows_of(tensors)
    }

    /// The output that holds the predictions of rows, if its tensors are rows.
    pub(crate) fn row_output(&self) -> Option<&str> {
        self.tabular.as_ref().ok().map(Tabular::output)
    }

    /// The predictions in that output.
    pub(crate) fn predictions_in(&self, answer: &Tensor) -> Option<Vec<Vec<f64>>> {
        self.tabular.as_ref().ok()?.predictions_in(answer)
    }

    /// Refuses to take rows when the model's tensors are none.
    pub(crate) fn must_take_rows(&self) -> Result<(), RuntimeError> {
        self.rows().map(|_| ())
    }

    fn rows(&self) -> Result<&Tabular, RuntimeError> {
        self.tabular.as_ref().map_err(|what| RuntimeError::NoRows { reason: what.clone() })
    }

    /// Predicts `rows` rows, given as one slice of values per input. Answers `[rows, outputs]`.
    pub(crate) fn predict(
        &self,
        inputs: &[ModelInput],
        columns: &[Vec<&Value>],
        rows: usize,
    ) -> Result<Vec<f64>, RuntimeError> {
        let tabular = self.rows()?;
        if rows == 0 {
            return Ok(Vec::new());
        }
        let tensors = tabular.tensors(inputs, columns, rows)?;
        let name = tabular.output();
        let answers = self.infer(tensors, &[name])?;
        let answer = answers
            .first()
            .ok_or_else(|| unsupported(format!("an output {name} that the run does not give")))?;
        tabular.read(answer, rows)
    }

    /// Runs the model on tensors that fit its signature. Answers the wanted outputs, in that order.
    pub(crate) fn infer(&self, inputs: Vec<Tensor>, wanted: &[&str]) -> Result<Vec<Tensor>, RuntimeError> {
        match &self.running {
            Running::OnnxRuntime(model) => model.infer(inputs, wanted),
            Running::Rten(model) => model.infer(inputs, wanted),
        }
    }
}
