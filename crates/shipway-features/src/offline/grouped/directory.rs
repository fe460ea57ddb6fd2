//! The keys of the spine, each with a number, and the spine's rows by key.

use arrow::{
    array::{Array, AsArray, UInt32Array},
    buffer::NullBuffer,
    datatypes::{Decimal128Type, UInt64Type},
};
use datafusion::execution::{SendableRecordBatchStream, memory_pool::MemoryReservation};
use futures::StreamExt;

use super::super::{OfflineError, keys::time_of, spine_rows::row_column};

/// Into so many shares keys are dealt. Enough for every thread to have several, few enough to write to all of them at once.
pub(super) const SHARES: usize = 64;

/// The number of no key.
pub(super) const NO_KEY: u32 = u32::MAX;

/// What a row costs while the directory is made.
const ROW_BYTES: usize = 32;

/// The keys of the spine and its rows by key.
///
/// Each row has a slot: slots are dealt share by share, in a share key by key, and to the rows of a key in the order of time.
#[derive(Debug)]
pub(crate) struct Directory {
    keys: KeyTable,
    shares: Vec<ShareRows>,
    slots: UInt32Array,
    _memory: MemoryReservation,
}

/// The rows of one share.
#[derive(Debug, Default)]
pub(super) struct ShareRows {
    /// For each key of the share where its rows begin; one more for the end of the last.
    pub(super) starts: Vec<u32>,
    /// The moments of the rows.
    pub(super) times: Vec<i64>,
}

/// The share of a key.
pub(super) fn share_of(id: u32) -> usize {
    id as usize % SHARES
}

/// The number of a key inside its share.
pub(super) fn local(id: u32) -> u32 {
    id / SHARES as u32
}

impl Directory {
    /// Reads the rows to their end; `None` when `memory` can not grow.
    pub(super) async fn build(
        mut rows: SendableRecordBatchStream,
        memory: MemoryReservation,
    ) -> Result<Option<Self>, OfflineError> {
        let mut keys = KeyTable::default();
        let (mut ids, mut times) = (Vec::new(), Vec::new());
        while let Some(batch) = rows.next().await.transpose()? {
            let known_bytes = keys.bytes();
            let hashes = batch.column(0).as_primitive::<UInt64Type>().values();
            let orders = batch.column(row_column::ORDER).as_primitive::<Decimal128Type>().values();
            let encoded = batch.column(row_column::KEY).as_binary::<i32>();
            for row in 0..batch.num_rows() {
                let has_key = !encoded.is_null(row);
                ids.push(if has_key { keys.number(hashes[row], encoded.value(row)) } else { NO_KEY });
                times.push(time_of(orders[row]));
            }
            let more_bytes = batch.num_rows() * ROW_BYTES + keys.bytes() - known_bytes;
            if ids.len() >= NO_KEY as usize || memory.try_grow(more_bytes).is_err() {
                return Ok(None);
            }
        }
        let (shares, slots) = arrange(keys.len(), &ids, &times);
        Ok(Some(Self { keys, shares, slots, _memory: memory }))
    }

    /// The number of a key; [`NO_KEY`] for one that the spine does not have.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> u32 {
        self.keys.find(hash, key)
    }

    pub(super) fn share(&self, share: usize) -> &ShareRows {
        &self.shares[share]
    }

    /// How many rows the spine has.
    pub(super) fn rows(&self) -> usize {
        self.slots.len()
    }

    /// For each row of the spine its slot; null for a row with a null in its key.
    pub(super) fn slots(&self) -> &UInt32Array {
        &self.slots
    }
}

