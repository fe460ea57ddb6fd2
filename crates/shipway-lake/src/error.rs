//! What can go wrong with tables, files and queries, and how it presents itself.

use std::{borrow::Cow, error::Error, fmt, io, path::PathBuf};

use arrow::error::ArrowError;
use datafusion::{common::SchemaError, error::DataFusionError};
use deltalake::DeltaTableError;
use shipway_core::{Failure, Kind};

/// How the place of a row in a file is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowUnit {
    /// Lines of a text file, from 1.
    Line,
    /// Rows of a binary file, from 1.
    Row,
}

impl fmt::Display for RowUnit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Line => "line",
            Self::Row => "row",
        })
    }
}

/// A row that does not fit its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// The line or row, counted from 1.
    pub number: u64,
    /// The column at fault, unless the whole row is.
    pub column: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a table, a file or a query failed.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The name cannot name a table.
    #[error(
        "`{name}` is not a table name: expected a lower-case letter and at most 125 of a-z, 0-9 and _ after it"
    )]
    InvalidTableName {
        /// The name as given, shortened.
        name: String,
    },
    /// No table of that name exists.
    #[error("table {name} does not exist")]
    UnknownTable {
        /// The name as given.
        name: String,
        /// The existing name most like it.
        nearest: Option<String>,
    },
    /// The name cannot name a column.
    #[error("`{column}` is not a column name: {reason}")]
    InvalidColumnName {
        /// The name as given.
        column: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A column's type cannot be stored or read from this format.
    #[error("column {column}: type {data_type} is not supported")]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// A wanted schema contradicts the schema that a table has.
    #[error("table {table}: column {column} {reason}")]
    Incompatible {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The contradiction.
        reason: String,
    },
    /// A declared column is absent from the data.
    #[error("column {column} is missing")]
    MissingColumn {
        /// The declared column.
        column: String,
        /// The present column most like it.
        nearest: Option<String>,
    },
    /// The data has a column that is not declared.
    #[error("column {column} is not declared")]
    UnknownColumn {
        /// The undeclared column.
        column: String,
        /// The declared column most like it.
        nearest: Option<String>,
    },
    /// A column has a type that cannot become the declared one.
    #[error("column {column} is {found}; it cannot be read as {expected} without losing something")]
    TypeMismatch {
        /// The column.
        column: String,
        /// The type in the data.
        found: String,
        /// The declared type.
        expected: String,
    },
    /// Rows do not fit the schema. Nothing of the data was written.
    #[error("{}", describe(rows, *unit, *more))]
    BadRows {
        /// The first bad rows, in order.
        rows: Vec<BadRow>,
        /// How their numbers count.
        unit: RowUnit,
        /// Whether reading stopped before the end of the data, so that there may be more.
        more: bool,
    },
    /// The file is not of its format.
    #[error("the file is not readable as {format}: {reason}")]
    UnreadableFile {
        /// The format it was read as.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A statement that is not a query.
    #[error("only queries are allowed here; {statement} is not one")]
    ReadOnly {
        /// The statement's first words.
        statement: String,
    },
    /// The query is wrong: it does not parse, does not plan, or fails on the data it meets.
    #[error("the query failed: {reason}")]
    Query {
        /// What the engine says about it.
        reason: String,
    },
    /// The memory limit was reached where spilling to disk does not help.
    #[error("the query needs more memory than the limit allows: {reason}")]
    OutOfMemory {
        /// Which operators hold the memory.
        reason: String,
    },
    /// The table was dropped, or dropped and made anew, while rows for it were being written.
    #[error("table {table} was replaced while rows for it were being written")]
    Replaced {
        /// The table.
        table: String,
    },
    /// A table of that name exists, and was not to be replaced.
    #[error("table {table} exists already")]
    Exists {
        /// The table.
        table: String,
    },
    /// Other writers kept committing first.
    #[error("table {table}: other writers kept committing first")]
    Contended {
        /// The table.
        table: String,
    },
    /// The table's storage failed.
    #[error("table {table}: could not {action}")]
    Storage {
        /// The table.
        table: String,
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        source: Box<DeltaTableError>,
    },
    /// A file or folder could not be read or written.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The query engine failed in a way that is not the query's fault.
    #[error("the query engine failed")]
    Engine(#[source] Box<DataFusionError>),
    /// Data of somebody else was refused or could not be read.
    #[error(transparent)]
    Outside(#[from] crate::OutsideError),
    /// A task of this crate ended without an answer.
    #[error("a background task ended early while it had to {action}")]
    Task {
        /// What was being done.
        action: &'static str,
        /// Why it ended.
        source: tokio::task::JoinError,
    },
}

fn describe(rows: &[BadRow], unit: RowUnit, more: bool) -> String {
    let mut text = match (rows.len(), more) {
        (count, true) => format!("at least {count} rows are bad, so nothing was loaded"),
        (1, false) => "1 row is bad, so nothing was loaded".to_owned(),
        (count, false) => format!("{count} rows are bad, so nothing was loaded"),
    };
    for row in rows {
        let column = row.column.as_ref().map(|name| format!("column {name}: ")).unwrap_or_default();
        text.push_str(&format!("; {unit} {}: {column}{}", row.number, row.reason));
    }
    text
}

impl LakeError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn storage(table: &str, action: &'static str) -> impl FnOnce(DeltaTableError) -> Self {
        let table = table.to_owned();
        move |source| Self::Storage { table, action, source: Box::new(source) }
    }

    pub(crate) fn task(action: &'static str) -> impl FnOnce(tokio::task::JoinError) -> Self {
        move |source| Self::Task { action, source }
    }

    /// Wraps the error for a stream of batches; [`LakeError::from`] takes it out again.
    pub fn into_engine(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }
}

impl From<LakeError> for DataFusionError {
    fn from(error: LakeError) -> Self {
        error.into_engine()
    }
}

/// Tells the query's faults from the engine's, and takes out a [`LakeError`] that came through a stream.
impl From<DataFusionError> for LakeError {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(inner) => match inner.downcast::<DataFusionError>() {
                    Ok(nested) => Self::from(*nested),
                    Err(inner) => Self::Engine(Box::new(DataFusionError::External(inner))),
                },
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => Self::from(*inner),
            DataFusionError::Shared(shared) => from_shared(&shared),
            DataFusionError::ArrowError(inner, trace) => match *inner {
                ArrowError::ExternalError(inner) => Self::from(DataFusionError::External(inner)),
                fault if is_fault_of_query(&fault) => Self::Query { reason: fault.to_string() },
                other => Self::Engine(Box::new(DataFusionError::ArrowError(Box::new(other), trace))),
            },
            DataFusionError::ResourcesExhausted(reason) => Self::OutOfMemory { reason },
            DataFusionError::SchemaError(fault, _) => Self::Query { reason: column_fault(&fault) },
            fault @ (DataFusionError::SQL(..)
            | DataFusionError::Plan(_)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Execution(_)
            | DataFusionError::Collection(_)) => Self::Query { reason: plain(&fault) },
            other => Self::Engine(Box::new(other)),
        }
    }
}

