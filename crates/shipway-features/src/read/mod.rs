//! Online reads: the features of a service for many keys at one moment, from the packed states.
//!
//! - `plan`: a service resolved once: which view, which key parts, which features, where they go
//! - `rows`: the rows of a request, checked; `columnar` those that come in columns; `typed_rows` straight from JSON, for
//!   requests without a flaw
//! - `columns`: the names of an answer's columns, written once
//! - `gather`: a whole read: which distinct keys it needs, and who gets which answer
//! - `states`: the states of many keys, each looked up and decoded once
//! - `answer`: the features of one key of one view
//! - `lists`: rows that ask for several entities, put together again
//! - `batch`: an answer as a record batch, with lists or without
//! - `stale`: answers beyond a freshness objective, counted and logged
//! - `hot`: which keys are read most
//! - `version`: which version of a service answers
//! - `service`: the use case

mod answer;
pub(crate) mod batch;
pub(crate) mod columnar;
mod columns;
mod gather;
pub(crate) mod hot;
pub(crate) mod lists;
pub(crate) mod plan;
pub(crate) mod rows;
pub(crate) mod service;
mod stale;
mod states;
pub(crate) mod typed_rows;
mod version;

pub use columns::Columns;
pub(crate) use plan::ReadPlan;
pub use service::{AnsweredRow, ReadAnswer, ReadRequest, ViewFreshness};
pub(crate) use states::{Wanted, states};
