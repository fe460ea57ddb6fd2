//! A write transaction: everything in it, or nothing.

use sqlx::{
    AssertSqlSafe, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use crate::{Row, SqlValue, StoreError, row::read_rows};

/// A write transaction. It holds the only writer of the store: keep it short, and never wait for anything else inside.
///
/// Dropped without [`Transaction::commit`] it is rolled back.
#[derive(Debug)]
pub struct Transaction {
    pub(crate) inner: sqlx::Transaction<'static, Sqlite>,
}

impl Transaction {
    /// All rows of a query, which sees what this transaction has written.
    pub async fn fetch_all(&mut self, sql: &str, parameters: Vec<SqlValue>) -> Result<Vec<Row>, StoreError> {
        read_rows(&fetch(&mut self.inner, sql, parameters).await?)
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
        Ok(bind(sql, parameters)?.execute(&mut *self.inner).await?.rows_affected())
    }

    /// Runs one statement once for each set of parameters and says how many rows were changed in all.
    pub async fn execute_many(&mut self, sql: &str, sets: Vec<Vec<SqlValue>>) -> Result<u64, StoreError> {
        let mut changed = 0;
        for parameters in sets {
            changed += self.execute(sql, parameters).await?;
        }
        Ok(changed)
    }

    /// Makes the changes durable and visible to others.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }

    /// Runs a script of several statements without parameters.
    pub(crate) async fn run_script(&mut self, sql: &'static str) -> Result<(), StoreError> {
        sqlx::raw_sql(sql).execute(&mut *self.inner).await?;
        Ok(())
    }
}

pub(crate) async fn fetch(
    connection: &mut SqliteConnection,
    sql: &str,
    parameters: Vec<SqlValue>,
) -> Result<Vec<SqliteRow>, StoreError> {
    Ok(bind(sql, parameters)?.fetch_all(connection).await?)
}

/// A prepared statement with its parameters. Values only ever travel as parameters, so the text is the caller's own.
pub(crate) fn bind(
    sql: &str,
    parameters: Vec<SqlValue>,
) -> Result<Query<'static, Sqlite, SqliteArguments>, StoreError> {
    let expected = highest_placeholder(sql);
    if expected > parameters.len() {
        return Err(StoreError::MissingParameters { expected, given: parameters.len() });
    }
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for (index, parameter) in parameters.into_iter().enumerate() {
        query = match parameter {
            SqlValue::Null => query.bind(None::<i64>),
            SqlValue::Int(value) => query.bind(value),
            SqlValue::Real(value) if value.is_nan() => {
                return Err(StoreError::NotANumber { position: index + 1 });
            }
            SqlValue::Real(value) => query.bind(value),
            SqlValue::Text(value) => query.bind(value),
            SqlValue::Blob(value) => query.bind(value),
        };
    }
    Ok(query)
}

/// The highest N of the placeholders `$N` outside quoted text.
fn highest_placeholder(sql: &str) -> usize {
    // Every second piece lies between quotes; a doubled quote inside them only adds an empty piece outside.
    let outside = sql.split('\'').step_by(2);
    let numbers = outside.flat_map(|piece| piece.split('$').skip(1)).filter_map(|after| {
        let end = after.find(|character: char| !character.is_ascii_digit()).unwrap_or(after.len());
        after[..end].parse().ok()
    });
    numbers.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::highest_placeholder;

    #[test]
    fn placeholders_are_counted_outside_quoted_text_only() {
        assert_eq!(highest_placeholder("SELECT 1"), 0);
        assert_eq!(highest_placeholder("SELECT $2 FROM a WHERE b = $12 AND c = $1"), 12);
        assert_eq!(highest_placeholder("SELECT '$7', $1, 'it''s $9'"), 1);
    }
}
