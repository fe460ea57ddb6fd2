//! Decides what is recorded of experiments, runs and models, and which model version may take an alias.
//!
//! - `model`: the things that are kept, and their bounds
//! - `error`: what can go wrong
//! - `promote`: whether a version may take an alias; pure
//! - `artifact_path`, `artifact_digest`, `model_source`: paths, digests and sources that clients give; pure
//! - `filter`: the language of searches; pure
//! - `service`: the use cases: fetch, judge, record
//! - `store`: the SQL of this crate's tables
//! - `routes`: the native API
//! - `mlflow`: the MLflow wire: its messages, its errors, its routes; holds no rules
#![deny(missing_docs)]

mod artifact_digest;
mod artifact_path;
mod error;
mod filter;
mod mlflow;
mod model;
mod model_source;
mod promote;
mod routes;
mod service;
mod store;

pub use error::{Thing, TrackingError};
pub use filter::FilterError;
pub use promote::{Gate, Judgement, Missing, Refusal, Replay, Unmet};
pub use routes::routes;
pub use service::{GateSource, ModelFile, Promotion, ReplaySource, ResolvedVersion, TaggedVersion, Tracking};
pub use shipway_definitions::{Requirement, Rule};
