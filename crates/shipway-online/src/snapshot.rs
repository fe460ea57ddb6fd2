//! Reading at one moment.

use std::{cmp::Ordering, iter::Peekable, ops::Bound, sync::Arc, vec};

use bytes::Bytes;
use fjall::Readable as _;

use crate::{
    batch::MAX_KEY_BYTES,
    engine::Layers,
    error::{OnlineError, Trying as _},
    space::Space,
    store::Inner,
};

/// Fewer keys are read as they come: sorting them costs more than it saves.
const SORTED_FROM_KEYS: usize = 8;

/// All spaces as they were at one moment, between two batches. Cheap to clone.
///
/// Holding one keeps the store open and the values of its moment on disk, so hold it for a piece of work, not for ever.
#[derive(Clone)]
pub struct Snapshot {
    moment: Arc<Moment>,
}

struct Moment {
    layers: Layers,
    files: fjall::Snapshot,
    store: Arc<Inner>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Snapshot")
            .field("root", &self.moment.store.engine.root)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The present moment of `store`.
    pub(crate) fn now(store: &Arc<Inner>) -> Self {
        let (layers, files) = store.engine.moment();
        Self { moment: Arc::new(Moment { layers, files, store: Arc::clone(store) }) }
    }

    /// The value of `key`. One point read.
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, OnlineError> {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Ok(None);
        }
        let Moment { layers, files, store } = &*self.moment;
        if let Some(value) = layers.get(space, key) {
            return Ok(value);
        }
        let value = files.get(store.engine.keyspace(space), key).trying_to("read a key")?;
        Ok(value.map(Bytes::from))
    }

    /// The values of `keys`, as the keys are ordered. One point read per key: the engine has no read of many keys at once,
    /// so what is gained is one moment for all of them, and neighbours that are read one after the other.
    pub fn get_many(&self, space: Space, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, OnlineError> {
        if keys.len() < SORTED_FROM_KEYS {
            return keys.iter().map(|key| self.get(space, key)).collect();
        }
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by_key(|&position| &keys[position]);
        let mut values = vec![None; keys.len()];
        for position in order {
            values[position] = self.get(space, &keys[position])?;
        }
        Ok(values)
    }

    /// The keys that start with `prefix` and their values, ascending by the bytes of the key; all keys for an empty
    /// prefix. Reads as it goes. Keeps the moment for as long as it lives.
    pub fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send + use<> {
        self.scan_after(space, prefix, &[])
    }

    /// The keys that start with `prefix` and come after `after`, which need not be there, and their values, ascending. For
    /// going on where an earlier look, at another moment, has ended.
    pub fn scan_after(
        &self,
        space: Space,
        prefix: &[u8],
        after: &[u8],
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send + use<> {
        let Moment { layers, files, store } = &*self.moment;
        // Before the prefix nothing is looked for. No key is longer than the engine takes.
        let from = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let fits = prefix.len().max(after.len()) <= MAX_KEY_BYTES;
        let range = (from, Bound::<&[u8]>::Unbounded);
        let found = fits.then(|| files.range::<&[u8], _>(store.engine.keyspace(space), range));
        let (keeps_store_open, prefix_then) = (Arc::clone(&self.moment), prefix.to_vec());
        let entries = found.into_iter().flatten().map(move |entry| {
            let _ = &keeps_store_open;
            let (key, value) = entry.into_inner().trying_to("read a range of keys")?;
            Ok((Bytes::from(key), Bytes::from(value)))
        });
        let entries = entries.take_while(move |entry: &Result<(Bytes, Bytes), OnlineError>| {
            entry.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix_then))
        });
        Overlaid {
            entries: entries.peekable(),
            changes: layers.walk(space, prefix, after).into_iter().peekable(),
        }
    }
}

/// Entries of the files under what became of them, both ascending by key.
struct Overlaid<E: Iterator> {
    entries: Peekable<E>,
    changes: Peekable<vec::IntoIter<(Bytes, Option<Bytes>)>>,
}

impl<E: Iterator<Item = Result<(Bytes, Bytes), OnlineError>>> Iterator for Overlaid<E> {
    type Item = E::Item;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.entries.peek(), self.changes.peek()) {
                (Some(Ok((key, _))), Some((changed, _))) => changed.cmp(key),
                (None, Some(_)) => Ordering::Less,
                (_, None) | (Some(Err(_)), Some(_)) => Ordering::Greater,
            };
            if order.is_gt() {
                return self.entries.next();
            }
            if order.is_eq() {
                self.entries.next();
            }
            if let Some((key, Some(value))) = self.changes.next() {
                return Some(Ok((key, value)));
            }
        }
    }
}
