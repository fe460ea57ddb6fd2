//! A run of events into the states they touch: one atomic batch.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use shipway_core::{EntityKey, Timestamp};
use shipway_online::{Batch, Space};

use crate::{
    error::FeaturesError,
    features::Inner,
    materialise::{
        progress::SourceProgress,
        seen,
        views::{ActiveView, state_key, take_state},
    },
    model::{
        event::{SourceEvent, Standing},
        schema::SourceSchema,
    },
    state::{KeyState, RecentEvent, cache::UNSEEN, codec},
};

/// A changed state on its way into the store and, once it is there, into the cache.
pub(crate) struct Written {
    key: Bytes,
    stored: Bytes,
    state: KeyState,
}

/// Events of one source in log order, each with its offset.
pub(crate) struct Run {
    pub(crate) events: Vec<(u64, SourceEvent)>,
    /// The offset behind the last record of the run.
    pub(crate) end: u64,
}

/// Applies `run`, and commits the states, the seen ids and the new progress at once.
pub(crate) fn apply(
    inner: &Inner,
    schema: &SourceSchema,
    views: &[ActiveView],
    mut progress: SourceProgress,
    run: Run,
) -> Result<SourceProgress, FeaturesError> {
    let regular =
        || run.events.iter().map(|(_, event)| event).filter(|event| event.standing == Standing::Regular);
    regular().for_each(|event| progress.advance_watermark(event.time));
    progress.applied = run.end;
    let mut touched: HashMap<(usize, EntityKey), Vec<RecentEvent>> = HashMap::new();
    for event in regular() {
        for (position, view) in views.iter().enumerate() {
            if let Some(key) = view.layout.key(event) {
                touched.entry((position, key)).or_default().push(view.layout.narrow(event));
            }
        }
    }
    let mut batch = Batch::new();
    let mut written = Vec::with_capacity(touched.len());
    for ((position, key), events) in touched {
        let view = &views[position];
        let key = state_key(&view.layout.hash, &key);
        let get = |key: &[u8]| inner.online.get(Space::State, key);
        let mut state = take_state(get, &inner.cache, &view.layout, &key)?;
        let reach = view.layout.reach(progress.watermark());
        for event in events {
            state.apply(&view.layout, &reach, event);
        }
        state.prune(&view.layout, &reach);
        put(&mut batch, &mut written, view, key, state);
    }
    if schema.id_index.is_some() {
        // Forgetting comes first: of two changes to one key in a batch the last counts.
        let horizon = inner.clock.now().micros().saturating_sub(schema.dedupe_us);
        seen::forget(&inner.online, &mut batch, &schema.name, Timestamp(horizon))?;
        for (offset, event) in &run.events {
            seen::put(&mut batch, &schema.name, &event.id, event.received, offset + 1);
        }
    }
    progress.put(&mut batch, &schema.name);
    inner.online.commit(batch)?;
    remember(inner, written);
    Ok(progress)
}

/// Adds a changed state to `batch`.
pub(crate) fn put(
    batch: &mut Batch,
    written: &mut Vec<Written>,
    view: &ActiveView,
    key: Bytes,
    state: KeyState,
) {
    let stored = Bytes::from(codec::encode(&view.layout, &state));
    batch.put(Space::State, key.clone(), stored.clone());
    written.push(Written { key, stored, state });
}

/// Keeps the decoded forms of states that are now in the store.
pub(crate) fn remember(inner: &Inner, written: Vec<Written>) {
    for Written { key, stored, state } in written {
        inner.cache.put(key, stored, Arc::new(state), UNSEEN);
    }
}
