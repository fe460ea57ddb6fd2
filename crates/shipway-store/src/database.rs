//! Opening, reading and writing the metadata database.
//!
//! SQLite allows one writer at a time. Writers therefore queue for the one writing connection here, in the order they
//! came, instead of colliding inside the database; readers have connections of their own and never wait for a writer.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use shipway_core::{Clock, SystemClock};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use uuid::Uuid;

use crate::{
    Migration, Row, SqlValue, StoreError, Transaction,
    migration::migrate,
    row::read_rows,
    transaction::{bind, fetch},
};

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const OWN_MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "audit", sql: include_str!("../migrations/0001_audit.sql") },
    Migration { version: 2, name: "jobs", sql: include_str!("../migrations/0002_jobs.sql") },
];

/// The metadata database. Clones share it.
#[derive(Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    clock: Arc<dyn Clock>,
    ephemeral: Option<Arc<Ephemeral>>,
}

/// A folder that is removed with its last owner.
struct Ephemeral(PathBuf);

impl Drop for Ephemeral {
    fn drop(&mut self) {
        // It lies in the temporary folder of the machine: what cannot be removed now is removed there.
        let _ = fs_err::remove_dir_all(&self.0);
    }
}

impl Store {
    /// Opens the database at `path`, or creates it; its folder must exist.
    ///
    /// What is committed survives a crash of the machine (write-ahead log, synchronous FULL).
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with_clock(path, Arc::new(SystemClock)).await
    }

    /// As [`Store::open`], with the clock that dates migrations.
    pub async fn open_with_clock(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let path = std::path::absolute(path)
            .map_err(|error| StoreError::Open { path: path.to_owned(), source: error.into() })?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        Self::connect(options, clock).await.map_err(|error| match error {
            StoreError::Statement(source) => StoreError::Open { path, source },
            other => other,
        })
    }

    /// A database of its own that vanishes with the last clone of the store, for tests.
    ///
    /// It lives in a file of the temporary folder and not in memory: SQLite lets a reader pass a writer only with a
    /// write-ahead log, which databases in memory do not have, and a test should not block where a server would not.
    pub async fn in_memory() -> Result<Self, StoreError> {
        let folder = std::env::temp_dir().join(format!("shipway-store-{}", Uuid::now_v7()));
        fs_err::create_dir(&folder)
            .map_err(|error| StoreError::Open { path: folder.clone(), source: error.into() })?;
        let ephemeral = Arc::new(Ephemeral(folder));
        let options = SqliteConnectOptions::new()
            .filename(ephemeral.0.join("meta.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Off);
        let mut store = Self::connect(options, Arc::new(SystemClock)).await?;
        store.ephemeral = Some(ephemeral);
        Ok(store)
    }

    async fn connect(options: SqliteConnectOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let options = options.foreign_keys(true).busy_timeout(BUSY_TIMEOUT);
        let pool = || SqlitePoolOptions::new().min_connections(1).acquire_timeout(BUSY_TIMEOUT);
        let writer = pool().max_connections(1).connect_with(options.clone()).await?;
        let readers =
            pool().max_connections(READERS).connect_with(options.pragma("query_only", "ON")).await?;
        let store = Self { writer, readers, clock, ephemeral: None };
        store.migrate("store", OWN_MIGRATIONS).await?;
        Ok(store)
    }

    /// Applies the migrations of `owner` that the database does not have, all of them or none.
    ///
    /// An applied migration whose text changed, one that this program does not know, and one out of order are errors.
    pub async fn migrate(&self, owner: &'static str, migrations: &[Migration]) -> Result<(), StoreError> {
        migrate(self, &*self.clock, owner, migrations).await
    }

    /// All rows of a query. Sees everything committed before, and refuses to write.
    pub async fn fetch_all(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<Vec<Row>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        read_rows(&fetch(&mut connection, sql, parameters).await?)
    }

    /// The first row of a query, if it has one.
    pub async fn fetch_optional(
        &self,
        sql: &str,
        parameters: Vec<SqlValue>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(sql, parameters).await?.into_iter().next())
    }

    /// Runs one statement in a transaction of its own and says how many rows it changed. Durable when it returns.
    pub async fn execute(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<u64, StoreError> {
        Ok(bind(sql, parameters)?.execute(&self.writer).await?.rows_affected())
    }

    /// Begins a write transaction, when those before it are done. Everything it reads stays as it is until it ends.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(Transaction { inner: self.writer.begin_with("BEGIN IMMEDIATE").await? })
    }

    /// Waits for what is running and closes the files. Whoever uses the store afterwards gets [`StoreError::Closed`].
    pub async fn close(&self) {
        // Readers first: the last connection to close folds the write-ahead log into the file, and only a writer can.
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").finish_non_exhaustive()
    }
}
