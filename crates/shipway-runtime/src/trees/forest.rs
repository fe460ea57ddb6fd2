//! All trees of a model in their plain form, and the rules by which they are walked.

use super::{
    sets::Sets,
    tree::{Child, Missing, Split, Test, Tree},
};

/// How the library that trained the forest compares and adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Whether a value that equals the threshold goes left.
    pub(crate) equal_goes_left: bool,
    /// What values are rounded to before they are compared.
    pub(crate) rounding: Rounding,
    /// Whether sums are of single precision.
    pub(crate) single_sums: bool,
    /// Which numbers are categories.
    pub(crate) categories: CategoryRule,
}

/// What values are rounded to before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// Numbers next to zero are zero.
    NearZero,
    /// Single precision.
    Single,
}

/// Which numbers are categories; others are in no set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CategoryRule {
    /// All above -1, cut off towards zero.
    AboveMinusOne,
    /// From 0 to below 2^24, cut off.
    TwentyFourBits,
}

/// The trees of a model.
#[derive(Debug, Clone)]
pub(crate) struct Forest {
    pub(crate) trees: Vec<Tree>,
    pub(crate) sets: Sets,
    pub(crate) rules: Rules,
    /// Numbers per row.
    pub(crate) features: usize,
    /// Sums per row.
    pub(crate) outputs: usize,
}

impl Rules {
    /// The category that a number stands for; `None` when it is in no set. NaN is missing and not asked.
    pub(crate) fn category(self, value: f64) -> Option<u32> {
        let is_category = match self.categories {
            CategoryRule::AboveMinusOne => value > -1.0 && value < f64::from(u32::MAX),
            CategoryRule::TwentyFourBits => (0.0..16_777_216.0).contains(&value),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the range, and cut off on purpose"
        )]
        is_category.then_some(value as u32)
    }

    /// Whether a value that is not missing goes left.
    pub(crate) fn below(self, value: f64, threshold: f64) -> bool {
        if self.equal_goes_left { value <= threshold } else { value < threshold }
    }
}

impl Forest {
    /// Whether a row goes left at a split.
    pub(crate) fn goes_left(&self, split: &Split, row: &[f64]) -> bool {
        let value = row.get(split.feature as usize).copied().unwrap_or(f64::NAN);
        match split.test {
            Test::Number { threshold, missing } => missing.side(value).unwrap_or_else(|| {
                let value = if missing == Missing::AsZero && value.is_nan() { 0.0 } else { value };
                self.rules.below(value, threshold)
            }),
            Test::Category { missing_left, .. } if value.is_nan() => missing_left,
            Test::Category { set, members_left, .. } => {
                let is_member =
                    self.rules.category(value).is_some_and(|category| self.sets.holds(set, category));
                is_member == members_left
            }
        }
    }

    /// The leaf where a row ends in a tree.
    pub(crate) fn leaf(&self, tree: &Tree, row: &[f64]) -> usize {
        let mut at = tree.root();
        loop {
            match at {
                Child::Leaf(leaf) => return leaf as usize,
                Child::Split(split) => {
                    // Splits lead to splits behind them only, so this ends.
                    let Some(split) = tree.splits.get(split as usize) else { return 0 };
                    at = if self.goes_left(split, row) { split.left } else { split.right };
                }
            }
        }
    }
}
