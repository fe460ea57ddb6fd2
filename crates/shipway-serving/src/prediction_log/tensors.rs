//! What models of tensors were given and gave, as rows of the prediction log. Pure.
//!
//! A row of the log is a place along the first dimension where requests are put together along it, else a request. A tensor is a column:
//! a single value where each row has one element, else the list of its elements in row-major order. Outputs have `output__` in front.

use std::sync::Arc;

use shipway_core::{DataType, Name, ScalarType, Value};
use shipway_runtime::tensor::{Datatype, Elements, Tensor, TensorSignature, TensorSpec};

use super::schema::LogSchema;

/// The most elements of a tensor that a row keeps: what has more, a picture, is left out and null.
const MOST_ELEMENTS: usize = 1_024;

/// So many elements are counted as one more row where rows are: a row of columns has about so many values.
const ELEMENTS_OF_A_ROW: usize = 64;

/// How the tensors of a model stand in its prediction log.
#[derive(Debug)]
pub(crate) struct TensorLog {
    pub(crate) schema: Arc<LogSchema>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    batches: bool,
}

/// The inputs of a request as rows of the log, to which the outputs come.
pub(crate) struct TensorRows {
    pub(crate) rows: Vec<Vec<Value>>,
    /// What the rows weigh where rows are counted.
    pub(crate) weight: usize,
}

impl TensorLog {
    pub(crate) fn of(deployment: &Name, signature: &TensorSignature) -> Self {
        let batches = signature.batches();
        let columns = |specs: &[TensorSpec]| {
            specs.iter().map(|spec| (spec.name.clone(), column_type(spec, batches))).collect()
        };
        let schema =
            LogSchema::of_tensors(deployment, columns(&signature.inputs), columns(&signature.outputs));
        Self {
            schema: Arc::new(schema),
            inputs: signature.inputs.clone(),
            outputs: signature.outputs.clone(),
            batches,
        }
    }

    /// How many rows tensors of the model are.
    pub(crate) fn count(&self, tensors: &[Tensor]) -> usize {
        match self.batches {
            true => tensors.first().and_then(|tensor| tensor.shape.first()).copied().unwrap_or(0),
            false => 1,
        }
    }

    /// The rows of inputs that fit the model's signature.
    pub(crate) fn rows(&self, inputs: &[Tensor]) -> TensorRows {
        let count = self.count(inputs);
        let mut rows = vec![Vec::with_capacity(self.inputs.len() + self.outputs.len()); count];
        self.add(&mut rows, &self.inputs, inputs);
        let elements: usize = inputs.iter().map(|tensor| tensor.elements.len()).sum();
        TensorRows { rows, weight: count.saturating_add(elements / ELEMENTS_OF_A_ROW) }
    }

    /// Adds the outputs that were wanted to the rows of the inputs; the others are null.
    pub(crate) fn add_outputs(&self, rows: &mut [Vec<Value>], outputs: &[Tensor]) {
        self.add(rows, &self.outputs, outputs);
    }

    /// The prediction of each row: the numbers of the first output that has some.
    pub(crate) fn predictions(&self, outputs: &[Tensor]) -> Vec<Vec<f64>> {
        let count = self.count(outputs);
        let numbers = |tensor: &Tensor| -> Option<Vec<Vec<f64>>> {
            let width = width(&tensor.elements, count).filter(|width| *width <= MOST_ELEMENTS)?;
            let row = |row: usize| {
                (row * width..(row + 1) * width).map(|place| tensor.elements.number(place)).collect()
            };
            (0..count).map(row).collect()
        };
        let mut in_order =
            self.outputs.iter().filter_map(|spec| outputs.iter().find(|tensor| tensor.name == spec.name));
        in_order.find_map(numbers).unwrap_or_else(|| vec![Vec::new(); count])
    }

    fn add(&self, rows: &mut [Vec<Value>], specs: &[TensorSpec], tensors: &[Tensor]) {
        let count = rows.len();
        for spec in specs {
            let tensor = tensors.iter().find(|tensor| tensor.name == spec.name);
            let is_list = matches!(column_type(spec, self.batches), DataType::List(_));
            let taken = tensor.and_then(|tensor| Some((tensor, width(&tensor.elements, count)?)));
            let taken = taken.filter(|(_, width)| *width <= MOST_ELEMENTS);
            for (number, row) in rows.iter_mut().enumerate() {
                row.push(match taken {
                    Some((tensor, width)) if is_list => {
                        let places = number * width..(number + 1) * width;
                        Value::list(places.map(|place| value(&tensor.elements, place)))
                    }
                    Some((tensor, _)) => value(&tensor.elements, number),
                    None => Value::Null,
                });
            }
        }
    }
}

/// Elements of each row.
fn width(elements: &Elements, rows: usize) -> Option<usize> {
    elements.len().checked_div(rows)
}

