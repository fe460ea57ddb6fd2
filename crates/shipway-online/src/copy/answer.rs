//! What a server answers, as bytes.

use bytes::Bytes;
use redis::Value;

use crate::copy::error::{CopyError, strange};

/// A string, or none.
pub(crate) fn text(answer: Value) -> Result<Option<Bytes>, CopyError> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(Bytes::from(bytes))),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(Some(Bytes::from(text))),
        other => Err(strange(&other)),
    }
}

/// A list.
pub(crate) fn list(answer: Value) -> Result<Vec<Value>, CopyError> {
    match answer {
        Value::Array(items) | Value::Set(items) => Ok(items),
        other => Err(strange(&other)),
    }
}
