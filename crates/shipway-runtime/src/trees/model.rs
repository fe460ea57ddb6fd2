//! A forest with what lies around it: the values that sums begin with, and the link from sums to outputs.

use std::sync::OnceLock;

use super::{
    contributions::{DEEPEST, Explainer},
    forest::{Forest, Rounding},
    walk::{Walk, pack},
};
use crate::input::Encoding;

/// Numbers of this size and below are zero to LightGBM. Its constant is a float, widened.
const ZERO_BOUND: f64 = 1e-35_f32 as f64;

/// One input of a model.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) encoding: Encoding,
}

/// What a model decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Numbers; there are no classes.
    Numbers,
    /// The probability of the second of two classes, as the only output.
    Binary,
    /// One score per class.
    Classes,
}

/// From the sums of one row to its outputs.
pub(crate) trait Link: std::fmt::Debug + Send + Sync {
    /// Numbers per row that come out.
    fn outputs(&self, sums: usize) -> usize;
    /// What the library calls the raw score of a row of sums; in place.
    fn raw(&self, _sums: &mut [f64]) {}
    /// From raw scores to outputs, in place; the first [`Link::outputs`] numbers count.
    fn transform(&self, scores: &mut [f64]);
    /// What contributions are multiplied by, so that they add up to the raw score.
    fn scale(&self) -> f64 {
        1.0
    }
    /// What classes the outputs tell.
    fn task(&self) -> Task;
}

/// What a format makes of a file.
#[derive(Debug)]
pub(crate) struct TreeParts {
    pub(crate) forest: Forest,
    /// What the sum of each output begins with.
    pub(crate) start: Vec<f64>,
    /// What is added to the raw score of each output at last: part of the mean in contributions.
    pub(crate) bias: Vec<f64>,
    pub(crate) link: Box<dyn Link>,
    pub(crate) columns: Vec<Column>,
}

/// A model of trees, ready to predict.
#[derive(Debug)]
pub(crate) struct TreeModel {
    forest: Forest,
    walk: Box<dyn Walk>,
    start: Vec<f64>,
    bias: Vec<f64>,
    link: Box<dyn Link>,
    explainer: OnceLock<Explainer>,
}

impl TreeModel {
    /// A model out of its parts, and its columns.
    pub(crate) fn new(parts: TreeParts) -> (Self, Vec<Column>) {
        let TreeParts { forest, start, bias, link, columns } = parts;
        let walk = pack(&forest);
        (Self { forest, walk, start, bias, link, explainer: OnceLock::new() }, columns)
    }

    /// Numbers per row of [`TreeModel::predict`].
    pub(crate) fn outputs(&self) -> usize {
        self.link.outputs(self.forest.outputs)
    }

    /// Numbers per row of [`TreeModel::raw`].
    pub(crate) fn raw_outputs(&self) -> usize {
        self.forest.outputs
    }

    /// Trees.
    pub(crate) fn trees(&self) -> usize {
        self.forest.trees.len()
    }

    /// What the outputs tell. Of several labels, each with a probability of its own, none is the class.
    pub(crate) fn task(&self) -> Task {
        match self.link.task() {
            Task::Binary if self.forest.outputs != 1 => Task::Numbers,
            task => task,
        }
    }

    /// Adds the outputs of a matrix of rows to `into`. The matrix is rounded in place to what the library sees.
    pub(crate) fn predict(&self, rows: &mut [f64], into: &mut Vec<f64>) {
        let width = self.outputs();
        if width == self.forest.outputs {
            let start = into.len();
            self.raw(rows, into);
            let added = into.get_mut(start..).unwrap_or_default();
            added.chunks_exact_mut(width).for_each(|scores| self.link.transform(scores));
        } else {
            let mut scores = Vec::new();
            self.raw(rows, &mut scores);
            for scores in scores.chunks_exact_mut(self.forest.outputs) {
                self.link.transform(scores);
                into.extend(scores.iter().take(width));
            }
        }
    }

    /// Adds the raw scores of a matrix of rows to `into`, before the link.
    pub(crate) fn raw(&self, rows: &mut [f64], into: &mut Vec<f64>) {
        self.prepare(rows);
        let start = into.len();
        self.walk.sums(rows, &self.start, into);
        let added = into.get_mut(start..).unwrap_or_default();
        added.chunks_exact_mut(self.forest.outputs).for_each(|sums| self.link.raw(sums));
    }

    /// Adds to `into`, for each row, the number of its leaf in each tree, as the library counts leaves.
    pub(crate) fn leaves(&self, rows: &mut [f64], into: &mut Vec<f64>) {
        self.prepare(rows);
        for row in rows.chunks_exact(self.forest.features) {
            into.extend(self.forest.trees.iter().map(|tree| {
                tree.leaves.get(self.forest.leaf(tree, row)).map_or(0.0, |leaf| f64::from(leaf.label))
            }));
        }
    }

    /// Adds to `into`, for each row and output, the contribution of each feature to the raw score, and last what the score is on
    /// average; or says what of the model cannot be explained.
    pub(crate) fn contributions(&self, rows: &mut [f64], into: &mut Vec<f64>) -> Result<(), &'static str> {
        if self.forest.trees.iter().any(|tree| !tree.linear.is_empty()) {
            return Err("contributions of linear trees");
        }
        if self.forest.trees.iter().any(|tree| tree.depth > DEEPEST) {
            return Err("contributions of trees deeper than 512");
        }
        let weighed = |cover: f64| cover.is_finite() && cover >= 0.0;
        if !self.forest.trees.iter().all(|tree| tree.leaves.iter().all(|leaf| weighed(leaf.cover))) {
            return Err("contributions of trees without the weights of their leaves");
        }
        self.prepare(rows);
        let explainer = self.explainer.get_or_init(|| Explainer::new(&self.forest));
        let (stride, scale) = (self.forest.features + 1, self.link.scale());
        for row in rows.chunks_exact(self.forest.features) {
            let start = into.len();
            into.resize(start + stride * self.forest.outputs, 0.0);
            let added = into.get_mut(start..).unwrap_or_default();
            explainer.add(&self.forest, row, added);
            let begins = self.start.iter().zip(&self.bias);
            for (contributions, (begin, bias)) in added.chunks_exact_mut(stride).zip(begins) {
                contributions.iter_mut().for_each(|contribution| *contribution *= scale);
                if let Some(mean) = contributions.last_mut() {
                    *mean += begin + bias;
                }
            }
        }
        Ok(())
    }

    /// Rounds numbers to what the library compares.
    fn prepare(&self, rows: &mut [f64]) {
        match self.forest.rules.rounding {
            #[expect(clippy::cast_possible_truncation, reason = "the library compares single precision")]
            Rounding::Single => rows.iter_mut().for_each(|value| *value = f64::from(*value as f32)),
            Rounding::NearZero => {
                for value in rows.iter_mut().filter(|value| value.abs() <= ZERO_BOUND) {
                    *value = 0.0;
                }
            }
        }
    }
}
