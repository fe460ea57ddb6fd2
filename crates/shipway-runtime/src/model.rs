//! A loaded model: the one type that callers hold, whatever runs underneath.

use std::{collections::HashMap, path::PathBuf, str::FromStr};

use shipway_core::{Value, nearest};

use crate::{
    catboost,
    data::DataFile,
    error::RuntimeError,
    input::{Encoding, ModelInput, word_of},
    lightgbm,
    onnx::{Onnx, OnnxEngine},
    python::{PythonModel, PythonOptions},
    signature,
    tensor::{Tensor, TensorSignature},
    text::TextModel,
    trees::{Column, TreeModel},
    xgboost,
};

/// The formats that load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFormat {
    /// LightGBM's text format, versions 3 and 4.
    LightGbmText,
    /// ONNX, run by ONNX Runtime, or by rten where there is none.
    Onnx,
    /// XGBoost's JSON or UBJSON; which of them is seen from the content.
    XgBoost,
    /// CatBoost's JSON.
    CatBoostJson,
    /// A function of Python that MLflow logged, in a process of its own.
    Python,
}

impl ModelFormat {
    /// The word for it in messages and in `/v2` metadata.
    pub const fn word(self) -> &'static str {
        match self {
            Self::LightGbmText => "lightgbm",
            Self::Onnx => "onnx",
            Self::XgBoost => "xgboost",
            Self::CatBoostJson => "catboost",
            Self::Python => "python",
        }
    }

    /// Whether models of it are evaluated by this crate itself, on the caller's thread, in microseconds.
    pub const fn is_native(self) -> bool {
        !matches!(self, Self::Onnx | Self::Python)
    }
}

/// How models run.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// What runs ONNX models.
    pub onnx_engine: OnnxEngine,
    /// ONNX Runtime's shared library, version 1.24 or newer. A process loads one library: the first path that works stays.
    pub onnx_library: Option<PathBuf>,
    /// Threads that one operator of an ONNX model may use. Trees use the caller's thread.
    pub threads: usize,
    /// Operators of an ONNX model that may run at once; 1 for one after the other. rten runs one after the other.
    pub inter_threads: usize,
    /// Runs of an ONNX model that may go on at once, each in a session with its own memory; at least one.
    pub sessions: usize,
    /// Where ONNX models run.
    pub device: Device,
    /// How models that are code run in processes of their own; without it, they are refused.
    pub python: Option<PythonOptions>,
}

/// Where ONNX models run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Device {
    /// On the processor.
    #[default]
    Cpu,
    /// On a GPU of Nvidia, by its number. Operators that it does not have run on the processor.
    Cuda(u16),
}

impl FromStr for Device {
    type Err = String;

    /// Reads `cpu`, `cuda` or `cuda:1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected cpu, cuda or cuda:NUMBER, got `{text}`");
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            onnx_engine: OnnxEngine::Auto,
            onnx_library: None,
            threads: 1,
            inter_threads: 1,
            sessions: 1,
            device: Device::Cpu,
            python: None,
        }
    }
}

/// A model, ready to predict. Shared by reference between threads.
#[derive(Debug)]
pub struct Model {
    pub(crate) engine: Engine,
    pub(crate) inputs: Vec<ModelInput>,
    outputs: usize,
}

#[derive(Debug)]
pub(crate) enum Engine {
    Trees { model: Box<TreeModel>, encodings: Vec<Encoding>, format: ModelFormat },
    Onnx(Onnx),
    Python(Box<PythonModel>),
    Text(Box<TextModel>),
}

/// Where in a row each input of a model stands. Made by [`Model::bind`] and only good for the model that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    places: Vec<usize>,
    columns: usize,
}

impl Model {
    /// Loads a model. Bytes that are no such model, or are damaged, are an error that says where; nothing in them is run.
    pub fn load(format: ModelFormat, bytes: &[u8], options: &RuntimeOptions) -> Result<Self, RuntimeError> {
        Self::load_with(format, bytes, &[], options)
    }

