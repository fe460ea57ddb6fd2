//! Models that ONNX Runtime runs.

use std::sync::Arc;

use ort::{environment::Environment, ep::CUDA, session::Session};

use super::{library, sessions::Sessions, tensors, unsupported};
use crate::{
    data::DataFile,
    error::RuntimeError,
    model::{Device, RuntimeOptions},
    tensor::{Tensor, TensorSignature},
};

/// The sessions of a model.
#[derive(Debug)]
pub(super) struct OnnxRuntime {
    sessions: Sessions<Session>,
}

impl OnnxRuntime {
    pub(super) fn load(
        bytes: &[u8],
        data: &[DataFile],
        options: &RuntimeOptions,
    ) -> Result<(Self, TensorSignature), RuntimeError> {
        let environment = library::environment(options)?;
        let session = || session(&environment, bytes, data, options);
        let first = session()?;
        let others = (1..options.sessions).map(|_| session()).collect::<Result<_, _>>()?;
        let signature = tensors::signature(&first)?;
        Ok((Self { sessions: Sessions::new(first, others) }, signature))
    }

    /// Runs the model on tensors that fit its signature. Answers the wanted outputs, in that order.
    pub(super) fn infer(&self, inputs: Vec<Tensor>, wanted: &[&str]) -> Result<Vec<Tensor>, RuntimeError> {
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
