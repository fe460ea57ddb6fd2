//! ONNX models whose tensors are rows of columns: one numeric matrix `[rows, columns]`, or one tensor per column.

use bytes::Bytes;
use shipway_core::Value;

use super::unsupported;
use crate::{
    error::RuntimeError,
    input::{InputKind, ModelInput, as_number, whole_number, word_of},
    tensor::{Datatype, Elements, Tensor, TensorSignature},
};

/// More inputs than this is taken for damage.
const MOST_INPUTS: i64 = 100_000;

/// How rows go in and come out.
#[derive(Debug)]
pub(super) struct Tabular {
    layout: Layout,
    output: Output,
}

#[derive(Debug)]
enum Layout {
    /// One tensor `[rows, columns]`.
    Matrix { name: String, element: Element, columns: usize },
    /// A tensor `[rows]` or `[rows, 1]` per column.
    Columns(Vec<ColumnTensor>),
}

#[derive(Debug)]
struct ColumnTensor {
    name: String,
    element: Element,
    rank: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Element {
    Float32,
    Float64,
    Int64,
    Int32,
    Bool,
    Text,
}

#[derive(Debug)]
struct Output {
    name: String,
    /// Numbers per row in the tensor.
    width: usize,
    /// Only the last of two probabilities is the answer.
    positive_class: bool,
}

impl Tabular {
    /// What the model's tensors are as rows, or why they are none.
    pub(super) fn of(signature: &TensorSignature) -> Result<Self, RuntimeError> {
        Ok(Self { layout: Layout::of(signature)?, output: Output::of(signature)? })
    }

    pub(super) fn inputs(&self) -> Vec<ModelInput> {
        match &self.layout {
            Layout::Matrix { name, columns: 1, .. } => {
                vec![ModelInput { name: name.clone(), kind: InputKind::Number }]
            }
            Layout::Matrix { name, columns, .. } => (0..*columns)
                .map(|place| ModelInput { name: format!("{name}_{place}"), kind: InputKind::Number })
                .collect(),
            Layout::Columns(columns) => columns
                .iter()
                .map(|column| ModelInput {
                    name: column.name.clone(),
                    kind: if column.element == Element::Text {
                        InputKind::Category
                    } else {
                        InputKind::Number
                    },
                })
                .collect(),
        }
    }

    pub(super) fn outputs(&self) -> usize {
        if self.output.positive_class { 1 } else { self.output.width }
    }

    /// The model's inputs for `rows` rows, given as one slice of values per input.
    pub(super) fn tensors(
        &self,
        inputs: &[ModelInput],
        columns: &[Vec<&Value>],
        rows: usize,
    ) -> Result<Vec<Tensor>, RuntimeError> {
        let mut tensors = Vec::new();
        match &self.layout {
            Layout::Matrix { name, element, columns: width } => {
                let mut cells = Vec::with_capacity(rows.saturating_mul(*width));
                for row in 0..rows {
                    for (column, input) in columns.iter().zip(inputs) {
                        cells.push((
                            row,
                            input.name.as_str(),
                            column.get(row).copied().unwrap_or(&Value::Null),
                        ));
                    }
                }
                tensors.push(tensor(name, *element, vec![rows, *width], &cells)?);
            }
            Layout::Columns(layouts) => {
                for ((layout, column), input) in layouts.iter().zip(columns).zip(inputs) {
                    let cells: Vec<_> = column
                        .iter()
                        .enumerate()
                        .map(|(row, value)| (row, input.name.as_str(), *value))
                        .collect();
                    let shape = if layout.rank == 2 { vec![rows, 1] } else { vec![rows] };
                    tensors.push(tensor(&layout.name, layout.element, shape, &cells)?);
                }
            }
        }
        Ok(tensors)
    }

    /// The rows that tensors of the model hold; `None` when they are not its inputs.
    pub(super) fn rows_of(&self, tensors: &[Tensor]) -> Option<Vec<Vec<Value>>> {
        let named = |name: &str| tensors.iter().find(|tensor| tensor.name == name);
        let rows = *tensors.first()?.shape.first()?;
        match &self.layout {
            Layout::Matrix { name, columns, .. } => {
                let elements = &named(name)?.elements;
                let value = |place| elements.number(place).map(Value::float);
                let row = |row: usize| (0..*columns).map(|column| value(row * columns + column)).collect();
                (0..rows).map(row).collect()
            }
            Layout::Columns(columns) => {
                let elements: Vec<&Elements> = columns
                    .iter()
                    .map(|column| named(&column.name).map(|tensor| &tensor.elements))
                    .collect::<Option<_>>()?;
                (0..rows).map(|row| elements.iter().map(|column| value_at(column, row)).collect()).collect()
            }
        }
    }

    /// The predictions in the output to answer with.
    pub(super) fn predictions_in(&self, answer: &Tensor) -> Option<Vec<Vec<f64>>> {
        let numbers: Vec<f64> =
            (0..answer.elements.len()).map(|place| answer.elements.number(place)).collect::<Option<_>>()?;
        let rows = numbers.chunks(self.output.width);
        Some(if self.output.positive_class {
            rows.filter_map(|both| both.last().map(|second| vec![*second])).collect()
        } else {
            rows.map(<[f64]>::to_vec).collect()
        })
    }

    /// The output to answer with.
    pub(super) fn output(&self) -> &str {
        &self.output.name
    }

