//! Rows, as they come out: read whole, so that no connection is held while they are used.

use std::sync::Arc;

use crate::{SqlValue, StoreError};
use shipway_core::Timestamp;

/// One row. Columns are asked for by name; of two columns with one name the first answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<SqlValue>,
}

impl Row {
    pub(crate) fn new(columns: Arc<[String]>, values: Vec<SqlValue>) -> Self {
        Self { columns, values }
    }

    /// The integer in `column`; an error when it is null.
    pub fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.optional_int(column)?.ok_or_else(|| null(column, "an integer"))
    }

    /// The integer in `column`, or `None` when it is null.
    pub fn optional_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        match self.value(column)? {
            SqlValue::Null => Ok(None),
            SqlValue::Int(value) => Ok(Some(*value)),
            other => Err(mismatch(column, "an integer", other)),
        }
    }

    /// The float in `column`; an error when it is null. An integer (as `SUM` may give) is converted.
    pub fn real(&self, column: &str) -> Result<f64, StoreError> {
        self.optional_real(column)?.ok_or_else(|| null(column, "a float"))
    }

    /// The float in `column`, or `None` when it is null. An integer (as `SUM` may give) is converted.
    pub fn optional_real(&self, column: &str) -> Result<Option<f64>, StoreError> {
        match self.value(column)? {
            SqlValue::Null => Ok(None),
            SqlValue::Real(value) => Ok(Some(*value)),
            SqlValue::Int(value) => Ok(Some(*value as f64)),
            other => Err(mismatch(column, "a float", other)),
        }
    }

    /// The text in `column`; an error when it is null.
    pub fn text(&self, column: &str) -> Result<String, StoreError> {
        self.optional_text(column)?.ok_or_else(|| null(column, "text"))
    }

    /// The text in `column`, or `None` when it is null.
    pub fn optional_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        match self.value(column)? {
            SqlValue::Null => Ok(None),
            SqlValue::Text(value) => Ok(Some(value.clone())),
            other => Err(mismatch(column, "text", other)),
        }
    }

    /// The boolean in `column`, stored as 0 or 1; an error when it is null or anything else.
    pub fn boolean(&self, column: &str) -> Result<bool, StoreError> {
        match self.value(column)? {
            SqlValue::Int(0) => Ok(false),
            SqlValue::Int(1) => Ok(true),
            other => Err(mismatch(column, "0 or 1", other)),
        }
    }

    /// The moment in `column`, stored as microseconds since the epoch; an error when it is null.
    pub fn timestamp(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp)
    }

    /// The moment in `column`, or `None` when it is null.
    pub fn optional_timestamp(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.optional_int(column)?.map(Timestamp))
    }

    /// The bytes in `column`; an error when it is null.
    pub fn blob(&self, column: &str) -> Result<Vec<u8>, StoreError> {
        self.optional_blob(column)?.ok_or_else(|| null(column, "bytes"))
    }

    /// The bytes in `column`, or `None` when it is null.
    pub fn optional_blob(&self, column: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.value(column)? {
            SqlValue::Null => Ok(None),
            SqlValue::Blob(value) => Ok(Some(value.clone())),
            other => Err(mismatch(column, "bytes", other)),
        }
    }

    /// Whatever is in `column`.
    pub fn value(&self, column: &str) -> Result<&SqlValue, StoreError> {
        self.columns
            .iter()
            .position(|name| name == column)
            .and_then(|index| self.values.get(index))
            .ok_or_else(|| StoreError::NoColumn { column: column.to_owned() })
    }
}

fn null(column: &str, expected: &'static str) -> StoreError {
    mismatch(column, expected, &SqlValue::Null)
}

fn mismatch(column: &str, expected: &'static str, found: &SqlValue) -> StoreError {
    StoreError::ColumnType { column: column.to_owned(), expected, found: found.type_name() }
}
