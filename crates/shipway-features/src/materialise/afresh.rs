//! States of views over a source whose events are corrected by their ids, made in one go from what is left of all that arrived before
//! an offset. The writer stands at that offset meanwhile: an event may take away one that history is about to bring.
//!
//! Whatever an attempt leaves that did not come to its end is cleared away first.

use std::{collections::HashMap, sync::Arc};

use arrow::array::RecordBatch;
use futures::TryStreamExt as _;
use shipway_core::{EntityKey, Timestamp};
use shipway_online::{Batch, OnlineStore, Space};

use crate::{
    error::FeaturesError,
    features::Inner,
    materialise::{
        bulk::{RowReader, bucket_of, off_the_executor},
        corrected,
        history::{self, Rows},
        views::{ActiveView, stored_in},
    },
    source::SourceShape,
    state::{KeyState, Reach, codec},
};

/// Changes in one batch of the store.
const CHANGES_PER_BATCH: usize = 20_000;

/// What to make.
#[derive(Clone)]
pub(crate) struct Afresh {
    pub(crate) shape: Arc<SourceShape>,
    pub(crate) views: Arc<[ActiveView]>,
    /// What arrived before this.
    pub(crate) before: u64,
    /// The newest event time of the source.
    pub(crate) watermark: Timestamp,
    /// Whether the rows of the ids are gone too.
    pub(crate) with_rows: bool,
}

impl Afresh {
    /// Makes the states, and answers with the number of events that are left.
    ///
    /// All that arrived before must be in history.
    pub(crate) async fn run(&self, inner: &Arc<Inner>) -> Result<u64, FeaturesError> {
        let (this, then) = (self.clone(), Arc::clone(inner));
        off_the_executor(inner, move || this.clear(&then.online)).await?;
        let schema = &self.shape.schema;
        let rows = Rows::ArrivedBefore(self.before);
        let count = history::select(inner, schema, &rows, i64::MIN).await?.count().await? as u64;
        let buckets = count.saturating_mul(self.views.len() as u64) / inner.limits.bulk_rows.max(1);
        let buckets = u32::try_from(buckets).unwrap_or(u32::MAX).saturating_add(1);
        for number in 0..buckets {
            let mut bucket = Bucket {
                inner: Arc::clone(inner),
                afresh: self.clone(),
                reaches: self.views.iter().map(|view| view.layout.reach(self.watermark)).collect(),
                number,
                of: buckets,
                states: HashMap::new(),
                batch: Batch::new(),
            };
            let mut batches = history::select(inner, schema, &rows, i64::MIN).await?.execute_stream().await?;
            while let Some(rows) = batches.try_next().await? {
                bucket = off_the_executor(inner, move || {
                    bucket.add(&rows)?;
                    Ok(bucket)
                })
                .await?;
            }
            off_the_executor(inner, move || bucket.commit()).await?;
        }
        Ok(count)
    }

    fn clear(&self, online: &OnlineStore) -> Result<(), FeaturesError> {
        let snapshot = online.snapshot();
        let mut batch = Batch::new();
        for view in self.views.iter() {
            for space in [Space::State, Space::Member] {
                for left in stored_in(&snapshot, space, &view.layout.hash, view.generation) {
                    batch.delete(space, left?.0);
                    commit_much(online, &mut batch)?;
                }
            }
        }
        if self.with_rows {
            for left in corrected::rows(&snapshot, &self.shape.schema.name) {
                batch.delete(Space::Row, left?.0);
                commit_much(online, &mut batch)?;
            }
        }
        Ok(online.commit(batch)?)
    }
}

/// Commits what is in `batch` when it is much.
fn commit_much(online: &OnlineStore, batch: &mut Batch) -> Result<(), FeaturesError> {
    if batch.len() >= CHANGES_PER_BATCH {
        online.commit(std::mem::replace(batch, Batch::new()))?;
    }
    Ok(())
}

/// The states of one bucket of keys.
struct Bucket {
    inner: Arc<Inner>,
    afresh: Afresh,
    reaches: Vec<Reach>,
    number: u32,
    of: u32,
    states: HashMap<(usize, EntityKey), KeyState>,
    batch: Batch,
}

impl Bucket {
    fn add(&mut self, rows: &RecordBatch) -> Result<(), FeaturesError> {
        let (shape, views) = (Arc::clone(&self.afresh.shape), Arc::clone(&self.afresh.views));
        let reader = RowReader::new(rows, &shape, &views)?;
        for row in 0..rows.num_rows() {
            let event = reader.event(row)?;
            if self.afresh.with_rows && self.number == 0 {
                corrected::keep_row(&mut self.batch, &shape, &event);
            }
            for (position, view) in views.iter().enumerate() {
                let Some(seen) = view.layout.see(&event) else { continue };
                let Some(key) = view.layout.key(&seen) else { continue };
                if bucket_of(view, &key, self.of) != self.number {
                    continue;
                }
                let narrow = view.layout.narrow(&seen);
                corrected::keep_member(&mut self.batch, &view.state_key(key.as_bytes()), &narrow);
                let state = self.states.entry((position, key));
                let state = state.or_insert_with(|| KeyState::empty(&view.layout));
                state.apply(&view.layout, &self.reaches[position], narrow);
            }
            commit_much(&self.inner.online, &mut self.batch)?;
        }
        Ok(())
    }

    fn commit(mut self) -> Result<(), FeaturesError> {
        for ((position, key), mut state) in std::mem::take(&mut self.states) {
            let view = &self.afresh.views[position];
            state.prune(&view.layout, &self.reaches[position]);
            let stored = codec::encode(&view.layout, &state);
            self.batch.put(Space::State, view.state_key(key.as_bytes()), stored);
            commit_much(&self.inner.online, &mut self.batch)?;
        }
        Ok(self.inner.online.commit(self.batch)?)
    }
}
