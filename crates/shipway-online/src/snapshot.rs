//! Reading at one moment.

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;
use fjall::Readable as _;

use crate::{
    batch::MAX_KEY_BYTES,
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
    snapshot: fjall::Snapshot,
    store: Arc<Inner>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Snapshot").field("root", &self.moment.store.root).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The present moment of `store`.
    pub(crate) fn now(store: &Arc<Inner>) -> Self {
        let moment = Moment { snapshot: store.database.snapshot(), store: Arc::clone(store) };
        Self { moment: Arc::new(moment) }
    }

    /// The value of `key`. One point read.
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, OnlineError> {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Ok(None);
        }
        let Moment { snapshot, store } = &*self.moment;
        let value = snapshot.get(store.keyspace(space), key).trying_to("read a key")?;
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
    /// prefix. Reads as it goes, and can be walked from both ends. Keeps the moment for as long as it lives.
    pub fn scan_prefix(
        &self,
        space: Space,
        prefix: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send + use<> {
        let Moment { snapshot, store } = &*self.moment;
        let found = match prefix.len() {
            0 => Some(snapshot.iter(store.keyspace(space))),
            1..=MAX_KEY_BYTES => Some(snapshot.prefix(store.keyspace(space), prefix)),
            // No key is that long.
            _ => None,
        };
        let keeps_store_open = Arc::clone(&self.moment);
        found.into_iter().flatten().map(move |entry| {
            let _ = &keeps_store_open;
            let (key, value) = entry.into_inner().trying_to("read a range of keys")?;
            Ok((Bytes::from(key), Bytes::from(value)))
        })
    }

    /// The keys that start with `prefix` and come after `after`, which need not be there, and their values, ascending. For
    /// going on where an earlier look, at another moment, has ended.
    pub fn scan_after(
        &self,
        space: Space,
        prefix: &[u8],
        after: &[u8],
    ) -> impl Iterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send + use<> {
        let Moment { snapshot, store } = &*self.moment;
        let range = (Bound::Excluded(after), Bound::<&[u8]>::Unbounded);
        // Before the prefix nothing is looked for.
        let range = if after < prefix { (Bound::Included(prefix), Bound::Unbounded) } else { range };
        let found = snapshot.range::<&[u8], _>(store.keyspace(space), range);
        let (keeps_store_open, prefix) = (Arc::clone(&self.moment), prefix.to_vec());
        let entries = found.map(move |entry| {
            let _ = &keeps_store_open;
            let (key, value) = entry.into_inner().trying_to("read a range of keys")?;
            Ok((Bytes::from(key), Bytes::from(value)))
        });
        entries.take_while(move |entry: &Result<(Bytes, Bytes), OnlineError>| {
            entry.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix))
        })
    }
}
