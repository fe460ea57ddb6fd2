//! A write transaction: everything in it, or nothing.
//!
//! What an engine does is boxed, so that the futures of use cases do not grow with the engines.

use crate::{
    Row, SqlValue, StoreError,
    migration::for_postgres,
    postgres::PostgresTransaction,
    sqlite::SqliteTransaction,
    statement::{chunks_of_rows, placeholders_of_rows},
};

/// A write transaction. It keeps other writers of the store waiting: keep it short, and never wait for anything else inside.
///
/// Dropped without [`Transaction::commit`] it is rolled back. After an error nothing but dropping it is possible: an engine may
/// refuse everything that follows.
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

    /// Runs one statement once for each set of parameters and says how many rows were changed in all.
    pub async fn execute_many(&mut self, sql: &str, sets: Vec<Vec<SqlValue>>) -> Result<u64, StoreError> {
        let mut changed = 0;
        for parameters in sets {
            changed += self.execute(sql, parameters).await?;
        }
        Ok(changed)
    }

    /// Inserts rows, all of the same length, with few statements, and says how many rows were changed in all.
    ///
    /// `{rows}` in `sql` stands for the rows: `INSERT INTO t (a, b) VALUES {rows} ON CONFLICT (a) DO NOTHING`. With
    /// `DO UPDATE` no two rows may conflict with each other: PostgreSQL refuses to change a row twice in one statement.
    pub async fn insert_rows(&mut self, sql: &str, rows: Vec<Vec<SqlValue>>) -> Result<u64, StoreError> {
        let columns = rows.first().map_or(0, Vec::len);
        let chunks = chunks_of_rows(rows.len(), columns);
        let (mut rows, mut changed) = (rows.into_iter(), 0);
        for size in chunks {
            let statement = sql.replace("{rows}", &placeholders_of_rows(size, columns));
            changed += self.execute(&statement, rows.by_ref().take(size).flatten().collect()).await?;
        }
        Ok(changed)
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
