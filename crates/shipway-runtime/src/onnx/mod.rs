//! ONNX models, run by ONNX Runtime.
//!
//! - `external`: weights in other files
//! - `library`: ONNX Runtime's shared library, loaded when the first ONNX model is
//! - `sessions`: as many of a model as batches run at once
//! - `tensors`: models of any shape: tensors in, tensors out
//! - `tabular`: models of rows and columns

mod external;
mod library;
mod sessions;
mod tabular;
mod tensors;

use std::{collections::BTreeSet, sync::Arc};

use ort::{environment::Environment, ep::CUDA, session::Session};
use sessions::Sessions;
use shipway_core::Value;
use tabular::Tabular;

use crate::{
    data::DataFile,
    error::RuntimeError,
    input::ModelInput,
    model::{Device, RuntimeOptions},
    tensor::{Tensor, TensorSignature},
};

const FORMAT: &str = "onnx";

fn unsupported(what: impl Into<String>) -> RuntimeError {
    RuntimeError::Unsupported { format: FORMAT, what: what.into() }
}

/// Sessions of a model, the tensors it takes and gives, and how rows go in and come out.
#[derive(Debug)]
pub(crate) struct Onnx {
    sessions: Sessions,
    signature: TensorSignature,
    /// Or why the model's tensors are no rows, in words.
    tabular: Result<Tabular, String>,
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
        let environment = library::environment(options)?;
        external::check(bytes, data)?;
        let session = || session(&environment, bytes, data, options);
        let first = session()?;
        let others = (1..options.sessions).map(|_| session()).collect::<Result<_, _>>()?;
        let signature = tensors::signature(&first)?;
        let tabular = Tabular::of(&first).map_err(|refusal| match refusal {
            RuntimeError::Unsupported { what, .. } => what,
            other => other.to_string(),
        });
        Ok(Self { sessions: Sessions::new(first, others), signature, tabular })
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
        let mut session = self.sessions.free();
        let answers = session.run(tensors).map_err(RuntimeError::onnx("run the model"))?;
        let name = tabular.output();
        let answer = answers
            .get(name)
            .ok_or_else(|| unsupported(format!("an output {name} that the run does not give")))?;
        tabular.read(answer, rows)
    }

    /// Runs the model on tensors that fit its signature. Answers the wanted outputs, in that order.
    pub(crate) fn infer(&self, inputs: Vec<Tensor>, wanted: &[&str]) -> Result<Vec<Tensor>, RuntimeError> {
        let inputs = inputs
            .into_iter()
            .map(|tensor| {
                tensors::into_value(tensor.elements, tensor.shape).map(|value| (tensor.name, value))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let options = tensors::only(wanted)?;
        let mut session = self.sessions.free();
        let answers =
            session.run_with_options(inputs, &options).map_err(RuntimeError::onnx("run the model"))?;
        let read = |name: &&str| {
            let answer = answers
                .get(*name)
                .ok_or_else(|| unsupported(format!("an output {name} that the run does not give")))?;
            tensors::from_value(name, answer)
        };
        wanted.iter().map(read).collect()
    }
}

fn session(
    environment: &Environment,
    bytes: &[u8],
    data: &[DataFile],
    options: &RuntimeOptions,
) -> Result<Session, RuntimeError> {
    let prepare = RuntimeError::onnx("prepare a session");
    let mut builder = Session::builder(environment)
        .map_err(&prepare)?
        .with_intra_threads(options.threads.max(1))
        .map_err(|error| prepare(error.into()))?;
    if options.inter_threads > 1 {
        builder = builder
            .with_parallel_execution(true)
            .map_err(|error| prepare(error.into()))?
            .with_inter_threads(options.inter_threads)
            .map_err(|error| prepare(error.into()))?;
    }
    if let Device::Cuda(number) = options.device {
        // Refused rather than run on the processor, which would answer, and late.
        let gpu = CUDA::default().with_device_id(number.into()).build().error_on_failure();
        builder = builder
            .with_execution_providers([gpu])
            .map_err(|error| RuntimeError::onnx("use the GPU")(error.into()))?;
    }
    for DataFile { path, content } in data {
        builder = builder
            .with_external_initializer_file_in_memory(path, Arc::clone(content))
            .map_err(|error| prepare(error.into()))?;
    }
    builder.commit_from_memory(bytes).map_err(RuntimeError::onnx("load the model"))
}
