//! Online reads: the features of a service for many keys at one moment, from the packed states.
//!
//! - `plan`: a service resolved once: which view, which key parts, which features, where they go
//! - `rows`: the rows of a request, checked
//! - `answer`: the features of one key of one view
//! - `service`: the use case

mod answer;
mod plan;
mod rows;
mod service;

pub(crate) use plan::ReadPlan;
pub use service::{AnsweredRow, ReadAnswer, ReadRequest, ViewFreshness};
