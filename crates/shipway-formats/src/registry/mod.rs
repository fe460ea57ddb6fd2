//! Schemas from a registry that speaks Confluent's REST interface.
//!
//! `client.rs` asks, `references.rs` gathers what a schema builds on, `cache.rs` asks once for each id.

pub(crate) mod cache;
mod client;
mod references;

pub use client::RegistryClient;

/// What a schema is written in, as registries say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SchemaType {
    Avro,
    Protobuf,
    Json,
}

/// A schema, and the texts that it builds on: each after those that it builds on itself.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) schema_type: SchemaType,
    pub(crate) text: String,
    /// The name that a text is known by to those that use it, and the text.
    pub(crate) references: Vec<(String, String)>,
}

/// Why a schema did not come.
#[derive(Debug, Clone)]
pub(crate) enum Missing {
    /// The registry has none of this id.
    Unknown,
    /// It has one, and this is what is wrong with it.
    Unusable(String),
    /// Nobody can say for now.
    Surroundings(crate::error::FormatError),
}
