//! SQLite: one file beside the server, one writer at a time.
//!
//! Writers queue for the one writing connection here, in the order they came, instead of colliding inside the database; readers
//! have connections of their own and never wait for a writer.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Column as _, Row as _, Sqlite, SqlitePool, TypeInfo as _, ValueRef as _,
    error::DatabaseError,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};

use crate::{
    Row, SqlValue, StoreError,
    statement::{bind_all, check, to_rows},
};

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The pools of one database.
#[derive(Clone)]
pub(crate) struct SqlitePools {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqlitePools {
    pub(crate) async fn connect(options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let options = options.foreign_keys(true).busy_timeout(BUSY_TIMEOUT);
        let pool = || SqlitePoolOptions::new().min_connections(1).acquire_timeout(BUSY_TIMEOUT);
        let writer = pool().max_connections(1).connect_with(options.clone()).await?;
        let readers =
            pool().max_connections(READERS).connect_with(options.pragma("query_only", "ON")).await?;
        Ok(Self { writer, readers })
    }

    pub(crate) async fn fetch(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<Vec<Row>, StoreError> {
        let rows = bind(sql, parameters)?.fetch_all(&mut *self.readers.acquire().await?).await?;
        read_rows(&rows)
    }

    pub(crate) async fn begin(&self) -> Result<SqliteTransaction, StoreError> {
        Ok(SqliteTransaction(self.writer.begin_with("BEGIN IMMEDIATE").await?))
    }

    pub(crate) async fn execute(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<u64, StoreError> {
        Ok(bind(sql, parameters)?.execute(&self.writer).await?.rows_affected())
    }

    pub(crate) async fn close(&self) {
        // Readers first: the last connection to close folds the write-ahead log into the file, and only a writer can.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A write transaction, on the one writing connection.
#[derive(Debug)]
pub(crate) struct SqliteTransaction(sqlx::Transaction<'static, Sqlite>);

impl SqliteTransaction {
    pub(crate) async fn fetch(
        &mut self,
        sql: &str,
        parameters: Vec<SqlValue>,
    ) -> Result<Vec<Row>, StoreError> {
        read_rows(&bind(sql, parameters)?.fetch_all(&mut *self.0).await?)
    }

    pub(crate) async fn execute(&mut self, sql: &str, parameters: Vec<SqlValue>) -> Result<u64, StoreError> {
        Ok(bind(sql, parameters)?.execute(&mut *self.0).await?.rows_affected())
    }

    pub(crate) async fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *self.0).await?;
        Ok(())
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }
}

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// A prepared statement with its parameters. Values only ever travel as parameters, so the text is the caller's own.
fn bind(sql: &str, parameters: Vec<SqlValue>) -> Result<Query, StoreError> {
    check(sql, &parameters)?;
    Ok(bind_all!(sqlx::query(AssertSqlSafe(sql.to_owned())), parameters, None::<i64>))
}

fn read_rows(rows: &[SqliteRow]) -> Result<Vec<Row>, StoreError> {
    to_rows!(rows, read_value)
}

/// The type stored decides, not the type declared: a result column of an expression declares none.
fn read_value(row: &SqliteRow, index: usize) -> Result<SqlValue, StoreError> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(SqlValue::Null);
    }
    let stored = raw.type_info().name().to_owned();
    drop(raw);
    Ok(match stored.as_str() {
        "INTEGER" => SqlValue::Int(row.try_get_unchecked(index)?),
        "REAL" => SqlValue::Real(row.try_get_unchecked(index)?),
        "TEXT" => SqlValue::Text(row.try_get_unchecked(index)?),
        _ => SqlValue::Blob(row.try_get_unchecked(index)?),
    })
}

/// Result codes of SQLite (sqlite.org/rescode.html): the primary code is the low byte of the extended one.
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const NOT_A_DATABASE: i32 = 26;
    /// The shared index of the write-ahead log could not grow.
    pub(super) const IO_SHARED_MEMORY_SIZE: i32 = 4874;
}

/// What a failure of the database means; `None` when it has no name here.
pub(crate) fn meaning(error: &dyn DatabaseError) -> Option<fn(crate::Cause) -> StoreError> {
    let extended: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or_default();
    match extended & 0xff {
        _ if extended == code::IO_SHARED_MEMORY_SIZE => Some(StoreError::Full),
        code::FULL => Some(StoreError::Full),
        code::BUSY | code::LOCKED => Some(StoreError::Busy),
        code::CORRUPT | code::NOT_A_DATABASE => Some(StoreError::Damaged),
        _ => None,
    }
}
