//! LightGBM's text format.
//!
//! - `text`: the lines of a model file, as fields by name
//! - `tree`: one tree of the file, checked and grown
//! - `objective`: from raw scores to outputs
//! - `columns`: the model's inputs and the codes of their categories

mod columns;
mod objective;
mod text;
mod tree;

use objective::Objective;
use text::Document;

use crate::{
    error::RuntimeError,
    trees::{CategoryRule, Forest, Link, Rounding, Rules, Sets, Task, TreeParts},
};

const FORMAT: &str = "lightgbm";

/// More classes than this is taken for damage: outputs are allocated per row.
const MOST_TREES_PER_ITERATION: usize = 10_000;

/// LightGBM compares and adds doubles, and an equal value goes left.
const RULES: Rules = Rules {
    equal_goes_left: true,
    rounding: Rounding::NearZero,
    single_sums: false,
    categories: CategoryRule::AboveMinusOne,
};

/// The words for a file that is not what it should be.
pub(crate) fn damaged(reason: impl Into<String>) -> RuntimeError {
    RuntimeError::Damaged { format: FORMAT, reason: reason.into() }
}

fn unsupported(what: impl Into<String>) -> RuntimeError {
    RuntimeError::Unsupported { format: FORMAT, what: what.into() }
}

/// Reads a model; any bytes end in a model or an error, never in a panic or in memory beyond a small multiple of the bytes.
pub(crate) fn load(bytes: &[u8]) -> Result<TreeParts, RuntimeError> {
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
    let mut sets = Sets::default();
    let mut trees: Vec<crate::trees::Tree> = Vec::with_capacity(document.trees.len());
    for (place, block) in document.trees.iter().enumerate() {
        let mut tree = tree::read(block, columns.len(), &mut sets)?;
        tree.output = place % outputs;
        if trees.first().is_some_and(|first| first.linear.is_empty() != tree.linear.is_empty()) {
            return Err(damaged(format!(
                "{} differs from the trees before it in being linear",
                block.name()
            )));
        }
        trees.push(tree);
    }
    #[expect(clippy::cast_precision_loss, reason = "a file holds far fewer than 2^52 trees")]
    let iterations = (trees.len() / outputs) as f64;
    let average = header.get("average_output").map(|_| iterations);
    let forest = Forest { trees, sets, rules: RULES, features: columns.len(), outputs };
    let zeros = vec![0.0; outputs];
    Ok(TreeParts {
        forest,
        start: zeros.clone(),
        bias: zeros,
        link: Box::new(Outputs { objective, average }),
        columns,
    })
}

/// What becomes of the sums of the leaves.
#[derive(Debug)]
struct Outputs {
    objective: Objective,
    /// What sums are divided by, in a random forest. Its raw scores are not.
    average: Option<f64>,
}

impl Link for Outputs {
    fn outputs(&self, sums: usize) -> usize {
        sums
    }

    fn transform(&self, scores: &mut [f64]) {
        if let Some(iterations) = self.average {
            scores.iter_mut().for_each(|score| *score /= iterations);
        }
        self.objective.transform(scores);
    }

    fn task(&self) -> Task {
        self.objective.task()
    }
}

#[cfg(test)]
mod tests;
