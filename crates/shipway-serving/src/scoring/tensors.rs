//! The forms of the protocol for models of tensors: nested lists, by the names of the inputs or for the only one. Pure.

use bytes::Bytes;
use serde_json::{Map, Value};
use shipway_runtime::tensor::{Datatype, Elements, Tensor, TensorSignature, TensorSpec};

use super::frame::{Frame, wrong};
use crate::{error::ServingError, tensor_json};

/// What an output is called that has no name.
const UNNAMED: &str = "predict";

/// The most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 16;

/// The model's inputs out of `inputs` or `instances`.
pub(crate) fn read(signature: &TensorSignature, frame: Frame<'_>) -> Result<Vec<Tensor>, ServingError> {
    let columns: Map<String, Value> = match frame {
        Frame::Inputs(Value::Object(columns)) => columns,
        Frame::Inputs(data) => only(signature, data)?,
        Frame::Instances(Value::Array(rows)) if rows.iter().all(Value::is_object) => by_column(rows)?,
        Frame::Instances(data) => only(signature, data)?,
        Frame::Csv(_) | Frame::Split(_) | Frame::Records(_) if !are_columns(signature) => {
            return Err(wrong("the model takes tensors: send `inputs` or `instances`"));
        }
        rows => {
            let names = names(signature);
            let rows = rows.rows(&names, &texts(signature))?;
            let mut columns = by_column(rows.into_iter().map(Value::Object).collect())?;
            // As for a model of rows, columns that it does not take are left out.
            columns.retain(|name, _| names.contains(name));
            columns
        }
    };
    columns.into_iter().map(|(name, data)| tensor(signature, name, &data)).collect()
}

/// Whether each of the model's tensors is a column of a data frame.
fn are_columns(signature: &TensorSignature) -> bool {
    signature.inputs.iter().all(|spec| spec.shape == [-1])
}

fn names(signature: &TensorSignature) -> Vec<String> {
    signature.inputs.iter().map(|spec| spec.name.clone()).collect()
}

fn texts(signature: &TensorSignature) -> Vec<String> {
    let texts = signature.inputs.iter().filter(|spec| spec.datatype == Datatype::Bytes);
    texts.map(|spec| spec.name.clone()).collect()
}

fn only(signature: &TensorSignature, data: Value) -> Result<Map<String, Value>, ServingError> {
    match signature.inputs.as_slice() {
        [spec] => Ok(Map::from_iter([(spec.name.clone(), data)])),
        specs => Err(wrong(format!("the model has {} inputs: name them", specs.len()))),
    }
}

/// Rows of named values as a list for each name.
fn by_column(rows: Vec<Value>) -> Result<Map<String, Value>, ServingError> {
    let count = rows.len();
    let mut columns: Map<String, Value> = Map::new();
    for row in rows {
        let Value::Object(row) = row else { continue };
        for (name, value) in row {
            if let Value::Array(column) = columns.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                column.push(value);
            }
        }
    }
    let short =
        columns.iter().find(|(_, column)| column.as_array().is_none_or(|column| column.len() != count));
    match short {
        Some((name, _)) => Err(wrong(format!("instances: {name} is not in every row"))),
        None => Ok(columns),
    }
}

fn tensor(signature: &TensorSignature, name: String, data: &Value) -> Result<Tensor, ServingError> {
    let spec: Option<&TensorSpec> = signature.inputs.iter().find(|spec| spec.name == name);
    let Some(spec) = spec else {
        let known: Vec<&str> = signature.inputs.iter().map(|spec| spec.name.as_str()).collect();
        return Err(wrong(format!("there is no input `{name}`; the model has {}", known.join(", "))));
    };
    let refused = |reason: String| wrong(format!("input {name}: {reason}"));
    let shape = shape_of(data).ok_or_else(|| refused(format!("more than {MAX_DIMENSIONS} dimensions")))?;
    let json = data.to_string();
    let elements = tensor_json::from_json(spec.datatype, &shape, json.as_bytes()).map_err(refused)?;
    Ok(Tensor { name, shape, elements })
}

/// The size of each dimension, by its first element.
fn shape_of(data: &Value) -> Option<Vec<usize>> {
    let mut shape = Vec::new();
    let mut at = data;
    while let Value::Array(elements) = at {
        if shape.len() == MAX_DIMENSIONS {
            return None;
        }
        shape.push(elements.len());
        match elements.first() {
            Some(first) => at = first,
            None => break,
        }
    }
    Some(shape)
}

