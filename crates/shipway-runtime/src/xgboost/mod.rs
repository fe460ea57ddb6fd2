//! XGBoost's JSON and UBJSON.
//!
//! - `schema`: the fields of a file that matter, in either form
//! - `tree`: one tree of the file, checked and grown
//! - `objective`: from margins to outputs
//! - `columns`: the model's inputs and the codes of their categories

mod columns;
mod objective;
mod schema;
mod tree;

use objective::Objective;
use schema::{Learner, Model};

use crate::{
    error::RuntimeError,
    trees::{CategoryRule, Forest, Rounding, Rules, Sets, Tree, TreeParts},
};

const FORMAT: &str = "xgboost";

/// XGBoost compares and adds floats, and an equal value goes right.
const RULES: Rules = Rules {
    equal_goes_left: false,
    rounding: Rounding::Single,
    single_sums: true,
    categories: CategoryRule::TwentyFourBits,
};

/// More outputs than this is taken for damage: they are allocated per row.
const MOST_OUTPUTS: usize = 10_000;

/// A file of few bytes may have many features that no tree asks; more of them than this and its bytes is taken for damage.
const MOST_UNSAID_FEATURES: usize = 16_384;

fn damaged(reason: impl Into<String>) -> RuntimeError {
    RuntimeError::Damaged { format: FORMAT, reason: reason.into() }
}

fn unsupported(what: impl Into<String>) -> RuntimeError {
    RuntimeError::Unsupported { format: FORMAT, what: what.into() }
}

/// Reads a model; any bytes end in a model or an error, never in a panic or in memory beyond a small multiple of the bytes.
pub(crate) fn load(bytes: &[u8]) -> Result<TreeParts, RuntimeError> {
    let mut learner = schema::read(bytes)?.learner;
    let objective = Objective::parse(&learner.objective.name)?;
    let parameters = &learner.learner_model_param;
    let features = number("num_feature", Some(&parameters.num_feature))?;
    if features == 0 || features > MOST_UNSAID_FEATURES.saturating_add(bytes.len()) {
        return Err(damaged(format!("num_feature is {features}")));
    }
    let classes = number("num_class", parameters.num_class.as_deref())?;
    let targets = number("num_target", parameters.num_target.as_deref())?;
    let outputs = classes.max(targets).max(1);
    if outputs > MOST_OUTPUTS {
        return Err(damaged(format!("{outputs} outputs, expected at most {MOST_OUTPUTS}")));
    }
    let start = base_margins(parameters.base_score.as_deref(), objective, outputs)?;
    let (mut model, weights) = booster(&mut learner)?;
    let used = trees_used(&learner, &model, outputs)?;
    let mut sets = Sets::default();
    let shape = tree::Shape { features, outputs };
    if model.tree_info.len() != model.trees.len() {
        return Err(damaged(format!(
            "{} trees, but tree_info has {}",
            model.trees.len(),
            model.tree_info.len()
        )));
    }
    let mut trees: Vec<Tree> = Vec::with_capacity(used);
    for (place, (raw, output)) in model.trees.iter().zip(&model.tree_info).take(used).enumerate() {
        let weight = weights.as_ref().map_or(Some(1.0), |weights| weights.get(place).copied());
        let weight = weight.ok_or_else(|| damaged(format!("tree {place} has no weight_drop")))?;
        let mut tree = tree::read(raw, place, &shape, weight, &mut sets)?;
        if *output >= outputs || tree.width > 1 && *output != 0 {
            return Err(damaged(format!("tree {place} is of output {output} of {outputs}")));
        }
        if trees.first().is_some_and(|first| first.width != tree.width) {
            return Err(damaged(format!(
                "tree {place} differs from the trees before it in the width of its leaves"
            )));
        }
        tree.output = *output;
        trees.push(tree);
    }
    let columns = columns::read(
        features,
        std::mem::take(&mut learner.feature_names),
        &learner.feature_types,
        model.cats.take(),
    )?;
    let forest = Forest { trees, sets, rules: RULES, features, outputs };
    Ok(TreeParts { forest, start, bias: vec![0.0; outputs], link: Box::new(objective), columns })
}

/// A number that the file has as text; 0 where it has none.
fn number(name: &str, text: Option<&str>) -> Result<usize, RuntimeError> {
    let Some(text) = text else { return Ok(0) };
    let shortened = || text.chars().take(40).collect::<String>();
    text.trim()
        .parse()
        .map_err(|_| damaged(format!("{name} is `{}`, which is not a number that fits", shortened())))
}

/// The trees and, of a `dart` booster, their weights.
fn booster(learner: &mut Learner) -> Result<(Model, Option<Vec<f32>>), RuntimeError> {
    let booster = &mut learner.gradient_booster;
    let none = || damaged("the booster has no trees");
    match booster.name.as_str() {
        "gbtree" => Ok((booster.model.take().ok_or_else(none)?, None)),
        "dart" => {
            let trees = booster.gbtree.as_mut().and_then(|trees| trees.model.take()).ok_or_else(none)?;
            Ok((trees, Some(std::mem::take(&mut booster.weight_drop))))
        }
        other => Err(unsupported(format!("booster {}", other.chars().take(60).collect::<String>()))),
    }
}

/// How many of the trees predictions use.
///
/// A model of the scikit-learn interface that was stopped early predicts with the iterations up to its best one; a plain
/// booster predicts with all, and so do their files.
fn trees_used(learner: &Learner, model: &Model, outputs: usize) -> Result<usize, RuntimeError> {
    let all = model.trees.len();
    let Some(best) =
        learner.attributes.get("best_iteration").filter(|_| learner.attributes.contains_key("scikit_learn"))
    else {
        return Ok(all);
    };
    let best = number("best_iteration", Some(best))?;
    if let Some(end) = best.checked_add(1).and_then(|next| model.iteration_indptr.get(next)) {
        return if *end <= all { Ok(*end) } else { Err(damaged("iteration_indptr goes beyond the trees")) };
    }
    let parallel =
        model.gbtree_model_param.as_ref().and_then(|parameters| parameters.num_parallel_tree.as_deref());
    let per_iteration = number("num_parallel_tree", parallel)?.max(1).saturating_mul(outputs);
    Ok(best.saturating_add(1).saturating_mul(per_iteration).min(all))
}

/// What the margin of each output begins with. Since 3.1 the file has a list, `[5E-1,2E-1]`; before, one number.
fn base_margins(text: Option<&str>, objective: Objective, outputs: usize) -> Result<Vec<f64>, RuntimeError> {
    let text = text.unwrap_or("0.5").trim();
    let list = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let scores = list
        .split(',')
        .map(|score| {
            let score = score.trim();
            let number: f32 = score.parse().map_err(|_| {
                damaged(format!("base_score `{}`", score.chars().take(40).collect::<String>()))
            })?;
            objective.margin(number).map(f64::from)
        })
        .collect::<Result<Vec<f64>, RuntimeError>>()?;
    match scores.as_slice() {
        [one] => Ok(vec![*one; outputs]),
        _ if scores.len() == outputs => Ok(scores),
        _ => Err(damaged(format!("{} base scores for {outputs} outputs", scores.len()))),
    }
}

#[cfg(test)]
mod tests;