/// Deals the rows into shares; returns these and each row's slot.
fn arrange(keys: usize, ids: &[u32], times: &[i64]) -> (Vec<ShareRows>, UInt32Array) {
    let mut counts = vec![0_u32; keys];
    ids.iter().filter(|id| **id != NO_KEY).for_each(|id| counts[*id as usize] += 1);
    let mut next = vec![0_u32; keys];
    let mut slot = 0;
    for share in 0..SHARES {
        for id in (share..keys).step_by(SHARES) {
            next[id] = slot;
            slot += counts[id];
        }
    }
    let mut by_slot = vec![0_u32; slot as usize];
    for (position, id) in (0..).zip(ids) {
        if *id != NO_KEY {
            let slot = &mut next[*id as usize];
            by_slot[*slot as usize] = position;
            *slot += 1;
        }
    }
    let mut shares = Vec::with_capacity(SHARES);
    let mut first = 0;
    for share in 0..SHARES {
        let mut rows = ShareRows { starts: vec![0], times: Vec::new() };
        for id in (share..keys).step_by(SHARES) {
            let of_key = &mut by_slot[first..first + counts[id] as usize];
            let time = |position: &u32| times[*position as usize];
            if !of_key.is_sorted_by_key(time) {
                of_key.sort_by_key(time);
            }
            rows.times.extend(of_key.iter().map(time));
            rows.starts.push(rows.times.len() as u32);
            first += counts[id] as usize;
        }
        shares.push(rows);
    }
    let mut slots = vec![0_u32; ids.len()];
    (0..).zip(&by_slot).for_each(|(slot, position)| slots[*position as usize] = slot);
    let keyless = (by_slot.len() < ids.len())
        .then(|| NullBuffer::from(ids.iter().map(|id| *id != NO_KEY).collect::<Vec<_>>()));
    (shares, UInt32Array::new(slots.into(), keyless))
}

/// Keys by number, found by hash: open addressing, at most half full.
#[derive(Debug, Default)]
struct KeyTable {
    /// Numbers of keys; a power of two of them.
    places: Vec<u32>,
    hashes: Vec<u64>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl KeyTable {
    fn len(&self) -> usize {
        self.hashes.len()
    }

    fn bytes(&self) -> usize {
        self.places.len() * size_of::<u32>() + self.len() * 2 * size_of::<u64>() + self.bytes.len()
    }

    fn key(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start..self.ends[id]]
    }

    /// Where the key is, or where it would be.
    fn place(&self, hash: u64, key: &[u8]) -> usize {
        let mask = self.places.len() - 1;
        // Neighbours in the low bits would share a share's keys; the high bits are as good.
        let mut place = (hash >> 20) as usize & mask;
        loop {
            let id = self.places[place];
            if id == NO_KEY || (self.hashes[id as usize] == hash && self.key(id) == key) {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    fn find(&self, hash: u64, key: &[u8]) -> u32 {
        if self.places.is_empty() { NO_KEY } else { self.places[self.place(hash, key)] }
    }

    /// The number of the key, the next one if it has none yet.
    fn number(&mut self, hash: u64, key: &[u8]) -> u32 {
        if self.places.len() < 2 * (self.len() + 1) {
            self.grow();
        }
        let place = self.place(hash, key);
        if self.places[place] == NO_KEY {
            self.places[place] = self.len() as u32;
            self.hashes.push(hash);
            self.bytes.extend(key);
            self.ends.push(self.bytes.len());
        }
        self.places[place]
    }

    fn grow(&mut self) {
        self.places = vec![NO_KEY; (self.places.len() * 2).max(64)];
        let mask = self.places.len() - 1;
        for (id, hash) in (0..).zip(&self.hashes) {
            let mut place = (hash >> 20) as usize & mask;
            while self.places[place] != NO_KEY {
                place = (place + 1) & mask;
            }
            self.places[place] = id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_numbers_in_the_order_in_which_they_came_even_when_they_share_a_hash() {
        let mut table = KeyTable::default();
        for round in 0..2 {
            for number in 0..500_u32 {
                assert_eq!(table.number(u64::from(number / 100), &number.to_le_bytes()), number, "{round}");
            }
        }
        assert_eq!(table.find(4, &499_u32.to_le_bytes()), 499);
        assert_eq!(table.find(3, &499_u32.to_le_bytes()), NO_KEY, "another hash");
        assert_eq!(KeyTable::default().find(0, b""), NO_KEY);
    }

    #[test]
    fn slots_go_by_share_then_key_then_time_and_rows_without_a_key_have_none() {
        let one = SHARES as u32;
        let ids: Vec<u32> = vec![0, 1, one, NO_KEY, 0, 0];
        let mut all = ids.clone();
        all.extend(2..one);
        let times: Vec<i64> =
            vec![5, 1, 2, 3, 4, 5].into_iter().chain(std::iter::repeat(0)).take(all.len()).collect();
        let (shares, slots) = arrange(SHARES + 1, &all, &times);
        assert_eq!(shares[0].starts, [0, 3, 4]);
        assert_eq!(shares[0].times, [4, 5, 5, 2]);
        assert_eq!(shares[1].times, [1]);
        let slots: Vec<Option<u32>> = slots.iter().take(ids.len()).collect();
        assert_eq!(
            slots,
            [Some(1), Some(4), Some(3), None, Some(0), Some(2)],
            "equal moments keep their order"
        );
    }
}
