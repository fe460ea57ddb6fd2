//! A loaded model: the one type that callers hold, whatever runs underneath.

use std::{collections::HashMap, path::PathBuf};

use shipway_core::{Value, nearest};

use crate::{
    error::RuntimeError,
    input::{Encoding, ModelInput, word_of},
    lightgbm::{Column, LightGbm},
    onnx::Onnx,
};

/// The formats that load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFormat {
    /// LightGBM's text format, versions 3 and 4.
    LightGbmText,
    /// ONNX, run by ONNX Runtime.
    Onnx,
}

impl ModelFormat {
    /// The word for it in messages and in `/v2` metadata.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LightGbmText => "lightgbm",
            Self::Onnx => "onnx",
        }
    }
}

/// How models run.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// ONNX Runtime's shared library, version 1.24 or newer. Without it, only ONNX models do not load. A process loads one
    /// library: the first path that works stays.
    pub onnx_library: Option<PathBuf>,
    /// Threads that one ONNX prediction may use. LightGBM predictions use the caller's thread.
    pub threads: usize,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self { onnx_library: None, threads: 1 }
    }
}

/// A model, ready to predict. Shared by reference between threads.
#[derive(Debug)]
pub struct Model {
    engine: Engine,
    inputs: Vec<ModelInput>,
    outputs: usize,
}

#[derive(Debug)]
enum Engine {
    LightGbm { model: LightGbm, encodings: Vec<Encoding> },
    Onnx(Onnx),
}

/// Where in a row each input of a model stands. Made by [`Model::bind`] and only good for the model that made it.
#[derive(Debug, Clone)]
pub struct Binding {
    places: Vec<usize>,
    columns: usize,
}

impl Model {
    /// Loads a model. Bytes that are no such model, or are damaged, are an error that says where; nothing in them is run.
    pub fn load(format: ModelFormat, bytes: &[u8], options: &RuntimeOptions) -> Result<Self, RuntimeError> {
        match format {
            ModelFormat::LightGbmText => {
                let (model, columns) = LightGbm::load(bytes)?;
                let outputs = model.outputs();
                let inputs = columns
                    .iter()
                    .map(|column| ModelInput { name: column.name.clone(), kind: column.encoding.kind() })
                    .collect();
                let encodings = columns.into_iter().map(|Column { encoding, .. }| encoding).collect();
                Ok(Self { engine: Engine::LightGbm { model, encodings }, inputs, outputs })
            }
            ModelFormat::Onnx => {
                let model = Onnx::load(bytes, options)?;
                let (inputs, outputs) = (model.inputs(), model.outputs());
                Ok(Self { engine: Engine::Onnx(model), inputs, outputs })
            }
        }
    }

    /// The same model with other names for its inputs, in their order: an ONNX model with one matrix names no columns, the
    /// signature that was logged with it does.
    pub fn with_input_names(mut self, names: &[String]) -> Result<Self, RuntimeError> {
        if names.len() != self.inputs.len() {
            return Err(RuntimeError::InputNames { expected: self.inputs.len(), got: names.len() });
        }
        for (input, name) in self.inputs.iter_mut().zip(names) {
            input.name.clone_from(name);
        }
        Ok(self)
    }

    /// The format it was loaded from.
    pub const fn format(&self) -> ModelFormat {
        match self.engine {
            Engine::LightGbm { .. } => ModelFormat::LightGbmText,
            Engine::Onnx(_) => ModelFormat::Onnx,
        }
    }

    /// The columns it needs, in its own order.
    pub fn inputs(&self) -> &[ModelInput] {
        &self.inputs
    }

