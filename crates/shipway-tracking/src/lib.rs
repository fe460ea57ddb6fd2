//! Decides what is recorded of experiments, runs and models, and which model version may take an alias.
//!
//! - `model`: the things that are kept, and their bounds
//! - `error`: what can go wrong
//! - `promote`: whether a version may take an alias; pure
//! - `artifact_path`, `artifact_digest`, `model_source`: paths, digests and sources that clients give; pure
//! - `byte_range`: which bytes of a file a request asks for; pure
//! - `evaluation_record`: records that clients give to evaluation data sets; pure
//! - `otlp`: spans as the OpenTelemetry protocol sends them; pure
//! - `filter`: the language of searches; pure
//! - `service`: the use cases: fetch, judge, record
//! - `store`: the SQL of this crate's tables
//! - `webhook`: what receivers are told, whom it may reach, and how it is sent
//! - `routes`: the native API
//! - `interface`: MLflow's own web interface, out of an installed package
//! - `mlflow`: the MLflow wire: its messages, its errors, its routes; holds no rules
#![deny(missing_docs)]

mod artifact_digest;
mod artifact_path;
mod byte_range;
mod error;
mod evaluation_record;
mod filter;
mod interface;
mod mlflow;
mod model;
mod model_source;
mod otlp;
mod promote;
mod routes;
mod service;
mod store;
mod webhook;

pub use error::{Thing, TrackingError};
pub use filter::FilterError;
pub use interface::{Interface, NoInterface};
pub use mlflow::{UNPACKING_PATH, render_mlflow_problem};
pub use otlp::OtlpError;
pub use promote::{Gate, Judgement, Missing, Refusal, Replay, Unmet};
pub use routes::routes;
pub use service::{
    GateSource, ModelFile, Ownership, PURGE_JOB, Promotion, ReplaySource, ResolvedVersion, TaggedVersion,
    Tracking,
};
pub use shipway_definitions::{Requirement, Rule};
pub use webhook::{WebhookSettings, WebhookSetupError};
