//! LightGBM's text format, read and evaluated without LightGBM.
//!
//! - `text`: the lines of a model file, as fields by name
//! - `tree`: one tree of the file, checked, laid into the forest's flat arrays
//! - `forest`: the flat arrays and the walk through them
//! - `objective`: from raw scores to outputs
//! - `columns`: the model's inputs and the codes of their categories

mod columns;
mod forest;
mod objective;
mod text;
mod tree;

pub(crate) use columns::Column;
use forest::Forest;
use objective::Objective;
use text::Document;

use crate::error::RuntimeError;

const FORMAT: &str = "lightgbm";

/// More classes than this is taken for damage: outputs are allocated per row.
const MOST_TREES_PER_ITERATION: usize = 10_000;

/// A model of LightGBM.
#[derive(Debug)]
pub(crate) struct LightGbm {
    forest: Forest,
    objective: Objective,
    average: bool,
}

/// The words for a file that is not what it should be.
pub(crate) fn damaged(reason: impl Into<String>) -> RuntimeError {
    RuntimeError::Damaged { format: FORMAT, reason: reason.into() }
}

fn unsupported(what: impl Into<String>) -> RuntimeError {
    RuntimeError::Unsupported { format: FORMAT, what: what.into() }
}

impl LightGbm {
    /// Reads a model; any bytes end in a model or an error, never in a panic or in memory beyond a small multiple of the
    /// bytes.
    pub(crate) fn load(bytes: &[u8]) -> Result<(Self, Vec<Column>), RuntimeError> {
        let text = std::str::from_utf8(bytes).map_err(|error| damaged(format!("not UTF-8: {error}")))?;
        let document = Document::parse(text)?;
        let header = &document.header;
        match header.require("version")? {
            "v3" | "v4" => {}
            other => return Err(unsupported(format!("format version {other}"))),
        }
        let columns = columns::read(&document)?;
        let outputs: usize = header.number("num_tree_per_iteration")?;
        if outputs == 0 || outputs > MOST_TREES_PER_ITERATION {
            return Err(damaged(format!(
                "num_tree_per_iteration is {outputs}, expected 1 to {MOST_TREES_PER_ITERATION}"
            )));
        }
        if document.trees.is_empty() || !document.trees.len().is_multiple_of(outputs) {
            return Err(damaged(format!(
                "{} trees do not make whole iterations of {outputs}",
                document.trees.len()
            )));
        }
        let objective = Objective::parse(header.get("objective"), outputs)?;
        let mut forest = Forest::new(columns.len(), outputs);
        for (place, block) in document.trees.iter().enumerate() {
            tree::lay(block, place, &mut forest)?;
        }
        Ok((Self { forest, objective, average: header.get("average_output").is_some() }, columns))
    }

    /// Numbers that a row of outputs holds.
    pub(crate) fn outputs(&self) -> usize {
        self.forest.outputs()
    }

    /// Adds the outputs of one row to `into`. `row` has one number per column and is normalised in place.
    pub(crate) fn predict(&self, row: &mut [f64], into: &mut Vec<f64>) {
        let start = into.len();
        self.raw_scores(row, into);
        let Some(scores) = into.get_mut(start..) else { return };
        if self.average {
            let iterations = self.forest.iterations();
            scores.iter_mut().for_each(|score| *score /= iterations);
        }
        self.objective.transform(scores);
    }

    /// Adds the sums of the leaves of one row to `into`.
    fn raw_scores(&self, row: &mut [f64], into: &mut Vec<f64>) {
        forest::normalise(row);
        let start = into.len();
        into.resize(start + self.outputs(), 0.0);
        let Some(scores) = into.get_mut(start..) else { return };
        self.forest.add_scores(row, scores);
    }
}

#[cfg(test)]
mod tests;
