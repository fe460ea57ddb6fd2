//! One decision tree, as every format describes it: checked as it is grown, walked one step at a time.
//!
//! This is the plain form. Leaf numbers and contributions are computed from it; predictions come from the packed form,
//! which is made of it.

use std::collections::VecDeque;

/// What decides where a row goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Test {
    /// A number against a threshold. Which side an equal number takes is one rule for the whole forest.
    Number {
        /// Never NaN.
        threshold: f64,
        /// What is missing, and where it goes.
        missing: Missing,
    },
    /// A category against a set of the forest.
    Category {
        /// The number of the set.
        set: u32,
        /// Whether a category of the set goes left.
        members_left: bool,
        /// Whether a missing value goes left.
        missing_left: bool,
    },
}

/// What counts as missing in a split on a number, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Missing {
    /// NaN goes left.
    Left,
    /// NaN goes right.
    Right,
    /// NaN is compared as zero.
    AsZero,
    /// NaN and zero go left.
    ZeroLeft,
    /// NaN and zero go right.
    ZeroRight,
}

/// Where a split leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// To another split of the tree.
    Split(u32),
    /// To a leaf of the tree.
    Leaf(u32),
}

/// One decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Split {
    pub(crate) feature: u32,
    pub(crate) test: Test,
    pub(crate) left: Child,
    pub(crate) right: Child,
    /// How much of the training data came here.
    pub(crate) cover: f64,
}

/// Where a row ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf {
    /// The library's own number for it.
    pub(crate) label: u32,
    /// How much of the training data came here.
    pub(crate) cover: f64,
}

/// A leaf of a linear tree: a constant plus a weight times each of some features.
#[derive(Debug, Clone)]
pub(crate) struct LinearLeaf {
    pub(crate) constant: f64,
    pub(crate) terms: Vec<(usize, f64)>,
}

/// A tree. The root is split 0, or leaf 0 where there is no split; every split comes before what it leads to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub(crate) splits: Vec<Split>,
    pub(crate) leaves: Vec<Leaf>,
    /// What each leaf adds, `width` numbers of it.
    pub(crate) values: Vec<f64>,
    /// Numbers per leaf.
    pub(crate) width: usize,
    /// The first output that they are added to.
    pub(crate) output: usize,
    /// Beside `leaves` for linear trees; empty otherwise.
    pub(crate) linear: Vec<LinearLeaf>,
    /// The most splits between root and leaf.
    pub(crate) depth: usize,
}

/// A node as a file describes it; children are numbers of nodes of the same tree.
#[derive(Debug)]
pub(crate) enum Described {
    /// A decision.
    Split { feature: u32, test: Test, left: usize, right: usize, cover: f64 },
    /// An end. `place` is where its values and its linear part stand in the file.
    Leaf { label: u32, cover: f64, place: usize },
}

/// Why a tree does not grow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ungrown<E> {
    /// A child that is out of range, or that two splits or a circle lead to.
    Child(usize),
    /// The description of a node is wrong in itself.
    Node(E),
}

