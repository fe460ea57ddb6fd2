//! ONNX models, run by ONNX Runtime.
//!
//! Its shared library is loaded when the first ONNX model is, from the configured path, and stays for the life of the
//! process. Two shapes of model are understood: one numeric matrix `[rows, columns]`, and one tensor per column.

use std::{
    borrow::Cow,
    path::Path,
    sync::{Mutex, PoisonError},
};

use ort::{
    environment::Environment,
    session::{Session, SessionInputValue},
    value::{DynValue, Tensor, TensorElementType, ValueType},
};
use shipway_core::Value;

use crate::{
    error::RuntimeError,
    input::{InputKind, ModelInput, as_number, word_of},
    model::RuntimeOptions,
};

const FORMAT: &str = "onnx";

/// More inputs than this is taken for damage.
const MOST_INPUTS: i64 = 100_000;

/// One environment per process: ONNX Runtime allows no second one.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// A session and how rows go in and come out.
#[derive(Debug)]
pub(crate) struct Onnx {
    /// Running a session needs it exclusively.
    session: Mutex<Session>,
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

fn unsupported(what: impl Into<String>) -> RuntimeError {
    RuntimeError::Unsupported { format: FORMAT, what: what.into() }
}

/// The process's environment, made from the library at the configured path.
fn environment(options: &RuntimeOptions) -> Result<Environment, RuntimeError> {
    let mut held = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = held.as_ref() {
        return Ok(environment.clone());
    }
    let Some(path) = options.onnx_library.as_deref() else {
        return Err(RuntimeError::OnnxLibrary { path: None, reason: "no path is configured".to_owned() });
    };
    let missing = |reason: String| RuntimeError::OnnxLibrary { path: Some(path.to_owned()), reason };
    if !Path::is_file(path) {
        return Err(missing(format!("{} is not a file", path.display())));
    }
    let environment = ort::init_from(path)
        .map_err(|error| missing(format!("{} does not load: {error}", path.display())))?
        .with_name("shipway")
        .with_telemetry(false)
        .build()
        .map_err(RuntimeError::onnx("start"))?;
    Ok(held.insert(environment).clone())
}

impl Onnx {
    pub(crate) fn load(bytes: &[u8], options: &RuntimeOptions) -> Result<Self, RuntimeError> {
        let environment = environment(options)?;
        let session = Session::builder(&environment)
            .map_err(RuntimeError::onnx("prepare a session"))?
            .with_intra_threads(options.threads.max(1))
            .map_err(|error| RuntimeError::Onnx { action: "prepare a session", source: error.into() })?
            .commit_from_memory(bytes)
            .map_err(RuntimeError::onnx("load the model"))?;
        let layout = Layout::of(&session)?;
        let output = Output::of(&session)?;
        let model = Self { session: Mutex::new(session), layout, output };
        Ok(model)
    }

    pub(crate) fn inputs(&self) -> Vec<ModelInput> {
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

    pub(crate) fn outputs(&self) -> usize {
        if self.output.positive_class { 1 } else { self.output.width }
    }

    /// Predicts `rows` rows, given as one slice of values per input. Answers `[rows, outputs]`.
    pub(crate) fn predict(
        &self,
        inputs: &[ModelInput],
        columns: &[Vec<&Value>],
        rows: usize,
    ) -> Result<Vec<f64>, RuntimeError> {
        if rows == 0 {
            return Ok(Vec::new());
        }
        let mut tensors: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::new();
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
                tensors.push((name.as_str().into(), tensor(*element, vec![rows, *width], &cells)?.into()));
            }
            Layout::Columns(layouts) => {
                for ((layout, column), input) in layouts.iter().zip(columns).zip(inputs) {
                    let cells: Vec<_> = column
                        .iter()
                        .enumerate()
                        .map(|(row, value)| (row, input.name.as_str(), *value))
                        .collect();
                    let shape = if layout.rank == 2 { vec![rows, 1] } else { vec![rows] };
                    tensors
                        .push((layout.name.as_str().into(), tensor(layout.element, shape, &cells)?.into()));
                }
            }
        }
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = session.run(tensors).map_err(RuntimeError::onnx("run the model"))?;
        let answer = answers.get(&self.output.name).ok_or_else(|| {
            unsupported(format!("an output {} that the run does not give", self.output.name))
        })?;
        self.output.read(answer, rows)
    }
}

