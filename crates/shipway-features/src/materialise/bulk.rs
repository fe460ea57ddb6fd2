//! The rows of a load into states, at its marker. No answer may be published between the events before the marker and all
//! rows of the load, so the log waits here; reads go on out of what was published before.
//!
//! Merging is not idempotent, so the keys are divided into buckets, and the states of a bucket are committed together with
//! the note that this bucket is done. After a crash the build goes on with the next bucket; no row is counted twice in
//! whatever order the rows come.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::prelude::DataFrame;
use futures::TryStreamExt as _;
use shipway_core::{DataType, EntityKey, Timestamp, Value};
use shipway_online::{Batch, Space};

use crate::{
    error::{FeaturesError, damaged},
    features::Inner,
    materialise::{
        history::{self, HistoryRows, Rows, carried_column},
        progress::{BulkProgress, SourceProgress},
        seen,
        views::{ActiveView, take_state},
    },
    model::{
        columns::{ColumnReader, readers},
        event::{SourceEvent, Standing},
        schema::{EVENT_ID_COLUMN, RECEIVED_COLUMN, SourceSchema},
    },
    source::{SourceRuntime, SourceShape},
    state::{KeyState, Reach, codec},
};

/// How many ids of a load one batch remembers.
const IDS_PER_BATCH: usize = 20_000;

/// What to build.
#[derive(Clone)]
pub(crate) struct Build {
    pub(crate) shape: Arc<SourceShape>,
    pub(crate) views: Arc<[ActiveView]>,
    pub(crate) rows: Rows,
    /// The offset of the marker.
    pub(crate) offset: u64,
    /// About how many rows there are.
    pub(crate) count: u64,
    /// The newest event time of the source, these rows included.
    pub(crate) watermark: Timestamp,
    pub(crate) runtime: Arc<SourceRuntime>,
}

/// The states of one bucket of keys.
struct Bucket {
    inner: Arc<Inner>,
    build: Build,
    reaches: Vec<Reach>,
    number: u32,
    of: u32,
    states: HashMap<(usize, EntityKey), KeyState>,
}

impl Build {
    /// Rows before this are of no use to any of the views.
    pub(crate) fn earliest(&self) -> i64 {
        self.views.iter().map(|view| view.layout.reach(self.watermark).earliest).min().unwrap_or(i64::MAX)
    }

    /// Builds every bucket that is not done yet. The caller finishes with `applied` beyond the marker.
    pub(crate) async fn run(
        &self,
        inner: &Arc<Inner>,
        mut progress: SourceProgress,
    ) -> Result<SourceProgress, FeaturesError> {
        if self.views.is_empty() {
            return Ok(progress);
        }
        let name = &self.shape.schema.name;
        let mut bulk = progress.bulk.unwrap_or_else(|| {
            let buckets = u32::try_from(self.count / inner.limits.bulk_rows.max(1)).unwrap_or(u32::MAX);
            BulkProgress { buckets: buckets.saturating_add(1), done: 0 }
        });
        progress.bulk = Some(bulk);
        let mut first = Batch::new();
        progress.put(&mut first, name);
        inner.online.commit(first)?;
        let wanted = (self.rows.clone(), self.offset);
        let schema = &self.shape.schema;
        let history = HistoryRows::of(inner, schema, &self.views, wanted, self.earliest()).await?;
        while bulk.done < bulk.buckets {
            let mut bucket = self.bucket(inner, bulk);
            let mut batches = history.stream(inner, schema).await?;
            while let Some(rows) = batches.try_next().await? {
                bucket = off_the_executor(inner, move || {
                    bucket.add(&rows)?;
                    Ok(bucket)
                })
                .await?;
            }
            bulk.done += 1;
            progress.bulk = Some(bulk);
            let (name, now) = (name.clone(), progress.clone());
            off_the_executor(inner, move || bucket.commit(&now, &name)).await?;
        }
        Ok(progress)
    }

    fn bucket(&self, inner: &Arc<Inner>, bulk: BulkProgress) -> Bucket {
        Bucket {
            inner: Arc::clone(inner),
            build: self.clone(),
            reaches: self.views.iter().map(|view| view.layout.reach(self.watermark)).collect(),
            number: bulk.done,
            of: bulk.buckets,
            states: HashMap::new(),
        }
    }

