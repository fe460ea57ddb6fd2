//! Rows, as they come out: read whole, so that no connection is held while they are used.

use std::sync::Arc;

use crate::{SqlValue, StoreError};
use shipway_core::Timestamp;

/// All rows of one result. Texts lie end to end, and so do bytes: a result of many small values costs few allocations.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Table {
    columns: Vec<String>,
    cells: Vec<Cell>,
    texts: String,
    bytes: Vec<u8>,
}

/// A value of a result; texts and bytes by their place among all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text { start: usize, end: usize },
    Blob { start: usize, end: usize },
}

impl Cell {
    const fn type_name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int(_) => "an integer",
            Self::Real(_) => "a float",
            Self::Text { .. } => "text",
            Self::Blob { .. } => "bytes",
        }
    }
}

/// Values are pushed in the order of the columns, row by row.
impl Table {
    pub(crate) fn new(columns: Vec<String>) -> Self {
        Self { columns, ..Self::default() }
    }

    pub(crate) fn push_null(&mut self) {
        self.cells.push(Cell::Null);
    }

    pub(crate) fn push_int(&mut self, value: i64) {
        self.cells.push(Cell::Int(value));
    }

    pub(crate) fn push_real(&mut self, value: f64) {
        self.cells.push(Cell::Real(value));
    }

    pub(crate) fn push_text(&mut self, text: &str) {
        let start = self.texts.len();
        self.texts.push_str(text);
        self.cells.push(Cell::Text { start, end: self.texts.len() });
    }

    pub(crate) fn push_blob(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.cells.push(Cell::Blob { start, end: self.bytes.len() });
    }

    pub(crate) fn into_rows(self) -> Vec<Row> {
        let columns = self.columns.len().max(1);
        let (rows, table) = (self.cells.len() / columns, Arc::new(self));
        (0..rows).map(|row| Row { table: Arc::clone(&table), first: row * columns }).collect()
    }
}

/// One row. Columns are asked for by name; of two columns with one name the first answers.
///
/// The rows of a result share what they hold: one that is kept keeps all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    table: Arc<Table>,
    /// Where its cells begin.
    first: usize,
}

impl Row {
    /// The integer in `column`; an error when it is null.
    pub fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.optional_int(column)?.ok_or_else(|| null(column, "an integer"))
    }

    /// The integer in `column`, or `None` when it is null.
    pub fn optional_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Int(value) => Ok(Some(value)),
            other => Err(mismatch(column, "an integer", other)),
        }
    }

    /// The float in `column`; an error when it is null. An integer (as `SUM` may give) is converted.
    pub fn real(&self, column: &str) -> Result<f64, StoreError> {
        self.optional_real(column)?.ok_or_else(|| null(column, "a float"))
    }

    /// The float in `column`, or `None` when it is null. An integer (as `SUM` may give) is converted.
    pub fn optional_real(&self, column: &str) -> Result<Option<f64>, StoreError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Real(value) => Ok(Some(value)),
            Cell::Int(value) => Ok(Some(value as f64)),
            other => Err(mismatch(column, "a float", other)),
        }
    }

    /// The text in `column`; an error when it is null.
    pub fn text(&self, column: &str) -> Result<String, StoreError> {
        self.str(column).map(str::to_owned)
    }

    /// The text in `column`, or `None` when it is null.
    pub fn optional_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        Ok(self.optional_str(column)?.map(str::to_owned))
    }

    /// The text in `column`, without a copy of it; an error when it is null.
    pub fn str(&self, column: &str) -> Result<&str, StoreError> {
        self.optional_str(column)?.ok_or_else(|| null(column, "text"))
    }

    /// The text in `column`, without a copy of it, or `None` when it is null.
    pub fn optional_str(&self, column: &str) -> Result<Option<&str>, StoreError> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Text { start, end } => Ok(self.table.texts.get(start..end)),
            other => Err(mismatch(column, "text", other)),
        }
    }

    /// The boolean in `column`, stored as 0 or 1; an error when it is null or anything else.
    pub fn boolean(&self, column: &str) -> Result<bool, StoreError> {
        match self.cell(column)? {
            Cell::Int(0) => Ok(false),
            Cell::Int(1) => Ok(true),
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
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Blob { start, end } => Ok(self.table.bytes.get(start..end).map(<[u8]>::to_vec)),
            other => Err(mismatch(column, "bytes", other)),
        }
    }

    /// Whatever is in `column`.
    pub fn value(&self, column: &str) -> Result<SqlValue, StoreError> {
        Ok(match self.cell(column)? {
            Cell::Null => SqlValue::Null,
            Cell::Int(value) => SqlValue::Int(value),
            Cell::Real(value) => SqlValue::Real(value),
            Cell::Text { start, end } => SqlValue::from(self.table.texts.get(start..end)),
            Cell::Blob { start, end } => SqlValue::from(self.table.bytes.get(start..end)),
        })
    }

    fn cell(&self, column: &str) -> Result<Cell, StoreError> {
        let place = self.table.columns.iter().position(|name| name == column);
        place
            .and_then(|place| self.table.cells.get(self.first + place).copied())
            .ok_or_else(|| StoreError::NoColumn { column: column.to_owned() })
    }
}

fn null(column: &str, expected: &'static str) -> StoreError {
    mismatch(column, expected, Cell::Null)
}

fn mismatch(column: &str, expected: &'static str, found: Cell) -> StoreError {
    StoreError::ColumnType { column: column.to_owned(), expected, found: found.type_name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_result_hold_their_own_values() {
        let mut table = Table::new(["name", "file", "size", "name"].map(str::to_owned).to_vec());
        for (name, size) in [("a", 1), ("", 2), ("\u{fc}x", 3)] {
            table.push_text(name);
            table.push_blob(&[size as u8; 2]);
            table.push_int(size);
            table.push_null();
        }
        let rows = table.into_rows();
        let texts: Vec<&str> = rows.iter().map(|row| row.str("name").unwrap()).collect();
        assert_eq!(texts, ["a", "", "\u{fc}x"], "of two columns with one name the first answers");
        assert_eq!(rows[2].blob("file").unwrap(), [3, 3]);
        assert_eq!(rows[1].value("size").unwrap(), SqlValue::Int(2));
        assert!(Table::new(Vec::new()).into_rows().is_empty());
    }
}
