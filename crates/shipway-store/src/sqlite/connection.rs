//! Statements on one connection to SQLite. They block: who calls them decides on which thread.

use std::{path::Path, time::Duration};

use rusqlite::{
    CachedStatement, OpenFlags,
    types::{ToSqlOutput, ValueRef},
};

use crate::{Row, SqlValue, StoreError, row::Table, statement::check_values};

/// Pages of the database that a connection keeps in memory, in KiB; the system keeps others.
const WRITER_CACHE_KIB: i32 = 8 * 1024;
const READER_CACHE_KIB: i32 = 4 * 1024;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 256;

/// How a database is opened.
#[derive(Debug, Clone)]
pub(crate) struct SqliteOptions {
    pub(crate) path: std::path::PathBuf,
    /// Whether a commit is on the disk when it returns.
    pub(crate) is_durable: bool,
    pub(crate) may_create: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection(rusqlite::Connection);

impl Connection {
    /// A connection that writes, and makes the database where there is none. It never waits for another process: see `writer`.
    pub(super) fn writing(options: &SqliteOptions) -> Result<Self, StoreError> {
        let create = if options.may_create { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
        let connection = Self::open(&options.path, OpenFlags::SQLITE_OPEN_READ_WRITE | create)?;
        connection.0.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        connection.0.busy_timeout(super::PATIENCE)?;
        connection.0.pragma_update(None, "journal_mode", "wal")?;
        connection.0.pragma_update(None, "synchronous", if options.is_durable { "full" } else { "off" })?;
        connection.0.busy_timeout(Duration::ZERO)?;
        Ok(connection)
    }

    /// A connection that cannot write.
    pub(super) fn reading(options: &SqliteOptions) -> Result<Self, StoreError> {
        // The log beside a database has an index that readers write to.
        let connection = Self::open(&options.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.0.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
        connection.0.busy_timeout(super::PATIENCE)?;
        connection.0.pragma_update(None, "query_only", "on")?;
        Ok(connection)
    }

    fn open(path: &Path, flags: OpenFlags) -> Result<Self, StoreError> {
        // One thread at a time has a connection, so SQLite need not lock it.
        let connection =
            rusqlite::Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "foreign_keys", "on")?;
        Ok(Self(connection))
    }

    /// All rows of a query.
    pub(super) fn fetch(&self, sql: &str, parameters: &[SqlValue]) -> Result<Vec<Row>, StoreError> {
        check_values(parameters)?;
        let mut statement = self.0.prepare_cached(sql)?;
        places(&statement, parameters.len())?.bind(&mut statement, parameters)?;
        let mut rows = statement.raw_query();
        let Some(first) = rows.next()? else { return Ok(Vec::new()) };
        // Asked once there is a row: a statement that was prepared before its tables changed has other columns until then.
        let names: Vec<String> = first.as_ref().column_names().into_iter().map(str::to_owned).collect();
        let columns = names.len();
        let mut table = Table::new(names);
        read(first, columns, &mut table)?;
        while let Some(row) = rows.next()? {
            read(row, columns, &mut table)?;
        }
        Ok(table.into_rows())
    }

    /// Runs one statement and says how many rows it changed.
    pub(super) fn execute(&self, sql: &str, parameters: &[SqlValue]) -> Result<u64, StoreError> {
        check_values(parameters)?;
        let mut statement = self.0.prepare_cached(sql)?;
        places(&statement, parameters.len())?.bind(&mut statement, parameters)?;
        self.step(&mut statement)
    }

    /// Runs one statement, which was written for one row, for each row.
    pub(super) fn execute_each(&self, sql: &str, rows: &[Vec<SqlValue>]) -> Result<u64, StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let (places, mut changed) = (places(&statement, rows.first().map_or(0, Vec::len))?, 0);
        for row in rows {
            check_values(row)?;
            places.bind(&mut statement, row)?;
            changed += self.step(&mut statement)?;
        }
        Ok(changed)
    }

    /// Runs a script of several statements without parameters.
    pub(super) fn run_script(&self, sql: &str) -> Result<(), StoreError> {
        Ok(self.0.execute_batch(sql)?)
    }

    /// Whether no transaction is open; also when SQLite has ended it by itself, because the disk is full or has failed.
    pub(super) fn is_outside_transaction(&self) -> bool {
        self.0.is_autocommit()
    }

    fn step(&self, statement: &mut CachedStatement<'_>) -> Result<u64, StoreError> {
        let changes = !statement.readonly();
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
        drop(rows);
        Ok(if changes { self.0.changes() } else { 0 })
    }
}

/// Which parameter each placeholder of a statement stands for: SQLite numbers `$2, $1` as they come, and so knows `$2` as the first.
struct Places(Vec<usize>);

fn places(statement: &CachedStatement<'_>, given: usize) -> Result<Places, StoreError> {
    let number = |place| {
        let name = statement.parameter_name(place).unwrap_or_default();
        name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok()).unwrap_or(place)
    };
    let places: Vec<usize> = (1..=statement.parameter_count()).map(number).collect();
    let expected = places.iter().copied().max().unwrap_or_default();
    if expected > given {
        return Err(StoreError::MissingParameters { expected, given });
    }
    Ok(Places(places))
}

impl Places {
    fn bind(&self, statement: &mut CachedStatement<'_>, parameters: &[SqlValue]) -> Result<(), StoreError> {
        for (index, place) in self.0.iter().enumerate() {
            let value = match parameters.get(place.wrapping_sub(1)) {
                None | Some(SqlValue::Null) => ValueRef::Null,
                Some(SqlValue::Int(value)) => ValueRef::Integer(*value),
                Some(SqlValue::Real(value)) => ValueRef::Real(*value),
                Some(SqlValue::Text(value)) => ValueRef::Text(value.as_bytes()),
                Some(SqlValue::Blob(value)) => ValueRef::Blob(value),
            };
            statement.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(value))?;
        }
        Ok(())
    }
}

/// The type stored decides, not the type declared: a result column of an expression declares none.
fn read(row: &rusqlite::Row<'_>, columns: usize, table: &mut Table) -> Result<(), StoreError> {
    for column in 0..columns {
        match row.get_ref(column)? {
            ValueRef::Null => table.push_null(),
            ValueRef::Integer(value) => table.push_int(value),
            ValueRef::Real(value) => table.push_real(value),
            ValueRef::Text(text) => {
                table
                    .push_text(std::str::from_utf8(text).map_err(|error| StoreError::Damaged(error.into()))?);
            }
            ValueRef::Blob(bytes) => table.push_blob(bytes),
        }
    }
    Ok(())
}