    /// The same for a model that keeps weights in files beside it; only ONNX models do.
    pub fn load_with(
        format: ModelFormat,
        bytes: &[u8],
        data: &[DataFile],
        options: &RuntimeOptions,
    ) -> Result<Self, RuntimeError> {
        let parts = match format {
            ModelFormat::LightGbmText => lightgbm::load(bytes)?,
            ModelFormat::XgBoost => xgboost::load(bytes)?,
            ModelFormat::CatBoostJson => catboost::load(bytes)?,
            ModelFormat::Onnx => {
                let model = Onnx::load(bytes, data, options)?;
                let (inputs, outputs) = (model.inputs(), model.outputs());
                return Ok(Self::with_engine(Engine::Onnx(model), inputs, outputs));
            }
            ModelFormat::Python => {
                let what = "a model in bytes, without its folder".to_owned();
                return Err(RuntimeError::Unsupported { format: format.word(), what });
            }
        };
        let (model, columns) = TreeModel::new(parts);
        let outputs = model.outputs();
        let inputs = columns
            .iter()
            .map(|column| ModelInput { name: column.name.clone(), kind: column.encoding.kind() })
            .collect();
        let encodings = columns.into_iter().map(|Column { encoding, .. }| encoding).collect();
        Ok(Self { engine: Engine::Trees { model: Box::new(model), encodings, format }, inputs, outputs })
    }

    pub(crate) const fn with_engine(engine: Engine, inputs: Vec<ModelInput>, outputs: usize) -> Self {
        Self { engine, inputs, outputs }
    }

    /// The same for an encoder of texts, with the files beside it, each by its name, such as `tokenizer.json`.
    pub fn load_text(
        bytes: &[u8],
        data: &[DataFile],
        texts: &[DataFile],
        options: &RuntimeOptions,
    ) -> Result<Self, RuntimeError> {
        match TextModel::load(Onnx::load(bytes, data, options)?, texts)? {
            Ok(model) => {
                let (inputs, outputs) = (TextModel::inputs(), model.width());
                Ok(Self { engine: Engine::Text(Box::new(model)), inputs, outputs })
            }
            Err(plain) => {
                let (inputs, outputs) = (plain.inputs(), plain.outputs());
                Ok(Self { engine: Engine::Onnx(plain), inputs, outputs })
            }
        }
    }

    /// What it is beyond its tensors, for a model of text.
    pub fn text(&self) -> Option<&TextModel> {
        match &self.engine {
            Engine::Text(model) => Some(model),
            Engine::Trees { .. } | Engine::Onnx(_) | Engine::Python(_) => None,
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
            Engine::Trees { format, .. } => format,
            Engine::Onnx(_) | Engine::Text(_) => ModelFormat::Onnx,
            Engine::Python(_) => ModelFormat::Python,
        }
    }

