//! Tensors as rows of columns. Pure.
//!
//! A request has one tensor per column (`[rows]` or `[rows, 1]`), or one numeric matrix `[rows, columns]` for a model that takes
//! columns.

use std::{collections::HashMap, marker::PhantomData};

use serde_json::Map;
use shipway_core::{Value, nearest};
use shipway_runtime::{
    ModelInput, RuntimeError,
    tensor::{Datatype, Elements},
};

use super::call::{Content, Input, wrong};
use crate::{
    error::ServingError,
    model::prediction::{MAX_ROWS, check_rows},
    service::Rows,
    tensor_json,
};

/// The most tensors of one request.
const MAX_TENSORS: usize = 10_000;

/// What the rows are for.
#[derive(Clone, Copy)]
pub(super) enum Takes<'model> {
    /// Ids and request columns, by their names.
    Ids,
    /// The columns of a model.
    Columns(&'model [ModelInput]),
}

/// The rows of a request.
pub(super) fn rows(inputs: Vec<Input>, takes: Takes<'_>) -> Result<Rows, ServingError> {
    if inputs.is_empty() || inputs.len() > MAX_TENSORS {
        return Err(wrong(format!("a request has 1 to {MAX_TENSORS} inputs, got {}", inputs.len())));
    }
    if let (Takes::Columns(model), [only]) = (takes, inputs.as_slice())
        && let [rows, width] = *only.shape.as_slice()
        && (width != 1 || model.len() == 1)
    {
        check_rows(rows)?;
        return matrix(inputs, model.len(), width);
    }
    let mut columns = Vec::with_capacity(inputs.len());
    for input in inputs {
        if !matches!(input.shape.as_slice(), [_] | [_, 1]) {
            let Input { name, shape, .. } = input;
            let expected = "expected a tensor of shape [rows] or [rows, 1]";
            return Err(wrong(format!("input {name}: {expected}, got {shape:?}")));
        }
        let rows = input.shape.first().copied().unwrap_or(0);
        if rows == 0 || rows > MAX_ROWS {
            return Err(ServingError::RowCount { got: rows, limit: MAX_ROWS });
        }
        let name = input.name.clone();
        columns.push((name, values(input)?));
    }
    let count = columns.first().map_or(0, |(_, values)| values.len());
    if let Some((name, values)) = columns.iter().find(|(_, values)| values.len() != count) {
        return Err(wrong(format!("input {name} has {} rows, the first input has {count}", values.len())));
    }
    match takes {
        Takes::Ids => named(columns, count),
        Takes::Columns(model) => ordered(columns, count, model),
    }
}

/// The rows of one matrix of all columns.
fn matrix(inputs: Vec<Input>, columns: usize, width: usize) -> Result<Rows, ServingError> {
    let Some(input) = inputs.into_iter().next() else { return Err(wrong("a request has an input")) };
    let name = input.name.clone();
    if width != columns {
        return Err(wrong(format!("input {name} has {width} columns, the model has {columns}")));
    }
    if input.datatype == Datatype::Bytes {
        return Err(wrong(format!("input {name}: a matrix must be of numbers")));
    }
    let mut values = values(input)?.into_iter();
    let mut rows = Vec::with_capacity(values.len() / columns);
    while values.len() > 0 {
        rows.push(values.by_ref().take(columns).collect());
    }
    Ok(Rows::Ordered(rows))
}

fn named(columns: Vec<(String, Vec<Value>)>, count: usize) -> Result<Rows, ServingError> {
    let mut rows = vec![Map::new(); count];
    for (name, values) in columns {
        for (row, value) in rows.iter_mut().zip(values) {
            if row.insert(name.clone(), value.to_json()).is_some() {
                return Err(wrong(format!("input {name} comes twice")));
            }
        }
    }
    Ok(Rows::Named(rows))
}

/// The columns of a model, each row in the model's order; columns that it does not take are left out.
fn ordered(
    columns: Vec<(String, Vec<Value>)>,
    count: usize,
    model: &[ModelInput],
) -> Result<Rows, ServingError> {
    let given = columns.len();
    let mut by_name: HashMap<String, Vec<Value>> = HashMap::with_capacity(given);
    for (name, values) in columns {
        if let Some(twice) = by_name.insert(name.clone(), values) {
            drop(twice);
            return Err(wrong(format!("input {name} comes twice")));
        }
    }
    let mut taken = Vec::with_capacity(model.len());
    for input in model {
        let values = by_name.remove(&input.name).ok_or_else(|| RuntimeError::ColumnMissing {
            column: input.name.clone(),
            given,
            nearest: nearest(&input.name, by_name.keys().map(String::as_str)).map(str::to_owned),
        })?;
        taken.push(values.into_iter());
    }
    let row = |_| taken.iter_mut().map(|values| values.next().unwrap_or(Value::Null)).collect();
    Ok(Rows::Ordered((0..count).map(row).collect()))
}

