//! One tree of a model file: checked, and grown.

use super::{damaged, text::Block};
use crate::{
    error::RuntimeError,
    trees::{Described, LinearLeaf, Missing, Sets, Test, Tree, Ungrown},
};

/// The arrays of one tree as the file has them. Children below zero are leaves: -1 is leaf 0.
struct Fields<'block> {
    name: &'block str,
    split_feature: Vec<u32>,
    threshold: Vec<f64>,
    decision_type: Vec<u8>,
    left_child: Vec<i32>,
    right_child: Vec<i32>,
    leaf_value: Vec<f64>,
    /// Rows of the training data at each split and each leaf; files of long ago do not say.
    covers: Option<(Vec<f64>, Vec<f64>)>,
}

/// Reads the tree. A file with a circle in it, or with a branch that nothing leads to, is refused.
pub(super) fn read(block: &Block<'_>, features: usize, sets: &mut Sets) -> Result<Tree, RuntimeError> {
    let leaves: usize = block.number("num_leaves")?;
    if leaves == 0 {
        return Err(damaged(format!("{} has no leaves", block.name())));
    }
    let fields = Fields::read(block, leaves)?;
    let tree_sets = read_sets(block, sets)?;
    let mut linear = read_linear(block, leaves, features)?;
    let splits = leaves - 1;
    let grown = Tree::grow(splits + leaves, 0, |node| match node.checked_sub(splits) {
        Some(leaf) => fields.leaf(leaf),
        None => fields.split(node, features, &tree_sets),
    });
    let (mut tree, places) = grown.map_err(|error| match error {
        Ungrown::Node(error) => error,
        Ungrown::Child(node) => {
            let child = match node.checked_sub(splits) {
                Some(leaf) => format!("-{}", leaf + 1),
                None => node.to_string(),
            };
            damaged(format!("{}: child {child} does not exist or is reached twice", block.name()))
        }
    })?;
    if tree.leaves.len() != leaves || tree.splits.len() != splits {
        return Err(damaged(format!("{} has a branch that nothing leads to", block.name())));
    }
    tree.values = places.iter().filter_map(|place| fields.leaf_value.get(*place).copied()).collect();
    if !linear.is_empty() {
        let empty = LinearLeaf { constant: 0.0, terms: Vec::new() };
        tree.linear = places
            .iter()
            .filter_map(|place| linear.get_mut(*place).map(|leaf| std::mem::replace(leaf, empty.clone())))
            .collect();
    }
    Ok(tree)
}

impl<'block> Fields<'block> {
    fn read(block: &'block Block<'_>, leaves: usize) -> Result<Self, RuntimeError> {
        let splits = leaves - 1;
        // A tree of one leaf has no lines about splits.
        let has = |key| if splits == 0 { Ok(Vec::new()) } else { block.numbers::<i32>(key, splits) };
        let split_feature = if splits == 0 { Vec::new() } else { block.numbers("split_feature", splits)? };
        let threshold = if splits == 0 { Vec::new() } else { block.numbers("threshold", splits)? };
        let decision_type = if splits == 0 { Vec::new() } else { block.numbers("decision_type", splits)? };
        let (left_child, right_child) = (has("left_child")?, has("right_child")?);
        let leaf_value = block.numbers("leaf_value", leaves)?;
        let covers = match (splits, block.get("internal_count"), block.get("leaf_count")) {
            (0, ..) => Some((Vec::new(), vec![1.0])),
            (_, Some(_), Some(_)) => {
                Some((block.numbers("internal_count", splits)?, block.numbers("leaf_count", leaves)?))
            }
            _ => None,
        };
        Ok(Self {
            name: block.name(),
            split_feature,
            threshold,
            decision_type,
            left_child,
            right_child,
            leaf_value,
            covers,
        })
    }

    fn leaf(&self, leaf: usize) -> Result<Described, RuntimeError> {
        let cover = self.covers.as_ref().map_or(Some(f64::NAN), |(_, leaves)| leaves.get(leaf).copied());
        match (u32::try_from(leaf), cover) {
            (Ok(label), Some(cover)) => Ok(Described::Leaf { label, cover, place: leaf }),
            _ => Err(damaged(format!("{}: leaf {leaf} does not exist", self.name))),
        }
    }

