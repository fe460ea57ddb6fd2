//! What each feature contributed to a sum: path-dependent TreeSHAP.
//!
//! Algorithm 2 of Lundberg, Erion and Lee, "Consistent Individualized Feature Attribution for Tree Ensembles" (2018), which
//! LightGBM and XGBoost answer for `pred_contrib`. It costs `O(leaves × depth²)` per row and tree.

use super::{
    forest::Forest,
    tree::{Child, Split, Tree},
};

/// The deepest tree that is explained: the work grows with the square of the depth.
pub(crate) const DEEPEST: usize = 512;

/// One feature on the way from the root.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    feature: Option<u32>,
    /// The part of the training data that takes this way without knowing the feature.
    zero: f64,
    /// 1 if the row itself takes this way, else 0.
    one: f64,
    /// Permutation weight of the subsets of this size.
    weight: f64,
}

/// What is the same for all rows: the mean of each tree over the training data.
#[derive(Debug)]
pub(super) struct Explainer {
    /// `width` numbers a tree.
    means: Vec<Vec<f64>>,
}

impl Explainer {
    pub(super) fn new(forest: &Forest) -> Self {
        Self { means: forest.trees.iter().map(mean).collect() }
    }

    /// Adds the contributions of one row to `into`: per output one number per feature, then the mean.
    pub(super) fn add(&self, forest: &Forest, row: &[f64], into: &mut [f64]) {
        let stride = forest.features + 1;
        let mut path = Vec::new();
        for (tree, means) in forest.trees.iter().zip(&self.means) {
            for (output, mean) in means.iter().enumerate() {
                if let Some(last) = into.get_mut((tree.output + output) * stride + forest.features) {
                    *last += mean;
                }
            }
            let mut walk = Walk { forest, tree, row, into: &mut *into, path: &mut path };
            walk.path.clear();
            walk.descend(tree.root(), Step { feature: None, zero: 1.0, one: 1.0, weight: 0.0 }, 0);
        }
    }
}

/// The cover-weighted mean of a tree's leaves.
fn mean(tree: &Tree) -> Vec<f64> {
    let mut means = vec![vec![0.0; tree.width]; tree.splits.len()];
    let of = |child: Child, means: &[Vec<f64>]| match child {
        Child::Leaf(leaf) => tree.values_of(leaf as usize).to_vec(),
        Child::Split(split) => means.get(split as usize).cloned().unwrap_or_default(),
    };
    // Splits lead to splits behind them, so from the back all children are known.
    for (place, split) in tree.splits.iter().enumerate().rev() {
        let (left, right) = (of(split.left, &means), of(split.right, &means));
        let (share_left, share_right) = (share(tree, split, split.left), share(tree, split, split.right));
        if let Some(into) = means.get_mut(place) {
            *into = left
                .iter()
                .zip(&right)
                .map(|(left, right)| left * share_left + right * share_right)
                .collect();
        }
    }
    of(tree.root(), &means)
}

/// The part of what comes to a split that goes to a child.
fn share(tree: &Tree, split: &Split, child: Child) -> f64 {
    let cover = match child {
        Child::Leaf(leaf) => tree.leaves.get(leaf as usize).map_or(0.0, |leaf| leaf.cover),
        Child::Split(split) => tree.splits.get(split as usize).map_or(0.0, |split| split.cover),
    };
    if cover == 0.0 { 0.0 } else { cover / split.cover }
}

/// The way of one row through one tree, and beside it the ways it does not take.
struct Walk<'walk> {
    forest: &'walk Forest,
    tree: &'walk Tree,
    row: &'walk [f64],
    into: &'walk mut [f64],
    path: &'walk mut Vec<Step>,
}