    /// Remembers the event ids of a load. Doing it twice does no harm.
    pub(crate) async fn remember_ids(&self, inner: &Arc<Inner>, end: u64) -> Result<(), FeaturesError> {
        if self.shape.schema.id_index.is_none() {
            return Ok(());
        }
        let rows = history::select(inner, &self.shape.schema, &self.rows, i64::MIN).await?;
        remember_ids(inner, &self.shape.schema, rows, end).await
    }
}

/// Remembers the event ids of rows of history as received when the rows say, or else now; `end` is behind all of their arrivals.
pub(super) async fn remember_ids(
    inner: &Arc<Inner>,
    source: &SourceSchema,
    rows: DataFrame,
    end: u64,
) -> Result<(), FeaturesError> {
    let mut batches = rows.select_columns(&[EVENT_ID_COLUMN, RECEIVED_COLUMN])?.execute_stream().await?;
    let now = inner.clock.now();
    let mut batch = Batch::new();
    while let Some(rows) = batches.try_next().await? {
        let columns = [(EVENT_ID_COLUMN, DataType::Text), (RECEIVED_COLUMN, DataType::Timestamp)];
        let columns = readers(&rows, columns)?;
        let value = |column: usize, row: usize| {
            columns[column].as_ref().map_or(Value::Null, |column| column.value(row))
        };
        let found: Vec<(Arc<str>, Timestamp)> = (0..rows.num_rows())
            .filter_map(|row| {
                let Value::Text(id) = value(0, row) else { return None };
                let Value::Timestamp(received) = value(1, row) else { return Some((id, now)) };
                Some((id, received))
            })
            .collect();
        seen::put(&mut batch, &source.name, found.iter().map(|(id, received)| (&**id, *received, end)));
        if batch.len() >= IDS_PER_BATCH {
            let (inner_then, full) = (Arc::clone(inner), std::mem::take(&mut batch));
            off_the_executor(inner, move || Ok(inner_then.online.commit(full)?)).await?;
        }
    }
    Ok(inner.online.commit(batch)?)
}

impl Bucket {
    fn add(&mut self, rows: &RecordBatch) -> Result<(), FeaturesError> {
        let reader = RowReader::new(rows, &self.build.shape, &self.build.views)?;
        for row in 0..rows.num_rows() {
            let event = reader.event(row)?;
            for (position, view) in self.build.views.iter().enumerate() {
                let event = reader.seen_by(position, row, &event);
                let Some(seen) = view.layout.see(&event) else { continue };
                let Some(key) = view.layout.key(&seen) else { continue };
                if self.of > 1 && bucket_of(view, &key, self.of) != self.number {
                    continue;
                }
                let state = match self.states.entry((position, key)) {
                    std::collections::hash_map::Entry::Occupied(held) => held.into_mut(),
                    std::collections::hash_map::Entry::Vacant(free) => {
                        let stored_at = view.state_key(free.key().1.as_bytes());
                        let get = |key: &[u8]| self.inner.online.get(Space::State, key);
                        free.insert(take_state(get, &self.inner.cache, &view.layout, &stored_at)?)
                    }
                };
                state.apply(&view.layout, &self.reaches[position], view.layout.narrow(&seen));
            }
        }
        Ok(())
    }

    fn commit(self, progress: &SourceProgress, source: &shipway_core::Name) -> Result<(), FeaturesError> {
        let mut batch = Batch::new();
        let mut changed: Vec<Vec<Bytes>> = self.build.views.iter().map(|_| Vec::new()).collect();
        // Not kept decoded: nobody has asked for these keys, and there may be very many.
        for ((position, key), mut state) in self.states {
            let view = &self.build.views[position];
            state.prune(&view.layout, &self.reaches[position]);
            let key = view.state_key(key.as_bytes());
            changed[position].push(key.clone());
            batch.put(Space::State, key, codec::encode(&view.layout, &state));
        }
        for (view, keys) in self.build.views.iter().zip(changed) {
            self.build.runtime.outbox.note(view, keys);
        }
        progress.put(&mut batch, source);
        Ok(self.inner.online.commit(batch)?)
    }
}

