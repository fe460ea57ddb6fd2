//! A forest of any size as small nodes in one array: one comparison a step, no branch to mispredict.
//!
//! Siblings lie side by side, so a step is a comparison and an addition; a leaf leads to itself, so trees of unlike depth
//! walk together. One row walks several trees at a time and a block of rows walks each tree together, so that the waits for
//! memory overlap.

use super::{
    block::BLOCK,
    codes::{Code, Coder, Places},
    forest::Forest,
    sets::Sets,
    tree::{Child, LinearLeaf, Tree},
    walk::{Sum, Walk},
};

/// Trees that one row walks together.
const LANES: usize = 16;

/// One decision, or a leaf: its children are `left` and the node behind it.
#[derive(Debug, Clone, Copy)]
struct Node<C: Code> {
    left: C::Link,
    /// The largest code that goes left.
    code: C,
    slot: C,
}

#[derive(Debug, Clone, Copy)]
struct Root {
    first: usize,
    depth: usize,
    output: usize,
}

/// A packed forest.
#[derive(Debug)]
pub(super) struct Packed<C: Code, V: Sum> {
    coder: Coder,
    sets: Sets,
    nodes: Vec<Node<C>>,
    /// Beside `nodes`, `width` numbers each: what a leaf adds.
    values: Vec<V>,
    width: usize,
    /// Beside `nodes`, for linear trees; empty otherwise.
    linear: Vec<Option<LinearLeaf>>,
    roots: Vec<Root>,
    features: usize,
    outputs: usize,
}

impl<C: Code, V: Sum> Packed<C, V> {
    /// The caller has checked that codes, slots and nodes of a tree fit.
    pub(super) fn new(forest: &Forest, coder: Coder, places: &Places) -> Self {
        let width = forest.trees.first().map_or(1, |tree| tree.width);
        let mut packed = Self {
            coder,
            sets: forest.sets.clone(),
            nodes: Vec::new(),
            values: Vec::new(),
            width,
            linear: Vec::new(),
            roots: Vec::with_capacity(forest.trees.len()),
            features: forest.features,
            outputs: forest.outputs,
        };
        for tree in &forest.trees {
            packed.push(tree, places);
        }
        packed
    }

    fn push(&mut self, tree: &Tree, places: &Places) {
        let first = self.nodes.len();
        self.roots.push(Root { first, depth: tree.depth, output: tree.output });
        // A tree's splits come level by level, each before what it leads to: when a split is reached, its place is known.
        let mut place_of_split = vec![0; tree.splits.len()];
        self.leaf(0);
        if let Child::Leaf(leaf) = tree.root() {
            self.fill(first, tree, leaf as usize);
        }
        for (number, split) in tree.splits.iter().enumerate() {
            let at = place_of_split.get(number).copied().unwrap_or(0);
            let left = self.nodes.len() - first;
            self.leaf(left);
            self.leaf(left + 1);
            for (place, child) in [(left, split.left), (left + 1, split.right)] {
                match child {
                    Child::Split(child) => {
                        if let Some(known) = place_of_split.get_mut(child as usize) {
                            *known = place;
                        }
                    }
                    Child::Leaf(leaf) => self.fill(first + place, tree, leaf as usize),
                }
            }
            if let Some((slot, code)) = self.coder.decision(places, split.feature, split.test)
                && let Some(node) = self.nodes.get_mut(first + at)
            {
                *node = Node { left: C::link(left), code: C::cut(code), slot: C::cut(slot) };
            }
        }
    }

    /// Adds a node that leads to itself, whatever the code.
    fn leaf(&mut self, place: usize) {
        self.nodes.push(Node { left: C::link(place), code: C::cut(C::LARGEST), slot: C::cut(0) });
        self.values.resize(self.nodes.len() * self.width, V::default());
    }

    fn fill(&mut self, at: usize, tree: &Tree, leaf: usize) {
        let values = tree.values_of(leaf).iter().map(|value| V::of(*value));
        for (into, value) in self.values.iter_mut().skip(at * self.width).zip(values) {
            *into = value;
        }
        if let Some(linear) = tree.linear.get(leaf) {
            self.linear.resize(self.nodes.len().max(at + 1), None);
            if let Some(into) = self.linear.get_mut(at) {
                *into = Some(linear.clone());
            }
        }
    }

