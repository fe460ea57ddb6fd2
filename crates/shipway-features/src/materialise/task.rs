//! Follows the log of one source: events in runs, markers where they stand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use shipway_core::{Digest, failure::chain};
use shipway_log::Record as LogRecord;
use shipway_online::Batch;

use crate::{
    error::{FeaturesError, damaged},
    features::Inner,
    materialise::{
        batch::{self, Run},
        bulk::{Build, off_the_executor},
        history::{self, Rows},
        progress::{self, SourceProgress, ViewProgress},
        views::{ActiveView, Published},
    },
    model::record::{self, LoadMarker, Record},
    source::{SourceRuntime, SourceShape},
};

const RECORDS_PER_RUN: usize = 8_192;
const BYTES_PER_RUN: usize = 16 << 20;
/// After a failure, such as a full disk, the same records are tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The materialiser of one source.
pub(crate) struct Materialiser {
    inner: Arc<Inner>,
    runtime: Arc<SourceRuntime>,
    shape: Arc<SourceShape>,
    progress: SourceProgress,
    /// After a failure the store knows better how far a bulk build came.
    must_read_progress: bool,
    views: Arc<BTreeMap<Digest, ActiveView>>,
}

impl Materialiser {
    /// Takes up where the stored progress stands. Publishes at once, unless a bulk build was cut off half-way.
    pub(crate) fn open(inner: Arc<Inner>, runtime: Arc<SourceRuntime>) -> Result<Self, FeaturesError> {
        let shape = runtime.shape();
        let progress = SourceProgress::read(&inner.online, &runtime.name)?;
        let definitions = inner.definitions();
        let mut views = BTreeMap::new();
        for (hash, stored) in ViewProgress::all(&inner.online.snapshot(), &runtime.name)? {
            if let Some(view) = definitions.views_by_hash.get(&hash) {
                let view = Arc::new(view.definition.clone());
                views.insert(hash, ActiveView::new(view, hash, &shape.schema, stored.built_from)?);
            }
        }
        runtime.advance_ingest_watermark(progress.watermark());
        let materialiser =
            Self { inner, runtime, shape, progress, must_read_progress: false, views: Arc::new(views) };
        if materialiser.progress.bulk.is_none() {
            materialiser.publish();
        }
        Ok(materialiser)
    }

    /// The offset up to which the stored states stand.
    pub(crate) fn applied(&self) -> u64 {
        self.progress.applied
    }