/// The column of a tensor: a value where each row has one element, else a list.
fn column_type(spec: &TensorSpec, batches: bool) -> DataType {
    let scalar = match spec.datatype {
        Datatype::Bool => ScalarType::Bool,
        Datatype::Bytes => ScalarType::Text,
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64 => ScalarType::Float,
        _ => ScalarType::Int,
    };
    let dimensions = spec.shape.get(usize::from(batches)..).unwrap_or_default();
    match dimensions.iter().all(|size| *size == 1) {
        true => scalar.into(),
        false => DataType::list(scalar),
    }
}

/// One element; null where the column has no such value.
fn value(elements: &Elements, place: usize) -> Value {
    let whole = |number: Option<i64>| number.map_or(Value::Null, Value::Int);
    match elements {
        Elements::Bool(flags) => flags.get(place).copied().map_or(Value::Null, Value::Bool),
        Elements::Int8(numbers) => whole(numbers.get(place).copied().map(i64::from)),
        Elements::Int16(numbers) => whole(numbers.get(place).copied().map(i64::from)),
        Elements::Int32(numbers) => whole(numbers.get(place).copied().map(i64::from)),
        Elements::Int64(numbers) => whole(numbers.get(place).copied()),
        Elements::Uint8(numbers) => whole(numbers.get(place).copied().map(i64::from)),
        Elements::Uint16(numbers) => whole(numbers.get(place).copied().map(i64::from)),
        Elements::Uint32(numbers) => whole(numbers.get(place).copied().map(i64::from)),
        Elements::Uint64(numbers) => whole(numbers.get(place).and_then(|number| i64::try_from(*number).ok())),
        Elements::Bytes(strings) => {
            let text = strings.get(place).and_then(|string| std::str::from_utf8(string).ok());
            text.map_or(Value::Null, Value::text)
        }
        floats => floats.number(place).map_or(Value::Null, Value::float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, datatype: Datatype, shape: &[i64]) -> TensorSpec {
        TensorSpec { name: name.to_owned(), datatype, shape: shape.to_vec() }
    }

    fn tensor(name: &str, shape: &[usize], elements: Elements) -> Tensor {
        Tensor { name: name.to_owned(), shape: shape.to_vec(), elements }
    }

    fn log(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> TensorLog {
        TensorLog::of(&Name::new("net").unwrap(), &TensorSignature { inputs, outputs })
    }

    fn shown(rows: &[Vec<Value>]) -> String {
        let row = |row: &Vec<Value>| row.iter().map(Value::to_json).collect::<serde_json::Value>();
        rows.iter().map(row).collect::<serde_json::Value>().to_string()
    }

    #[test]
    fn a_row_is_a_place_along_the_first_dimension() {
        let inputs = vec![spec("x", Datatype::Int32, &[-1, 2]), spec("at", Datatype::Bytes, &[-1, 1])];
        let outputs = vec![spec("word", Datatype::Bytes, &[-1]), spec("y", Datatype::Fp32, &[-1, 2])];
        let log = log(inputs, outputs);
        let names: Vec<&str> = log.schema.columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x", "input__at", "output__word", "output__y"]);
        let words = Elements::Bytes(vec!["a".into(), b"\xff".to_vec().into()]);
        let given = [tensor("x", &[2, 2], Elements::Int32(vec![1, 2, 3, 4])), tensor("at", &[2, 1], words)];
        let TensorRows { mut rows, weight } = log.rows(&given);
        assert_eq!(weight, 2);
        let gave = [tensor("y", &[2, 2], Elements::Fp32(vec![0.5, 1.0, 1.5, 2.0]))];
        log.add_outputs(&mut rows, &gave);
        assert_eq!(shown(&rows), r#"[[[1,2],"a",null,[0.5,1.0]],[[3,4],null,null,[1.5,2.0]]]"#);
        assert_eq!(log.predictions(&gave), [[0.5, 1.0], [1.5, 2.0]]);
    }

    #[test]
    fn a_request_is_a_row_where_nothing_is_put_together_and_what_is_large_is_left_out() {
        let log =
            log(vec![spec("picture", Datatype::Uint8, &[64, 64])], vec![spec("sure", Datatype::Fp64, &[1])]);
        let TensorRows { mut rows, weight } =
            log.rows(&[tensor("picture", &[64, 64], Elements::Uint8(vec![7; 4096]))]);
        assert_eq!(weight, 65);
        let gave = [tensor("sure", &[1], Elements::Fp64(vec![0.25]))];
        log.add_outputs(&mut rows, &gave);
        assert_eq!((shown(&rows).as_str(), log.predictions(&gave)), ("[[null,0.25]]", vec![vec![0.25]]));
    }

    #[test]
    fn no_rows_are_no_rows() {
        let log = log(vec![spec("x", Datatype::Fp32, &[-1, 2])], vec![spec("y", Datatype::Fp32, &[-1])]);
        let TensorRows { mut rows, .. } = log.rows(&[tensor("x", &[0, 2], Elements::Fp32(Vec::new()))]);
        log.add_outputs(&mut rows, &[]);
        assert!(rows.is_empty() && log.predictions(&[]).is_empty());
    }
}