/// The bucket of a key; the same on every run.
pub(crate) fn bucket_of(view: &ActiveView, key: &EntityKey, of: u32) -> u32 {
    let bytes = view.layout.hash.as_bytes()[..8].iter().chain(key.as_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash >> 32) % u64::from(of.max(1))) as u32
}

/// Rows of a source's history as events.
pub(crate) struct RowReader<'a> {
    shape: &'a SourceShape,
    columns: Vec<Option<ColumnReader>>,
    ids: Option<ColumnReader>,
    /// What the rows carry, as the views that are built.
    carried: Vec<Vec<Option<ColumnReader>>>,
}

impl<'a> RowReader<'a> {
    pub(crate) fn new(
        rows: &RecordBatch,
        shape: &'a SourceShape,
        views: &[ActiveView],
    ) -> Result<Self, FeaturesError> {
        let columns = shape.schema.columns.iter().map(|(name, data_type)| (name.as_str(), *data_type));
        let ids = readers(rows, [(EVENT_ID_COLUMN, DataType::Text)])?.pop().flatten();
        let carried = views.iter().map(|active| carried(rows, active)).collect::<Result<_, _>>()?;
        Ok(Self { shape, columns: readers(rows, columns)?, ids, carried })
    }

    /// The event in `row` as the view at `position` sees it.
    pub(crate) fn seen_by<'e>(
        &self,
        position: usize,
        row: usize,
        event: &'e SourceEvent,
    ) -> Cow<'e, SourceEvent> {
        match self.carried.get(position) {
            Some(carried) if !carried.is_empty() => {
                let mut seen = event.clone();
                let value = |reader: &Option<ColumnReader>| {
                    reader.as_ref().map_or(Value::Null, |reader| reader.value(row))
                };
                seen.values.extend(carried.iter().map(value));
                Cow::Owned(seen)
            }
            _ => Cow::Borrowed(event),
        }
    }

    pub(crate) fn event(&self, row: usize) -> Result<SourceEvent, FeaturesError> {
        let value =
            |reader: &Option<ColumnReader>| reader.as_ref().map_or(Value::Null, |reader| reader.value(row));
        let values: Vec<Value> = self.columns.iter().map(value).collect();
        let schema = &self.shape.schema;
        let Some(Value::Timestamp(time)) = values.get(schema.time_index) else {
            return Err(damaged(format!("a row of table {} without an event time", schema.name)));
        };
        let id = match value(&self.ids) {
            Value::Text(id) => id,
            _ => return Err(damaged(format!("a row of table {} without an event id", schema.name))),
        };
        Ok(SourceEvent { id, time: *time, received: *time, standing: Standing::Regular, values })
    }
}

/// The columns of `rows` that the events of a view carry, in its order.
fn carried(rows: &RecordBatch, active: &ActiveView) -> Result<Vec<Option<ColumnReader>>, FeaturesError> {
    let view = &active.view;
    let mut columns = Vec::new();
    for reference in &view.enrich {
        for (feature, column) in reference.columns() {
            let data_type = view.column_type(&column).unwrap_or(DataType::Text);
            columns.push((carried_column(&reference.hash, feature), data_type));
        }
    }
    readers(rows, columns.iter().map(|(name, data_type)| (name.as_str(), *data_type)))
}

/// The event ids of rows of history.
pub(crate) fn event_ids(rows: &RecordBatch) -> Result<Vec<Arc<str>>, FeaturesError> {
    let Some(ids) = readers(rows, [(EVENT_ID_COLUMN, DataType::Text)])?.pop().flatten() else {
        return Ok(Vec::new());
    };
    let ids = (0..rows.num_rows()).filter_map(|row| match ids.value(row) {
        Value::Text(id) => Some(id),
        _ => None,
    });
    Ok(ids.collect())
}

/// Runs `work` where it may take its time.
pub(crate) async fn off_the_executor<T: Send + 'static>(
    inner: &Inner,
    work: impl FnOnce() -> Result<T, FeaturesError> + Send + 'static,
) -> Result<T, FeaturesError> {
    let work = inner.tracker.spawn_blocking(work);
    work.await.map_err(|_| FeaturesError::Stopped { what: "a background task" })?
}