    #[inline]
    fn step(&self, first: usize, at: u32, codes: &[C]) -> u32 {
        let node = &self.nodes[first + at as usize];
        node.left.into() + u32::from(codes[node.slot.place()] > node.code)
    }

    fn add_row(&self, codes: &[C], row: &[f64], sums: &mut [V]) {
        for roots in self.roots.chunks(LANES) {
            let mut firsts = [roots[0].first; LANES];
            for (first, root) in firsts.iter_mut().zip(roots) {
                *first = root.first;
            }
            let depth = roots.iter().map(|root| root.depth).max().unwrap_or(0);
            let mut at = [0_u32; LANES];
            for _ in 0..depth {
                let mut moved = 0;
                for (first, at) in firsts.iter().zip(&mut at) {
                    let next = self.step(*first, *at, codes);
                    moved |= next ^ *at;
                    *at = next;
                }
                if moved == 0 {
                    break;
                }
            }
            for ((root, first), at) in roots.iter().zip(&firsts).zip(&at) {
                self.add_leaf(root, first + *at as usize, row, sums);
            }
        }
    }

    #[inline]
    fn add_leaf(&self, root: &Root, at: usize, row: &[f64], sums: &mut [V]) {
        if let Some(Some(linear)) = self.linear.get(at)
            && let Some(value) = linear.value(row)
        {
            sums[root.output] += V::of(value);
        } else if self.width == 1 {
            sums[root.output] += self.values[at];
        } else {
            for (sum, value) in sums.iter_mut().zip(&self.values[at * self.width..]) {
                *sum += *value;
            }
        }
    }

    /// A block of rows, tree by tree.
    fn add_block(&self, codes: &[C], rows: &[f64], sums: &mut [V]) {
        let count = rows.len() / self.features;
        let codes: Vec<&[C]> = codes.chunks_exact(codes.len() / count).collect();
        for root in &self.roots {
            for (part, codes) in codes.chunks(LANES).enumerate() {
                let mut lanes = [codes[0]; LANES];
                lanes[..codes.len()].copy_from_slice(codes);
                let mut at = [0_u32; LANES];
                for _ in 0..root.depth {
                    let mut moved = 0;
                    for (codes, at) in lanes.iter().zip(&mut at) {
                        let next = self.step(root.first, *at, codes);
                        moved |= next ^ *at;
                        *at = next;
                    }
                    if moved == 0 {
                        break;
                    }
                }
                for (lane, at) in at.iter().enumerate().take(codes.len()) {
                    let row = part * LANES + lane;
                    let sums = &mut sums[row * self.outputs..(row + 1) * self.outputs];
                    let values = &rows[row * self.features..(row + 1) * self.features];
                    self.add_leaf(root, root.first + *at as usize, values, sums);
                }
            }
        }
    }
}

impl<C: Code, V: Sum> Walk for Packed<C, V> {
    fn sums(&self, rows: &[f64], start: &[f64], into: &mut Vec<f64>) {
        // At least one code, for leaves to look at.
        let stride = self.coder.slots().max(1);
        let start: Vec<V> = start.iter().map(|number| V::of(*number)).collect();
        let mut codes = Vec::new();
        let mut sums: Vec<V> = Vec::new();
        for block in rows.chunks(BLOCK * self.features) {
            let count = block.len() / self.features;
            sums.clear();
            (0..count).for_each(|_| sums.extend_from_slice(&start));
            codes.resize(count * stride, C::default());
            for (row, codes) in block.chunks_exact(self.features).zip(codes.chunks_exact_mut(stride)) {
                self.coder.encode(&self.sets, row, |slot, code| codes[slot] = code);
            }
            if count < LANES / 2 {
                let rows = block.chunks_exact(self.features).zip(codes.chunks_exact(stride));
                for ((row, codes), sums) in rows.zip(sums.chunks_exact_mut(self.outputs)) {
                    self.add_row(codes, row, sums);
                }
            } else {
                self.add_block(&codes, block, &mut sums);
            }
            into.extend(sums.iter().map(|sum| (*sum).into()));
        }
    }
}
