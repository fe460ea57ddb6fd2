//! PostgreSQL: a server of its own, for metadata that shall outlive the machine that Shipway runs on.
//!
//! Use cases read, judge and write, and count on nobody changing what they have read. SQLite gives that with its one writer;
//! here locks do, which PostgreSQL releases with their transaction: a transaction that may change anything has the lock of the
//! database alone, one that changes what belongs to one subject shares it and has the lock of its subject.
//!
//! - `parameters`: values as parameters of statements
//! - `rows`: rows, out of the form of the driver

mod parameters;
mod rows;

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres,
    error::DatabaseError,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::{
    Change, Row, SqlValue, StoreError,
    statement::{chunks_of_rows, placeholders_of_rows},
};
use parameters::{bind, bind_columns, bind_ids, bind_together};
use rows::read_rows;

/// How long a connection, or its turn to write, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// For how long a connection that nobody uses is taken to be there.
const TRUSTED: Duration = Duration::from_millis(10);
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
    /// What rolls back the transactions that nobody ended.
    ends: TaskTracker,
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
                // One that was used a moment ago need not be asked whether it is still there.
                .test_before_acquire(false)
                .before_acquire(|connection, held| {
                    Box::pin(async move {
                        if held.idle_for >= TRUSTED {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .connect_with(options)
        };
        let readers = connect(options.clone().options([("default_transaction_read_only", "on")]));
        let readers = readers.await.map_err(|error| unopened(error.into()))?;
        let writers = connect(options).await.map_err(|error| unopened(error.into()))?;
        let pool = Self { writers, readers, ends: TaskTracker::new() };
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

    /// As `fetch`, with the one parameter `ids` for `IN ({ids})`.
    pub(crate) async fn fetch_among(&self, sql: &str, ids: &[String]) -> Result<Vec<Row>, StoreError> {
        read_rows(&bind_ids(sql, ids)?.fetch_all(&self.readers).await?)
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
    /// transaction behind that is rolled back, and no lock. One message begins it and takes them: a way to the server and back costs more
    /// than most statements.
    async fn begin_with(&self, locks: String) -> Result<PostgresTransaction, StoreError> {
        let connection = self.writers.acquire().await?;
        let mut transaction =
            PostgresTransaction { connection: Some(connection), has_failed: false, ends: self.ends.clone() };
        transaction.run_script(&format!("BEGIN; {locks}")).await?;
        Ok(transaction)
    }

    pub(crate) async fn close(&self) {
        self.ends.close();
        self.ends.wait().await;
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// A write transaction with its locks. Dropped before it is committed, it is rolled back, and the locks are free soon after.
#[derive(Debug)]
pub(crate) struct PostgresTransaction {
    connection: Option<PoolConnection<Postgres>>,
    /// Whether a statement has failed. The server would answer a commit with a rollback then, and call that a success.
    has_failed: bool,
    ends: TaskTracker,
}

impl PostgresTransaction {
    /// Lets `work` use the connection.
    async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let connection = self.connection.as_mut().ok_or(StoreError::Closed)?;
        let done = work(connection).await;
        self.has_failed |= done.is_err();
        Ok(done?)
    }

    pub(crate) async fn fetch(
        &mut self,
        sql: &str,
        parameters: Vec<SqlValue>,
    ) -> Result<Vec<Row>, StoreError> {
        let query = bind(sql, parameters)?;
        read_rows(&self.run(async |connection| query.fetch_all(connection).await).await?)
    }

    /// As `fetch`, with the one parameter `ids` for `IN ({ids})`.
    pub(crate) async fn fetch_among(&mut self, sql: &str, ids: &[String]) -> Result<Vec<Row>, StoreError> {
        let query = bind_ids(sql, ids)?;
        read_rows(&self.run(async |connection| query.fetch_all(connection).await).await?)
    }

    pub(crate) async fn execute(&mut self, sql: &str, parameters: Vec<SqlValue>) -> Result<u64, StoreError> {
        let query = bind(sql, parameters)?;
        Ok(self.run(async |connection| query.execute(connection).await).await?.rows_affected())
    }

    /// Inserts rows for `VALUES {rows}`.
    pub(crate) async fn insert_rows(
        &mut self,
        sql: &str,
        rows: Vec<Vec<SqlValue>>,
    ) -> Result<u64, StoreError> {
        if rows.len() > 1
            && let Some(query) = bind_columns(sql, &rows)?
        {
            return Ok(self.run(async |connection| query.execute(connection).await).await?.rows_affected());
        }
        let columns = rows.first().map_or(0, Vec::len);
        let (chunks, mut rows, mut changed) = (chunks_of_rows(rows.len(), columns), rows.into_iter(), 0);
        for size in chunks {
            let statement = sql.replace("{rows}", &placeholders_of_rows(size, columns));
            changed += self.execute(&statement, rows.by_ref().take(size).flatten().collect()).await?;
        }
        Ok(changed)
    }

    /// Makes changes with one message, and says how many rows each of them changed.
    pub(crate) async fn execute_together(&mut self, changes: Vec<Change>) -> Result<Vec<u64>, StoreError> {
        if changes.len() > 1
            && let Some(query) = bind_together(&changes)?
        {
            let rows = self.run(async |connection| query.fetch_all(connection).await).await?;
            let counted = read_rows(&rows)?;
            let count = |number: usize| match counted.first() {
                Some(row) => Ok(row.int(&format!("c{number}"))?.unsigned_abs()),
                None => Ok(0),
            };
            return (0..changes.len()).map(count).collect();
        }
        let mut changed = Vec::new();
        for change in changes {
            changed.push(match change {
                Change::Statement { sql, parameters } => self.execute(&sql, parameters).await?,
                Change::Rows { sql, rows } => self.insert_rows(&sql, rows).await?,
            });
        }
        Ok(changed)
    }

    pub(crate) async fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        let script = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        self.run(async |connection| script.execute(connection).await).await?;
        Ok(())
    }

    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        if self.has_failed {
            return Err(StoreError::Statement("a statement of the transaction has failed".into()));
        }
        self.run_script("COMMIT").await?;
        self.connection = None;
        Ok(())
    }
}

impl Drop for PostgresTransaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let Ok(runtime) = Handle::try_current() else {
            // Without a runtime nothing can be sent: the server rolls back when the connection is gone.
            drop(connection.detach());
            return;
        };
        self.ends.spawn_on(
            async move {
                if sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.is_err() {
                    drop(connection.detach());
                }
            },
            &runtime,
        );
    }
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
