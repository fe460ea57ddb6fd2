//! The views that are kept for a source, and what readers get of them.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use shipway_core::{Digest, EntityKey, Timestamp};
use shipway_definitions::View;
use shipway_online::{OnlineError, Snapshot, Space};

use crate::{
    error::{FeaturesError, damaged},
    model::schema::SourceSchema,
    state::{KeyState, ViewLayout, cache::StateCache, codec},
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
    pub(crate) snapshot: Snapshot,
    pub(crate) applied: u64,
    /// The newest event time.
    pub(crate) watermark: Timestamp,
    pub(crate) views: Arc<BTreeMap<Digest, ActiveView>>,
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

/// The stored state of a key as a reader sees it; decoded at most once while it does not change.
pub(crate) fn read_state(
    snapshot: &Snapshot,
    cache: &StateCache,
    layout: &ViewLayout,
    key: &Bytes,
) -> Result<Option<Arc<KeyState>>, FeaturesError> {
    let Some(stored) = snapshot.get(Space::State, key)? else { return Ok(None) };
    if let Some(state) = cache.get(key, &stored) {
        return Ok(Some(state));
    }
    let state = Arc::new(decode(layout, &stored)?);
    cache.put(key.clone(), stored, Arc::clone(&state));
    Ok(Some(state))
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

fn decode(layout: &ViewLayout, stored: &[u8]) -> Result<KeyState, FeaturesError> {
    codec::decode(layout, stored).ok_or_else(|| damaged(format!("the online state of view {}", layout.name)))
}
