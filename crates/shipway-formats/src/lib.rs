//! The bytes of a message become the values of an event, and values become bytes.
//!
//! This crate decides what JSON, Avro and Protobuf mean in columns, with and without a schema registry and with Debezium's
//! envelope; what of it fits, and what is refused with which words. It knows no broker.
//!
//! `definition.rs` what users write · `decoder.rs` from bytes to rows · `row.rs` what a message becomes · `convert.rs` the
//! judgement whether a value is one of a column · `columns.rs` the declared columns · `meaning.rs` what numbers stand for ·
//! `debezium.rs` what a change event says · `framing.rs` the header with the id of a schema · `json/`, `avro/`, `protobuf/`
//! the formats · `registry/` schemas by id · `encoder.rs` from rows to bytes · `error.rs` what can go wrong

mod avro;
mod columns;
mod convert;
mod debezium;
mod decoder;
mod definition;
mod encoder;
mod error;
mod framing;
mod json;
mod meaning;
mod protobuf;
mod registry;
mod row;

pub use decoder::{Decoder, LONGEST_MESSAGE};
pub use definition::{Encoding, Envelope, Format, Paths, SchemaRegistry, Secret, TimeUnit, UnknownFields};
pub use encoder::{AvroEncoder, JsonEncoder};
pub use error::{FormatError, MessageError};
pub use registry::RegistryClient;
pub use row::{Change, Decoded, Row};
