//! What a message becomes.

use shipway_core::{Timestamp, Value};

use crate::error::MessageError;

/// What one message says.
#[derive(Debug, PartialEq)]
pub enum Decoded {
    /// Rows, in their order; at least one.
    Rows(Vec<Row>),
    /// Nothing about rows: a tombstone, a heartbeat, a change of a table's schema, the edge of a transaction.
    Nothing,
    /// The message is to blame, and will be as often as it is read.
    Refused(MessageError),
}

/// A row and what happened to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// In the order of the declared columns; null where the message has nothing.
    pub values: Vec<Value>,
    /// What happened to the row.
    pub change: Change,
    /// When it happened, as far as the envelope says.
    pub changed: Option<Timestamp>,
}

impl Row {
    /// A row of a format without an envelope.
    pub(crate) const fn inserted(values: Vec<Value>) -> Self {
        Self { values, change: Change::Insert, changed: None }
    }
}

/// What happened to a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is there now. Formats without an envelope know nothing else.
    Insert,
    /// It was there, and is no longer.
    Delete,
    /// It was there, and has other values now.
    Update {
        /// The values before, as far as the sender knew them.
        before: Option<Vec<Value>>,
    },
}