/// The elements of a tensor as values; null in JSON is a missing value of any type.
fn values(input: Input) -> Result<Vec<Value>, ServingError> {
    let Input { name, shape, datatype, content } = input;
    let refused = |reason: String| wrong(format!("input {name}: {reason}"));
    match content {
        Content::Json(json) => {
            let values =
                tensor_json::read(&shape, &json, datatype.word(), PhantomData::<Value>).map_err(refused)?;
            match values.iter().find(|value| !holds(datatype, value)) {
                Some(value) => {
                    let shown: String = value.to_json().to_string().chars().take(40).collect();
                    Err(refused(format!("{shown} is no {datatype}")))
                }
                None => Ok(values),
            }
        }
        Content::Typed(elements) => typed(elements).map_err(refused),
    }
}

/// Whether a value is one of the type; null is a missing value of any type.
fn holds(datatype: Datatype, value: &Value) -> bool {
    let within = |lowest: i64, highest: i64| matches!(value, Value::Int(number) if (lowest..=highest).contains(number));
    match datatype {
        _ if value.is_null() => true,
        Datatype::Bool => matches!(value, Value::Bool(_)) || within(0, 1),
        Datatype::Int8 => within(i64::from(i8::MIN), i64::from(i8::MAX)),
        Datatype::Int16 => within(i64::from(i16::MIN), i64::from(i16::MAX)),
        Datatype::Int32 => within(i64::from(i32::MIN), i64::from(i32::MAX)),
        Datatype::Int64 => matches!(value, Value::Int(_)),
        Datatype::Uint8 => within(0, i64::from(u8::MAX)),
        Datatype::Uint16 => within(0, i64::from(u16::MAX)),
        Datatype::Uint32 => within(0, i64::from(u32::MAX)),
        Datatype::Uint64 => within(0, i64::MAX),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => {
            matches!(value, Value::Int(_) | Value::Float(_))
        }
        Datatype::Bytes => matches!(value, Value::Text(_)),
    }
}

