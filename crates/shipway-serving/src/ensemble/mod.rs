//! Ensembles: a small graph of models and SQL expressions that is deployed and asked like one model.
//!
//! - `spec`: the graph as it is written, and how it is deployed
//! - `error`: why a graph is refused: the step, the name, what was expected
//! - `shape`: what a version of a step's model takes and gives
//! - `plan`: pure: names, types and the order of the steps
//! - `run`: the steps over the rows of one request, as soon as what they read is there
//! - `values`: rows as columns, outputs as JSON and as tensors; pure
//! - `status`: an ensemble as it is reported, and what it answers

pub(crate) mod error;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod shape;
pub(crate) mod spec;
pub(crate) mod status;
pub(crate) mod values;
