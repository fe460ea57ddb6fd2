//! One row through a forest of small trees: every tree has room for the same number of nodes, so places need no check.
//!
//! A node is 32 bits: its left child in the low 16, then the largest code that goes left, then the slot of the code to
//! compare. A leaf leads to itself, as no code is larger than its code, and has its number where others have a slot. Every
//! walk takes the same few steps at first, without asking whether it has ended, so the processor runs many walks at once and
//! mispredicts none; those that have not ended go on, two steps at a time.

use super::{
    codes::{Code as _, Coder, Places},
    forest::Forest,
    lines,
    tree::{Child, Tree},
    walk::Sum,
};

/// Walks whose places are kept at a time.
const TOGETHER: usize = 64;

/// What room for nodes may be, as a multiple of the nodes there are.
const MOST_PADDING: usize = 8;
const LEAST_NODES: usize = 1 << 16;

/// Where a tree begins. Place 0 is empty, so that both children of a node always lie in one line of the cache.
const ROOT: usize = lines::ROOT;
#[expect(clippy::cast_possible_truncation, reason = "it is 1")]
const ROOT_NODE: u32 = ROOT as u32;

/// The codes of one row, each where a node has its own: compared with a node of its slot, a code is greater as a whole number if
/// and only if it is greater as a code.
#[derive(Debug, Clone)]
pub(super) struct Codes([u32; 256]);

impl Codes {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|slot| node(0, 0, u8::cut(slot))))
    }

    #[inline]
    pub(super) fn put(&mut self, slot: usize, code: u8) {
        self.0[slot] = node(0, code, u8::cut(slot));
    }
}

/// Adds up the leaves of one row.
pub(super) trait Small<V>: std::fmt::Debug + Send + Sync {
    /// Adds to `sums` what each tree says of the row with these codes.
    fn add(&self, codes: &Codes, sums: &mut [V]);
    /// The same for some rows, with `outputs` sums each, tree by tree.
    fn add_rows(&self, codes: &[Codes], sums: &mut [V], outputs: usize);
}

/// A forest whose trees have at most `NODES` nodes.
#[derive(Debug)]
struct Forests<V, const NODES: usize> {
    trees: Vec<Nodes<NODES>>,
    about: Vec<About>,
    values: Vec<V>,
    depth: usize,
}

/// The nodes of a tree; they begin where a line of the cache does.
#[derive(Debug)]
#[repr(align(64))]
struct Nodes<const NODES: usize>([u32; NODES]);

#[derive(Debug, Clone, Copy)]
struct About {
    output: usize,
    /// Where its leaves begin in `values`.
    first: usize,
}

/// The forest in this form, if all of its trees are small and plain.
pub(super) fn pack<V: Sum>(forest: &Forest, coder: &Coder, places: &Places) -> Option<Box<dyn Small<V>>> {
    let is_plain = |tree: &Tree| tree.width == 1 && tree.linear.is_empty();
    if coder.slots() > usize::from(u8::MAX) + 1
        || coder.largest() > usize::from(u8::MAX)
        || !forest.trees.iter().all(is_plain)
    {
        return None;
    }
    let nodes = |tree: &Tree| tree.splits.len() * 2 + 1;
    let (most, all) = (forest.trees.iter().map(nodes).max()?, forest.trees.iter().map(nodes).sum::<usize>());
    // One large tree among many tiny ones would make them all large.
    if most.saturating_mul(forest.trees.len()) > all.saturating_mul(MOST_PADDING).max(LEAST_NODES) {
        return None;
    }
    match most {
        0..=15 => Some(Box::new(Forests::<V, 16>::new(forest, coder, places)?)),
        16..=31 => Some(Box::new(Forests::<V, 32>::new(forest, coder, places)?)),
        32..=63 => Some(Box::new(Forests::<V, 80>::new(forest, coder, places)?)),
        64..=127 => Some(Box::new(Forests::<V, 144>::new(forest, coder, places)?)),
        128..=255 => Some(Box::new(Forests::<V, 288>::new(forest, coder, places)?)),
        256..=511 => Some(Box::new(Forests::<V, 576>::new(forest, coder, places)?)),
        _ => None,
    }
}

impl<V: Sum, const NODES: usize> Forests<V, NODES> {
    fn new(forest: &Forest, coder: &Coder, places: &Places) -> Option<Self> {
        let mut forests = Self {
            trees: Vec::with_capacity(forest.trees.len()),
            about: Vec::with_capacity(forest.trees.len()),
            values: Vec::new(),
            depth: forest.trees.iter().map(|tree| tree.depth).max().unwrap_or(0),
        };
        for tree in &forest.trees {
            forests.push(tree, coder, places)?;
        }
        Some(forests)
    }

