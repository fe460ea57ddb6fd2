//! Models that are code: they run in a process of Python of their own, which is treated as hostile, and never in the server's.
//!
//! A model has one process, and the process one copy of the model. It is asked one question at a time over a socket; who else asks
//! waits in the deployment's queue. A process that hangs is killed, one that ended is started anew, and neither touches anything
//! else that is served.
//!
//! - `options`: how models run in processes
//! - `face`: what a model takes and gives, by its signature; pure
//! - `columns`: values become columns of the signature's types; pure
//! - `frame`: questions and answers as bytes; pure
//! - `requirements`: whether a model's requirements name packages and nothing else; pure
//! - `environment`: its packages, installed once
//! - `folder`: its files, a place to write to, and our code
//! - `process`: one process: how it is started and asked
//! - `keeper`: whichever process it is just now
//! - `shipway_sandbox.py`, `shipway_worker.py`: what runs in the process before the model, and around it

mod columns;
mod environment;
mod error;
mod face;
mod folder;
mod frame;
mod keeper;
mod options;
mod process;
mod requirements;

use serde::Deserialize;
use shipway_core::Value;

pub use error::PythonError;
pub use folder::ModelFolder;
pub use options::{PipEnvironment, PythonEnvironment, PythonOptions};

use self::{face::Face, frame::Sent, keeper::Keeper, process::Launch};
use crate::{
    Model,
    error::RuntimeError,
    input::ModelInput,
    model::Engine,
    tensor::{Tensor, TensorSignature},
};

/// The file of a logged model that lists the packages it needs.
pub const REQUIREMENTS: &str = "requirements.txt";

/// How a logged model is run in a process of Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonPlan {
    face: Face,
    /// The version of Python that it was logged with.
    python_version: Option<String>,
}

#[derive(Deserialize)]
struct Description {
    #[serde(default)]
    flavors: Flavors,
    #[serde(default)]
    signature: Option<Signature>,
}

#[derive(Default, Deserialize)]
struct Flavors {
    python_function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    #[serde(default)]
    python_version: Option<String>,
}

#[derive(Deserialize)]
struct Signature {
    #[serde(default)]
    inputs: Option<String>,
    #[serde(default)]
    outputs: Option<String>,
}

impl PythonPlan {
    /// Reads the description of a logged model; `None` for one that Python has no function for. Nothing of the model is run.
    pub fn of(description: &str) -> Result<Option<Self>, RuntimeError> {
        let description: Description = serde_saphyr::from_str(description).map_err(|error| {
            RuntimeError::Description { reason: crate::mlflow::first_line(&error.to_string()) }
        })?;
        let Some(function) = description.flavors.python_function else { return Ok(None) };
        let signature = description.signature;
        let (inputs, outputs) =
            signature.map_or((None, None), |signature| (signature.inputs, signature.outputs));
        let face = Face::of(inputs.as_deref(), outputs.as_deref())?;
        Ok(Some(Self { face, python_version: function.python_version }))
    }

    /// Installs what the model requires, unless it is there, and starts a process that loads the model's files in `folder`. Takes
    /// seconds, and minutes when packages are installed; blocks the thread. `name` stands before what the model prints in the log.
    pub fn load(
        self,
        folder: ModelFolder,
        requirements: Option<String>,
        options: &PythonOptions,
        name: String,
    ) -> Result<Model, RuntimeError> {
        let packages = match options.environment {
            PythonEnvironment::Built => {
                let missing = || PythonError::Environment(format!("the model has no {REQUIREMENTS}"));
                Some(environment::prepared(options, requirements.as_deref().ok_or_else(missing)?)?)
            }
            PythonEnvironment::Given | PythonEnvironment::Matching => None,
        };
        let Self { face, python_version } = self;
        let launch = Launch {
            options: options.clone(),
            folder,
            face: face.clone(),
            packages,
            requirements,
            python_version,
            name,
        };
        let (inputs, outputs) = (face.inputs(), face.width());
        let keeper = Keeper::start(launch)?;
        Ok(Model::with_engine(Engine::Python(Box::new(PythonModel { face, keeper })), inputs, outputs))
    }
}

/// A model in a process of its own.
#[derive(Debug)]
pub(crate) struct PythonModel {
    face: Face,
    keeper: Keeper,
}

impl PythonModel {
    pub(crate) const fn signature(&self) -> Option<&TensorSignature> {
        self.face.tensors.as_ref()
    }

    pub(crate) fn must_take_rows(&self) -> Result<(), RuntimeError> {
        match self.face.no_rows() {
            Some(reason) => Err(RuntimeError::NoRows { reason: reason.to_owned() }),
            None => Ok(()),
        }
    }

    pub(crate) fn trouble(&self) -> Option<RuntimeError> {
        self.keeper.trouble().map(RuntimeError::from)
    }

    /// Predicts rows, given as one slice of values per input: the numbers of all outputs, row by row.
    pub(crate) fn predict(
        &self,
        columns: &[Vec<&Value>],
        rows: usize,
    ) -> Result<Vec<Vec<f64>>, RuntimeError> {
        self.must_take_rows()?;
        let answers = self.keeper.ask(&columns::sent(&self.face.columns, columns)?)?;
        Ok(by_row(&answers, rows)?)
    }

