//! A forest of small trees whose codes are bytes: the common case, and the fast one.

use super::{
    block::{BLOCK, Block},
    codes::{Coder, Places},
    forest::Forest,
    planes::{self, Planes},
    sets::Sets,
    small::{self, Codes, Small},
    walk::{Sum, Walk},
};

/// Rows from which on they walk each tree together.
const ROWS_TOGETHER: usize = 8;

/// The forest for single rows, and for blocks of rows where that pays.
#[derive(Debug)]
pub(super) struct Quick<V: Sum> {
    coder: Coder,
    sets: Sets,
    small: Box<dyn Small<V>>,
    planes: Option<Planes<V>>,
    features: usize,
    outputs: usize,
}

impl<V: Sum> Quick<V> {
    /// The forest in this form, or the coder again where a tree is too large or a code does not fit into a byte.
    pub(super) fn new(forest: &Forest, coder: Coder, places: &Places) -> Result<Self, Coder> {
        let Some(small) = small::pack(forest, &coder, places) else { return Err(coder) };
        let planes = Planes::new(forest, &coder, places);
        let (features, outputs) = (forest.features, forest.outputs);
        Ok(Self { coder, sets: forest.sets.clone(), small, planes, features, outputs })
    }
}

impl<V: Sum> Walk for Quick<V> {
    fn sums(&self, rows: &[f64], start: &[f64], into: &mut Vec<f64>) {
        let mut sums: Vec<V> = Vec::with_capacity(self.outputs * BLOCK.min(rows.len() / self.features));
        for block in rows.chunks(BLOCK * self.features) {
            let count = block.len() / self.features;
            sums.clear();
            (0..count).for_each(|_| sums.extend(start.iter().map(|number| V::of(*number))));
            let rows = block.chunks_exact(self.features);
            match &self.planes {
                Some(planes) if count >= planes::LEAST_ROWS => {
                    let mut codes = Block::new(self.coder.slots());
                    for (place, row) in rows.enumerate() {
                        self.coder.encode(&self.sets, row, |slot, code| codes.put(slot, place, code));
                    }
                    planes.add(&codes, count, &mut sums, self.outputs);
                }
                _ if count >= ROWS_TOGETHER => {
                    let mut codes = vec![Codes::new(); count];
                    for (row, codes) in rows.zip(&mut codes) {
                        self.coder.encode(&self.sets, row, |slot, code| codes.put(slot, code));
                    }
                    self.small.add_rows(&codes, &mut sums, self.outputs);
                }
                _ => {
                    let mut codes = Codes::new();
                    for (row, sums) in rows.zip(sums.chunks_exact_mut(self.outputs)) {
                        self.coder.encode(&self.sets, row, |slot, code| codes.put(slot, code));
                        self.small.add(&codes, sums);
                    }
                }
            }
            into.extend(sums.iter().map(|sum| (*sum).into()));
        }
    }
}
