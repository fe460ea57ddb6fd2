//! What a model of trees answers beside its predictions.

use crate::{
    Model,
    error::RuntimeError,
    model::Engine,
    trees::{Task, TreeModel},
};

/// What is wanted of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// The predictions, as [`Model::predict`] answers them.
    Value,
    /// The sums of the leaves before the objective's link, as the library's raw score or margin.
    Raw,
    /// The place of the most likely class, from 0: above one half for a binary classifier, the largest score for several.
    Class,
    /// The leaf of each tree, by the library's own number.
    LeafIndex,
    /// What each input contributed to the raw score, by path-dependent TreeSHAP.
    Contributions,
}

impl Model {
    /// Numbers per row of [`Model::output`]: for leaves one per tree, for contributions one per input and one more, per raw
    /// score. What the model does not answer is an error.
    pub fn output_width(&self, kind: OutputKind) -> Result<usize, RuntimeError> {
        match (kind, &self.engine) {
            (OutputKind::Value, _) => Ok(self.outputs()),
            (kind, Engine::Trees { model, .. }) => match kind {
                OutputKind::Class if model.task() == Task::Numbers => Err(self.lacks("a class")),
                OutputKind::Value | OutputKind::Class => Ok(1),
                OutputKind::Raw => Ok(model.raw_outputs()),
                OutputKind::LeafIndex => Ok(model.trees()),
                OutputKind::Contributions => {
                    Ok((self.inputs().len() + 1).saturating_mul(model.raw_outputs()))
                }
            },
            (_, Engine::Onnx(_) | Engine::Python(_) | Engine::Text(_)) => {
                Err(self.lacks("anything but values"))
            }
        }
    }

    /// Answers a matrix of numbers, as [`Model::predict_raw`] takes it, with `[rows, output_width(kind)]` numbers.
    pub fn output(&self, kind: OutputKind, data: &[f64], rows: usize) -> Result<Vec<f64>, RuntimeError> {
        let width = self.output_width(kind)?;
        self.check_matrix(data, rows)?;
        let Engine::Trees { model, .. } = &self.engine else { return self.predict_raw(data, rows) };
        let mut data = data.to_vec();
        let mut answers = Vec::with_capacity(rows.saturating_mul(width));
        match kind {
            OutputKind::Value => model.predict(&mut data, &mut answers),
            OutputKind::Raw => model.raw(&mut data, &mut answers),
            OutputKind::Class => classes(model, &mut data, &mut answers),
            OutputKind::LeafIndex => model.leaves(&mut data, &mut answers),
            OutputKind::Contributions => {
                model.contributions(&mut data, &mut answers).map_err(|what| self.lacks(what))?;
            }
        }
        Ok(answers)
    }

    /// What each input contributed to each raw score of each row, by path-dependent TreeSHAP, as `pred_contrib` of LightGBM and
    /// XGBoost: `[rows, raw scores, inputs + 1]`, the last being the score over the training data on average, so that
    /// each line adds up to its raw score. It costs the square of the depth for every leaf.
    pub fn explain(&self, data: &[f64], rows: usize) -> Result<Vec<f64>, RuntimeError> {
        self.output(OutputKind::Contributions, data, rows)
    }

    fn lacks(&self, what: &str) -> RuntimeError {
        RuntimeError::Unsupported { format: self.format().word(), what: what.to_owned() }
    }
}

fn classes(model: &TreeModel, data: &mut [f64], into: &mut Vec<f64>) {
    let mut scores = Vec::new();
    if model.task() == Task::Binary {
        model.predict(data, &mut scores);
        into.extend(scores.iter().map(|probability| f64::from(u8::from(*probability > 0.5))));
        return;
    }
    model.raw(data, &mut scores);
    into.extend(scores.chunks_exact(model.raw_outputs()).map(largest));
}

/// The place of the first of the largest scores.
pub(crate) fn largest(scores: &[f64]) -> f64 {
    let mut best = (0.0, f64::NEG_INFINITY);
    let mut place = 0.0;
    for score in scores {
        if *score > best.1 {
            best = (place, *score);
        }
        place += 1.0;
    }
    best.0
}