    /// Runs until the server stops. What is left then is in the log.
    pub(crate) async fn run(mut self) {
        let cancel = self.inner.cancel.clone();
        loop {
            let outcome = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                outcome = self.step() => outcome,
            };
            if let Err(error) = outcome {
                self.must_read_progress = true;
                tracing::error!(source = %self.runtime.name, error = chain(&error), "the materialiser cannot go on");
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                }
            }
        }
    }

    async fn step(&mut self) -> Result<(), FeaturesError> {
        if self.must_read_progress {
            self.progress = SourceProgress::read(&self.inner.online, &self.runtime.name)?;
            self.must_read_progress = false;
        }
        self.runtime.topic.wait_beyond(self.progress.applied).await;
        self.follow_shape()?;
        let records = self.runtime.topic.read(self.progress.applied, RECORDS_PER_RUN, BYTES_PER_RUN).await?;
        let lag = self.runtime.topic.end().saturating_sub(self.progress.applied);
        metrics::gauge!("shipway_materialise_lag_events", "source" => self.runtime.name.to_string())
            .set(lag as f64);
        match records.first() {
            None => Ok(()),
            Some(first) => match self.decode(first)? {
                Record::Event { .. } => self.apply_run(records).await,
                Record::Load(marker) => self.apply_load(first.offset, marker).await,
                Record::View(hash) => self.apply_view(first.offset, hash).await,
            },
        }
    }

    /// A source may have gained columns; the positions in the layouts follow.
    fn follow_shape(&mut self) -> Result<(), FeaturesError> {
        let shape = self.runtime.shape();
        if Arc::ptr_eq(&shape, &self.shape) {
            return Ok(());
        }
        let mut views = BTreeMap::new();
        for (hash, active) in self.views.iter() {
            let view = Arc::clone(&active.view);
            views.insert(*hash, ActiveView::new(view, *hash, &shape.schema, active.built_from)?);
        }
        self.views = Arc::new(views);
        self.shape = shape;
        Ok(())
    }

    fn decode(&self, logged: &LogRecord) -> Result<Record, FeaturesError> {
        record::decode(&logged.payload).ok_or_else(|| {
            damaged(format!("record {} in the log of source {}", logged.offset, self.runtime.name))
        })
    }

    async fn apply_run(&mut self, records: Vec<LogRecord>) -> Result<(), FeaturesError> {
        let mut run = Run { events: Vec::with_capacity(records.len()), end: self.progress.applied };
        for logged in records {
            let Record::Event { fingerprint, event } = self.decode(&logged)? else { break };
            let event = self.shape.book.align(fingerprint, event, &self.shape.schema)?;
            run.events.push((logged.offset, event));
            run.end = logged.offset + 1;
        }
        let (inner, shape, progress) =
            (Arc::clone(&self.inner), Arc::clone(&self.shape), self.progress.clone());
        let views: Vec<ActiveView> = self.views.values().cloned().collect();
        let work = move || batch::apply(&inner, &shape.schema, &views, progress, run);
        self.progress = off_the_executor(&self.inner, work).await?;
        self.publish();
        Ok(())
    }

    async fn apply_load(&mut self, offset: u64, marker: LoadMarker) -> Result<(), FeaturesError> {
        let mut finish = Batch::new();
        let mut views = Arc::clone(&self.views);
        if progress::applied_load(&self.inner.online, &self.runtime.name, &marker.load_id)?.is_none() {
            let mut watermark = self.progress.clone();
            marker.newest.iter().for_each(|newest| watermark.advance_watermark(*newest));
            let build = Build {
                shape: Arc::clone(&self.shape),
                views: self.views.values().cloned().collect(),
                rows: Rows::OfLoad(marker.load_id.clone()),
                count: marker.rows,
                watermark: watermark.watermark(),
            };
            self.progress = build.run(&self.inner, self.progress.clone()).await?;
            build.remember_ids(&self.inner, offset + 1).await?;
            self.skip_before(offset, build.earliest(), &mut views, &mut finish);
            self.progress.advance_watermark(build.watermark);
            progress::put_load(&mut finish, &self.runtime.name, &marker.load_id, offset);
        }
        self.finish(offset, finish, views)
    }

    async fn apply_view(&mut self, offset: u64, hash: Digest) -> Result<(), FeaturesError> {
        let definitions = self.inner.definitions();
        let mut finish = Batch::new();
        let mut views = Arc::clone(&self.views);
        match definitions.views_by_hash.get(&hash) {
            _ if self.views.contains_key(&hash) => {}
            None => {
                tracing::warn!(source = %self.runtime.name, view = %hash, "a marked view is not defined any more")
            }
            Some(view) => {
                self.runtime.archive_up_to(offset).await?;
                let view = Arc::new(view.definition.clone());
                let mut active = ActiveView::new(view, hash, &self.shape.schema, i64::MIN)?;
                let earliest = active.layout.reach(self.progress.watermark()).earliest;
                let rows = Rows::ArrivedBefore(offset);
                let (lake, store) = (&self.inner.lake, &self.inner.store);
                let count =
                    history::select(lake, store, &self.shape.schema, &rows, earliest).await?.count().await?;
                let build = Build {
                    shape: Arc::clone(&self.shape),
                    views: Arc::from([active.clone()]),
                    rows,
                    count: count as u64,
                    watermark: self.progress.watermark(),
                };
                self.progress = build.run(&self.inner, self.progress.clone()).await?;
                active.built_from = earliest;
                ViewProgress::new(offset, earliest).put(&mut finish, &self.runtime.name, &hash);
                Arc::make_mut(&mut views).insert(hash, active);
            }
        }
        self.finish(offset, finish, views)
    }

    /// Notes that rows of a load before `earliest` were not counted in any view.
    fn skip_before(
        &self,
        offset: u64,
        earliest: i64,
        views: &mut Arc<BTreeMap<Digest, ActiveView>>,
        finish: &mut Batch,
    ) {
        for (hash, view) in Arc::make_mut(views) {
            if earliest > view.built_from {
                view.built_from = earliest;
                ViewProgress::new(offset, earliest).put(finish, &self.runtime.name, hash);
            }
        }
    }

    /// Moves beyond the marker at `offset`.
    fn finish(
        &mut self,
        offset: u64,
        mut finish: Batch,
        views: Arc<BTreeMap<Digest, ActiveView>>,
    ) -> Result<(), FeaturesError> {
        self.progress.bulk = None;
        self.progress.applied = offset + 1;
        self.progress.put(&mut finish, &self.runtime.name);
        self.inner.online.commit(finish)?;
        self.views = views;
        self.publish();
        Ok(())
    }

    fn publish(&self) {
        let published = Published {
            number: Published::next_number(),
            snapshot: self.inner.online.snapshot(),
            applied: self.progress.applied,
            watermark: self.progress.watermark(),
            views: Arc::clone(&self.views),
        };
        // Released first: whoever saw the state may count on the store alone to know its ids.
        self.runtime.dedupe.release(self.progress.applied);
        self.runtime.published.send_replace(Some(Arc::new(published)));
    }
}
