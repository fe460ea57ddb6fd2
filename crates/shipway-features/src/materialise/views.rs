//! The views that are kept for a source, and what readers get of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use shipway_core::{Digest, EntityKey, Timestamp, Value};
use shipway_definitions::View;
use shipway_online::{OnlineError, Snapshot};

use crate::{
    error::{FeaturesError, damaged},
    model::schema::SourceSchema,
    state::{
        KeyState, ViewLayout,
        cache::{StateCache, UNSEEN},
        codec,
    },
};

/// A view whose state is complete up to the applied offset.
#[derive(Clone)]
pub(crate) struct ActiveView {
    pub(crate) view: Arc<View>,
    pub(crate) layout: Arc<ViewLayout>,
    /// Events before this were not counted: no moment that could reach them is answered.
    pub(crate) built_from: i64,
}

/// State and offsets that belong together: exactly the events with an arrival before `applied` are in it.
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
    ) -> Result<Self, FeaturesError> {
        let layout = Arc::new(ViewLayout::new(&view, hash, source)?);
        Ok(Self { view, layout, built_from })
    }
}

/// Where the state of a key of a view is stored.
pub(crate) fn state_key(view: &Digest, key: &EntityKey) -> Bytes {
    let mut bytes = Vec::with_capacity(32 + key.as_bytes().len());
    bytes.extend(view.as_bytes());
    bytes.extend(key.as_bytes());
    bytes.into()
}

/// Where the state of the key with these parts is stored; `None` when a part is null.
pub(crate) fn state_key_of<'a>(view: &Digest, parts: impl IntoIterator<Item = &'a Value>) -> Option<Bytes> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(view.as_bytes());
    for part in parts {
        if part.is_null() {
            return None;
        }
        part.encode(&mut bytes);
    }
    Some(bytes.into())
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
