//! Runs model files in process: trees of LightGBM, XGBoost and CatBoost with an engine of our own, ONNX through ONNX Runtime, or rten
//! where there is none. Models that are code run in processes of Python of their own.
//!
//! This crate decides what a model file means: which columns it needs, how a value becomes a number or a category code,
//! and what its outputs are. In the server's process it never unpickles and never runs code that came with a model.
//!
//! - `model`: the one type callers hold; loading, binding columns by name, predicting rows
//! - `input`: what a model wants of its columns, and how values become numbers
//! - `outputs`: what else a model answers: raw scores, classes, leaves, contributions
//! - `trees/`: the engine of trees: plain and packed forests, TreeSHAP
//! - `lightgbm/`, `xgboost/`, `catboost/`: from files to forests, and from sums to outputs
//! - `ubjson`: reads universal binary JSON
//! - `onnx/`: ONNX Runtime and rten: models of rows and columns, and models of tensors
//! - `python/`: models that are code: a process for each, what it is asked, and what confines it
//! - `tensor/`: typed tensors of any shape, as bytes and as batches
//! - `signature`: whether tensors fit a model; pure
//! - `tokenizer/`: text as tokens, by a `tokenizer.json`
//! - `text/`: models of text: a tokenizer, an encoder, and what becomes of its outputs
//! - `data`: files of weights beside a model's own
//! - `mlflow`: which file of a logged MLflow model to load, and how
//! - `error`: what can be wrong with a model or with the rows given to it
#![deny(missing_docs)]

mod catboost;
#[cfg(test)]
mod damages;
mod data;
mod error;
#[cfg(test)]
mod goldens;
mod input;
mod lightgbm;
pub mod mlflow;
mod model;
mod onnx;
mod outputs;
pub mod python;
mod signature;
pub mod tensor;
pub mod text;
mod tokenizer;
mod trees;
mod ubjson;
mod xgboost;

pub use data::DataFile;
pub use error::RuntimeError;
pub use input::{InputKind, ModelInput};
pub use model::{Binding, Device, Model, ModelFormat, RuntimeOptions};
pub use onnx::OnnxEngine;
pub use outputs::OutputKind;
