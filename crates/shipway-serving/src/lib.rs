//! Decides which model answers a prediction, with which features, and records what was answered.
//!
//! A deployment binds a name to an alias of a model and, if predictions are asked for by ids, to a feature service. The
//! model runs in this process. When the alias moves, the new version is loaded and bound beside the old one, and takes over
//! between two requests; when it does not load, the old one keeps answering and the status says why.
//!
//! - `ports`: what serving needs of others: models by alias, features by ids; the binary plugs them in
//! - `model/`: deployments, predictions and their limits, valid by construction
//! - `bind`: pure: does a feature service feed a model, and which column feeds which input
//! - `ensemble/`: graphs of models and expressions: what is written, whether it can run, how it runs
//! - `batching/`: requests that wait for a model run together
//! - `cache`: answers that were given before to the same inputs
//! - `overrides`: pure: features that a caller gives itself
//! - `statistics`: what a version has done since it was loaded
//! - `service/`: the use cases: deploy, follow the alias, predict
//! - `prediction_log/`: every answer, written to a Delta table off the hot path
//! - `store/`: the SQL table of deployments
//! - `routes/`: the native API
//! - `open_inference/`: the Open Inference protocol, version 2, over REST and gRPC
//! - `launch/`: pure: how a candidate comes to serve step by step, and what it is judged by
//! - `memory`: how much memory models may take, and which make room
//! - `openai/`: embeddings as OpenAI's API has them
//! - `preview`: pure: what a candidate would have decided otherwise
//! - `golden`: what a version must answer before it takes traffic
//! - `refusal`: how the foreign wires refuse
//! - `scoring/`: the scoring protocol of MLflow model servers
//! - `told`: what a collector of OpenTelemetry is told of predictions
//! - `tensor_json`: the data of a tensor as JSON, both ways
//! - `error`: what can be refused or fail
#![deny(missing_docs)]

mod batching;
mod bind;
mod cache;
mod ensemble;
mod error;
mod golden;
mod launch;
mod memory;
mod model;
mod open_inference;
mod openai;
mod overrides;
mod ports;
mod prediction_log;
mod preview;
mod refusal;
mod routes;
mod scoring;
mod service;
mod statistics;
mod store;
mod tensor_json;
mod told;

pub use ensemble::{
    error::{EnsembleError, GraphError},
    spec::{EnsembleGraph, EnsembleSpec, Ordered, StepSpec},
    status::{EnsemblePrediction, EnsembleStatus, StepStatus, StepVersion},
};
pub use error::ServingError;
pub use launch::{
    observed::Summary,
    spec::{LaunchGates, LaunchSpec},
    stage::{Stage, Variant},
    status::{LaunchStatus, Seen},
};
pub use model::{
    deployment::{DeploymentSpec, DeploymentStatus, LoadTrouble, ServedVersion},
    prediction::{MAX_ROWS, PredictRequest, Prediction},
    settings::{BatchingSettings, CacheSettings, QueueSettings},
    share::Share,
};
pub use open_inference::unpacks;
pub use openai::OpenAiModels;
pub use ports::{
    FeatureAnswer, FeatureQuery, FeatureRow, FeatureSource, ModelFile, ModelSource, PortFailure,
    ResolvedModel, SERVICE_HASH_TAG, ServiceShape, ViewFreshness,
};
pub use prediction_log::{
    MAX_QUEUED_ROWS, WRITE_AFTER,
    schema::{column_of, table_of},
    shadow::shadow_table_of,
};
pub use preview::{Changes, Example, Judgement, Rule, Segment};
pub use routes::routes;
pub use service::{
    ExplainOutput, ExplainRequest, Explanation, Label, Labels, LabelsKept, Preview, PreviewRequest,
    RowExplanation, ScoreExplanation, Serving, ServingOptions, ServingPorts, label_table_of,
};
