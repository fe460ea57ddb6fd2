//! A write transaction: everything in it, or nothing.
//!
//! What an engine does is boxed, so that the futures of use cases do not grow with the engines.

use shipway_core::{Clock as _, SystemClock, Timestamp};

use crate::{
    Row, SqlValue, StoreError,
    migration::for_postgres,
    postgres::PostgresTransaction,
    sqlite::{self, SqliteTransaction},
    statement::placeholders_of_rows,
};

/// A change of a database.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// One statement.
    Statement {
        /// `UPDATE t SET a = $1`.
        sql: String,
        /// What stands for the placeholders.
        parameters: Vec<SqlValue>,
    },
    /// Rows, all of the same length.
    Rows {
        /// `INSERT INTO t (a, b) VALUES {rows}`.
        sql: String,
        /// What stands for `{rows}`; none changes nothing.
        rows: Vec<Vec<SqlValue>>,
    },
}

impl Change {
    /// One statement.
    pub fn statement(sql: impl Into<String>, parameters: Vec<SqlValue>) -> Self {
        Self::Statement { sql: sql.into(), parameters }
    }

    /// Rows, all of the same length, for `VALUES {rows}`.
    pub fn rows(sql: impl Into<String>, rows: Vec<Vec<SqlValue>>) -> Self {
        Self::Rows { sql: sql.into(), rows }
    }
}

/// A write transaction. It keeps other writers of the store waiting: keep it short, and never wait for anything else inside.
///
/// Dropped without [`Transaction::commit`] it is rolled back. After an error nothing but dropping it is possible: an engine may
/// refuse everything that follows, and a commit is refused.
#[derive(Debug)]
pub struct Transaction {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Sqlite(SqliteTransaction),
    Postgres(PostgresTransaction),
}

impl From<SqliteTransaction> for Transaction {
    fn from(inner: SqliteTransaction) -> Self {
        Self { inner: Inner::Sqlite(inner) }
    }
}

impl From<PostgresTransaction> for Transaction {
    fn from(inner: PostgresTransaction) -> Self {
        Self { inner: Inner::Postgres(inner) }
    }
}

impl Transaction {
    /// All rows of a query, which sees what this transaction has written.
    pub async fn fetch_all(&mut self, sql: &str, parameters: Vec<SqlValue>) -> Result<Vec<Row>, StoreError> {
        match &mut self.inner {
            Inner::Sqlite(inner) => Box::pin(inner.fetch(sql, parameters)).await,
            Inner::Postgres(inner) => Box::pin(inner.fetch(sql, parameters)).await,
        }
    }

    /// The first row of a query, if it has one. Works with `RETURNING` too.
    pub async fn fetch_optional(
        &mut self,
        sql: &str,
        parameters: Vec<SqlValue>,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch_all(sql, parameters).await?.into_iter().next())
    }

    /// Runs one statement and says how many rows it changed.
    pub async fn execute(&mut self, sql: &str, parameters: Vec<SqlValue>) -> Result<u64, StoreError> {
        match &mut self.inner {
            Inner::Sqlite(inner) => Box::pin(inner.execute(sql, parameters)).await,
            Inner::Postgres(inner) => Box::pin(inner.execute(sql, parameters)).await,
        }
    }

    /// All rows of a query with `IN ({ids})`, where `ids` are as many texts as there are. The query has no other parameters.
    pub async fn fetch_among(&mut self, sql: &str, ids: &[String]) -> Result<Vec<Row>, StoreError> {
        match &mut self.inner {
            Inner::Sqlite(inner) => {
                let (sql, parameters) = sqlite::among(sql, ids);
                Box::pin(inner.fetch(&sql, parameters)).await
            }
            Inner::Postgres(inner) => Box::pin(inner.fetch_among(sql, ids)).await,
        }
    }

    /// Runs one statement once for each set of parameters and says how many rows were changed in all.
    pub async fn execute_many(&mut self, sql: &str, sets: Vec<Vec<SqlValue>>) -> Result<u64, StoreError> {
        match &mut self.inner {
            Inner::Sqlite(inner) => Box::pin(inner.execute_each(sql, sets)).await,
            Inner::Postgres(inner) => {
                let mut changed = 0;
                for parameters in sets {
                    changed += Box::pin(inner.execute(sql, parameters)).await?;
                }
                Ok(changed)
            }
        }
    }

    /// Inserts rows, all of the same length, with few statements, and says how many rows were changed in all.
    ///
    /// `VALUES {rows}` in `sql` stands for the rows: `INSERT INTO t (a, b) VALUES {rows} ON CONFLICT (a) DO NOTHING`. With
    /// `DO UPDATE` no two rows may conflict with each other: PostgreSQL refuses to change a row twice in one statement.
    pub async fn insert_rows(&mut self, sql: &str, rows: Vec<Vec<SqlValue>>) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        match &mut self.inner {
            Inner::Sqlite(inner) => {
                let columns = rows.first().map_or(0, Vec::len);
                let statement = sql.replace("{rows}", &placeholders_of_rows(1, columns));
                Box::pin(inner.execute_each(&statement, rows)).await
            }
            Inner::Postgres(inner) => Box::pin(inner.insert_rows(sql, rows)).await,
        }
    }

    /// Makes changes that do not depend on each other, with one message to a server elsewhere, and says how many rows each of them changed.
    ///
    /// None may read or change what another one writes; a row may refer to one that another change inserts.
    pub async fn execute_together(&mut self, changes: Vec<Change>) -> Result<Vec<u64>, StoreError> {
        let mut counts = vec![0; changes.len()];
        let is_empty = |change: &Change| matches!(change, Change::Rows { rows, .. } if rows.is_empty());
        let present = changes.into_iter().enumerate().filter(|(_, change)| !is_empty(change));
        let (places, changes): (Vec<usize>, Vec<Change>) = present.unzip();
        let changed = match &mut self.inner {
            Inner::Postgres(inner) => Box::pin(inner.execute_together(changes)).await?,
            Inner::Sqlite(_) => {
                let mut changed = Vec::new();
                for change in changes {
                    changed.push(match change {
                        Change::Statement { sql, parameters } => self.execute(&sql, parameters).await?,
                        Change::Rows { sql, rows } => self.insert_rows(&sql, rows).await?,
                    });
                }
                changed
            }
        };
        for (place, changed) in places.into_iter().zip(changed) {
            if let Some(count) = counts.get_mut(place) {
                *count = changed;
            }
        }
        Ok(counts)
    }

    /// What time it is by the clock that all who use the database share: of a server elsewhere its own, of a file that of the machine.
    pub async fn now(&mut self) -> Result<Timestamp, StoreError> {
        match &mut self.inner {
            Inner::Sqlite(_) => Ok(SystemClock.now()),
            Inner::Postgres(inner) => {
                let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now_us";
                let rows = Box::pin(inner.fetch(sql, Vec::new())).await?;
                rows.first().map_or(Err(StoreError::Closed), |row| row.timestamp("now_us"))
            }
        }
    }

    /// Makes the changes durable and visible to others.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.inner {
            Inner::Sqlite(inner) => Box::pin(inner.commit()).await,
            Inner::Postgres(inner) => Box::pin(inner.commit()).await,
        }
    }

    /// Runs a script of several statements without parameters that defines tables.
    pub(crate) async fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        match &mut self.inner {
            Inner::Sqlite(inner) => Box::pin(inner.run_script(sql)).await,
            Inner::Postgres(inner) => Box::pin(inner.run_script(&for_postgres(sql))).await,
        }
    }
}
