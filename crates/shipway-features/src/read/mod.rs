//! Online reads: the features of a service for many keys at one moment, from the packed states.
//!
//! - `plan`: a service resolved once: which view, which key parts, which features, where they go
//! - `rows`: the rows of a request, checked; `columnar` those that come in columns; `typed_rows` straight from JSON, for
//!   requests without a flaw
//! - `columns`: the names of an answer's columns, written once
//! - `gather`: a whole read: which distinct keys it needs, and who gets which answer
//! - `sources`: the states of one source at one moment, wherever they are
//! - `states`: the states of many keys, each looked up and decoded once
//! - `answer`: the features of one key of one view
//! - `lists`: rows that ask for several entities, put together again
//! - `batch`: an answer as a record batch, with lists or without
//! - `stale`: answers beyond a freshness objective, counted and logged
//! - `hot`: which keys are read most
//! - `version`: which version of a service answers
//! - `service`: the use case
//! - `reads`: who answers: a server with states of its own, or a reader of a copy

mod answer;
pub(crate) mod batch;
pub(crate) mod columnar;
mod columns;
pub(crate) mod gather;
pub(crate) mod hot;
pub(crate) mod lists;
pub(crate) mod plan;
mod reads;
pub(crate) mod rows;
pub(crate) mod service;
pub(crate) mod sources;
mod stale;
mod states;
pub(crate) mod typed_rows;
pub(crate) mod version;

pub use columns::Columns;
pub(crate) use plan::ReadPlan;
pub(crate) use reads::Reads;
pub use service::{AnsweredRow, ReadAnswer, ReadRequest, ViewFreshness};
pub(crate) use states::{Wanted, states};