impl Layout {
    fn of(session: &Session) -> Result<Self, RuntimeError> {
        let mut columns = Vec::new();
        for input in session.inputs() {
            let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
                return Err(unsupported(format!("input {}, which is no tensor", input.name())));
            };
            let element = Element::of(*ty)
                .ok_or_else(|| unsupported(format!("input {} of type {ty}", input.name())))?;
            match **shape {
                [_] | [_, 1] => {
                    columns.push(ColumnTensor { name: input.name().to_owned(), element, rank: shape.len() });
                }
                [_, width] if session.inputs().len() == 1 && width > 1 && width <= MOST_INPUTS => {
                    if element == Element::Text {
                        return Err(unsupported("a matrix of text"));
                    }
                    let columns =
                        usize::try_from(width).map_err(|_| unsupported("an input of negative width"))?;
                    return Ok(Self::Matrix { name: input.name().to_owned(), element, columns });
                }
                _ => return Err(unsupported(format!("input {} of shape {shape}", input.name()))),
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
    const fn of(element: TensorElementType) -> Option<Self> {
        match element {
            TensorElementType::Float32 => Some(Self::Float32),
            TensorElementType::Float64 => Some(Self::Float64),
            TensorElementType::Int64 => Some(Self::Int64),
            TensorElementType::Int32 => Some(Self::Int32),
            TensorElementType::Bool => Some(Self::Bool),
            TensorElementType::String => Some(Self::Text),
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

fn tensor(element: Element, shape: Vec<usize>, cells: &[Cell<'_>]) -> Result<DynValue, RuntimeError> {
    let made = match element {
        Element::Float32 => {
            #[expect(clippy::cast_possible_truncation, reason = "the model takes single precision")]
            let numbers = gather(element, cells, |value| as_number(value).map(|number| number as f32))?;
            Tensor::from_array((shape, numbers)).map(Tensor::into_dyn)
        }
        Element::Float64 => {
            let numbers = gather(element, cells, as_number)?;
            Tensor::from_array((shape, numbers)).map(Tensor::into_dyn)
        }
        Element::Int64 => {
            let numbers = gather(element, cells, whole_number)?;
            Tensor::from_array((shape, numbers)).map(Tensor::into_dyn)
        }
        Element::Int32 => {
            let numbers = gather(element, cells, |value| i32::try_from(whole_number(value)?).ok())?;
            Tensor::from_array((shape, numbers)).map(Tensor::into_dyn)
        }
        Element::Bool => {
            let flags = gather(element, cells, |value| match value {
                Value::Bool(flag) => Some(*flag),
                _ => None,
            })?;
            Tensor::from_array((shape, flags)).map(Tensor::into_dyn)
        }
        Element::Text => {
            let words = gather(element, cells, |value| match value {
                Value::Text(word) => Some(word.to_string()),
                _ => None,
            })?;
            Tensor::from_string_array((shape, words.as_slice())).map(Tensor::into_dyn)
        }
    };
    made.map_err(RuntimeError::onnx("take the rows"))
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

/// A value without a fraction; floats only as far as they count exactly.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Bool(flag) => Some(i64::from(*flag)),
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        Value::Float(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
            Some(*number as i64)
        }
        _ => None,
    }
}

impl Output {
    /// Chooses the output to answer with: probabilities before a regression's `variable` before raw scores, then the first
    /// tensor of floats.
    fn of(session: &Session) -> Result<Self, RuntimeError> {
        let floats: Vec<(&str, usize)> = session
            .outputs()
            .iter()
            .filter_map(|output| match output.dtype() {
                ValueType::Tensor {
                    ty: TensorElementType::Float32 | TensorElementType::Float64,
                    shape,
                    ..
                } => {
                    let width = match **shape {
                        [_] => 1,
                        [_, width] => usize::try_from(width).ok().filter(|width| *width > 0)?,
                        _ => return None,
                    };
                    Some((output.name(), width))
                }
                _ => None,
            })
            .collect();
        let chosen = ["probab", "variable", "score"]
            .iter()
            .find_map(|part| floats.iter().find(|(name, _)| name.contains(part)))
            .or_else(|| floats.first());
        let Some((name, width)) = chosen else {
            let maps =
                session.outputs().iter().any(|output| matches!(output.dtype(), ValueType::Sequence(_)));
            return Err(unsupported(if maps {
                "an output that is a list of maps (export the classifier with options={\"zipmap\": False})"
            } else {
                "a model without an output of floats of known width"
            }));
        };
        let positive_class = *width == 2 && name.contains("probab");
        Ok(Self { name: (*name).to_owned(), width: *width, positive_class })
    }

    fn read(&self, answer: &DynValue, rows: usize) -> Result<Vec<f64>, RuntimeError> {
        let numbers: Vec<f64> = if let Ok((_, numbers)) = answer.try_extract_tensor::<f32>() {
            numbers.iter().map(|number| f64::from(*number)).collect()
        } else {
            let (_, numbers) = answer
                .try_extract_tensor::<f64>()
                .map_err(RuntimeError::onnx("give its output as numbers"))?;
            numbers.to_vec()
        };
        if numbers.len() != rows.saturating_mul(self.width) {
            let what = format!("output {}", self.name);
            return Err(RuntimeError::Shape {
                what,
                expected: rows.saturating_mul(self.width),
                got: numbers.len(),
            });
        }
        Ok(if self.positive_class { numbers.into_iter().skip(1).step_by(2).collect() } else { numbers })
    }
}
