//! CatBoost's JSON, as `save_model(path, format="json")` writes it.
//!
//! - `schema`: the fields of a file that matter
//! - `features`: the model's columns, and what splits ask of them
//! - `tree`: one tree of the file, checked and grown
//! - `objective`: from raw scores to outputs

mod features;
mod objective;
mod schema;
mod tree;

use objective::{Objective, Outputs};
use schema::{Document, Numbers};

use crate::{
    error::RuntimeError,
    trees::{CategoryRule, Forest, Rounding, Rules, Sets, Tree, TreeParts},
};

const FORMAT: &str = "catboost";

/// CatBoost compares floats and adds doubles, and a value that equals a border is not above it.
const RULES: Rules = Rules {
    equal_goes_left: true,
    rounding: Rounding::Single,
    single_sums: false,
    categories: CategoryRule::TwentyFourBits,
};

/// More outputs than this is taken for damage: they are allocated per row.
const MOST_OUTPUTS: usize = 10_000;

fn damaged(reason: impl Into<String>) -> RuntimeError {
    RuntimeError::Damaged { format: FORMAT, reason: reason.into() }
}

fn unsupported(what: impl Into<String>) -> RuntimeError {
    RuntimeError::Unsupported { format: FORMAT, what: what.into() }
}

/// Reads a model; any bytes end in a model or an error, never in a panic or in memory beyond a small multiple of the bytes.
pub(crate) fn load(bytes: &[u8]) -> Result<TreeParts, RuntimeError> {
    if bytes.starts_with(b"CBM1") {
        return Err(unsupported("the binary format (log or save the model with format=\"json\")"));
    }
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| damaged(format!("JSON: {error}")))?;
    let loss = document.model_info.as_ref().and_then(|info| info.params.as_ref()?.loss_function.as_ref());
    let objective =
        Objective::parse(&loss.ok_or_else(|| unsupported("a model without its loss function"))?.name)?;
    let (mut features, columns) = features::read(&document.features_info)?;
    if columns.is_empty() {
        return Err(damaged("the model has no features"));
    }
    let width = width(&document)?;
    let (scale, bias) = document
        .scale_and_bias
        .as_ref()
        .map_or((1.0, [0.0].as_slice()), |(scale, bias)| (*scale, bias.list()));
    let bias = match bias {
        [] => vec![0.0; width],
        [one] => vec![*one; width],
        many if many.len() == width => many.to_vec(),
        many => return Err(damaged(format!("{} biases for {width} outputs", many.len()))),
    };
    let mut sets = Sets::default();
    let mut trees: Vec<Tree> = Vec::with_capacity(document.oblivious_trees.len() + document.trees.len());
    for raw in &document.oblivious_trees {
        trees.push(tree::oblivious(raw, width, &mut features, &mut sets)?);
    }
    for root in &document.trees {
        trees.push(tree::nested(root, width, &mut features, &mut sets)?);
    }
    let forest = Forest { trees, sets, rules: RULES, features: columns.len(), outputs: width };
    let link = Box::new(Outputs { objective, scale, bias: bias.clone() });
    Ok(TreeParts { forest, start: vec![0.0; width], bias, link, columns })
}

/// Numbers per leaf.
fn width(document: &Document) -> Result<usize, RuntimeError> {
    let bias = document.scale_and_bias.as_ref().map_or(1, |(_, bias)| bias.list().len());
    let mut width = bias.max(1);
    if let Some(tree) = document.oblivious_trees.first() {
        let leaves =
            u32::try_from(tree.splits.len()).ok().and_then(|depth| 1_usize.checked_shl(depth)).unwrap_or(0);
        width = tree.leaf_values.len().checked_div(leaves).unwrap_or(0);
    } else if let Some(mut node) = document.trees.first() {
        while let Some(left) = &node.left {
            node = left;
        }
        width = node.value.as_ref().map_or(1, |value: &Numbers| value.list().len());
    }
    if width == 0 || width > MOST_OUTPUTS {
        return Err(damaged(format!("{width} outputs, expected 1 to {MOST_OUTPUTS}")));
    }
    Ok(width)
}

#[cfg(test)]
mod tests;
