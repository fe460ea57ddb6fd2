//! Events come in: each is checked against its source, told apart from its duplicates, and acknowledged when it is durable.
//!
//! - `parse`: request bodies to events, or reasons to refuse them
//! - `dedupe`: which event ids are taken, from the first byte of a request until the online store knows them
//! - `accept`: the use case

mod accept;
pub(crate) mod dedupe;
mod json;
mod parse;

pub use accept::{IngestAnswer, Refused};
pub use parse::Events;
pub(crate) use parse::{Intake, event_id};
