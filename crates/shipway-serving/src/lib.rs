//! Decides which model answers a prediction, with which features, and records what was answered.
//!
//! A deployment binds a name to an alias of a model and, if predictions are asked for by ids, to a feature service. The
//! model runs in this process. When the alias moves, the new version is loaded and bound beside the old one, and takes over
//! between two requests; when it does not load, the old one keeps answering and the status says why.
//!
//! - `ports`: what serving needs of others: models by alias, features by ids; the binary plugs them in
//! - `model/`: deployments, predictions and their limits, valid by construction
//! - `bind`: pure: does a feature service feed a model, and which column feeds which input
//! - `tensors`: pure: Open Inference tensors to rows
//! - `service/`: the use cases: deploy, follow the alias, predict
//! - `prediction_log/`: every answer, written to a Delta table off the hot path
//! - `store/`: the SQL table of deployments
//! - `routes/`: the native API
//! - `open_inference/`: the Open Inference protocol, version 2, over JSON
//! - `error`: what can be refused or fail
#![deny(missing_docs)]

mod bind;
mod error;
mod model;
mod open_inference;
mod ports;
mod prediction_log;
mod routes;
mod service;
mod store;
mod tensors;

pub use error::ServingError;
pub use model::{
    deployment::{DeploymentSpec, DeploymentStatus, LoadTrouble, ServedVersion},
    prediction::{MAX_ROWS, PredictRequest, Prediction},
};
pub use ports::{
    FeatureAnswer, FeatureQuery, FeatureRow, FeatureSource, ModelFile, ModelSource, PortFailure,
    ResolvedModel, SERVICE_HASH_TAG, ServiceShape, ViewFreshness,
};
pub use prediction_log::{
    MAX_QUEUED_ROWS, WRITE_AFTER,
    schema::{column_of, table_of},
};
pub use routes::routes;
pub use service::{Serving, ServingPorts};
