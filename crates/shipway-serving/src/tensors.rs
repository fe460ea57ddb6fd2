//! Open Inference tensors to rows of named columns, and predictions to a tensor.
//!
//! Pure. A request has one tensor per column (`[rows]` or `[rows, 1]`), or one numeric matrix `[rows, columns]` for a model
//! whose inputs are all numbers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::{error::ServingError, model::prediction::MAX_ROWS};

/// The most tensors of one request.
const MAX_TENSORS: usize = 10_000;

/// How deep data may be nested.
const MAX_DIMENSIONS: usize = 8;

/// A tensor as it comes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) datatype: Datatype,
    pub(crate) data: Json,
}

/// The types of tensors; the names are the protocol's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Datatype {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Fp16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    const fn is_number(self) -> bool {
        !matches!(self, Self::Bytes)
    }

    /// Whether an element of the data is one of this type; null is a missing value of any type.
    fn holds(self, element: &Json) -> bool {
        let within = |lowest: i64, highest: i64| {
            element.as_i64().is_some_and(|number| (lowest..=highest).contains(&number))
        };
        match self {
            _ if element.is_null() => true,
            Self::Bool => element.is_boolean() || within(0, 1),
            Self::Int8 => within(i64::from(i8::MIN), i64::from(i8::MAX)),
            Self::Int16 => within(i64::from(i16::MIN), i64::from(i16::MAX)),
            Self::Int32 => within(i64::from(i32::MIN), i64::from(i32::MAX)),
            Self::Int64 => element.is_i64(),
            Self::Uint8 => within(0, i64::from(u8::MAX)),
            Self::Uint16 => within(0, i64::from(u16::MAX)),
            Self::Uint32 => within(0, i64::from(u32::MAX)),
            Self::Uint64 => element.is_u64(),
            Self::Fp16 | Self::Fp32 | Self::Fp64 => element.is_number(),
            Self::Bytes => element.is_string(),
        }
    }
}

fn wrong(reason: String) -> ServingError {
    ServingError::WrongRequest(reason)
}

/// The rows of a request. `inputs` are the model's own, for a matrix; a matrix is refused when there are none.
pub(crate) fn rows(tensors: Vec<Tensor>, inputs: &[String]) -> Result<Vec<Map<String, Json>>, ServingError> {
    if tensors.is_empty() || tensors.len() > MAX_TENSORS {
        return Err(wrong(format!("a request has 1 to {MAX_TENSORS} inputs, got {}", tensors.len())));
    }
    let only = tensors.len() == 1;
    let mut columns: Vec<(String, Vec<Json>)> = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let shape = tensor.shape.clone();
        let (name, elements) = (tensor.name.clone(), elements(tensor)?);
        match shape.as_slice() {
            [_] | [_, 1] => columns.push((name, elements)),
            [_, width] if only && *width == inputs.len() as u64 => {
                return Ok(elements.chunks(inputs.len()).map(|row| named(inputs, row)).collect());
            }
            [_, width] if only && !inputs.is_empty() => {
                return Err(wrong(format!(
                    "input {name} has {width} columns, the model has {}",
                    inputs.len()
                )));
            }
            _ => {
                return Err(wrong(format!(
                    "input {name}: expected a tensor of shape [rows] or [rows, 1], got {shape:?}"
                )));
            }
        }
    }
    let count = columns.first().map_or(0, |(_, elements)| elements.len());
    if let Some((name, elements)) = columns.iter().find(|(_, elements)| elements.len() != count) {
        return Err(wrong(format!("input {name} has {} rows, the first input has {count}", elements.len())));
    }
    let mut rows = vec![Map::new(); count];
    for (name, elements) in columns {
        for (row, element) in rows.iter_mut().zip(elements) {
            if row.insert(name.clone(), element).is_some() {
                return Err(wrong(format!("input {name} comes twice")));
            }
        }
    }
    Ok(rows)
}

fn named(inputs: &[String], row: &[Json]) -> Map<String, Json> {
    inputs.iter().cloned().zip(row.iter().cloned()).collect()
}

