//! The declared columns as the readers of all formats see them.

use shipway_core::{Value, nearest};

use crate::{
    convert::Wanted,
    definition::{Column, UnknownFields},
    error::MessageError,
};

/// The declared columns, and what becomes of fields that belong to none.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(crate) columns: Vec<Column>,
    pub(crate) unknown: UnknownFields,
}

/// Why a schema and the columns do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unmatched {
    /// The schema cannot be used.
    Schema(String),
    /// This error is the answer to every message of the schema.
    Message(MessageError),
}

impl Places {
    pub(crate) fn wanted(&self, column: usize) -> Wanted {
        let column = &self.columns[column];
        Wanted { data_type: column.data_type, unit: column.unit }
    }

    /// A row that has nothing yet.
    pub(crate) fn nothing(&self) -> Vec<Value> {
        vec![Value::Null; self.columns.len()]
    }

    pub(crate) fn mismatch(&self, column: usize, reason: String) -> MessageError {
        MessageError::Column { column: self.columns[column].name.clone(), reason }
    }

    /// The error for a field that no column names.
    pub(crate) fn stranger_error(&self, field: &str) -> MessageError {
        let near = nearest(field, self.columns.iter().map(|column| column.name.as_str()));
        let near = near.map(|near| format!("; did you mean {near}")).unwrap_or_default();
        MessageError::UnknownField { field: field.chars().take(200).collect(), near }
    }

    pub(crate) fn stranger(&self, field: &str) -> Unmatched {
        Unmatched::Message(self.stranger_error(field))
    }
}