/// The outputs by their names, as nested lists; the only one of a model whose signature has no name for it stands alone.
pub(crate) fn write(outputs: &[Tensor]) -> Value {
    if let [only] = outputs
        && only.name == UNNAMED
    {
        return nested(only);
    }
    outputs.iter().map(|tensor| (tensor.name.clone(), nested(tensor))).collect()
}

fn nested(tensor: &Tensor) -> Value {
    let mut values: Vec<Value> = match &tensor.elements {
        Elements::Bytes(strings) => {
            strings.iter().map(|string: &Bytes| Value::from(String::from_utf8_lossy(string))).collect()
        }
        elements => match serde_json::to_value(tensor_json::Flat(elements)) {
            Ok(Value::Array(values)) => values,
            _ => Vec::new(),
        },
    };
    for size in tensor.shape.iter().skip(1).rev() {
        let mut rest = values.into_iter();
        let mut groups = Vec::new();
        while rest.len() > 0 {
            groups.push(rest.by_ref().take((*size).max(1)).collect());
        }
        values = groups;
    }
    if tensor.shape.is_empty() { values.pop().unwrap_or_default() } else { Value::Array(values) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signature(names: &[&str]) -> TensorSignature {
        let spec = |name: &&str| TensorSpec {
            name: (*name).to_owned(),
            datatype: Datatype::Fp32,
            shape: vec![-1, 2],
        };
        TensorSignature { inputs: names.iter().map(spec).collect(), outputs: Vec::new() }
    }

    #[test]
    fn tensors_that_are_columns_come_as_a_data_frame_too() {
        let column = |name: &str, datatype| TensorSpec { name: name.to_owned(), datatype, shape: vec![-1] };
        let inputs = vec![column("n", Datatype::Fp64), column("t", Datatype::Bytes)];
        let signature = TensorSignature { inputs, outputs: Vec::new() };
        for frame in [
            Frame::Split(json!({"columns": ["t", "n"], "data": [["007", 1], ["x", 2]]})),
            Frame::Records(json!([{"n": 1, "t": "007"}, {"n": 2, "t": "x"}])),
            Frame::Csv(b"n,t\n1,007\n2,x\n"),
        ] {
            let mut tensors = read(&signature, frame).unwrap();
            tensors.sort_by(|one, other| one.name.cmp(&other.name));
            assert_eq!(tensors[0].elements, Elements::Fp64(vec![1.0, 2.0]));
            assert_eq!(tensors[1].elements, Elements::Bytes(vec!["007".into(), "x".into()]));
        }
    }

    #[test]
    fn tensors_come_by_name_or_for_the_only_input() {
        let data = json!([[1, 2], [3, 4]]);
        let expected = Tensor {
            name: "x".to_owned(),
            shape: vec![2, 2],
            elements: Elements::Fp32(vec![1.0, 2.0, 3.0, 4.0]),
        };
        for frame in [
            Frame::Inputs(data.clone()),
            Frame::Inputs(json!({"x": data})),
            Frame::Instances(data.clone()),
            Frame::Instances(json!([{"x": [1, 2]}, {"x": [3, 4]}])),
        ] {
            assert_eq!(read(&signature(&["x"]), frame).unwrap(), std::slice::from_ref(&expected));
        }
        assert_eq!(nested(&expected), json!([[1.0, 2.0], [3.0, 4.0]]));
        for (frame, refusal) in [
            (Frame::Inputs(json!([[1, 2]])), "the model has 2 inputs: name them"),
            (Frame::Inputs(json!({"z": [1]})), "there is no input `z`; the model has x, y"),
            (
                Frame::Inputs(json!({"x": [[1, 2], [3]]})),
                "input x: data has 3 elements, the shape [2, 2] has 4",
            ),
            (Frame::Instances(json!([{"x": 1}, {"y": 1}])), "instances: x is not in every row"),
            (Frame::Csv(b""), "the model takes tensors: send `inputs` or `instances`"),
        ] {
            assert_eq!(read(&signature(&["x", "y"]), frame).unwrap_err().to_string(), refusal);
        }
    }
}
