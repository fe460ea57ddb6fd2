//! PostgreSQL: a server of its own, for metadata that shall outlive the machine that Shipway runs on.
//!
//! Use cases read, judge and write, and count on nobody changing what they have read. SQLite gives that with its one writer;
//! here locks do, which PostgreSQL releases with their transaction: a transaction that may change anything has the lock of the
//! database alone, one that changes what belongs to one subject shares it and has the lock of its subject.

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    AssertSqlSafe, Column as _, Encode, PgPool, Postgres, Row as _, Type, TypeInfo as _, ValueRef as _,
    encode::IsNull,
    error::{BoxDynError, DatabaseError},
    postgres::{
        PgArgumentBuffer, PgArguments, PgConnectOptions, PgPoolOptions, PgRow, PgTypeInfo, types::Oid,
    },
};

use crate::{
    Row, SqlValue, StoreError,
    statement::{bind_all, check, to_rows},
};

/// How long a connection, or its turn to write, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The oldest server that is taken, as `server_version_num` says it.
const OLDEST_SERVER: i32 = 130_000;
/// The first half of the numbers of our locks, so that they are not those of another program in the same database.
const LOCK_SPACE: i32 = 0x5348_4950;
/// The lock of the database as a whole; the locks of subjects have every other number.
const WHOLE: i32 = 0;

/// Connections to one database: some that write, and some that cannot.
#[derive(Clone)]
pub(crate) struct PostgresPool {
    writers: PgPool,
    readers: PgPool,
}

/// How a PostgreSQL is reached, with the password left out.
pub(crate) fn place_of(url: &str) -> String {
    let Ok(options) = PgConnectOptions::from_str(url) else { return "(an unreadable address)".to_owned() };
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("postgresql://{}:{}/{database}", options.get_host(), options.get_port())
}

