//! Opening, reading and writing the metadata database, whichever engine keeps it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use shipway_core::{Clock, SystemClock};
use uuid::Uuid;

use crate::{
    Migration, Row, SqlValue, StoreError, Transaction,
    home::settle,
    migration::migrate,
    postgres::PostgresPool,
    sqlite::{self, Pace, SqliteOptions, SqlitePools},
};

const OWN_MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "audit", sql: include_str!("../migrations/0001_audit.sql") },
    Migration { version: 2, name: "jobs", sql: include_str!("../migrations/0002_jobs.sql") },
    Migration { version: 3, name: "home", sql: include_str!("../migrations/0003_home.sql") },
];

/// The metadata database. Clones share it.
#[derive(Clone)]
pub struct Store {
    engine: Engine,
    clock: Arc<dyn Clock>,
    ephemeral: Option<Arc<Ephemeral>>,
}

#[derive(Clone)]
enum Engine {
    Sqlite(SqlitePools),
    Postgres(PostgresPool),
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
    /// Opens the SQLite database at `path`, or creates it; its folder must exist.
    ///
    /// What is committed survives a crash of the machine (write-ahead log, synchronous FULL).
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with_clock(path, Arc::new(SystemClock)).await
    }

    /// As [`Store::open`], with the clock that dates migrations.
    pub async fn open_with_clock(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let unopened = |source| StoreError::Open { place: path.display().to_string(), source };
        let path = std::path::absolute(path).map_err(|error| unopened(error.into()))?;
        let options = SqliteOptions { path: path.clone(), is_durable: true, may_create: true };
        let opened = Self::over_sqlite(options, clock).await;
        opened.map_err(|error| match error {
            StoreError::Statement(source) => StoreError::Open { place: path.display().to_string(), source },
            other => other,
        })
    }

    /// Opens a database of PostgreSQL 13 or newer, whose encoding is UTF-8, over at most so many connections, half of them for
    /// reading (2 at least).
    ///
    /// `url` is `postgresql://user:password@host:port/database`, with `?sslmode=verify-full&sslrootcert=…` for TLS. The database must
    /// exist; its user must be allowed to make tables in it. What is committed is as durable as that server makes it;
    /// `synchronous_commit` is on, whatever the server's default is.
    pub async fn open_postgres(url: &str, connections: u32) -> Result<Self, StoreError> {
        let engine = Engine::Postgres(PostgresPool::connect(url, connections).await?);
        Self::over(engine, Arc::new(SystemClock)).await
    }

    /// A database of its own that vanishes with the last clone of the store, for tests.
    ///
    /// It lives in a file of the temporary folder and not in memory: SQLite lets a reader pass a writer only with a
    /// write-ahead log, which databases in memory do not have, and a test should not block where a server would not.
    pub async fn in_memory() -> Result<Self, StoreError> {
        let folder = std::env::temp_dir().join(format!("shipway-store-{}", Uuid::now_v7()));
        fs_err::create_dir(&folder).map_err(|error| StoreError::Open {
            place: folder.display().to_string(),
            source: error.into(),
        })?;
        let ephemeral = Arc::new(Ephemeral(folder));
        let path = ephemeral.0.join("meta.db");
        let options = SqliteOptions { path, is_durable: false, may_create: true };
        let mut store = Self::over_sqlite(options, Arc::new(SystemClock)).await?;
        store.ephemeral = Some(ephemeral);
        Ok(store)
    }

    async fn over_sqlite(options: SqliteOptions, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::over(Engine::Sqlite(SqlitePools::connect(options).await?), clock).await
    }

    async fn over(engine: Engine, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let store = Self { engine, clock, ephemeral: None };
        store.migrate("store", OWN_MIGRATIONS).await?;
        Ok(store)
    }

    /// Applies the migrations of `owner` that the database does not have, all of them or none.
    ///
    /// An applied migration whose text changed, one that this program does not know, and one out of order are errors.
    pub async fn migrate(&self, owner: &'static str, migrations: &[Migration]) -> Result<(), StoreError> {
        migrate(self, &*self.clock, owner, migrations).await
    }

    /// All rows of a query. Sees everything committed before. It is for reading only: a write is refused.
    pub async fn fetch_all(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<Vec<Row>, StoreError> {
        match &self.engine {
            Engine::Sqlite(pools) => Box::pin(pools.fetch(sql, parameters)).await,
            Engine::Postgres(pool) => Box::pin(pool.fetch(sql, parameters)).await,
        }
    }

    /// All rows of a query with `IN ({ids})`, where `ids` are as many texts as there are. The query has no other parameters.
    pub async fn fetch_among(&self, sql: &str, ids: &[String]) -> Result<Vec<Row>, StoreError> {
        match &self.engine {
            Engine::Sqlite(pools) => {
                let (sql, parameters) = sqlite::among(sql, ids);
                Box::pin(pools.fetch(&sql, parameters)).await
            }
            Engine::Postgres(pool) => Box::pin(pool.fetch_among(sql, ids)).await,
        }
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
        match &self.engine {
            Engine::Sqlite(pools) => Box::pin(pools.execute(sql, parameters)).await,
            Engine::Postgres(pool) => {
                let mut transaction = Box::pin(pool.begin()).await?;
                let changed = Box::pin(transaction.execute(sql, parameters)).await?;
                Box::pin(transaction.commit()).await?;
                Ok(changed)
            }
        }
    }

    /// Begins a write transaction, when those before it are done. Everything it reads stays as it is until it ends.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        match &self.engine {
            Engine::Sqlite(pools) => Ok(Box::pin(pools.begin(Pace::Any)).await?.into()),
            Engine::Postgres(pool) => Ok(Box::pin(pool.begin()).await?.into()),
        }
    }

    /// Begins a write transaction that changes nothing but what belongs to `subject`, such as one run. What of that it reads stays as
    /// it is until it ends, and so does everything that is only changed in transactions of [`Store::begin`].
    ///
    /// On PostgreSQL those of different subjects run beside each other. On SQLite they take turns, and those that waited at the same time
    /// share one commit; each of them is still rolled back alone. Their statements must be short: they run where their caller runs.
    pub async fn begin_on(&self, subject: &str) -> Result<Transaction, StoreError> {
        match &self.engine {
            Engine::Sqlite(pools) => Ok(Box::pin(pools.begin(Pace::Short)).await?.into()),
            Engine::Postgres(pool) => Ok(Box::pin(pool.begin_on(subject)).await?.into()),
        }
    }

    /// Binds a database of a server elsewhere to the data folder called `home`; one that is bound to another folder is refused.
    pub async fn settle(&self, home: &str) -> Result<(), StoreError> {
        settle(self, home).await
    }

    /// Waits for what is running and closes the connections. Whoever uses the store afterwards gets [`StoreError::Closed`].
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(pools) => pools.close().await,
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").finish_non_exhaustive()
    }
}