    /// The numbers of that output, `[rows, outputs]`.
    pub(super) fn read(&self, answer: &Tensor, rows: usize) -> Result<Vec<f64>, RuntimeError> {
        self.output.read(answer, rows)
    }
}

impl Layout {
    fn of(signature: &TensorSignature) -> Result<Self, RuntimeError> {
        let mut columns = Vec::new();
        for input in &signature.inputs {
            let element = Element::of(input.datatype)
                .ok_or_else(|| unsupported(format!("input {} of type {}", input.name, input.datatype)))?;
            match *input.shape.as_slice() {
                [_] | [_, 1] => {
                    let (name, rank) = (input.name.clone(), input.shape.len());
                    columns.push(ColumnTensor { name, element, rank });
                }
                [_, width] if signature.inputs.len() == 1 && width > 1 && width <= MOST_INPUTS => {
                    if element == Element::Text {
                        return Err(unsupported("a matrix of text"));
                    }
                    let columns =
                        usize::try_from(width).map_err(|_| unsupported("an input of negative width"))?;
                    return Ok(Self::Matrix { name: input.name.clone(), element, columns });
                }
                _ => return Err(unsupported(format!("input {} of shape {:?}", input.name, input.shape))),
            }
        }
        if columns.is_empty() {
            Err(unsupported("a model without inputs"))
        } else {
            Ok(Self::Columns(columns))
        }
    }
}

impl Element {
    const fn of(datatype: Datatype) -> Option<Self> {
        match datatype {
            Datatype::Fp32 => Some(Self::Float32),
            Datatype::Fp64 => Some(Self::Float64),
            Datatype::Int64 => Some(Self::Int64),
            Datatype::Int32 => Some(Self::Int32),
            Datatype::Bool => Some(Self::Bool),
            Datatype::Bytes => Some(Self::Text),
            _ => None,
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Float32 | Self::Float64 => "a number",
            Self::Int64 => "a whole number",
            Self::Int32 => "a whole number of 32 bits",
            Self::Bool => "true or false",
            Self::Text => "text",
        }
    }
}

/// One cell of a request: its row, the name of its column, its value.
type Cell<'request> = (usize, &'request str, &'request Value);

fn tensor(
    name: &str,
    element: Element,
    shape: Vec<usize>,
    cells: &[Cell<'_>],
) -> Result<Tensor, RuntimeError> {
    let elements = match element {
        Element::Float32 => {
            #[expect(clippy::cast_possible_truncation, reason = "the model takes single precision")]
            let single = |value: &Value| as_number(value).map(|number| number as f32);
            Elements::Fp32(gather(element, cells, single)?)
        }
        Element::Float64 => Elements::Fp64(gather(element, cells, as_number)?),
        Element::Int64 => Elements::Int64(gather(element, cells, whole_number)?),
        Element::Int32 => {
            Elements::Int32(gather(element, cells, |value| i32::try_from(whole_number(value)?).ok())?)
        }
        Element::Bool => Elements::Bool(gather(element, cells, |value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        })?),
        Element::Text => Elements::Bytes(gather(element, cells, |value| match value {
            Value::Text(word) => Some(Bytes::copy_from_slice(word.as_bytes())),
            _ => None,
        })?),
    };
    Ok(Tensor { name: name.to_owned(), shape, elements })
}

fn gather<T>(
    element: Element,
    cells: &[Cell<'_>],
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, RuntimeError> {
    cells
        .iter()
        .map(|(row, column, value)| {
            read(value).ok_or_else(|| RuntimeError::WrongValue {
                row: *row,
                column: (*column).to_owned(),
                expected: element.expected(),
                got: word_of(value),
            })
        })
        .collect()
}

/// One element of a column as a value.
fn value_at(elements: &Elements, row: usize) -> Option<Value> {
    match elements {
        Elements::Bytes(strings) => Some(Value::text(String::from_utf8_lossy(strings.get(row)?).as_ref())),
        Elements::Bool(flags) => flags.get(row).copied().map(Value::Bool),
        numbers => numbers.number(row).map(Value::float),
    }
}

impl Output {
    /// Chooses the output to answer with: probabilities before a regression's `variable` before raw scores, then the first
    /// tensor of floats.
    fn of(signature: &TensorSignature) -> Result<Self, RuntimeError> {
        let floats: Vec<(&str, usize)> = signature
            .outputs
            .iter()
            .filter(|output| matches!(output.datatype, Datatype::Fp32 | Datatype::Fp64))
            .filter_map(|output| {
                let width = match *output.shape.as_slice() {
                    [_] => 1,
                    [_, width] => usize::try_from(width).ok().filter(|width| *width > 0)?,
                    _ => return None,
                };
                Some((output.name.as_str(), width))
            })
            .collect();
        let chosen = ["probab", "variable", "score"]
            .iter()
            .find_map(|part| floats.iter().find(|(name, _)| name.contains(part)))
            .or_else(|| floats.first());
        let Some((name, width)) = chosen else {
            return Err(unsupported("a model without an output of floats of known width"));
        };
        let positive_class = *width == 2 && name.contains("probab");
        Ok(Self { name: (*name).to_owned(), width: *width, positive_class })
    }

    fn read(&self, answer: &Tensor, rows: usize) -> Result<Vec<f64>, RuntimeError> {
        let numbers: Vec<f64> = match &answer.elements {
            Elements::Fp32(numbers) => numbers.iter().copied().map(f64::from).collect(),
            Elements::Fp64(numbers) => numbers.clone(),
            other => return Err(unsupported(format!("output {} of type {}", self.name, other.datatype()))),
        };
        let expected = rows.saturating_mul(self.width);
        if numbers.len() != expected {
            let what = format!("output {}", self.name);
            return Err(RuntimeError::Shape { what, expected, got: numbers.len() });
        }
        Ok(if self.positive_class { numbers.into_iter().skip(1).step_by(2).collect() } else { numbers })
    }
}
