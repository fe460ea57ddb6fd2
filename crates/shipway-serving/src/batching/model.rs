//! What a model runs: rows of columns, or tensors of its own.

use std::{sync::Arc, time::Instant};

use shipway_core::Value;
use shipway_runtime::{
    Binding, Model,
    tensor::{Tensor, concatenated, split},
};

use super::Runner;
use crate::{
    error::ServingError,
    statistics::{Phase, Statistics},
};

/// What one caller asks of a model.
#[derive(Debug)]
pub(crate) enum Work {
    /// Rows whose values stand as `binding` says.
    Rows { binding: Binding, rows: Vec<Vec<Value>> },
    /// Tensors of the model, in one order for all callers, and the outputs wanted.
    Tensors { inputs: Vec<Tensor>, wanted: Arc<[String]>, rows: usize },
}

/// What it is answered.
#[derive(Debug)]
pub(crate) enum Done {
    /// The rows, as they came, and a prediction for each.
    Rows { rows: Vec<Vec<Value>>, predictions: Vec<Vec<f64>> },
    /// The outputs that were wanted.
    Tensors(Vec<Tensor>),
}

/// Runs one model.
pub(crate) struct ModelRunner(pub(crate) Arc<Model>);

impl Runner for ModelRunner {
    type Work = Work;
    type Done = Done;

    fn rows(&self, work: &Work) -> usize {
        match work {
            Work::Rows { rows, .. } => rows.len(),
            Work::Tensors { rows, .. } => *rows,
        }
    }

    fn joins(&self, first: &Work, other: &Work) -> bool {
        match (first, other) {
            (Work::Rows { binding, .. }, Work::Rows { binding: other, .. }) => binding == other,
            (Work::Tensors { inputs, wanted, .. }, Work::Tensors { inputs: others, wanted: other, .. }) => {
                wanted == other
                    && inputs.len() == others.len()
                    && inputs.iter().zip(others).all(|(tensor, other)| {
                        tensor.name == other.name && tensor.shape.get(1..) == other.shape.get(1..)
                    })
            }
            _ => false,
        }
    }

    fn run(&self, mut batch: Vec<Work>, statistics: &Statistics) -> Vec<Result<Done, ServingError>> {
        let rows = batch.iter().map(|work| self.rows(work)).sum();
        let callers = batch.len();
        let started = Instant::now();
        let answers = match (batch.pop(), batch.is_empty()) {
            (Some(only), true) => vec![self.run_one(only)],
            (Some(last), false) => {
                batch.push(last);
                self.run_together(batch)
            }
            (None, _) => Vec::new(),
        };
        let took = started.elapsed();
        statistics.ran(rows, took);
        (0..callers).for_each(|_| statistics.record(Phase::ComputeInfer, took));
        answers
    }
}

impl ModelRunner {
    fn run_one(&self, work: Work) -> Result<Done, ServingError> {
        match work {
            Work::Rows { binding, rows } => {
                let borrowed: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
                let predictions = self.0.predict(&binding, &borrowed)?;
                Ok(Done::Rows { rows, predictions })
            }
            Work::Tensors { inputs, wanted, .. } => {
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                Ok(Done::Tensors(self.0.infer(inputs, &wanted)?))
            }
        }
    }

    /// Runs all of them at once. When that fails, each runs by itself: nobody pays for another caller's rows.
    fn run_together(&self, batch: Vec<Work>) -> Vec<Result<Done, ServingError>> {
        if batch.iter().all(|work| matches!(work, Work::Rows { .. })) {
            self.rows_together(batch)
        } else {
            self.tensors_together(batch)
        }
    }

    fn rows_together(&self, batch: Vec<Work>) -> Vec<Result<Done, ServingError>> {
        let mut parts = Vec::with_capacity(batch.len());
        let mut shared = None;
        for work in batch {
            if let Work::Rows { binding, rows } = work {
                shared.get_or_insert(binding);
                parts.push(rows);
            }
        }
        let Some(binding) = shared else { return Vec::new() };
        let all: Vec<&[Value]> = parts.iter().flatten().map(Vec::as_slice).collect();
        let predicted = self.0.predict(&binding, &all);
        match predicted {
            Ok(predictions) => {
                let mut predictions = predictions.into_iter();
                let part = |rows: Vec<Vec<Value>>| {
                    let predictions = predictions.by_ref().take(rows.len()).collect();
                    Ok(Done::Rows { rows, predictions })
                };
                parts.into_iter().map(part).collect()
            }
            Err(_) => parts
                .into_iter()
                .map(|rows| self.run_one(Work::Rows { binding: binding.clone(), rows }))
                .collect(),
        }
    }

    fn tensors_together(&self, batch: Vec<Work>) -> Vec<Result<Done, ServingError>> {
        let mut parts = Vec::with_capacity(batch.len());
        let mut counts = Vec::with_capacity(batch.len());
        let mut shared: Option<Arc<[String]>> = None;
        for work in batch {
            if let Work::Tensors { inputs, wanted, rows } = work {
                shared.get_or_insert(wanted);
                parts.push(inputs);
                counts.push(rows);
            }
        }
        let Some(wanted) = shared else { return Vec::new() };
        let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let together = concatenated(parts.clone())
            .and_then(|inputs| self.0.infer(inputs, &names).ok())
            .and_then(|outputs| split(outputs, &counts));
        match together {
            Some(answers) => answers.into_iter().map(|outputs| Ok(Done::Tensors(outputs))).collect(),
            None => {
                parts.into_iter().map(|inputs| Ok(Done::Tensors(self.0.infer(inputs, &names)?))).collect()
            }
        }
    }
}
