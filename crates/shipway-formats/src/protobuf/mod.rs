//! Protobuf: one message per message, by the descriptors that its `.proto` text is compiled to.
//!
//! `schema.rs` compiles the text, `read.rs` reads a message.

mod read;
pub(crate) mod schema;

pub(crate) use read::Layout;
