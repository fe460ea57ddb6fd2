//! The codes of a block of rows, slot by slot.

/// Rows that are walked together.
pub(super) const BLOCK: usize = 64;

/// One byte for each row of a block.
pub(super) type Bytes = [u8; BLOCK];

/// For each slot the codes of all rows.
#[derive(Debug)]
pub(super) struct Block {
    slots: Vec<Bytes>,
}

impl Block {
    pub(super) fn new(slots: usize) -> Self {
        Self { slots: vec![[0; BLOCK]; slots] }
    }

    #[inline]
    pub(super) fn put(&mut self, slot: usize, row: usize, code: u8) {
        self.slots[slot][row] = code;
    }

    #[inline]
    pub(super) fn slot(&self, slot: usize) -> &Bytes {
        &self.slots[slot]
    }
}
