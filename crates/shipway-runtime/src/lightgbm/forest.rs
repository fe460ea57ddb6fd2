//! All trees of a model in flat arrays, and the walk from root to leaf.
//!
//! A node is 16 bytes and its children lie side by side, so that a step is one comparison and one addition, without a
//! branch to mispredict; a leaf steps onto itself, so that several trees walk together and their memory latencies overlap.

/// Numbers of this size and below are zero. LightGBM's constant is a float, widened.
const ZERO_BOUND: f64 = 1e-35_f32 as f64;

/// Trees that walk together.
const LANES: usize = 8;

/// What stands in [`Node::feature_and_flags`] above the feature's number.
pub(super) const CATEGORICAL: u32 = 1 << 31;
/// Zero counts as missing here.
pub(super) const ZERO_IS_MISSING: u32 = 1 << 30;
/// A missing value goes left.
pub(super) const MISSING_LEFT: u32 = 1 << 29;
/// The feature's number.
pub(super) const FEATURE: u32 = MISSING_LEFT - 1;

/// One decision. The right child lies behind the left one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    /// Values up to and including it go left; for categories, the number of the set that goes left.
    pub(super) threshold: f64,
    pub(super) feature_and_flags: u32,
    pub(super) left: u32,
}

impl Node {
    /// A leaf: whatever the value, the next step is here again.
    pub(super) const fn leaf(at: u32) -> Self {
        Self { threshold: f64::INFINITY, feature_and_flags: MISSING_LEFT, left: at }
    }
}

/// A leaf of a linear tree: a constant plus a weight times each of some features.
#[derive(Debug)]
pub(super) struct LinearLeaf {
    pub(super) constant: f64,
    pub(super) terms: Vec<(usize, f64)>,
}

/// The trees of a model.
#[derive(Debug)]
pub(super) struct Forest {
    /// Nodes and leaves of all trees.
    pub(super) nodes: Vec<Node>,
    /// Beside `nodes`: what a leaf adds; 0 for a decision.
    pub(super) values: Vec<f64>,
    /// Where each tree starts.
    pub(super) roots: Vec<u32>,
    /// Bit sets of categories, each a range of `words`.
    pub(super) sets: Vec<std::ops::Range<usize>>,
    pub(super) words: Vec<u32>,
    /// Beside `nodes`, for models with linear trees; empty otherwise.
    pub(super) linear: Vec<Option<LinearLeaf>>,
    features: usize,
    outputs: usize,
}

impl Forest {
    pub(super) fn new(features: usize, outputs: usize) -> Self {
        Self {
            nodes: Vec::new(),
            values: Vec::new(),
            roots: Vec::new(),
            sets: Vec::new(),
            words: Vec::new(),
            linear: Vec::new(),
            features,
            outputs,
        }
    }

    pub(super) fn features(&self) -> usize {
        self.features
    }

    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Trees per output, as a divisor.
    #[expect(clippy::cast_precision_loss, reason = "a file holds far fewer than 2^52 trees")]
    pub(super) fn iterations(&self) -> f64 {
        (self.roots.len() / self.outputs) as f64
    }

    /// Adds to `scores` what each tree says of `row`, in the order of the trees: the same sums, in the same order, as
    /// LightGBM's, hence the same bits.
    pub(super) fn add_scores(&self, row: &[f64], scores: &mut [f64]) {
        let mut output = 0;
        for roots in self.roots.chunks(LANES) {
            let mut at = [0_u32; LANES];
            at[..roots.len()].copy_from_slice(roots);
            if roots.len() < LANES {
                at[roots.len()..].fill(roots[0]);
            }
            if self.sets.is_empty() {
                self.walk::<false>(&mut at, row)
            } else {
                self.walk::<true>(&mut at, row)
            }
            for leaf in &at[..roots.len()] {
                scores[output] += self.leaf_value(*leaf as usize, row);
                output += 1;
                if output == self.outputs {
                    output = 0;
                }
            }
        }
    }

    fn walk<const CATEGORIES: bool>(&self, at: &mut [u32; LANES], row: &[f64]) {
        loop {
            let mut moved = 0;
            for place in at.iter_mut() {
                let next = self.step::<CATEGORIES>(*place, row);
                moved |= next ^ *place;
                *place = next;
            }
            if moved == 0 {
                return;
            }
        }
    }

    #[inline]
    fn step<const CATEGORIES: bool>(&self, at: u32, row: &[f64]) -> u32 {
        let node = &self.nodes[at as usize];
        let flags = node.feature_and_flags;
        let value = row[(flags & FEATURE) as usize];
        if CATEGORIES && flags & CATEGORICAL != 0 {
            return node.left + u32::from(!self.set_holds(node.threshold as usize, value));
        }
        let missing = value.is_nan() | ((flags & ZERO_IS_MISSING != 0) & (value == 0.0));
        let goes_left = (missing & (flags & MISSING_LEFT != 0)) | (!missing & (value <= node.threshold));
        node.left + u32::from(!goes_left)
    }

    /// Whether a category is in a set. Missing, negative and unknown ones are in none; a fraction is cut off.
    fn set_holds(&self, set: usize, value: f64) -> bool {
        if value.is_nan() || value <= -1.0 {
            return false;
        }
        let category = value as usize;
        self.sets
            .get(set)
            .and_then(|range| self.words.get(range.clone()))
            .and_then(|words| words.get(category / 32))
            .is_some_and(|word| word >> (category % 32) & 1 == 1)
    }

    fn leaf_value(&self, leaf: usize, row: &[f64]) -> f64 {
        let Some(Some(linear)) = self.linear.get(leaf) else { return self.values[leaf] };
        let mut sum = linear.constant;
        for (feature, weight) in &linear.terms {
            if row[*feature].is_nan() {
                return self.values[leaf];
            }
            sum += weight * row[*feature];
        }
        sum
    }
}

/// Makes zeros of the numbers that LightGBM takes for zero.
pub(super) fn normalise(row: &mut [f64]) {
    for value in row {
        if value.abs() <= ZERO_BOUND {
            *value = 0.0;
        }
    }
}
