//! A block of rows through a small tree, without walking: every split of the tree is answered for all rows at once.
//!
//! A tree of 63 leaves has 62 splits, of which a row meets about six; but a processor compares 16 bytes in one
//! instruction, and codes are bytes, so all 62 for 64 rows cost less than 64 walks. Each node has a mask of the rows that
//! come to it, one byte a row; the masks of the leaves together say each row's leaf. The idea is that of RapidScorer (Ye and others,
//! KDD 2018), with masks that are handed down the tree in place of bit vectors that are intersected. Where all splits of a level ask
//! the same, as in CatBoost's oblivious trees, each level is one bit of the leaf's number, and there are no masks.

use super::{
    block::{BLOCK, Block, Bytes},
    codes::{Code as _, Coder, Places},
    forest::Forest,
    tree::{Child, Tree},
    walk::Sum,
};

/// Trees with more splits are walked: their splits cost more than the few that a row meets.
const MOST_SPLITS: usize = 127;

/// Rows from which on a whole block is worth its price.
pub(super) const LEAST_ROWS: usize = 24;

/// One split. The `n`th split of a tree leads to the nodes `2n + 1` and `2n + 2`.
#[derive(Debug, Clone, Copy)]
struct Split {
    slot: u8,
    code: u8,
    at: u8,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    splits: usize,
    leaves: usize,
    output: usize,
    /// Whether there is one split for each level, from the root down.
    is_oblivious: bool,
}

/// A forest of small trees.
#[derive(Debug)]
pub(super) struct Planes<V> {
    splits: Vec<Split>,
    /// The nodes that are leaves, tree by tree.
    leaves: Vec<u8>,
    /// Beside `leaves`: what each adds.
    values: Vec<V>,
    /// Where each tree ends in `splits` and `leaves`.
    ends: Vec<Range>,
}

impl<V: Sum> Planes<V> {
    /// The forest in this form, if all of its trees are small and plain.
    pub(super) fn new(forest: &Forest, coder: &Coder, places: &Places) -> Option<Self> {
        let is_plain =
            |tree: &Tree| tree.splits.len() <= MOST_SPLITS && tree.width == 1 && tree.linear.is_empty();
        if coder.slots() > usize::from(u8::MAX) + 1 || !forest.trees.iter().all(is_plain) {
            return None;
        }
        let mut planes = Self {
            splits: Vec::new(),
            leaves: Vec::new(),
            values: Vec::new(),
            ends: Vec::with_capacity(forest.trees.len()),
        };
        for tree in &forest.trees {
            planes.push(tree, coder, places)?;
        }
        Some(planes)
    }

    fn push(&mut self, tree: &Tree, coder: &Coder, places: &Places) -> Option<()> {
        let decisions = tree
            .splits
            .iter()
            .map(|split| coder.decision(places, split.feature, split.test))
            .collect::<Option<Vec<_>>>()?;
        if let Some(levels) = levels(tree, &decisions) {
            self.splits.extend(levels.into_iter().map(|(slot, code)| Split {
                slot: u8::cut(slot),
                code: u8::cut(code),
                at: 0,
            }));
            // Leaves stand from left to right, which is the order of the numbers that the levels make.
            for leaf in (0_u32..).take(tree.leaves.len()) {
                self.leaf(tree, leaf, 0)?;
            }
            return self.end(tree, true);
        }
        let mut place_of_split = vec![0; tree.splits.len()];
        for ((number, split), (slot, code)) in tree.splits.iter().enumerate().zip(decisions) {
            let at = u8::cut(*place_of_split.get(number)?);
            self.splits.push(Split { slot: u8::cut(slot), code: u8::cut(code), at });
            for (place, child) in [(number * 2 + 1, split.left), (number * 2 + 2, split.right)] {
                match child {
                    Child::Split(child) => *place_of_split.get_mut(child as usize)? = place,
                    Child::Leaf(leaf) => self.leaf(tree, leaf, place)?,
                }
            }
        }
        self.end(tree, false)
    }