    /// What runs it, for an ONNX model; `None` for others. Never [`OnnxEngine::Auto`].
    pub const fn onnx_engine(&self) -> Option<OnnxEngine> {
        match &self.engine {
            Engine::Onnx(model) => Some(model.engine()),
            Engine::Text(model) => Some(model.onnx_engine()),
            Engine::Trees { .. } | Engine::Python(_) => None,
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

    /// The tensors that the model takes and gives by itself, for a model of tensors; `None` for one of rows and columns only.
    pub const fn signature(&self) -> Option<&TensorSignature> {
        match &self.engine {
            Engine::Trees { .. } => None,
            Engine::Onnx(model) => Some(model.signature()),
            Engine::Python(model) => model.signature(),
            Engine::Text(model) => Some(model.signature()),
        }
    }

    /// Refuses to take rows when the model's tensors are none.
    pub fn must_take_rows(&self) -> Result<(), RuntimeError> {
        match &self.engine {
            Engine::Trees { .. } | Engine::Text(_) => Ok(()),
            Engine::Onnx(model) => model.must_take_rows(),
            Engine::Python(model) => model.must_take_rows(),
        }
    }

    /// Whether it predicts rows of columns; a model that does not has no inputs here, and answers [`Model::infer`] only.
    pub fn takes_rows(&self) -> bool {
        self.must_take_rows().is_ok()
    }

    /// Why it does not answer just now; only a model in a process of its own has such times.
    pub fn trouble(&self) -> Option<RuntimeError> {
        match &self.engine {
            Engine::Trees { .. } | Engine::Onnx(_) | Engine::Text(_) => None,
            Engine::Python(model) => model.trouble(),
        }
    }

    /// Runs a model of tensors on `inputs`, which may come in any order. Answers the outputs named in `wanted`, in that
    /// order; all of them, in the model's order, when it is empty. A tensor that is missing, unknown, there twice, or of
    /// another type or shape than the model's is refused by name.
    pub fn infer(&self, inputs: Vec<Tensor>, wanted: &[&str]) -> Result<Vec<Tensor>, RuntimeError> {
        if let Engine::Text(model) = &self.engine {
            return model.infer(&inputs, wanted);
        }
        self.check(&inputs, wanted)?;
        let all: Vec<&str> = match (wanted.is_empty(), self.signature()) {
            (true, Some(signature)) => signature.outputs.iter().map(|spec| spec.name.as_str()).collect(),
            _ => wanted.to_vec(),
        };
        match &self.engine {
            Engine::Trees { .. } | Engine::Text(_) => {
                Err(RuntimeError::NoTensors { format: self.format().word() })
            }
            Engine::Onnx(model) => model.infer(inputs, &all),
            Engine::Python(model) => model.infer(inputs, &all),
        }
    }

    /// Refuses what [`Model::infer`] would refuse before it runs.
    pub fn check(&self, inputs: &[Tensor], wanted: &[&str]) -> Result<(), RuntimeError> {
        if let Engine::Text(model) = &self.engine {
            return model.check(inputs, wanted);
        }
        let signature = self.signature();
        let signature = signature.ok_or_else(|| RuntimeError::NoTensors { format: self.format().word() })?;
        signature::check(signature, inputs, wanted)
    }

    /// The rows of columns that tensors of the model hold, in the order of [`Model::inputs`]; `None` for a model whose tensors are
    /// no rows.
    pub fn rows_of(&self, tensors: &[Tensor]) -> Option<Vec<Vec<Value>>> {
        match &self.engine {
            Engine::Trees { .. } | Engine::Python(_) => None,
            Engine::Onnx(model) => model.rows_of(tensors),
            Engine::Text(_) => TextModel::rows_of(tensors),
        }
    }

    /// The output tensor that holds the predictions of rows; `None` for a model whose tensors are no rows.
    pub fn row_output(&self) -> Option<&str> {
        match &self.engine {
            Engine::Trees { .. } | Engine::Python(_) => None,
            Engine::Onnx(model) => model.row_output(),
            Engine::Text(model) => Some(model.row_output()),
        }
    }

    /// The predictions in that tensor, as [`Model::predict`] answers them.
    pub fn predictions_in(&self, answer: &Tensor) -> Option<Vec<Vec<f64>>> {
        match &self.engine {
            Engine::Trees { .. } | Engine::Python(_) => None,
            Engine::Onnx(model) => model.predictions_in(answer),
            Engine::Text(model) => model.predictions_in(answer),
        }
    }

    /// Finds the model's inputs among `columns` by name. Columns that the model does not need are ignored.
    pub fn bind(&self, columns: &[String]) -> Result<Binding, RuntimeError> {
        self.must_take_rows()?;
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
        match &self.engine {
            Engine::Trees { model, .. } => {
                let mut matrix = self.matrix(binding, rows)?;
                let mut outputs = Vec::with_capacity(rows.len().saturating_mul(self.outputs));
                model.predict(&mut matrix, &mut outputs);
                Ok(outputs.chunks_exact(self.outputs).map(<[f64]>::to_vec).collect())
            }
            Engine::Onnx(model) => {
                let columns = self.columns(binding, rows)?;
                let flat = model.predict(&self.inputs, &columns, rows.len())?;
                Ok(flat.chunks(self.outputs).map(<[f64]>::to_vec).collect())
            }
            Engine::Python(model) => model.predict(&self.columns(binding, rows)?, rows.len()),
            Engine::Text(model) => {
                self.check_width(binding, rows)?;
                let place = binding.places.first().copied().unwrap_or(0);
                let texts: Vec<&Value> = rows.iter().filter_map(|row| row.get(place)).collect();
                let flat = model.predict(&texts)?;
                Ok(flat.chunks(self.outputs).map(<[f64]>::to_vec).collect())
            }
        }
    }

    /// The values of each input.
    fn columns<'rows>(
        &self,
        binding: &Binding,
        rows: &[&'rows [Value]],
    ) -> Result<Vec<Vec<&'rows Value>>, RuntimeError> {
        self.check_width(binding, rows)?;
        let column = |place: &usize| rows.iter().filter_map(|row| row.get(*place)).collect();
        Ok(binding.places.iter().map(column).collect())
    }

    /// Predicts a matrix of numbers, row-major `[rows, inputs]`, NaN for missing, categories as their codes. Answers
    /// `[rows, outputs]`.
    pub fn predict_raw(&self, data: &[f64], rows: usize) -> Result<Vec<f64>, RuntimeError> {
        let width = self.check_matrix(data, rows)?;
        match &self.engine {
            Engine::Trees { model, .. } => {
                let mut outputs = Vec::with_capacity(rows.saturating_mul(self.outputs));
                model.predict(&mut data.to_vec(), &mut outputs);
                Ok(outputs)
            }
            Engine::Onnx(model) => {
                let values: Vec<Value> = data.iter().map(|number| Value::float(*number)).collect();
                let columns: Vec<Vec<&Value>> =
                    (0..width).map(|column| values.iter().skip(column).step_by(width).collect()).collect();
                model.predict(&self.inputs, &columns, rows)
            }
            Engine::Python(model) => model.predict_matrix(&self.inputs, data, rows),
            Engine::Text(_) => {
                let what = "a matrix of numbers for a model of text".to_owned();
                Err(RuntimeError::Unsupported { format: self.format().word(), what })
            }
        }
    }

    /// The rows as the matrix that [`Model::predict_raw`] and the kinds of [`Model::output`] take: row-major
    /// `[rows, inputs]`, NaN for missing, categories as their codes. Only for models of trees: others take values.
    pub fn matrix(&self, binding: &Binding, rows: &[&[Value]]) -> Result<Vec<f64>, RuntimeError> {
        self.check_width(binding, rows)?;
        let Engine::Trees { encodings, .. } = &self.engine else {
            let what = "a matrix made of values".to_owned();
            return Err(RuntimeError::Unsupported { format: self.format().word(), what });
        };
        let mut matrix = Vec::with_capacity(rows.len().saturating_mul(self.inputs.len()));
        for (position, row) in rows.iter().enumerate() {
            for ((place, encoding), input) in binding.places.iter().zip(encodings).zip(&self.inputs) {
                let value = row.get(*place).unwrap_or(&Value::Null);
                matrix.push(encoding.encode(value).ok_or_else(|| RuntimeError::WrongValue {
                    row: position,
                    column: input.name.clone(),
                    expected: encoding.expected(),
                    got: word_of(value),
                })?);
            }
        }
        Ok(matrix)
    }

    fn check_width(&self, binding: &Binding, rows: &[&[Value]]) -> Result<(), RuntimeError> {
        match rows.iter().enumerate().find(|(_, row)| row.len() != binding.columns) {
            Some((place, row)) => {
                let what = format!("row {place}");
                Err(RuntimeError::Shape { what, expected: binding.columns, got: row.len() })
            }
            None => Ok(()),
        }
    }

    /// The width of a matrix, which must be that of the inputs.
    pub(crate) fn check_matrix(&self, data: &[f64], rows: usize) -> Result<usize, RuntimeError> {
        let width = self.inputs.len();
        if rows.checked_mul(width) != Some(data.len()) {
            let what = format!("a matrix of {rows} rows and {width} columns");
            return Err(RuntimeError::Shape { what, expected: rows.saturating_mul(width), got: data.len() });
        }
        Ok(width)
    }
}
