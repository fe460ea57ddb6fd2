//! SQLite: one file beside the server, one writer at a time.
//!
//! - `connection`: statements on a connection
//! - `writer`: the one that writes: turns, and commits that several transactions share
//! - `readers`: those that only read, and never wait for a writer

mod connection;
mod readers;
mod writer;

use std::time::Duration;

use crate::{Row, SqlValue, StoreError, statement::placeholders_of_rows};
pub(crate) use connection::SqliteOptions;
use readers::Readers;
use writer::Writer;
pub(crate) use writer::{Pace, SqliteTransaction};

/// How long a connection, or its turn to write, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The connections to one database.
#[derive(Clone)]
pub(crate) struct SqlitePools {
    writer: Writer,
    readers: Readers,
}

impl SqlitePools {
    pub(crate) async fn connect(options: SqliteOptions) -> Result<Self, StoreError> {
        let opening = options.clone();
        let writer = blocking(move || connection::Connection::writing(&opening)).await??;
        Ok(Self { writer: Writer::new(writer), readers: Readers::new(options) })
    }

    pub(crate) async fn fetch(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<Vec<Row>, StoreError> {
        self.readers.fetch(sql, parameters).await
    }

    pub(crate) async fn begin(&self, pace: Pace) -> Result<SqliteTransaction, StoreError> {
        self.writer.begin(pace).await
    }

    pub(crate) async fn execute(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<u64, StoreError> {
        let mut transaction = self.writer.begin(Pace::Any).await?;
        let changed = transaction.execute(sql, parameters).await?;
        transaction.commit().await?;
        Ok(changed)
    }

    pub(crate) async fn close(&self) {
        // Readers first: the last connection to close folds the write-ahead log into the file, and only a writer can.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Up to so many ids are parameters of their own.
const FEW_IDS: usize = 8;

/// The statement that `IN ({ids})` stands for, with its parameters. Many ids are one parameter, so that one prepared statement serves any
/// number of them.
pub(crate) fn among(sql: &str, ids: &[String]) -> (String, Vec<SqlValue>) {
    if ids.len() <= FEW_IDS {
        let placeholders = placeholders_of_rows(1, ids.len());
        let list = placeholders.trim_start_matches('(').trim_end_matches(')');
        return (sql.replace("{ids}", list), ids.iter().map(SqlValue::from).collect());
    }
    let list = serde_json::Value::from(ids.to_vec()).to_string();
    (sql.replace("{ids}", "SELECT value FROM json_each($1)"), vec![list.into()])
}

/// Runs what may take long on a thread that may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The server is shutting down.
            Err(_) => Err(StoreError::Closed),
        },
    }
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
    pub(super) const FOREIGN_KEY: i32 = 787;
    pub(super) const PRIMARY_KEY: i32 = 1555;
    pub(super) const UNIQUE: i32 = 2067;
    pub(super) const ROW_ID: i32 = 2579;
}

/// What a failure of the database means.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let extended = match &error {
            rusqlite::Error::SqliteFailure(failure, _) => failure.extended_code,
            _ => return Self::Statement(error.into()),
        };
        let meaning = match extended {
            code::FOREIGN_KEY | code::PRIMARY_KEY | code::UNIQUE | code::ROW_ID => Self::Conflict,
            code::IO_SHARED_MEMORY_SIZE => Self::Full,
            _ => match extended & 0xff {
                code::FULL => Self::Full,
                code::BUSY | code::LOCKED => Self::Busy,
                code::CORRUPT | code::NOT_A_DATABASE => Self::Damaged,
                _ => Self::Statement,
            },
        };
        meaning(error.into())
    }
}
