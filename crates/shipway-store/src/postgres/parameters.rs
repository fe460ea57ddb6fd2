//! Values as parameters of statements. A statement is prepared once for any number of rows or ids, and several statements can be one.

use sqlx::{
    Arguments as _, AssertSqlSafe, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, types::Oid},
};

use crate::{
    Change, SqlValue, StoreError,
    statement::{check, check_values, shifted},
};

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

pub(super) type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

/// A prepared statement with its parameters. Values only ever travel as parameters, so the text is the caller's own.
pub(super) fn bind(sql: &str, parameters: Vec<SqlValue>) -> Result<Query, StoreError> {
    check(sql, &parameters)?;
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for parameter in parameters {
        query = match parameter {
            SqlValue::Null => query.bind(NullOfAnyType),
            SqlValue::Int(value) => query.bind(value),
            SqlValue::Real(value) => query.bind(value),
            SqlValue::Text(value) => query.bind(value),
            SqlValue::Blob(value) => query.bind(value),
        };
    }
    Ok(query)
}

/// All ids are one parameter, so that one prepared statement serves any number of them.
pub(super) fn bind_ids(sql: &str, ids: &[String]) -> Result<Query, StoreError> {
    if let Some(position) = ids.iter().position(|id| id.contains('\0')) {
        return Err(StoreError::NulCharacter { position: position + 1 });
    }
    let sql = sql.replace("IN ({ids})", "= ANY($1)");
    Ok(sqlx::query(AssertSqlSafe(sql)).bind(ids.to_vec()))
}

/// The values of a column that has one type, or nulls; leaves the function with `None` where it has several.
macro_rules! column_of {
    ($cells:expr, $kind:ident) => {{
        let mut values = Vec::new();
        for cell in $cells {
            values.push(match cell {
                SqlValue::$kind(value) => Some(value.clone()),
                SqlValue::Null => None,
                _ => return Ok(None),
            });
        }
        values
    }};
}

/// Rows column by column: each column is one parameter, so that one prepared statement serves any number of rows. `None` where a
/// column has values of several types, or none that tells its type.
pub(super) fn bind_columns(sql: &str, rows: &[Vec<SqlValue>]) -> Result<Option<Query>, StoreError> {
    let mut arguments = PgArguments::default();
    let sql = add_columns(sql, rows, &mut arguments)?;
    Ok(sql.map(|sql| sqlx::query_with(AssertSqlSafe(sql), arguments)))
}

/// Adds the columns of rows to the arguments; the statement with its rows taken from them.
fn add_columns(
    sql: &str,
    rows: &[Vec<SqlValue>],
    arguments: &mut PgArguments,
) -> Result<Option<String>, StoreError> {
    for row in rows {
        check_values(row)?;
    }
    let mut types = Vec::new();
    for column in 0..rows.first().map_or(0, Vec::len) {
        let cells = || rows.iter().map(|row| row.get(column).unwrap_or(&SqlValue::Null));
        let Some(sample) = cells().find(|cell| **cell != SqlValue::Null) else { return Ok(None) };
        let (name, added) = match sample {
            SqlValue::Int(_) => ("bigint", arguments.add(column_of!(cells(), Int))),
            SqlValue::Real(_) => ("double precision", arguments.add(column_of!(cells(), Real))),
            SqlValue::Text(_) => ("text", arguments.add(column_of!(cells(), Text))),
            SqlValue::Blob(_) => ("bytea", arguments.add(column_of!(cells(), Blob))),
            SqlValue::Null => return Ok(None),
        };
        added.map_err(StoreError::Statement)?;
        types.push(format!("${}::{name}[]", arguments.len()));
    }
    Ok(Some(sql.replace("VALUES {rows}", &format!("SELECT * FROM UNNEST({})", types.join(", ")))))
}

/// Several changes as one statement, whose one row has how many rows each of them changed: `c0`, `c1`, …. `None` where one of them has
/// rows that are no columns of one type each.
pub(super) fn bind_together(changes: &[Change]) -> Result<Option<Query>, StoreError> {
    let mut arguments = PgArguments::default();
    let (mut parts, mut counts) = (Vec::new(), Vec::new());
    for (number, change) in changes.iter().enumerate() {
        let part = match change {
            Change::Statement { sql, parameters } => {
                check(sql, parameters)?;
                let part = shifted(sql, arguments.len());
                for parameter in parameters {
                    add(&mut arguments, parameter)?;
                }
                part
            }
            Change::Rows { sql, rows } => match add_columns(sql, rows, &mut arguments)? {
                Some(part) => part,
                None => return Ok(None),
            },
        };
        parts.push(format!("c{number} AS ({part} RETURNING 1)"));
        counts.push(format!("(SELECT COUNT(*) FROM c{number}) AS c{number}"));
    }
    let sql = format!("WITH {} SELECT {}", parts.join(", "), counts.join(", "));
    Ok(Some(sqlx::query_with(AssertSqlSafe(sql), arguments)))
}

fn add(arguments: &mut PgArguments, parameter: &SqlValue) -> Result<(), StoreError> {
    let added = match parameter {
        SqlValue::Null => arguments.add(NullOfAnyType),
        SqlValue::Int(value) => arguments.add(*value),
        SqlValue::Real(value) => arguments.add(*value),
        SqlValue::Text(value) => arguments.add(value.as_str()),
        SqlValue::Blob(value) => arguments.add(value.as_slice()),
    };
    added.map_err(StoreError::Statement)
}
