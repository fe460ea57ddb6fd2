//! Rows of the store on their way into the copy, in pieces that a server swallows at once.

use bytes::Bytes;
use shipway_online::{Snapshot, Space, copy::CopyKey};

use crate::{
    error::FeaturesError,
    materialise::views::{prefix_bytes, stored_states_after},
    read_copy::{
        buckets::{Buckets, Rows},
        changes::StateId,
        head::encode_row,
    },
};

/// Rows, and their bytes, that are written at once. While a server swallows them nobody else is answered.
const PIECE_ROWS: usize = 4_000;
const PIECE_BYTES: usize = 8 << 20;
/// States that are read at once.
pub(super) const KEYS_AT_ONCE: usize = 500;

/// A row on its way: the key of its entity, and the stored state; none where there is none any more.
pub(super) type StoredRow = (Bytes, Option<Bytes>);

/// The states of some keys, as `snapshot` has them.
pub(super) fn rows_at(
    snapshot: &Snapshot,
    state: StateId,
    keys: &[Bytes],
) -> Result<Vec<StoredRow>, FeaturesError> {
    let length = prefix_bytes(state.generation);
    let stored = snapshot.get_many(Space::State, keys)?;
    Ok(keys.iter().zip(stored).map(|(key, stored)| (key.slice(length..), stored)).collect())
}

/// The states after the key `after`, as many as one piece holds, and the last key; no key where there are no more.
pub(super) fn rows_after(
    snapshot: &Snapshot,
    state: StateId,
    after: Option<&Bytes>,
) -> Result<(Vec<StoredRow>, Option<Bytes>), FeaturesError> {
    let length = prefix_bytes(state.generation);
    let (mut rows, mut bytes, mut last) = (Vec::new(), 0, None);
    let after = after.map(|key| &key[..]);
    for stored in stored_states_after(snapshot, &state.view, state.generation, after) {
        let (key, stored) = stored?;
        bytes += key.len() + stored.len();
        rows.push((key.slice(length..), Some(stored)));
        if rows.len() >= PIECE_ROWS || bytes >= PIECE_BYTES {
            last = Some(key);
            break;
        }
    }
    Ok((rows, last))
}

/// Rows that are collected for their buckets.
#[derive(Default)]
pub(super) struct Piece {
    by_bucket: std::collections::BTreeMap<u32, Rows>,
    rows: usize,
    bytes: usize,
}

impl Piece {
    /// Adds rows of the state with this number, as they are when exactly the events before `applied` are in them.
    pub(super) fn add(&mut self, buckets: &Buckets, number: u64, applied: u64, rows: Vec<StoredRow>) {
        for (key, stored) in rows {
            let into = self.by_bucket.entry(buckets.bucket_of(&key)).or_default();
            self.rows += 1;
            self.bytes += key.len() + stored.as_ref().map_or(0, Bytes::len);
            let row = CopyKey::Row { space: number, key };
            match stored {
                Some(stored) => into.puts.push((row, encode_row(applied, &stored))),
                None => into.deletes.push(row),
            }
        }
    }

    /// Adds to the first bucket.
    pub(super) fn first(&mut self) -> &mut Rows {
        self.by_bucket.entry(0).or_default()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows >= PIECE_ROWS || self.bytes >= PIECE_BYTES
    }

    pub(super) fn into_rows(self) -> Vec<(u32, Rows)> {
        metrics::counter!("shipway_read_copy_rows_total").increment(self.rows as u64);
        self.by_bucket.into_iter().collect()
    }
}