fn typed(elements: Elements) -> Result<Vec<Value>, String> {
    fn whole<T: Into<i64>>(elements: Vec<T>) -> Vec<Value> {
        elements.into_iter().map(|number| Value::Int(number.into())).collect()
    }
    Ok(match elements {
        Elements::Bool(flags) => flags.into_iter().map(Value::Bool).collect(),
        Elements::Int8(elements) => whole(elements),
        Elements::Int16(elements) => whole(elements),
        Elements::Int32(elements) => whole(elements),
        Elements::Int64(elements) => whole(elements),
        Elements::Uint8(elements) => whole(elements),
        Elements::Uint16(elements) => whole(elements),
        Elements::Uint32(elements) => whole(elements),
        Elements::Uint64(elements) => {
            let value = |number: u64| {
                i64::try_from(number)
                    .map(Value::Int)
                    .map_err(|_| format!("{number} is beyond 64 bits with a sign"))
            };
            elements.into_iter().map(value).collect::<Result<_, _>>()?
        }
        Elements::Bytes(strings) => {
            let text = |string: bytes::Bytes| {
                std::str::from_utf8(&string).map(Value::text).map_err(|_| "a string is not UTF-8".to_owned())
            };
            strings.into_iter().map(text).collect::<Result<_, _>>()?
        }
        floats => (0..floats.len()).filter_map(|place| floats.number(place)).map(Value::float).collect(),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value as Json, json};
    use shipway_runtime::InputKind;

    use super::*;

    /// Inputs as a client writes them: name, shape, type, data.
    fn inputs(tensors: &[(&str, &[usize], &str, Json)]) -> Vec<Input> {
        let input = |(name, shape, datatype, data): &(&str, &[usize], &str, Json)| Input {
            name: (*name).to_owned(),
            shape: shape.to_vec(),
            datatype: datatype.parse().unwrap(),
            content: Content::Json(Bytes::from(data.to_string())),
        };
        tensors.iter().map(input).collect()
    }

    fn model(names: &[&str]) -> Vec<ModelInput> {
        let input = |name: &&str| ModelInput { name: (*name).to_owned(), kind: InputKind::Number };
        names.iter().map(input).collect()
    }

    fn shown(rows: Rows) -> Json {
        match rows {
            Rows::Named(rows) => rows.into_iter().map(Json::Object).collect(),
            Rows::Ordered(rows) => {
                rows.iter().map(|row| row.iter().map(Value::to_json).collect::<Json>()).collect()
            }
        }
    }

    #[test]
    fn a_tensor_per_column_becomes_rows() {
        let tensors = || {
            inputs(&[
                ("carrier", &[2], "BYTES", json!(["UA", "B6"])),
                ("month", &[2, 1], "INT64", json!([[1], [null]])),
            ])
        };
        let by_name = rows(tensors(), Takes::Ids).unwrap();
        assert_eq!(shown(by_name), json!([{"carrier": "UA", "month": 1}, {"carrier": "B6", "month": null}]));
        let in_order = rows(tensors(), Takes::Columns(&model(&["month", "carrier"]))).unwrap();
        assert_eq!(shown(in_order), json!([[1, "UA"], [null, "B6"]]));
    }

    #[test]
    fn a_matrix_is_the_models_inputs_flat_or_nested_or_typed() {
        let model = model(&["a", "b"]);
        for data in [json!([1.0, 2.0, 3.0, null]), json!([[1.0, 2.0], [3.0, null]])] {
            let tensors = inputs(&[("input", &[2, 2], "FP32", data)]);
            assert_eq!(
                shown(rows(tensors, Takes::Columns(&model)).unwrap()),
                json!([[1.0, 2.0], [3.0, null]])
            );
        }
        let typed = Input {
            name: "input".to_owned(),
            shape: vec![1, 2],
            datatype: Datatype::Fp32,
            content: Content::Typed(Elements::Fp32(vec![0.5, f32::NAN])),
        };
        assert_eq!(shown(rows(vec![typed], Takes::Columns(&model)).unwrap()), json!([[0.5, "NaN"]]));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        let model = model(&["a", "b"]);
        type Case = (&'static [usize], &'static str, Json, &'static str);
        let cases: [Case; 8] = [
            (&[2], "FP64", json!([1.0]), "input x: data has 1 elements, the shape [2] has 2"),
            (&[1], "INT8", json!([300]), "input x: 300 is no INT8"),
            (&[1], "FP64", json!(["1"]), "input x: \"1\" is no FP64"),
            (&[1], "FP64", json!([[1.0]]), "input x: data is nested deeper than its shape"),
            (&[1, 3], "FP64", json!([1, 2, 3]), "input x has 3 columns, the model has 2"),
            (
                &[1, 1, 1],
                "FP64",
                json!([1]),
                "input x: expected a tensor of shape [rows] or [rows, 1], got [1, 1, 1]",
            ),
            (&[2048], "FP64", json!([]), "a prediction takes 1 to 1024 rows, got 2048"),
            (&[1, 2], "BYTES", json!(["a", "b"]), "input x: a matrix must be of numbers"),
        ];
        for (shape, datatype, data, expected) in cases {
            let refused = rows(inputs(&[("x", shape, datatype, data)]), Takes::Columns(&model));
            assert_eq!(refused.err().unwrap().to_string(), expected);
        }
        assert_eq!(
            rows(vec![], Takes::Ids).err().unwrap().to_string(),
            "a request has 1 to 10000 inputs, got 0"
        );
        let twice = inputs(&[("a", &[1], "FP64", json!([1])), ("a", &[1], "FP64", json!([1]))]);
        assert_eq!(rows(twice, Takes::Columns(&model)).err().unwrap().to_string(), "input a comes twice");
        let missing = inputs(&[("a", &[1], "FP64", json!([1])), ("bb", &[1], "FP64", json!([1]))]);
        let missing = rows(missing, Takes::Columns(&model)).err().unwrap();
        assert_eq!(missing.to_string(), "model input `b` is not among the 2 given columns");
        let uneven = inputs(&[("a", &[1], "FP64", json!([1])), ("b", &[2], "FP64", json!([1, 2]))]);
        let uneven = rows(uneven, Takes::Columns(&model)).err().unwrap();
        assert_eq!(uneven.to_string(), "input b has 2 rows, the first input has 1");
    }
}
