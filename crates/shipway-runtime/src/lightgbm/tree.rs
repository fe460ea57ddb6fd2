//! One tree of a model file: checked, and laid into the forest's flat arrays.

use std::{collections::VecDeque, ops::Range};

use super::{
    damaged,
    forest::{CATEGORICAL, FEATURE, Forest, LinearLeaf, MISSING_LEFT, Node, ZERO_IS_MISSING},
    text::Block,
    unsupported,
};
use crate::error::RuntimeError;

/// The arrays of one tree as the file has them. Children below zero are leaves: -1 is leaf 0.
struct Fields<'block> {
    name: &'block str,
    split_feature: Vec<u32>,
    threshold: Vec<f64>,
    decision_type: Vec<u8>,
    left_child: Vec<i32>,
    right_child: Vec<i32>,
    leaf_value: Vec<f64>,
}

/// Reads the tree and appends it to `forest`. The walk that lays it out visits each node and each leaf exactly once, so a
/// file with a circle in it, or with a branch that nothing leads to, is refused and no walk can run for ever.
pub(super) fn lay(block: &Block<'_>, place: usize, forest: &mut Forest) -> Result<(), RuntimeError> {
    let leaves: usize = block.number("num_leaves")?;
    if leaves == 0 {
        return Err(damaged(format!("{} has no leaves", block.name())));
    }
    let fields = Fields::read(block, leaves)?;
    let sets = read_sets(block, forest)?;
    let linear = read_linear(block, leaves, forest.features())?;
    if place > 0 && linear.is_some() == forest.linear.is_empty() {
        return Err(damaged(format!("{} differs from the trees before it in being linear", block.name())));
    }
    let mut linear = linear;
    let root = next_place(forest)?;
    push(forest, linear.is_some());
    forest.roots.push(root);
    // Level by level, so that the first decisions of a tree share their cache lines.
    let mut pending = VecDeque::from([(root, if leaves == 1 { -1 } else { 0 })]);
    let (mut seen_nodes, mut seen_leaves) = (vec![false; leaves - 1], vec![false; leaves]);
    while let Some((at, child)) = pending.pop_front() {
        let wrong = || damaged(format!("{}: child {child} does not exist or is reached twice", block.name()));
        if child < 0 {
            let leaf = usize::try_from(!child).map_err(|_| wrong())?;
            visit(&mut seen_leaves, leaf).ok_or_else(wrong)?;
            forest.nodes[at as usize] = Node::leaf(at);
            forest.values[at as usize] = fields.leaf_value[leaf];
            if let Some(linear) = &mut linear {
                forest.linear[at as usize] = linear[leaf].take();
            }
        } else {
            let node = usize::try_from(child).map_err(|_| wrong())?;
            visit(&mut seen_nodes, node).ok_or_else(wrong)?;
            let left = next_place(forest)?;
            push(forest, linear.is_some());
            push(forest, linear.is_some());
            forest.nodes[at as usize] = fields.node(node, left, forest.features(), &sets)?;
            pending.push_back((left, fields.left_child[node]));
            pending.push_back((left + 1, fields.right_child[node]));
        }
    }
    if seen_leaves.contains(&false) || seen_nodes.contains(&false) {
        return Err(damaged(format!("{} has a branch that nothing leads to", block.name())));
    }
    Ok(())
}

fn visit(seen: &mut [bool], place: usize) -> Option<()> {
    let flag = seen.get_mut(place)?;
    if std::mem::replace(flag, true) { None } else { Some(()) }
}

fn next_place(forest: &Forest) -> Result<u32, RuntimeError> {
    u32::try_from(forest.nodes.len())
        .map_err(|_| unsupported("a model of more than four thousand million nodes"))
}

fn push(forest: &mut Forest, linear: bool) {
    forest.nodes.push(Node::leaf(0));
    forest.values.push(0.0);
    if linear {
        forest.linear.push(None);
    }
}

impl<'block> Fields<'block> {
    fn read(block: &'block Block<'_>, leaves: usize) -> Result<Self, RuntimeError> {
        let splits = leaves - 1;
        if splits == 0 {
            let leaf_value = block.numbers("leaf_value", leaves)?;
            return Ok(Self {
                name: block.name(),
                split_feature: Vec::new(),
                threshold: Vec::new(),
                decision_type: Vec::new(),
                left_child: Vec::new(),
                right_child: Vec::new(),
                leaf_value,
            });
        }
        Ok(Self {
            name: block.name(),
            split_feature: block.numbers("split_feature", splits)?,
            threshold: block.numbers("threshold", splits)?,
            decision_type: block.numbers("decision_type", splits)?,
            left_child: block.numbers("left_child", splits)?,
            right_child: block.numbers("right_child", splits)?,
            leaf_value: block.numbers("leaf_value", leaves)?,
        })
    }

