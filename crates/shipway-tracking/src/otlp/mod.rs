//! The OpenTelemetry protocol for spans, over HTTP: bytes to spans as they are kept. Pure.
//!
//! - `messages`: the messages of the protocol, as far as they are read
//! - `body`: bytes as they come, compressed or not, binary or JSON, within bounds
//! - `parts`: what an export holds, counted before it is decoded
//! - `json`: the JSON form of the messages
//! - `value`: values of attributes, to JSON and back
//! - `span`: one span of a message to one that is kept
//! - `conventions`: what other tracers call inputs, outputs, models and tokens
//! - `numbered`: conversations in numbered attributes and in events; `money`: costs, and tokens in objects
//! - `trace_labels`: what spans say of their trace
//! - `preview`: the first lines of what went in and came out

mod body;
mod conventions;
mod json;
mod messages;
mod money;
mod numbered;
mod parts;
mod preview;
mod span;
mod trace_labels;
pub(crate) mod value;

pub use body::OtlpError;
pub(crate) use body::{BODY_BYTES, Encoding, Packing, read};
pub(crate) use preview::{Role, preview};
pub(crate) use span::{ReceivedSpan, received};
