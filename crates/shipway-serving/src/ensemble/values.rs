//! Rows of a request as columns, and columns as what is answered. Pure.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Value, nearest};
use shipway_runtime::tensor::{Datatype, Elements, Tensor};

use super::error::EnsembleError;
use crate::error::ServingError;

type Row = Map<String, Json>;

/// The inputs of rows that bring all of them, column by column. Null is a missing value; a name that is missing is refused, one that is
/// not asked for is left out.
pub(crate) fn columns(inputs: &[(String, DataType)], rows: &[Row]) -> Result<Vec<Vec<Value>>, ServingError> {
    let column = |(name, data_type): &(String, DataType)| {
        rows.iter().enumerate().map(|(number, row)| value(name, *data_type, number, row)).collect()
    };
    inputs.iter().map(column).collect()
}

fn value(name: &str, data_type: DataType, number: usize, row: &Row) -> Result<Value, ServingError> {
    let wrong = |reason: String| ServingError::WrongValue { row: number, column: name.to_owned(), reason };
    let json = row.get(name).ok_or_else(|| {
        wrong(match nearest(name, row.keys().map(String::as_str)) {
            Some(nearest) => format!("missing; the row has `{nearest}`"),
            None => "missing".to_owned(),
        })
    })?;
    // Truth values of tensors and of CSV come as 0 and 1.
    if let (DataType::Bool, Some(flag @ 0..=1)) = (data_type, json.as_i64()) {
        return Ok(Value::Bool(flag == 1));
    }
    Value::from_json(json, data_type).map_err(|mismatch| wrong(mismatch.to_string()))
}

/// A value of a column whose type may be given where `data_type` is declared.
pub(crate) fn as_type(value: &Value, data_type: DataType) -> Value {
    match (data_type, value) {
        #[expect(clippy::cast_precision_loss, reason = "as JSON would be read: a float was declared")]
        (DataType::Float, Value::Int(number)) => Value::float(*number as f64),
        _ => value.clone(),
    }
}

/// The outputs, row by row.
pub(crate) fn records(outputs: &[(String, DataType)], columns: &[Arc<Vec<Value>>]) -> Vec<Row> {
    let rows = columns.first().map_or(0, |column| column.len());
    let row = |number: usize| {
        let cell = |((name, _), column): (&(String, DataType), &Arc<Vec<Value>>)| {
            (name.clone(), column.get(number).map_or(Json::Null, Value::to_json))
        };
        outputs.iter().zip(columns).map(cell).collect()
    };
    (0..rows).map(row).collect()
}

/// The tensor type of a column.
pub(crate) const fn tensor_type(data_type: DataType) -> Datatype {
    match data_type {
        DataType::Bool => Datatype::Bool,
        DataType::Int => Datatype::Int64,
        DataType::Float => Datatype::Fp64,
        // A float has not the digits of a decimal.
        DataType::Text
        | DataType::Timestamp
        | DataType::Decimal(_)
        | DataType::List(_)
        | DataType::Map(_) => Datatype::Bytes,
    }
}

/// Every value of a column, or the row of the first that is none.
fn all<T>(column: &[Value], of: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, usize> {
    column.iter().enumerate().map(|(row, value)| of(value).ok_or(row)).collect()
}

/// An output as a tensor. A missing float is NaN; what has no such value is refused, with its row.
pub(crate) fn tensor(name: &str, data_type: DataType, column: &[Value]) -> Result<Tensor, ServingError> {
    let missing = |row: usize| EnsembleError::NullOutput {
        output: name.to_owned(),
        row,
        datatype: tensor_type(data_type).word(),
    };
    let elements = match tensor_type(data_type) {
        Datatype::Bool => all(column, |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })
        .map(Elements::Bool),
        Datatype::Int64 => all(column, |value| match value {
            Value::Int(number) => Some(*number),
            _ => None,
        })
        .map(Elements::Int64),
        Datatype::Fp64 => all(column, |value| match value {
            Value::Float(number) => Some(*number),
            _ => Some(f64::NAN),
        })
        .map(Elements::Fp64),
        _ => all(column, |value| match value {
            Value::Null => None,
            value => match value.to_json() {
                Json::String(text) => Some(Bytes::from(text)),
                other => Some(Bytes::from(other.to_string())),
            },
        })
        .map(Elements::Bytes),
    };
    Ok(Tensor { name: name.to_owned(), shape: vec![column.len()], elements: elements.map_err(missing)? })
}