    fn end(&mut self, tree: &Tree, is_oblivious: bool) -> Option<()> {
        let (splits, leaves) = (self.splits.len(), self.leaves.len());
        self.ends.push(Range { splits, leaves, output: tree.output, is_oblivious });
        Some(())
    }

    fn leaf(&mut self, tree: &Tree, leaf: u32, place: usize) -> Option<()> {
        self.leaves.push(u8::cut(place));
        self.values.push(V::of(*tree.values_of(leaf as usize).first()?));
        Some(())
    }

    /// Adds to the sums of the first `count` rows of a block, `outputs` numbers each, what each tree says.
    pub(super) fn add(&self, codes: &Block, count: usize, sums: &mut [V], outputs: usize) {
        let mut masks: Box<[Bytes; 256]> = Box::new([[0; BLOCK]; 256]);
        masks[0] = [u8::MAX; BLOCK];
        let (mut splits, mut leaves) = (0, 0);
        for end in &self.ends {
            let asked = &self.splits[splits..end.splits];
            let number_of = if end.is_oblivious {
                bits(asked, codes)
            } else {
                answer(asked, codes, &mut masks);
                number(&self.leaves[leaves..end.leaves], &masks)
            };
            let values = &self.values[leaves..end.leaves];
            for (sums, leaf) in sums.chunks_exact_mut(outputs).zip(&number_of).take(count) {
                sums[end.output] += values[usize::from(*leaf)];
            }
            (splits, leaves) = (end.splits, end.leaves);
        }
    }
}

/// The decision of each level, if the tree is complete and each level asks one thing. A tree of one leaf has no levels.
fn levels(tree: &Tree, decisions: &[(usize, usize)]) -> Option<Vec<(usize, usize)>> {
    if decisions.len() + 1 != 1_usize.checked_shl(u32::try_from(tree.depth).ok()?)? {
        return None;
    }
    let level = |depth: usize| decisions.get((1 << depth) - 1..(2 << depth) - 1);
    (0..tree.depth)
        .map(|depth| {
            let (first, others) = level(depth)?.split_first()?;
            others.iter().all(|other| other == first).then_some(*first)
        })
        .collect()
}

/// The number of the leaf that each row comes to in an oblivious tree.
fn bits(splits: &[Split], codes: &Block) -> Bytes {
    let mut numbers = [0; BLOCK];
    for split in splits {
        let slot = codes.slot(usize::from(split.slot));
        for (number, code) in numbers.iter_mut().zip(slot) {
            *number = *number << 1 | u8::from(*code > split.code);
        }
    }
    numbers
}

/// Hands the masks of a tree down from its root, which all rows come to.
fn answer(splits: &[Split], codes: &Block, masks: &mut [Bytes; 256]) {
    for (split, left) in splits.iter().zip((1_u8..).step_by(2)) {
        let here = masks[usize::from(split.at)];
        let slot = codes.slot(usize::from(split.slot));
        let (mut lefts, mut rights) = ([0; BLOCK], [0; BLOCK]);
        for row in 0..BLOCK {
            let goes_right = if slot[row] > split.code { here[row] } else { 0 };
            rights[row] = goes_right;
            lefts[row] = here[row] ^ goes_right;
        }
        masks[usize::from(left)] = lefts;
        masks[usize::from(left) + 1] = rights;
    }
}

/// The number of the leaf that each row came to.
fn number(leaves: &[u8], masks: &[Bytes; 256]) -> Bytes {
    let mut numbers = [0; BLOCK];
    for (leaf, number) in leaves.iter().zip(0_u8..) {
        let mask = &masks[usize::from(*leaf)];
        for (into, mask) in numbers.iter_mut().zip(mask) {
            *into |= mask & number;
        }
    }
    numbers
}