fn from_shared(shared: &DataFusionError) -> LakeError {
    match shared.find_root() {
        DataFusionError::ResourcesExhausted(reason) => LakeError::OutOfMemory { reason: reason.clone() },
        DataFusionError::External(inner) => match inner.downcast_ref::<LakeError>() {
            Some(LakeError::BadRows { rows, unit, more }) => {
                LakeError::BadRows { rows: rows.clone(), unit: *unit, more: *more }
            }
            _ => LakeError::Engine(Box::new(DataFusionError::Execution(shared.to_string()))),
        },
        fault @ (DataFusionError::Plan(_) | DataFusionError::Execution(_)) => {
            LakeError::Query { reason: plain(fault) }
        }
        DataFusionError::ArrowError(fault, _) if is_fault_of_query(fault) => {
            LakeError::Query { reason: fault.to_string() }
        }
        _ => LakeError::Engine(Box::new(DataFusionError::Execution(shared.to_string()))),
    }
}

fn is_fault_of_query(fault: &ArrowError) -> bool {
    matches!(
        fault,
        ArrowError::CastError(_)
            | ArrowError::ParseError(_)
            | ArrowError::ComputeError(_)
            | ArrowError::DivideByZero
            | ArrowError::ArithmeticOverflow(_)
            | ArrowError::InvalidArgumentError(_)
    )
}

fn column_fault(fault: &SchemaError) -> String {
    let SchemaError::FieldNotFound { field, valid_fields } = fault else {
        return fault.to_string();
    };
    let candidates = valid_fields.iter().map(|column| column.name());
    match shipway_core::nearest(field.name(), candidates) {
        Some(nearest) => format!("column {} does not exist; did you mean {nearest}?", field.name()),
        None => format!("column {} does not exist", field.name()),
    }
}

/// The engine's own words, without its prefix and its backtrace.
fn plain(fault: &DataFusionError) -> String {
    let text = fault.strip_backtrace();
    for prefix in
        ["Error during planning: ", "Execution error: ", "SQL error: ", "This feature is not implemented: "]
    {
        if let Some(rest) = text.strip_prefix(prefix) {
            return rest.to_owned();
        }
    }
    text
}

fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    let mut source = Some(error);
    while let Some(inner) = source {
        if let Some(fault) = inner.downcast_ref::<io::Error>()
            && fault.kind() == io::ErrorKind::StorageFull
        {
            return true;
        }
        source = inner.source();
    }
    false
}

impl Failure for LakeError {
    fn kind(&self) -> Kind {
        match self {
            Self::InvalidTableName { .. }
            | Self::InvalidColumnName { .. }
            | Self::UnsupportedType { .. }
            | Self::MissingColumn { .. }
            | Self::UnknownColumn { .. }
            | Self::TypeMismatch { .. }
            | Self::BadRows { .. }
            | Self::UnreadableFile { .. }
            | Self::ReadOnly { .. }
            | Self::Query { .. } => Kind::Invalid,
            Self::UnknownTable { .. } => Kind::NotFound,
            Self::Incompatible { .. } | Self::Replaced { .. } | Self::Exists { .. } => Kind::Conflict,
            Self::OutOfMemory { .. } => Kind::Exhausted,
            Self::Contended { .. } => Kind::Unavailable,
            Self::Outside(error) => error.kind(),
            Self::Storage { .. } | Self::Io { .. } | Self::Engine(_) if is_disk_full(self) => {
                Kind::Unavailable
            }
            Self::Storage { .. } | Self::Io { .. } | Self::Engine(_) | Self::Task { .. } => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::InvalidTableName { .. } => "lake.table_name_invalid",
            Self::UnknownTable { .. } => "lake.table_unknown",
            Self::InvalidColumnName { .. } => "lake.column_name_invalid",
            Self::UnsupportedType { .. } => "lake.type_unsupported",
            Self::Incompatible { .. } => "lake.schema_incompatible",
            Self::MissingColumn { .. } => "lake.column_missing",
            Self::UnknownColumn { .. } => "lake.column_unknown",
            Self::TypeMismatch { .. } => "lake.type_mismatch",
            Self::BadRows { .. } => "lake.rows_bad",
            Self::UnreadableFile { .. } => "lake.file_unreadable",
            Self::ReadOnly { .. } => "lake.read_only",
            Self::Query { .. } => "lake.query_invalid",
            Self::OutOfMemory { .. } => "lake.memory_exhausted",
            Self::Replaced { .. } => "lake.table_replaced",
            Self::Exists { .. } => "lake.table_exists",
            Self::Contended { .. } => "lake.table_contended",
            Self::Storage { .. } | Self::Io { .. } => "lake.storage_failed",
            Self::Outside(error) => error.code(),
            Self::Engine(_) | Self::Task { .. } => "lake.engine_failed",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::UnknownTable { nearest: Some(name), .. }
            | Self::MissingColumn { nearest: Some(name), .. }
            | Self::UnknownColumn { nearest: Some(name), .. } => Some(format!("did you mean {name}?").into()),
            Self::UnknownTable { .. } => Some("list the tables to see which exist".into()),
            Self::Incompatible { .. } => {
                Some("a table's columns keep their type; a new column must allow nulls".into())
            }
            Self::BadRows { .. } => Some("correct these rows and load the file again".into()),
            Self::ReadOnly { .. } => Some("tables change by loading files and ingesting events".into()),
            Self::OutOfMemory { .. } => Some("raise the memory limit, or make the query smaller".into()),
            Self::Replaced { .. } | Self::Contended { .. } => Some("try again".into()),
            Self::Exists { .. } => Some("choose another name, or ask for the table to be replaced".into()),
            Self::Outside(error) => error.hint(),
            _ if is_disk_full(self) => Some("the disk is full; free some space and try again".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lake_error_survives_its_way_through_a_stream() {
        let error = LakeError::UnknownTable { name: "x".into(), nearest: None };
        let through = DataFusionError::Context("scan".into(), Box::new(error.into_engine()));
        assert!(matches!(LakeError::from(through), LakeError::UnknownTable { .. }));
    }

    #[test]
    fn a_full_disk_is_a_reason_to_try_again() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = LakeError::io("write", "/data/x")(full);
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.hint().is_some_and(|hint| hint.contains("disk is full")));
    }

    #[test]
    fn bad_rows_are_named_one_by_one() {
        let error = LakeError::BadRows {
            rows: vec![BadRow {
                number: 7,
                column: Some("delay".into()),
                reason: "expected float, got x".into(),
            }],
            unit: RowUnit::Line,
            more: false,
        };
        assert_eq!(
            error.to_string(),
            "1 row is bad, so nothing was loaded; line 7: column delay: expected float, got x"
        );
    }
}