/// The numbers among the outputs of a row, for the column of the prediction log that every deployment has; NaN for what is missing.
pub(crate) fn numbers(columns: &[Arc<Vec<Value>>], types: &[(String, DataType)], row: usize) -> Vec<f64> {
    let number = |(column, (_, data_type)): (&Arc<Vec<Value>>, &(String, DataType))| match (
        data_type,
        column.get(row),
    ) {
        (DataType::Text | DataType::Timestamp, _) => None,
        (_, Some(Value::Float(number))) => Some(*number),
        #[expect(
            clippy::cast_precision_loss,
            reason = "the column is of floats; the output's own column is exact"
        )]
        (_, Some(Value::Int(number))) => Some(*number as f64),
        (_, Some(Value::Bool(flag))) => Some(f64::from(u8::from(*flag))),
        (_, Some(Value::Decimal(number))) => Some(number.to_float()),
        _ => Some(f64::NAN),
    };
    columns.iter().zip(types).filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn typed(name: &str, data_type: DataType) -> (String, DataType) {
        (name.to_owned(), data_type)
    }

    #[test]
    fn rows_become_columns_of_their_types_and_null_is_missing() {
        let inputs = [typed("delay", DataType::Float), typed("late", DataType::Bool)];
        let rows = json!([{"delay": 3, "late": 1, "other": "x"}, {"late": null, "delay": "NaN"}]);
        let rows: Vec<Row> = serde_json::from_value(rows).unwrap();
        let columns = columns(&inputs, &rows).unwrap();
        assert_eq!(columns[0], [Value::float(3.0), Value::float(f64::NAN)]);
        assert_eq!(columns[1], [Value::Bool(true), Value::Null]);
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_refused_with_its_row() {
        let inputs = [typed("delay", DataType::Int)];
        for (row, expected) in [
            (json!({"delays": 3}), "row 0: column `delay`: missing; the row has `delays`"),
            (json!({"delay": 0.5}), "row 0: column `delay`: expected int, got 0.5"),
        ] {
            let row: Row = serde_json::from_value(row).unwrap();
            assert_eq!(columns(&inputs, &[row]).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_missing_float_is_nan_and_what_has_no_such_value_is_refused() {
        let floats = tensor("p", DataType::Float, &[Value::float(0.5), Value::Null]).unwrap();
        let Elements::Fp64(numbers) = floats.elements else { panic!("floats") };
        assert!(numbers[0] == 0.5 && numbers[1].is_nan());
        for data_type in [DataType::Int, DataType::Bool, DataType::Text] {
            let refused = tensor("d", data_type, &[Value::Null]).unwrap_err().to_string();
            assert!(refused.starts_with("output `d` has no value in row 0"), "{refused}");
        }
        let texts = tensor("t", DataType::Text, &[Value::text("UA")]).unwrap();
        assert_eq!(texts.elements, Elements::Bytes(vec![Bytes::from("UA")]));
    }

    #[test]
    fn numbers_of_a_row_leave_texts_out() {
        let columns =
            [vec![Value::float(0.5)], vec![Value::text("UA")], vec![Value::Bool(true)], vec![Value::Null]]
                .map(Arc::new);
        let types = [
            typed("p", DataType::Float),
            typed("t", DataType::Text),
            typed("b", DataType::Bool),
            typed("i", DataType::Int),
        ];
        let numbers = numbers(&columns, &types, 0);
        assert_eq!(numbers[..2], [0.5, 1.0]);
        assert!(numbers.len() == 3 && numbers[2].is_nan());
    }
}