    /// Runs the model on tensors that fit its signature. Answers the wanted outputs, in that order.
    pub(crate) fn infer(&self, inputs: Vec<Tensor>, wanted: &[&str]) -> Result<Vec<Tensor>, RuntimeError> {
        let sent: Vec<Sent> = inputs.into_iter().map(|tensor| Sent { tensor, nulls: Vec::new() }).collect();
        let mut answers = self.keeper.ask(&sent)?;
        for promised in &self.face.outputs {
            let answer = answers.iter().find(|answer| answer.name == promised.name);
            if let Some(refusal) = answer.and_then(|answer| promised.refusal(answer)) {
                return Err(PythonError::Answer(format!("output {}: {refusal}", promised.name)).into());
            }
        }
        let known: Vec<String> = answers.iter().map(|answer| answer.name.clone()).collect();
        let take = |name: &&str| {
            let place = answers.iter().position(|answer| answer.name == *name);
            place.map(|place| answers.swap_remove(place)).ok_or_else(|| {
                let known = known.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
                PythonError::Answer(format!(
                    "there is no {name}, but {known}; log a signature with its outputs"
                ))
            })
        };
        Ok(wanted.iter().map(take).collect::<Result<_, _>>()?)
    }

    /// The values of one matrix as columns, for a model of numbers only.
    pub(crate) fn predict_matrix(
        &self,
        inputs: &[ModelInput],
        data: &[f64],
        rows: usize,
    ) -> Result<Vec<f64>, RuntimeError> {
        let values: Vec<Value> = data.iter().map(|number| Value::float(*number)).collect();
        let column = |column: usize| values.iter().skip(column).step_by(inputs.len().max(1)).collect();
        let columns: Vec<Vec<&Value>> = (0..inputs.len()).map(column).collect();
        Ok(self.predict(&columns, rows)?.concat())
    }
}

/// The numbers of answers, put side by side for each row.
fn by_row(answers: &[Tensor], rows: usize) -> Result<Vec<Vec<f64>>, PythonError> {
    let mut predictions = vec![Vec::new(); rows];
    for Tensor { name, shape, elements } in answers {
        let width = match *shape.as_slice() {
            [count] if count == rows => 1,
            [count, width] if count == rows => width,
            _ => {
                let reason = format!("output {name} has shape {shape:?}, asked were {rows} rows");
                return Err(PythonError::Answer(reason));
            }
        };
        for (row, prediction) in predictions.iter_mut().enumerate() {
            for place in row * width..(row + 1) * width {
                let number = elements.number(place).ok_or_else(|| {
                    let text = "is text; log the model with a signature that says so";
                    PythonError::Answer(format!("output {name} {text}"))
                })?;
                prediction.push(number);
            }
        }
    }
    match predictions.first().is_some_and(Vec::is_empty) {
        true => Err(PythonError::Answer("it has no numbers".to_owned())),
        false => Ok(predictions),
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::tensor::Elements;

    /// Options for tests, with whatever `python3` there is.
    pub(super) fn options(data: &Path) -> PythonOptions {
        PythonOptions {
            interpreter: "python3".into(),
            environment: PythonEnvironment::Built,
            index: None,
            memory_bytes: 1 << 30,
            call_timeout: Duration::from_secs(10),
            sandbox_required: true,
            threads: 1,
            folder: data.join("python"),
            private: data.to_owned(),
            pip: PipEnvironment::default(),
        }
    }

    fn tensor(name: &str, shape: &[usize], elements: Elements) -> Tensor {
        Tensor { name: name.to_owned(), shape: shape.to_vec(), elements }
    }

    #[test]
    fn a_description_without_a_function_of_python_is_nobodys_here() {
        assert_eq!(PythonPlan::of("flavors: {onnx: {data: model.onnx}}").unwrap(), None);
        assert!(PythonPlan::of("flavors: [").is_err());
        let plan = PythonPlan::of(
            "flavors: {python_function: {python_version: 3.11.7, loader_module: mlflow.sklearn}}\nsignature: {inputs: '[{\"type\": \"double\", \"name\": \"a\"}]'}",
        );
        assert_eq!(plan.unwrap().unwrap().python_version, Some("3.11.7".to_owned()));
        assert!(
            PythonPlan::of("flavors: {python_function: {}}").unwrap_err().to_string().contains("signature")
        );
    }

    #[test]
    fn outputs_stand_side_by_side_for_each_row() {
        let answers = [
            tensor("a", &[2], Elements::Int64(vec![1, 2])),
            tensor("b", &[2, 2], Elements::Fp32(vec![0.5, 1.5, 2.5, 3.5])),
            tensor("c", &[2], Elements::Bool(vec![true, false])),
        ];
        assert_eq!(by_row(&answers, 2).unwrap(), [[1.0, 0.5, 1.5, 1.0], [2.0, 2.5, 3.5, 0.0]]);
    }

    #[test]
    fn answers_that_are_no_numbers_for_each_row_are_refused() {
        for (answers, words) in [
            (
                vec![tensor("a", &[3], Elements::Fp64(vec![0.0; 3]))],
                "output a has shape [3], asked were 2 rows",
            ),
            (vec![tensor("a", &[], Elements::Fp64(vec![0.0]))], "output a has shape []"),
            (vec![tensor("a", &[2], Elements::Bytes(vec!["x".into(), "y".into()]))], "output a is text"),
            (vec![tensor("a", &[2, 0], Elements::Fp64(vec![]))], "it has no numbers"),
            (vec![], "it has no numbers"),
        ] {
            let refused = by_row(&answers, 2).unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