impl Walk<'_> {
    /// Goes down from `at`; the way so far begins at `start` in `path`. What this adds to `path` it takes away again.
    fn descend(&mut self, at: Child, step: Step, start: usize) {
        extend(self.path, start, step);
        match at {
            Child::Leaf(leaf) => self.credit(leaf as usize, start),
            Child::Split(split) => {
                if let Some(split) = self.tree.splits.get(split as usize) {
                    self.part(split, start);
                }
            }
        }
    }

    fn part(&mut self, split: &Split, start: usize) {
        let goes_left = self.forest.goes_left(split, self.row);
        let (mut zero, mut one) = (1.0, 1.0);
        let known = self.path.iter().skip(start).position(|step| step.feature == Some(split.feature));
        if let Some(known) = known.map(|offset| start + offset) {
            // The feature was met before: its two steps become one.
            (zero, one) = (self.path[known].zero, self.path[known].one);
            unwind(self.path, start, known);
        }
        let end = self.path.len();
        for (child, is_taken) in [(split.left, goes_left), (split.right, !goes_left)] {
            let share = share(self.tree, split, child);
            // Nothing of the training data is there: it has no weight in any mean.
            if share == 0.0 || share.is_nan() {
                continue;
            }
            let one = if is_taken { one } else { 0.0 };
            self.path.extend_from_within(start..end);
            self.descend(
                child,
                Step { feature: Some(split.feature), zero: zero * share, one, weight: 0.0 },
                end,
            );
            self.path.truncate(end);
        }
    }

    fn credit(&mut self, leaf: usize, start: usize) {
        let stride = self.forest.features + 1;
        for at in start + 1..self.path.len() {
            let step = self.path[at];
            let Some(feature) = step.feature else { continue };
            let weight = unwound_sum(&self.path[start..], at - start) * (step.one - step.zero);
            for (output, value) in self.tree.values_of(leaf).iter().enumerate() {
                if let Some(into) = self.into.get_mut((self.tree.output + output) * stride + feature as usize)
                {
                    *into += weight * value;
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "depths are far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

/// Adds a step to the way that begins at `start`, and weighs the subsets of the longer way.
fn extend(path: &mut Vec<Step>, start: usize, step: Step) {
    let depth = path.len() - start;
    path.push(Step { weight: if depth == 0 { 1.0 } else { 0.0 }, ..step });
    let way = &mut path[start..];
    for at in (0..depth).rev() {
        way[at + 1].weight += step.one * way[at].weight * count(at + 1) / count(depth + 1);
        way[at].weight = step.zero * way[at].weight * count(depth - at) / count(depth + 1);
    }
}

/// Takes the step at `known` out of the way that begins at `start`.
fn unwind(path: &mut Vec<Step>, start: usize, known: usize) {
    let way = &mut path[start..];
    let (known, depth) = (known - start, way.len() - 1);
    let Step { one, zero, .. } = way[known];
    let mut next = way[depth].weight;
    for at in (0..depth).rev() {
        if one == 0.0 {
            way[at].weight = way[at].weight * count(depth + 1) / (zero * count(depth - at));
        } else {
            let before = way[at].weight;
            way[at].weight = next * count(depth + 1) / (count(at + 1) * one);
            next = before - way[at].weight * zero * count(depth - at) / count(depth + 1);
        }
    }
    for at in known..depth {
        let Step { feature, zero, one, .. } = way[at + 1];
        way[at] = Step { feature, zero, one, weight: way[at].weight };
    }
    path.pop();
}

/// The sum of the weights that the way would have without the step at `known`.
fn unwound_sum(way: &[Step], known: usize) -> f64 {
    let depth = way.len() - 1;
    let Step { one, zero, .. } = way[known];
    let mut next = way[depth].weight;
    let mut sum = 0.0;
    for at in (0..depth).rev() {
        if one == 0.0 {
            sum += way[at].weight / zero / (count(depth - at) / count(depth + 1));
        } else {
            let weight = next * count(depth + 1) / (count(at + 1) * one);
            sum += weight;
            next = way[at].weight - weight * zero * count(depth - at) / count(depth + 1);
        }
    }
    sum
}
