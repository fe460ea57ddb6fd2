//! Rows, out of the form of the driver.

use sqlx::{
    Column as _, Decode, Postgres, Row as _, TypeInfo as _,
    postgres::{PgColumn, PgRow},
};

use crate::{Row, StoreError, row::Table};

pub(super) fn read_rows(rows: &[PgRow]) -> Result<Vec<Row>, StoreError> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let columns = first.columns();
    let readers: Vec<Kind> = columns.iter().map(Kind::of).collect::<Result<_, _>>()?;
    let mut table = Table::new(columns.iter().map(|column| column.name().to_owned()).collect());
    for row in rows {
        for (index, kind) in readers.iter().enumerate() {
            kind.read(row, index, &mut table)?;
        }
    }
    Ok(table.into_rows())
}

/// What a column holds. Integers, floats and booleans of every width become those of a [`Row`]; `NUMERIC`, which a sum of integers has
/// here, does not: cast it in the statement.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Int8,
    Int4,
    Int2,
    Bool,
    Float8,
    Float4,
    Text,
    Bytes,
}

impl Kind {
    fn of(column: &PgColumn) -> Result<Self, StoreError> {
        Ok(match column.type_info().name() {
            "INT8" => Self::Int8,
            "INT4" => Self::Int4,
            "INT2" => Self::Int2,
            "BOOL" => Self::Bool,
            "FLOAT8" => Self::Float8,
            "FLOAT4" => Self::Float4,
            "TEXT" | "VARCHAR" | "NAME" | "UNKNOWN" => Self::Text,
            "BYTEA" => Self::Bytes,
            _ => {
                let (column, expected) = (column.name().to_owned(), "an integer, a float, text or bytes");
                return Err(StoreError::ColumnType { column, expected, found: "another type" });
            }
        })
    }

    fn read(self, row: &PgRow, index: usize, table: &mut Table) -> Result<(), StoreError> {
        let is_there = match self {
            Self::Int8 => cell::<i64>(row, index)?.map(|value| table.push_int(value)),
            Self::Int4 => cell::<i32>(row, index)?.map(|value| table.push_int(value.into())),
            Self::Int2 => cell::<i16>(row, index)?.map(|value| table.push_int(value.into())),
            Self::Bool => cell::<bool>(row, index)?.map(|value| table.push_int(value.into())),
            Self::Float8 => cell::<f64>(row, index)?.map(|value| table.push_real(value)),
            Self::Float4 => cell::<f32>(row, index)?.map(|value| table.push_real(value.into())),
            Self::Text => cell::<&str>(row, index)?.map(|text| table.push_text(text)),
            Self::Bytes => cell::<&[u8]>(row, index)?.map(|bytes| table.push_blob(bytes)),
        };
        if is_there.is_none() {
            table.push_null();
        }
        Ok(())
    }
}

fn cell<'r, T: Decode<'r, Postgres>>(row: &'r PgRow, index: usize) -> Result<Option<T>, StoreError> {
    Ok(row.try_get_unchecked::<Option<T>, _>(index)?)
}
