//! The views that are kept for a source, and what readers get of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use shipway_core::{Digest, Timestamp, Value};
use shipway_definitions::View;
use shipway_online::{OnlineError, Snapshot, Space};

use crate::{
    error::{FeaturesError, damaged},
    model::schema::SourceSchema,
    state::{
        KeyState, ViewLayout,
        cache::{StateCache, UNSEEN},
        codec,
    },
};

/// The byte between the hash of a view and the number of a later generation. No key begins with it: a key begins with the
/// type of its first part.
const LATER_GENERATION: u8 = 0xff;

/// One state of a view, in which every event is counted as it comes.
#[derive(Clone)]
pub(crate) struct ActiveView {
    pub(crate) view: Arc<View>,
    pub(crate) layout: Arc<ViewLayout>,
    /// Which of the view's states: it is built anew beside the one that is read.
    pub(crate) generation: u32,
    /// Events before this were not counted: no moment that could reach them is answered.
    pub(crate) built_from: i64,
}

/// State and offsets that belong together: exactly the events with an arrival before `applied` are in it.
#[derive(Clone)]
pub(crate) struct Published {
    /// Its number, unique in this process and never [`crate::state::cache::UNSEEN`].
    pub(crate) number: u64,
    pub(crate) snapshot: Snapshot,
    pub(crate) applied: u64,
    /// The newest event time.
    pub(crate) watermark: Timestamp,
    pub(crate) views: Arc<BTreeMap<Digest, ActiveView>>,
}

impl Published {
    /// The next number.
    pub(crate) fn next_number() -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(UNSEEN);
        LAST.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl ActiveView {
    pub(crate) fn new(
        view: Arc<View>,
        hash: Digest,
        source: &SourceSchema,
        built_from: i64,
        generation: u32,
    ) -> Result<Self, FeaturesError> {
        let layout = Arc::new(ViewLayout::new(&view, hash, &source.seen_by(&view))?);
        Ok(Self { view, layout, generation, built_from })
    }

    /// The same over a source that has gained columns.
    pub(crate) fn reshaped(&self, source: &SourceSchema) -> Result<Self, FeaturesError> {
        let hash = self.layout.hash;
        Self::new(Arc::clone(&self.view), hash, source, self.built_from, self.generation)
    }

    /// Where the state of `key` is stored.
    pub(crate) fn state_key(&self, key: &[u8]) -> Bytes {
        state_key_in(&self.layout.hash, self.generation, key)
    }
}

/// Where the state of `key` in one generation of a view is stored.
pub(crate) fn state_key_in(view: &Digest, generation: u32, key: &[u8]) -> Bytes {
    let mut bytes = prefix(view, generation);
    bytes.extend(key);
    bytes.into()
}

/// What the keys of one generation of a view begin with. Those of the first one begin with the hash alone, as they did
/// before there were generations.
fn prefix(view: &Digest, generation: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    bytes.extend(view.as_bytes());
    if generation > 0 {
        bytes.push(LATER_GENERATION);
        bytes.extend(generation.to_be_bytes());
    }
    bytes
}

/// The view whose state is stored at `key`, and the key without what the view puts in front of it.
pub(crate) fn split_state_key(key: &[u8]) -> Option<(Digest, &[u8])> {
    let (view, generation) = split_state_key_with_generation(key)?;
    Some((view, key.get(prefix_bytes(generation)..)?))
}

/// The view whose state is stored at `key`, and which of its states.
pub(crate) fn split_state_key_with_generation(key: &[u8]) -> Option<(Digest, u32)> {
    let (hash, rest) = key.split_first_chunk::<32>()?;
    let generation = match rest.split_first() {
        Some((&LATER_GENERATION, rest)) => u32::from_be_bytes(*rest.first_chunk::<4>()?),
        _ => 0,
    };
    Some((Digest::from_bytes(*hash), generation))
}

/// How many bytes of a state key come before the key of the entity.
pub(crate) const fn prefix_bytes(generation: u32) -> usize {
    if generation > 0 { 37 } else { 32 }
}

/// The stored states of one generation by key, in the order of the bytes of the keys.
pub(crate) fn stored_states(
    snapshot: &Snapshot,
    view: &Digest,
    generation: u32,
) -> impl Iterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send + use<> {
    let length = prefix_bytes(generation);
    stored_states_after(snapshot, view, generation, None)
        .map(move |state| state.map(|(key, stored)| (key.slice(length..), stored)))
}

/// The same by the keys of the store, and only those after the key `after`.
pub(crate) fn stored_states_after(
    snapshot: &Snapshot,
    view: &Digest,
    generation: u32,
    after: Option<&[u8]>,
) -> impl Iterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send + use<> {
    of_generation(snapshot, Space::State, (view, generation), after)
}

/// All that `space` has of one generation, by the keys of the store.
pub(crate) fn stored_in(
    snapshot: &Snapshot,
    space: Space,
    view: &Digest,
    generation: u32,
) -> impl Iterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send + use<> {
    of_generation(snapshot, space, (view, generation), None)
}

fn of_generation(
    snapshot: &Snapshot,
    space: Space,
    (view, generation): (&Digest, u32),
    after: Option<&[u8]>,
) -> impl Iterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send + use<> {
    let prefix = prefix(view, generation);
    let length = prefix.len();
    // Those of later generations come after all of the first.
    let is_own = move |key: &Bytes| generation > 0 || key.get(length) != Some(&LATER_GENERATION);
    let states = snapshot.scan_after(space, &prefix, after.unwrap_or_default());
    states.take_while(move |state| state.as_ref().map_or(true, |(key, _)| is_own(key)))
}

/// Where the state of the key with these parts is stored; `None` when a part is null.
pub(crate) fn state_key_of<'a>(
    view: &ActiveView,
    parts: impl IntoIterator<Item = &'a Value>,
) -> Option<Bytes> {
    let mut bytes = prefix(&view.layout.hash, view.generation);
    for part in parts {
        if part.is_null() {
            return None;
        }
        part.encode(&mut bytes);
    }
    // A copy of the right length is one allocation; a vector with room to spare takes a second one for its count.
    Some(Bytes::copy_from_slice(&bytes))
}

/// The state of a key for a writer, who alone changes it: stored bytes and their decoded form.
pub(crate) fn take_state(
    get: impl FnOnce(&[u8]) -> Result<Option<Bytes>, OnlineError>,
    cache: &StateCache,
    layout: &ViewLayout,
    key: &Bytes,
) -> Result<KeyState, FeaturesError> {
    let Some(stored) = get(key)? else { return Ok(KeyState::empty(layout)) };
    match cache.take(key, &stored) {
        Some(state) => Ok(Arc::unwrap_or_clone(state)),
        None => decode(layout, &stored),
    }
}

pub(crate) fn decode(layout: &ViewLayout, stored: &[u8]) -> Result<KeyState, FeaturesError> {
    codec::decode(layout, stored).ok_or_else(|| damaged(format!("the online state of view {}", layout.name)))
}
