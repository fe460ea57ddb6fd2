//! Objects, named by the digest of their content: model files, artifacts, request bodies worth keeping.
//!
//! An object is written once and never changes. It is there completely or not at all, it survives a crash of the
//! machine once `put` has answered, and it is checked against its name whenever it is read whole.
//!
//! - `local`: objects in a folder
//! - `content`: an object as a stream that proves its digest
//! - `error`: what can go wrong
#![deny(missing_docs)]

mod content;
mod error;
mod local;

pub use error::BlobError;
pub use local::{BlobStore, StagedBlob, StoredBlob};
