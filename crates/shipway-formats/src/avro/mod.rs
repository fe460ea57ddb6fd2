//! Avro: one datum per message, read straight into the values of the declared columns.
//!
//! `schema.rs` reads a schema, `plan.rs` says once per schema which field goes where, `cursor.rs` reads the primitives,
//! `read.rs` reads a message by the plan, `envelope.rs` does so for Debezium's changes.
//!
//! Both are written here because of what they are for. The library for Avro drops the attributes of primitive types, where
//! Debezium says what a number counts; and it makes a tree of every message, of which most fields are not wanted.

mod cursor;
mod envelope;
mod plan;
mod read;
pub(crate) mod schema;

pub(crate) use plan::Layout;

/// The deepest that values of a message may lie in each other.
const DEEPEST: u32 = 64;
