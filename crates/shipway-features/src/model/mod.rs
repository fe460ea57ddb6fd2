//! Events, log records, schemas and tokens: types that are valid once they exist.

pub(crate) mod bytes;
pub(crate) mod columns;
pub(crate) mod dead_letter;
pub(crate) mod event;
pub(crate) mod expressions;
pub(crate) mod origin;
pub(crate) mod record;
pub(crate) mod schema;
pub(crate) mod token;