    fn push(&mut self, tree: &Tree, coder: &Coder, places: &Places) -> Option<()> {
        let mut nodes = [0; NODES];
        self.about.push(About { output: tree.output, first: self.values.len() });
        self.values.extend(tree.values.iter().map(|value| V::of(*value)));
        let lefts = lines::of_children(tree, NODES);
        let mut place_of_split = vec![ROOT; tree.splits.len()];
        if let Child::Leaf(leaf) = tree.root() {
            *nodes.get_mut(ROOT)? = node(ROOT, u8::MAX, u8::cut(leaf as usize));
        }
        for (number, split) in tree.splits.iter().enumerate() {
            let (at, left) = (*place_of_split.get(number)?, *lefts.get(number)?);
            let (slot, code) = coder.decision(places, split.feature, split.test)?;
            *nodes.get_mut(at)? = node(left, u8::cut(code), u8::cut(slot));
            for (place, child) in [(left, split.left), (left + 1, split.right)] {
                match child {
                    Child::Split(child) => *place_of_split.get_mut(child as usize)? = place,
                    Child::Leaf(leaf) => {
                        *nodes.get_mut(place)? = node(place, u8::MAX, u8::cut(leaf as usize))
                    }
                }
            }
        }
        self.trees.push(Nodes(nodes));
        Some(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a tree has at most 576 places")]
const fn node(left: usize, code: u8, slot: u8) -> u32 {
    left as u32 | (code as u32) << 16 | (slot as u32) << 24
}

/// From a node to the next one.
#[inline]
fn step<const NODES: usize>(Nodes(tree): &Nodes<NODES>, at: u32, Codes(codes): &Codes) -> u32 {
    let node = tree[at as usize];
    (node & 0xffff) + u32::from(codes[(node >> 24) as usize] > node)
}

/// Walks that take each step side by side, so that none waits alone for memory.
const ABREAST: usize = 8;

/// Walks to the leaves: walk `number` goes through `tree(number)` with `codes(number)`, and ends at `at[number]`.
#[inline]
fn settle<'forest, const NODES: usize, const FIRST: usize>(
    count: usize,
    tree: impl Fn(usize) -> &'forest Nodes<NODES>,
    codes: impl Fn(usize) -> &'forest Codes,
    at: &mut [u32; TOGETHER],
) {
    let mut going = [0_u8; TOGETHER];
    let mut left = 0;
    for (group, at) in at.as_chunks_mut::<ABREAST>().0.iter_mut().enumerate().take(count.div_ceil(ABREAST)) {
        // Beyond the last walk, the last one is taken again.
        let numbers: [usize; ABREAST] = std::array::from_fn(|lane| (group * ABREAST + lane).min(count - 1));
        let walks = numbers.map(|number| (tree(number), codes(number)));
        let mut places = [ROOT_NODE; ABREAST];
        for _ in 0..FIRST {
            for (place, (tree, codes)) in places.iter_mut().zip(&walks) {
                *place = step(tree, *place, codes);
            }
        }
        *at = places;
        for ((place, (Nodes(tree), _)), number) in places.iter().zip(&walks).zip(group * ABREAST..count) {
            going[left] = u8::cut(number);
            left += usize::from(tree[*place as usize] & 0xffff != *place);
        }
    }
    while left > 0 {
        let before = left;
        left = 0;
        for place in 0..before {
            let number = usize::from(going[place]);
            let (tree, codes) = (tree(number), codes(number));
            let next = step(tree, step(tree, at[number], codes), codes);
            at[number] = next;
            going[left] = going[place];
            left += usize::from(tree.0[next as usize] & 0xffff != next);
        }
    }
}

impl<V: Sum, const NODES: usize> Forests<V, NODES> {
    #[inline]
    fn add_with<const FIRST: usize>(&self, codes: &Codes, sums: &mut [V]) {
        for (trees, about) in self.trees.chunks(TOGETHER).zip(self.about.chunks(TOGETHER)) {
            let mut at = [ROOT_NODE; TOGETHER];
            settle::<NODES, FIRST>(trees.len(), |number| &trees[number], |_| codes, &mut at);
            let leaves = trees.iter().zip(about).zip(&at);
            if let [sum] = sums {
                // In a register: each addition waits for the one before, and would wait for memory as well.
                *sum = leaves.fold(*sum, |sum, ((tree, about), at)| sum + self.value(tree, about, *at));
            } else {
                for ((tree, about), at) in leaves {
                    sums[about.output] += self.value(tree, about, *at);
                }
            }
        }
    }

    #[inline]
    fn add_rows_with<const FIRST: usize>(&self, codes: &[Codes], sums: &mut [V], outputs: usize) {
        for (tree, about) in self.trees.iter().zip(&self.about) {
            for (codes, sums) in codes.chunks(TOGETHER).zip(sums.chunks_mut(TOGETHER * outputs)) {
                let mut at = [ROOT_NODE; TOGETHER];
                settle::<NODES, FIRST>(codes.len(), |_| tree, |number| &codes[number], &mut at);
                for (sums, at) in sums.chunks_exact_mut(outputs).zip(&at) {
                    sums[about.output] += self.value(tree, about, *at);
                }
            }
        }
    }

    #[inline]
    fn value(&self, Nodes(tree): &Nodes<NODES>, about: &About, at: u32) -> V {
        let [.., leaf] = tree[at as usize].to_le_bytes();
        self.values[about.first + usize::from(leaf)]
    }
}

impl<V: Sum, const NODES: usize> Small<V> for Forests<V, NODES> {
    fn add(&self, codes: &Codes, sums: &mut [V]) {
        match self.depth {
            0..=2 => self.add_with::<2>(codes, sums),
            3..=4 => self.add_with::<4>(codes, sums),
            _ => self.add_with::<6>(codes, sums),
        }
    }

    fn add_rows(&self, codes: &[Codes], sums: &mut [V], outputs: usize) {
        match self.depth {
            0..=2 => self.add_rows_with::<2>(codes, sums, outputs),
            3..=4 => self.add_rows_with::<4>(codes, sums, outputs),
            _ => self.add_rows_with::<6>(codes, sums, outputs),
        }
    }
}