impl Tree {
    /// Grows a tree of `count` described nodes from node 0, level by level, and answers with it where in the file each of
    /// its leaves stands. Each node is visited at most once, so a circle or a shared branch is refused and no walk can run
    /// for ever; nodes that nothing leads to are left out.
    pub(crate) fn grow<E>(
        count: usize,
        root: usize,
        mut describe: impl FnMut(usize) -> Result<Described, E>,
    ) -> Result<(Self, Vec<usize>), Ungrown<E>> {
        let mut tree = Self { width: 1, ..Self::default() };
        let mut places = Vec::new();
        let mut seen = vec![false; count];
        let mut pending = VecDeque::from([(root, None::<(usize, bool)>, 0_usize)]);
        while let Some((node, parent, depth)) = pending.pop_front() {
            match seen.get_mut(node) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(Ungrown::Child(node)),
            }
            tree.depth = tree.depth.max(depth);
            let here = match describe(node).map_err(Ungrown::Node)? {
                Described::Split { feature, test, left, right, cover } => {
                    let place = tree.splits.len();
                    let (unset, number) = (Child::Leaf(0), number(place).ok_or(Ungrown::Child(node))?);
                    tree.splits.push(Split { feature, test, left: unset, right: unset, cover });
                    pending.push_back((left, Some((place, true)), depth + 1));
                    pending.push_back((right, Some((place, false)), depth + 1));
                    Child::Split(number)
                }
                Described::Leaf { label, cover, place } => {
                    let number = number(tree.leaves.len()).ok_or(Ungrown::Child(node))?;
                    tree.leaves.push(Leaf { label, cover });
                    places.push(place);
                    Child::Leaf(number)
                }
            };
            if let Some((split, is_left)) = parent
                && let Some(split) = tree.splits.get_mut(split)
            {
                *(if is_left { &mut split.left } else { &mut split.right }) = here;
            }
        }
        Ok((tree, places))
    }

    /// Where a row begins.
    pub(crate) const fn root(&self) -> Child {
        if self.splits.is_empty() { Child::Leaf(0) } else { Child::Split(0) }
    }

    /// The values of a leaf.
    pub(crate) fn values_of(&self, leaf: usize) -> &[f64] {
        self.values.get(leaf * self.width..(leaf + 1) * self.width).unwrap_or_default()
    }
}

fn number(place: usize) -> Option<u32> {
    u32::try_from(place).ok()
}

impl Missing {
    /// Whether the value is missing, and if so, whether it goes left.
    pub(crate) fn side(self, value: f64) -> Option<bool> {
        match self {
            Self::Left | Self::Right if value.is_nan() => Some(self == Self::Left),
            Self::ZeroLeft | Self::ZeroRight if value.is_nan() || value == 0.0 => {
                Some(self == Self::ZeroLeft)
            }
            _ => None,
        }
    }
}

impl LinearLeaf {
    /// The leaf's value for a row; `None` when one of its features is missing.
    pub(crate) fn value(&self, row: &[f64]) -> Option<f64> {
        let mut sum = self.constant;
        for (feature, weight) in &self.terms {
            let value = row.get(*feature).copied().filter(|value| !value.is_nan())?;
            sum += weight * value;
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(place: usize) -> Described {
        Described::Leaf { label: 0, cover: 1.0, place }
    }

    fn split(left: usize, right: usize) -> Described {
        let test = Test::Number { threshold: 0.0, missing: Missing::Left };
        Described::Split { feature: 0, test, left, right, cover: 1.0 }
    }

    fn grow(nodes: &[(usize, usize)]) -> Result<(Tree, Vec<usize>), Ungrown<()>> {
        Tree::grow(nodes.len(), 0, |node| {
            Ok(match nodes[node] {
                (0, 0) => leaf(node),
                (left, right) => split(left, right),
            })
        })
    }

    #[test]
    fn a_tree_is_laid_out_level_by_level() {
        let (tree, places) = grow(&[(1, 2), (3, 4), (0, 0), (0, 0), (0, 0)]).unwrap();
        assert_eq!(tree.depth, 2);
        assert_eq!((tree.splits[0].left, tree.splits[0].right), (Child::Split(1), Child::Leaf(0)));
        assert_eq!(places, [2, 3, 4]);
    }

    #[test]
    fn a_circle_a_shared_branch_and_a_missing_child_are_refused() {
        assert_eq!(grow(&[(1, 2), (0, 1), (0, 0)]).unwrap_err(), Ungrown::Child(0));
        assert_eq!(grow(&[(1, 1), (0, 0)]).unwrap_err(), Ungrown::Child(1));
        assert_eq!(grow(&[(1, 9), (0, 0)]).unwrap_err(), Ungrown::Child(9));
        assert_eq!(grow(&[]).unwrap_err(), Ungrown::Child(0));
    }
}