    /// The decision at `node`. `decision_type` has in bit 0 category, in bit 1 missing-goes-left, in bits 2 and 3 what is
    /// missing: 0 nothing (NaN is compared as zero), 1 zero and NaN, 2 NaN.
    fn node(
        &self,
        node: usize,
        left: u32,
        features: usize,
        sets: &Range<usize>,
    ) -> Result<Node, RuntimeError> {
        let (feature, threshold, decision) =
            (self.split_feature[node], self.threshold[node], self.decision_type[node]);
        if feature as usize >= features || feature > FEATURE {
            return Err(damaged(format!("{}: split on feature {feature} of {features}", self.name)));
        }
        if decision & 1 == 1 {
            if !(threshold >= 0.0 && threshold < sets.len() as f64 && threshold.fract() == 0.0) {
                return Err(damaged(format!("{}: category set {threshold} of {}", self.name, sets.len())));
            }
            let threshold = threshold + sets.start as f64;
            return Ok(Node { threshold, feature_and_flags: feature | CATEGORICAL, left });
        }
        if threshold.is_nan() {
            return Err(damaged(format!("{}: a threshold is not a number", self.name)));
        }
        let default_left = decision & 2 != 0;
        let (missing_left, zero) = match decision >> 2 & 3 {
            0 => (0.0 <= threshold, false),
            1 => (default_left, true),
            2 => (default_left, false),
            _ => return Err(damaged(format!("{}: decision type {decision}", self.name))),
        };
        let flags = if missing_left { MISSING_LEFT } else { 0 } | if zero { ZERO_IS_MISSING } else { 0 };
        Ok(Node { threshold, feature_and_flags: feature | flags, left })
    }
}

/// Appends the tree's category sets to the forest and says where they are.
fn read_sets(block: &Block<'_>, forest: &mut Forest) -> Result<Range<usize>, RuntimeError> {
    let first = forest.sets.len();
    let count: usize = match block.get("num_cat") {
        Some(_) => block.number("num_cat")?,
        None => 0,
    };
    if count == 0 {
        return Ok(first..first);
    }
    let boundaries: Vec<usize> = block
        .numbers("cat_boundaries", count.checked_add(1).ok_or_else(|| damaged("num_cat is too large"))?)?;
    let total = boundaries.last().copied().unwrap_or(0);
    let words: Vec<u32> = block.numbers("cat_threshold", total)?;
    // Judged as a whole: only then is none of them beyond the last, which is the number of words.
    if !boundaries.is_sorted() {
        return Err(damaged(format!("{}: cat_boundaries go backwards", block.name())));
    }
    let start = forest.words.len();
    forest.sets.extend(boundaries.windows(2).map(|pair| start + pair[0]..start + pair[1]));
    forest.words.extend(words);
    Ok(first..forest.sets.len())
}

fn read_linear(
    block: &Block<'_>,
    leaves: usize,
    features: usize,
) -> Result<Option<Vec<Option<LinearLeaf>>>, RuntimeError> {
    if block.get("is_linear").is_none_or(|flag| flag.trim() == "0") {
        return Ok(None);
    }
    let constants: Vec<f64> = block.numbers("leaf_const", leaves)?;
    let counts: Vec<usize> = block.numbers("num_features", leaves)?;
    let total = counts
        .iter()
        .try_fold(0_usize, |sum, count| sum.checked_add(*count))
        .ok_or_else(|| damaged(format!("{}: num_features is too large", block.name())))?;
    let mut places = block.numbers::<usize>("leaf_features", total)?.into_iter();
    let mut weights = block.numbers::<f64>("leaf_coeff", total)?.into_iter();
    let mut linear = Vec::with_capacity(leaves);
    for (constant, count) in constants.into_iter().zip(counts) {
        let terms: Vec<(usize, f64)> =
            places.by_ref().take(count).zip(weights.by_ref().take(count)).collect();
        if let Some((place, _)) = terms.iter().find(|(place, _)| *place >= features) {
            return Err(damaged(format!("{}: leaf feature {place} of {features}", block.name())));
        }
        linear.push(Some(LinearLeaf { constant, terms }));
    }
    Ok(Some(linear))
}
