//! Runs model files in process: LightGBM's text format with an evaluator of our own, everything else through ONNX Runtime.
//!
//! This crate decides what a model file means: which columns it needs, how a value becomes a number or a category code,
//! and what its outputs are. It never unpickles and never runs code that came with a model.
//!
//! - `model`: the one type callers hold; loading, binding columns by name, predicting rows
//! - `input`: what a model wants of its columns, and how values become numbers
//! - `lightgbm/`: LightGBM's text format: parser, flat forest, output transforms
//! - `onnx`: ONNX Runtime behind a library that is loaded when the first ONNX model is
//! - `mlflow`: which file of a logged MLflow model to load, and how
//! - `error`: what can be wrong with a model or with the rows given to it
#![deny(missing_docs)]

mod error;
mod input;
mod lightgbm;
pub mod mlflow;
mod model;
mod onnx;

pub use error::RuntimeError;
pub use input::{InputKind, ModelInput};
pub use model::{Binding, Model, ModelFormat, RuntimeOptions};