/// The elements of a tensor in row-major order, as many as its shape says and all of its type.
fn elements(tensor: Tensor) -> Result<Vec<Json>, ServingError> {
    let Tensor { name, shape, datatype, data } = tensor;
    if shape.is_empty() || shape.len() > MAX_DIMENSIONS {
        return Err(wrong(format!("input {name} has {} dimensions", shape.len())));
    }
    let rows = shape.first().copied().unwrap_or(0);
    if rows == 0 || rows > MAX_ROWS as u64 {
        let got = usize::try_from(rows).unwrap_or(usize::MAX);
        return Err(ServingError::RowCount { got, limit: MAX_ROWS });
    }
    let expected = shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size));
    let mut elements = Vec::new();
    flatten(data, shape.len(), &mut elements)
        .ok_or_else(|| wrong(format!("input {name}: data is nested deeper than its shape")))?;
    if expected != Some(elements.len() as u64) {
        return Err(wrong(format!(
            "input {name}: data has {} elements, the shape {shape:?} has others",
            elements.len()
        )));
    }
    if let Some(element) = elements.iter().find(|element| !datatype.holds(element)) {
        let shown: String = element.to_string().chars().take(40).collect();
        return Err(wrong(format!("input {name}: {shown} is no {}", datatype.word())));
    }
    if shape.len() == 2 && shape.get(1) != Some(&1) && !datatype.is_number() {
        return Err(wrong(format!("input {name}: a matrix must be of numbers")));
    }
    Ok(elements)
}

fn flatten(data: Json, depth: usize, into: &mut Vec<Json>) -> Option<()> {
    match data {
        Json::Array(_) if depth == 0 => None,
        Json::Array(parts) => parts.into_iter().try_for_each(|part| flatten(part, depth - 1, into)),
        element => {
            into.push(element);
            Some(())
        }
    }
}

impl Datatype {
    /// The protocol's name.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Fp16 => "FP16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(tensors: Json, inputs: &[&str]) -> Result<Json, String> {
        let tensors: Vec<Tensor> = serde_json::from_value(tensors).map_err(|error| error.to_string())?;
        let inputs: Vec<String> = inputs.iter().map(|name| (*name).to_owned()).collect();
        rows(tensors, &inputs)
            .map(|rows| Json::Array(rows.into_iter().map(Json::Object).collect()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_tensor_per_column_becomes_rows() {
        let tensors = json!([
            {"name": "carrier", "shape": [2], "datatype": "BYTES", "data": ["UA", "B6"]},
            {"name": "month", "shape": [2, 1], "datatype": "INT64", "data": [[1], [null]]},
        ]);
        assert_eq!(
            read(tensors, &[]).unwrap(),
            json!([{"carrier": "UA", "month": 1}, {"carrier": "B6", "month": null}])
        );
    }

    #[test]
    fn a_matrix_is_the_models_inputs_flat_or_nested() {
        for data in [json!([1.0, 2.0, 3.0, 4.5]), json!([[1.0, 2.0], [3.0, 4.5]])] {
            let tensors = json!([{"name": "input", "shape": [2, 2], "datatype": "FP32", "data": data}]);
            assert_eq!(
                read(tensors, &["a", "b"]).unwrap(),
                json!([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.5}])
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_name() {
        let one = |shape: Json, datatype: &str, data: Json| json!([{"name": "x", "shape": shape, "datatype": datatype, "data": data}]);
        for (tensors, expected) in [
            (json!([]), "a request has 1 to 10000 inputs, got 0"),
            (one(json!([2]), "FP64", json!([1.0])), "input x: data has 1 elements, the shape [2] has others"),
            (one(json!([1]), "INT8", json!([300])), "input x: 300 is no INT8"),
            (one(json!([1]), "FP64", json!(["1"])), "input x: \"1\" is no FP64"),
            (one(json!([1]), "FP64", json!([[1.0]])), "input x: data is nested deeper than its shape"),
            (one(json!([1, 3]), "FP64", json!([1, 2, 3])), "input x has 3 columns, the model has 2"),
            (
                one(json!([1, 1, 1]), "FP64", json!([1])),
                "input x: expected a tensor of shape [rows] or [rows, 1], got [1, 1, 1]",
            ),
            (one(json!([2048]), "FP64", json!([])), "a prediction takes 1 to 1024 rows, got 2048"),
            (
                one(json!([4, 4611686018427387904_u64]), "FP64", json!([])),
                "input x: data has 0 elements, the shape [4, 4611686018427387904] has others",
            ),
            (one(json!([1, 2]), "BYTES", json!(["a", "b"])), "input x: a matrix must be of numbers"),
        ] {
            assert_eq!(read(tensors, &["a", "b"]).unwrap_err(), expected);
        }
        assert!(read(one(json!([1]), "COMPLEX", json!([1])), &[]).unwrap_err().contains("COMPLEX"));
    }
}