impl PostgresPool {
    /// Connects, and refuses a server that is too old or does not speak UTF-8.
    pub(crate) async fn connect(url: &str, connections: u32) -> Result<Self, StoreError> {
        let unopened = |source: crate::Cause| StoreError::Open { place: place_of(url), source };
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| unopened(error.into()))?
            .application_name("shipway")
            .statement_cache_capacity(256)
            .options([
                // Acknowledged means durable, whatever the server's own default is.
                ("synchronous_commit", "on".to_owned()),
                ("lock_timeout", PATIENCE.as_millis().to_string()),
                ("idle_in_transaction_session_timeout", "60000".to_owned()),
                ("client_min_messages", "warning".to_owned()),
            ]);
        let connect = |options| {
            PgPoolOptions::new()
                .max_connections(connections.div_ceil(2).max(1))
                .acquire_timeout(PATIENCE)
                .connect_with(options)
        };
        let readers = connect(options.clone().options([("default_transaction_read_only", "on")]));
        let readers = readers.await.map_err(|error| unopened(error.into()))?;
        let writers = connect(options).await.map_err(|error| unopened(error.into()))?;
        let pool = Self { writers, readers };
        let sql = "SELECT current_setting('server_version_num') AS version, \
                   current_setting('server_encoding') AS encoding";
        for row in pool.fetch(sql, Vec::new()).await? {
            let (version, encoding) = (row.text("version")?, row.text("encoding")?);
            if version.parse::<i32>().is_ok_and(|version| version < OLDEST_SERVER) || encoding != "UTF8" {
                let found = format!("its version is {version} and its encoding {encoding}");
                return Err(StoreError::Unsuitable { place: place_of(url), found });
            }
        }
        Ok(pool)
    }

    pub(crate) async fn fetch(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<Vec<Row>, StoreError> {
        read_rows(&bind(sql, parameters)?.fetch_all(&self.readers).await?)
    }

    /// Begins a transaction that may change anything, when all others have ended.
    pub(crate) async fn begin(&self) -> Result<PostgresTransaction, StoreError> {
        self.begin_with(format!("SELECT pg_advisory_xact_lock({LOCK_SPACE}, {WHOLE})")).await
    }

    /// Begins a transaction that changes what belongs to `subject`, beside those of other subjects.
    pub(crate) async fn begin_on(&self, subject: &str) -> Result<PostgresTransaction, StoreError> {
        // Two subjects with one number wait for each other, which costs time and nothing else.
        let number = (crc32fast::hash(subject.as_bytes()) >> 1).max(1);
        self.begin_with(format!(
            "SELECT pg_advisory_xact_lock_shared({LOCK_SPACE}, {WHOLE}); \
             SELECT pg_advisory_xact_lock({LOCK_SPACE}, {number})"
        ))
        .await
    }

    /// Takes the locks inside the transaction, so that a caller who goes away while it waits for them, or waits in vain, leaves a
    /// transaction behind that is rolled back, and no lock.
    async fn begin_with(&self, locks: String) -> Result<PostgresTransaction, StoreError> {
        let mut transaction = PostgresTransaction(self.writers.begin().await?);
        transaction.run_script(&locks).await?;
        Ok(transaction)
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// A write transaction with its locks.
#[derive(Debug)]
pub(crate) struct PostgresTransaction(sqlx::Transaction<'static, Postgres>);

impl PostgresTransaction {
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

/// A null whose type the server works out from the statement, as it does for a literal NULL.
struct NullOfAnyType;

impl Type<Postgres> for NullOfAnyType {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for NullOfAnyType {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

/// A prepared statement with its parameters. Values only ever travel as parameters, so the text is the caller's own.
fn bind(sql: &str, parameters: Vec<SqlValue>) -> Result<Query, StoreError> {
    check(sql, &parameters)?;
    Ok(bind_all!(sqlx::query(AssertSqlSafe(sql.to_owned())), parameters, NullOfAnyType))
}

fn read_rows(rows: &[PgRow]) -> Result<Vec<Row>, StoreError> {
    to_rows!(rows, read_value)
}

/// Integers, floats and booleans of every width become those of a [`Row`]; `NUMERIC`, which a sum of integers has here, does not:
/// cast it in the statement.
fn read_value(row: &PgRow, index: usize) -> Result<SqlValue, StoreError> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(SqlValue::Null);
    }
    let stored = raw.type_info().name().to_owned();
    drop(raw);
    Ok(match stored.as_str() {
        "INT8" => SqlValue::Int(row.try_get_unchecked(index)?),
        "INT4" => SqlValue::Int(row.try_get_unchecked::<i32, _>(index)?.into()),
        "INT2" => SqlValue::Int(row.try_get_unchecked::<i16, _>(index)?.into()),
        "BOOL" => SqlValue::Int(row.try_get_unchecked::<bool, _>(index)?.into()),
        "FLOAT8" => SqlValue::Real(row.try_get_unchecked(index)?),
        "FLOAT4" => SqlValue::Real(row.try_get_unchecked::<f32, _>(index)?.into()),
        "TEXT" | "VARCHAR" | "NAME" | "UNKNOWN" => SqlValue::Text(row.try_get_unchecked(index)?),
        "BYTEA" => SqlValue::Blob(row.try_get_unchecked(index)?),
        _ => {
            let column = row.columns().get(index).map(|column| column.name().to_owned()).unwrap_or_default();
            let expected = "an integer, a float, text or bytes";
            return Err(StoreError::ColumnType { column, expected, found: "another type" });
        }
    })
}

/// What an SQLSTATE means (postgresql.org/docs/current/errcodes-appendix.html); `None` when it has no name here.
pub(crate) fn meaning(error: &dyn DatabaseError) -> Option<fn(crate::Cause) -> StoreError> {
    let code = error.code()?;
    match code.as_ref() {
        // disk full, and what a full disk makes of a write
        "53100" | "58030" => Some(StoreError::Full),
        // no memory, too many connections, a lock that was waited for in vain, a deadlock
        "53200" | "53300" | "55P03" | "40001" | "40P01" => Some(StoreError::Busy),
        // shutting down, crashed, starting, ended from outside, read only after a failover
        "57P01" | "57P02" | "57P03" | "25P03" | "25006" => Some(StoreError::Unreachable),
        "XX001" | "XX002" => Some(StoreError::Damaged),
        _ if code.starts_with("08") => Some(StoreError::Unreachable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_without_its_password() {
        let place = place_of("postgresql://alice:very%20secret@db.internal:5433/shipway");
        assert_eq!(place, "postgresql://db.internal:5433/shipway");
        assert_eq!(place_of("not an address: secret"), "(an unreadable address)");
    }
}