    /// Numbers per prediction: 1 for regression and for the probability of the positive class, else one per class.
    ///
    /// An ONNX classifier with two probabilities per row answers the second, as LightGBM does for binary objectives.
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// Finds the model's inputs among `columns` by name. Columns that the model does not need are ignored.
    pub fn bind(&self, columns: &[String]) -> Result<Binding, RuntimeError> {
        let by_name: HashMap<&str, usize> =
            columns.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        let places = self
            .inputs
            .iter()
            .map(|input| {
                by_name.get(input.name.as_str()).copied().ok_or_else(|| RuntimeError::ColumnMissing {
                    column: input.name.clone(),
                    given: columns.len(),
                    nearest: nearest(&input.name, columns.iter().map(String::as_str)).map(str::to_owned),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Binding { places, columns: columns.len() })
    }

    /// Predicts rows whose values stand in the order of the columns given to [`Model::bind`]: one vector of
    /// [`Model::outputs`] numbers per row. Null is missing; text where the model needs a number is an error.
    pub fn predict(&self, binding: &Binding, rows: &[&[Value]]) -> Result<Vec<Vec<f64>>, RuntimeError> {
        for (place, row) in rows.iter().enumerate() {
            if row.len() != binding.columns {
                let what = format!("row {place}");
                return Err(RuntimeError::Shape { what, expected: binding.columns, got: row.len() });
            }
        }
        match &self.engine {
            Engine::LightGbm { model, encodings } => {
                let mut buffer = vec![0.0; self.inputs.len()];
                let mut predictions = Vec::with_capacity(rows.len());
                for (place, row) in rows.iter().enumerate() {
                    self.encode(encodings, binding, (place, row), &mut buffer)?;
                    let mut outputs = Vec::with_capacity(self.outputs);
                    model.predict(&mut buffer, &mut outputs);
                    predictions.push(outputs);
                }
                Ok(predictions)
            }
            Engine::Onnx(model) => {
                let columns: Vec<Vec<&Value>> = binding
                    .places
                    .iter()
                    .map(|place| rows.iter().filter_map(|row| row.get(*place)).collect())
                    .collect();
                let flat = model.predict(&self.inputs, &columns, rows.len())?;
                Ok(flat.chunks(self.outputs).map(<[f64]>::to_vec).collect())
            }
        }
    }

    /// Predicts a matrix of numbers, row-major `[rows, inputs]`, NaN for missing, categories as their codes. Answers
    /// `[rows, outputs]`.
    pub fn predict_raw(&self, data: &[f64], rows: usize) -> Result<Vec<f64>, RuntimeError> {
        let width = self.inputs.len();
        if rows.checked_mul(width) != Some(data.len()) {
            let what = format!("a matrix of {rows} rows and {width} columns");
            return Err(RuntimeError::Shape { what, expected: rows.saturating_mul(width), got: data.len() });
        }
        match &self.engine {
            Engine::LightGbm { model, .. } => {
                let mut buffer = vec![0.0; width];
                let mut outputs = Vec::with_capacity(rows.saturating_mul(self.outputs));
                for row in data.chunks_exact(width) {
                    buffer.copy_from_slice(row);
                    model.predict(&mut buffer, &mut outputs);
                }
                Ok(outputs)
            }
            Engine::Onnx(model) => {
                let values: Vec<Value> = data.iter().map(|number| Value::float(*number)).collect();
                let columns: Vec<Vec<&Value>> =
                    (0..width).map(|column| values.iter().skip(column).step_by(width).collect()).collect();
                model.predict(&self.inputs, &columns, rows)
            }
        }
    }

    fn encode(
        &self,
        encodings: &[Encoding],
        binding: &Binding,
        (position, row): (usize, &[Value]),
        into: &mut [f64],
    ) -> Result<(), RuntimeError> {
        for (((place, encoding), input), number) in
            binding.places.iter().zip(encodings).zip(&self.inputs).zip(into.iter_mut())
        {
            let value = row.get(*place).unwrap_or(&Value::Null);
            *number = encoding.encode(value).ok_or_else(|| RuntimeError::WrongValue {
                row: position,
                column: input.name.clone(),
                expected: encoding.expected(),
                got: word_of(value),
            })?;
        }
        Ok(())
    }
}
