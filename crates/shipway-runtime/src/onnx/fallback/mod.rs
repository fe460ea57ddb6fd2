//! Models that rten runs, where there is no ONNX Runtime.
//!
//! rten computes in single precision and with whole numbers of 32 bits, has a part of the operators, and trusts what it is given more
//! than a model from anywhere deserves. So a model is judged first, and refused with everything that keeps it from being run.
//!
//! - `operators`: those that are evaluated
//! - `judge`: whether a model is run here
//! - `sizes`: whether what a caller sends decides how large tensors become
//! - `repair`: what rten reads otherwise than the standard means it
//! - `signature`: the tensors that a model takes and gives, as its file says
//! - `trial`: a first run, which tells what the engine says only then
//! - `tensors`: its tensors as ours, and ours as its

mod judge;
mod operators;
mod repair;
mod signature;
mod sizes;
mod tensors;
mod trial;

use std::{
    any::Any,
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rten::{LoadError, LoadErrorKind, ModelOptions, NodeId, RunOptions, ThreadPool};
use rten_onnx::onnx::ModelProto;

use super::{FORMAT, sessions::Sessions, unsupported};
use crate::{
    data::DataFile,
    error::RuntimeError,
    model::RuntimeOptions,
    tensor::{Tensor, TensorSignature, TensorSpec},
};

/// What an error of this engine calls it.
const ENGINE: &str = "rten";

/// A model, and the threads that its runs have.
#[derive(Debug)]
pub(super) struct Fallback {
    model: rten::Model,
    inputs: HashMap<String, NodeId>,
    outputs: HashMap<String, (NodeId, TensorSpec)>,
    threads: Sessions<Arc<ThreadPool>>,
}

impl Fallback {
    /// Loads a model whose depth of nesting is known to be bounded.
    pub(super) fn load(
        bytes: &[u8],
        data: &[DataFile],
        options: &RuntimeOptions,
    ) -> Result<(Self, TensorSignature), RuntimeError> {
        guarded("load the model", || {
            let mut proto = ModelProto::parse_buf(bytes).map_err(|error| damaged(error.to_string()))?;
            judge::judge(&proto, data)?;
            // Read again by the engine, so that what is not changed is not written anew.
            let bytes = match repair::repair(&mut proto) {
                true => proto.write_buf().map_err(|error| damaged(error.to_string()))?,
                false => bytes.to_vec(),
            };
            let mut engine = ModelOptions::with_all_ops();
            for DataFile { path, content } in data {
                engine.external_data(path, content.to_vec());
            }
            let model = engine.load(bytes).map_err(|error| refusal(&error))?;
            judge::softmax(&proto, &model)?;
            let signature = signature::signature(&proto, &model)?;
            let threads = || Arc::new(ThreadPool::with_num_threads(options.threads.max(1)));
            let others = (1..options.sessions).map(|_| threads()).collect();
            let node = |name: &str| {
                model.find_node(name).ok_or_else(|| unsupported(format!("tensor {name}, which is no value")))
            };
            let inputs = signature
                .inputs
                .iter()
                .map(|spec| node(&spec.name).map(|node| (spec.name.clone(), node)))
                .collect::<Result<_, _>>()?;
            let outputs = signature
                .outputs
                .iter()
                .map(|spec| node(&spec.name).map(|node| (spec.name.clone(), (node, spec.clone()))))
                .collect::<Result<_, _>>()?;
            let model = Self { model, inputs, outputs, threads: Sessions::new(threads(), others) };
            trial::run(&model, &signature)?;
            Ok((model, signature))
        })
    }

    /// Runs the model on tensors that fit its signature. Answers the wanted outputs, in that order.
    pub(super) fn infer(&self, inputs: Vec<Tensor>, wanted: &[&str]) -> Result<Vec<Tensor>, RuntimeError> {
        let unknown = |name: &str| unsupported(format!("tensor {name}, which is no value"));
        let values = inputs
            .into_iter()
            .map(|tensor| {
                let node = *self.inputs.get(&tensor.name).ok_or_else(|| unknown(&tensor.name))?;
                Ok((node, tensors::into_value(tensor)?.into()))
            })
            .collect::<Result<Vec<_>, RuntimeError>>()?;
        let outputs = wanted
            .iter()
            .map(|name| self.outputs.get(*name).ok_or_else(|| unknown(name)))
            .collect::<Result<Vec<_>, _>>()?;
        // The engine computes each only once, and refuses to be asked for one twice.
        let mut nodes: Vec<NodeId> = Vec::with_capacity(outputs.len());
        for (node, _) in &outputs {
            if !nodes.contains(node) {
                nodes.push(*node);
            }
        }
        let answers = guarded("run the model", || {
            let threads = self.threads.free();
            let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&threads)));
            self.model.run(values, &nodes, Some(options)).map_err(|error| failed("run the model", &error))
        })?;
        let read = |(node, spec): &&(NodeId, TensorSpec)| {
            let place = nodes.iter().position(|other| other == node);
            let answer = place.and_then(|place| answers.get(place)).ok_or_else(|| unknown(&spec.name))?;
            tensors::from_value(spec, answer)
        };
        outputs.iter().map(read).collect()
    }
}

fn damaged(reason: impl Into<String>) -> RuntimeError {
    RuntimeError::Damaged { format: FORMAT, reason: shortened(&reason.into()) }
}

fn failed(action: &'static str, error: &dyn std::error::Error) -> RuntimeError {
    RuntimeError::Onnx { engine: ENGINE, action, reason: shortened(&error.to_string()) }
}

/// Names come out of the file, and may be of any length.
fn shortened(words: &str) -> String {
    words.lines().next().unwrap_or_default().chars().take(300).collect()
}

/// Why the engine does not load a model: because it does not have what the model uses, as far as it says so.
fn refusal(error: &LoadError) -> RuntimeError {
    match error.kind() {
        LoadErrorKind::OperatorInvalid => RuntimeError::Fallback { lacks: shortened(&error.to_string()) },
        _ => failed("load the model", error),
    }
}

/// A model from anywhere must not end the server: where the engine panics, that is an error of this model.
fn guarded<T>(
    action: &'static str,
    work: impl FnOnce() -> Result<T, RuntimeError>,
) -> Result<T, RuntimeError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let reason = format!("it gave up: {}", shortened(words_of(panic.as_ref())));
        Err(RuntimeError::Onnx { engine: ENGINE, action, reason })
    })
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let words = panic.downcast_ref::<&str>().copied();
    words.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no reason given")
}
