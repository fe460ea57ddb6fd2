//! Keeps the sources that have a topic at a broker fed, each message once, sends rows on to topics, and says how all of that is.
//!
//! This crate decides when a topic is read and what becomes of what cannot be read. Where a message goes, and whether it
//! was there before, is decided behind [`Intake`], by whoever keeps the positions together with the events. The other way round,
//! it decides how rows become messages and when they are sent; which rows there are, and where a sink stands, is decided behind
//! [`Outflow`].
//!
//! - `port`: what this crate needs of the feature platform
//! - `options`: the brokers and what else it runs on
//! - `streams`: the handle: starts and stops a reader for each source with a topic
//! - `connections`: the brokers, each connected when it is first needed
//! - `reader`: one source: reads, decodes, delivers, again from the kept position after any failure
//! - `decoding`: messages of a broker as a delivery
//! - `replay`: dead letters, delivered again
//! - `status`: how every stream is
//! - `sink`: rows that are sent on
//! - `routes`: the native API
//! - `error`: what is refused and what can fail

#![deny(missing_docs)]

mod connections;
mod decoding;
mod error;
mod options;
mod port;
mod reader;
mod replay;
mod routes;
mod sink;
mod status;
mod streams;

pub use error::StreamsError;
pub use options::{BrokerOptions, StreamsOptions};
pub use port::{
    Arrived, Content, Counts, Delivered, Feed, Intake, IntakeFailure, Letter, Letters, Rejection,
};
pub use replay::Replayed;
pub use routes::{routes, sink_routes};
pub use sink::{LeftOut, Outflow, Outlet, Rows, SinkDestination, SinkState, SinkStatus, Sinks, Standing};
pub use status::{PartitionStatus, StreamState, StreamStatus};
pub use streams::Streams;
