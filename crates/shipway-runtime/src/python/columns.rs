//! Values become columns of the types that a signature names. Pure.

use bytes::Bytes;
use shipway_core::Value;

use super::{
    face::{Column, ColumnType},
    frame::Sent,
};
use crate::{
    error::RuntimeError,
    input::{as_number, whole_number, word_of},
    tensor::{Elements, Tensor},
};

/// A tensor of one dimension for each column. Null is missing, and refused where the type has no missing values.
pub(super) fn sent(columns: &[Column], values: &[Vec<&Value>]) -> Result<Vec<Sent>, RuntimeError> {
    columns.iter().zip(values).map(|(column, values)| one(column, values)).collect()
}

fn one(column: &Column, values: &[&Value]) -> Result<Sent, RuntimeError> {
    let mut nulls = Vec::new();
    let elements = match column.column_type {
        ColumnType::Boolean => Elements::Bool(each(column, values, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            other => match whole_number(other)? {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
        })?),
        ColumnType::Integer => {
            let read = |value: &Value| i32::try_from(whole_number(value)?).ok();
            Elements::Int32(each(column, values, "a whole number of 32 bits", read)?)
        }
        ColumnType::Long => Elements::Int64(each(column, values, "a whole number", whole_number)?),
        #[expect(clippy::cast_possible_truncation, reason = "the column is of single precision")]
        ColumnType::Float => Elements::Fp32(each(column, values, "a number", |value| {
            as_number(value).map(|number| number as f32)
        })?),
        ColumnType::Double => Elements::Fp64(each(column, values, "a number", as_number)?),
        ColumnType::String | ColumnType::Binary => {
            nulls = places_of_null(values);
            Elements::Bytes(each(column, values, "text", |value| match value {
                Value::Null => Some(Bytes::new()),
                Value::Text(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
                _ => None,
            })?)
        }
        ColumnType::Datetime => {
            nulls = places_of_null(values);
            Elements::Bytes(each(column, values, "a time", |value| match value {
                Value::Null => Some(Bytes::new()),
                Value::Text(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
                Value::Timestamp(time) => Some(time.to_string().into()),
                _ => None,
            })?)
        }
    };
    Ok(Sent { tensor: Tensor { name: column.name.clone(), shape: vec![values.len()], elements }, nulls })
}

fn places_of_null(values: &[&Value]) -> Vec<usize> {
    values.iter().enumerate().filter(|(_, value)| value.is_null()).map(|(place, _)| place).collect()
}

fn each<T>(
    column: &Column,
    values: &[&Value],
    expected: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, RuntimeError> {
    let element = |(row, value): (usize, &&Value)| {
        let refused =
            || RuntimeError::WrongValue { row, column: column.name.clone(), expected, got: word_of(value) };
        read(value).ok_or_else(refused)
    };
    values.iter().enumerate().map(element).collect()
}

#[cfg(test)]
mod tests {
    use shipway_core::Timestamp;

    use super::*;

    fn of(column_type: ColumnType, values: &[Value]) -> Result<(Elements, Vec<usize>), String> {
        let column = Column { name: "c".to_owned(), column_type };
        let values: Vec<&Value> = values.iter().collect();
        one(&column, &values)
            .map(|sent| (sent.tensor.elements, sent.nulls))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_type_takes_what_it_can_hold() {
        let flags = of(ColumnType::Boolean, &[Value::Bool(true), Value::Int(0), Value::float(1.0)]).unwrap();
        assert_eq!(flags.0, Elements::Bool(vec![true, false, true]));
        assert_eq!(of(ColumnType::Integer, &[Value::Int(-3)]).unwrap().0, Elements::Int32(vec![-3]));
        assert_eq!(of(ColumnType::Long, &[Value::float(4.0)]).unwrap().0, Elements::Int64(vec![4]));
        assert_eq!(of(ColumnType::Float, &[Value::Int(1)]).unwrap().0, Elements::Fp32(vec![1.0]));
        let Elements::Fp64(numbers) = of(ColumnType::Double, &[Value::Null, Value::Bool(true)]).unwrap().0
        else {
            panic!()
        };
        assert!(numbers[0].is_nan() && numbers[1] == 1.0);
        let words = of(ColumnType::String, &[Value::text("a"), Value::Null]).unwrap();
        assert_eq!(words, (Elements::Bytes(vec!["a".into(), Bytes::new()]), vec![1]));
        let times =
            of(ColumnType::Datetime, &[Value::Timestamp(Timestamp(0)), Value::text("2026-01-01")]).unwrap();
        let expected = vec![Timestamp(0).to_string().into(), "2026-01-01".into()];
        assert_eq!(times, (Elements::Bytes(expected), vec![]));
    }

    #[test]
    fn what_a_type_cannot_hold_is_refused_by_row_and_column() {
        for (column_type, value, words) in [
            (ColumnType::Long, Value::Null, "row 0: column `c` must be a whole number, got null"),
            (ColumnType::Long, Value::float(0.5), "row 0: column `c` must be a whole number, got float"),
            (
                ColumnType::Integer,
                Value::Int(1 << 40),
                "row 0: column `c` must be a whole number of 32 bits, got int",
            ),
            (ColumnType::Boolean, Value::Int(2), "row 0: column `c` must be true or false, got int"),
            (ColumnType::Double, Value::text("1"), "row 0: column `c` must be a number, got text"),
            (ColumnType::String, Value::Int(1), "row 0: column `c` must be text, got int"),
            (ColumnType::Datetime, Value::Int(1), "row 0: column `c` must be a time, got int"),
        ] {
            assert_eq!(of(column_type, &[value]).unwrap_err(), words);
        }
    }
}