    /// The decision at `node`. `decision_type` has in bit 0 category, in bit 1 missing-goes-left, in bits 2 and 3 what is
    /// missing: 0 nothing (NaN is compared as zero), 1 zero and NaN, 2 NaN.
    fn split(&self, node: usize, features: usize, sets: &[u32]) -> Result<Described, RuntimeError> {
        let (feature, threshold, decision) =
            (self.split_feature[node], self.threshold[node], self.decision_type[node]);
        if feature as usize >= features {
            return Err(damaged(format!("{}: split on feature {feature} of {features}", self.name)));
        }
        let test = if decision & 1 == 1 {
            let set = (threshold >= 0.0 && threshold.fract() == 0.0)
                .then(|| sets.get(threshold as usize).copied())
                .flatten()
                .ok_or_else(|| {
                    damaged(format!("{}: category set {threshold} of {}", self.name, sets.len()))
                })?;
            Test::Category { set, members_left: true, missing_left: false }
        } else if threshold.is_nan() {
            return Err(damaged(format!("{}: a threshold is not a number", self.name)));
        } else {
            let missing = match (decision >> 2 & 3, decision & 2 != 0) {
                (0, _) => Missing::AsZero,
                (1, true) => Missing::ZeroLeft,
                (1, false) => Missing::ZeroRight,
                (2, true) => Missing::Left,
                (2, false) => Missing::Right,
                _ => return Err(damaged(format!("{}: decision type {decision}", self.name))),
            };
            Test::Number { threshold, missing }
        };
        // Leaves are numbered behind the splits.
        let splits = self.split_feature.len();
        let child = |child: i32| {
            usize::try_from(child)
                .unwrap_or_else(|_| splits.saturating_add(usize::try_from(!child).unwrap_or(usize::MAX)))
        };
        let within = |child_number: i32| {
            let place = child(child_number);
            (child_number < 0 || place < splits).then_some(place).ok_or_else(|| {
                damaged(format!("{}: child {child_number} does not exist or is reached twice", self.name))
            })
        };
        Ok(Described::Split {
            feature,
            test,
            left: within(self.left_child[node])?,
            right: within(self.right_child[node])?,
            cover: self.covers.as_ref().and_then(|(splits, _)| splits.get(node).copied()).unwrap_or(f64::NAN),
        })
    }
}

/// Adds the tree's category sets, which are bit sets in words of 32, and answers their numbers.
fn read_sets(block: &Block<'_>, sets: &mut Sets) -> Result<Vec<u32>, RuntimeError> {
    let count: usize = match block.get("num_cat") {
        Some(_) => block.number("num_cat")?,
        None => 0,
    };
    if count == 0 {
        return Ok(Vec::new());
    }
    let boundaries: Vec<usize> = block
        .numbers("cat_boundaries", count.checked_add(1).ok_or_else(|| damaged("num_cat is too large"))?)?;
    let total = boundaries.last().copied().unwrap_or(0);
    let words: Vec<u32> = block.numbers("cat_threshold", total)?;
    // Judged as a whole: only then is none of them beyond the last, which is the number of words.
    if !boundaries.is_sorted() {
        return Err(damaged(format!("{}: cat_boundaries go backwards", block.name())));
    }
    let members = |words: &[u32]| -> Vec<u32> {
        let bits = |(word, place): (&u32, u32)| {
            let word = *word;
            (0..32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| place * 32 + bit)
        };
        words.iter().zip(0_u32..).flat_map(bits).collect()
    };
    boundaries
        .windows(2)
        .map(|pair| {
            sets.push(members(&words[pair[0]..pair[1]])).ok_or_else(|| damaged("too many category sets"))
        })
        .collect()
}

fn read_linear(block: &Block<'_>, leaves: usize, features: usize) -> Result<Vec<LinearLeaf>, RuntimeError> {
    if block.get("is_linear").is_none_or(|flag| flag.trim() == "0") {
        return Ok(Vec::new());
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
        linear.push(LinearLeaf { constant, terms });
    }
    Ok(linear)
}
