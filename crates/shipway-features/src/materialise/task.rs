//! Follows the log of one source: events in runs, markers where they stand.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use shipway_core::{Digest, Name, failure::chain};
use shipway_log::Record as LogRecord;
use shipway_online::Batch;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    error::{FeaturesError, damaged},
    features::Inner,
    materialise::{
        batch::{Applying, Outcome, Run},
        beside::Building,
        bulk::{Build, off_the_executor},
        chain::participants,
        history::{self, Rows},
        order::Order,
        progress::{self, BuildProgress, SourceProgress, ViewProgress},
        views::{ActiveView, Published},
    },
    model::record::{self, LoadMarker, Record},
    source::{SourceRuntime, SourceShape},
};

const RECORDS_PER_RUN: usize = 8_192;
const BYTES_PER_RUN: usize = 16 << 20;
/// Runs are at least so far apart while more events come all the time: a state that many of them touch is written once for all of them. An
/// event that comes alone does not wait.
const APART: Duration = Duration::from_millis(4);
/// A source without events looks at the store anew so often: a look holds back the store's clearing up, for every source.
const LOOK_ANEW_AFTER: Duration = Duration::from_secs(5);
/// After a failure, such as a full disk, the same records are tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The materialiser of one source.
pub(crate) struct Materialiser {
    pub(super) inner: Arc<Inner>,
    pub(super) runtime: Arc<SourceRuntime>,
    pub(super) shape: Arc<SourceShape>,
    pub(super) progress: SourceProgress,
    /// After a failure the store knows better how far a bulk build came.
    must_read_progress: bool,
    /// The states that are read.
    pub(super) views: Arc<BTreeMap<Digest, ActiveView>>,
    /// The states that are built beside them; of a view that is read too, its next one.
    pub(super) building: BTreeMap<Digest, Building>,
    orders: mpsc::Receiver<Order>,
    /// When the last run was through; none before the first.
    last_run: Option<Instant>,
    /// From the moment the server took an event in until readers saw it, of the event of each run that waited longest.
    readable_after: metrics::Histogram,
    lag: metrics::Gauge,
}

impl Materialiser {
    /// Takes up where the stored progress stands. Publishes at once, unless a load was cut off half-way.
    pub(crate) fn open(
        inner: Arc<Inner>,
        runtime: Arc<SourceRuntime>,
        orders: mpsc::Receiver<Order>,
    ) -> Result<Self, FeaturesError> {
        let shape = runtime.shape();
        let progress = SourceProgress::read(&inner.online, &runtime.name)?;
        let definitions = inner.definitions();
        let active = |hash: Digest, built_from, generation| {
            let Some(view) = definitions.views_by_hash.get(&hash) else { return Ok(None) };
            let view = Arc::new(view.definition.clone());
            ActiveView::new(view, hash, &shape.schema, built_from, generation).map(Some)
        };
        let stored = inner.online.snapshot();
        let mut views = BTreeMap::new();
        for (hash, stored) in ViewProgress::all(&stored, &runtime.name)? {
            if let Some(active) = active(hash, stored.built_from, stored.generation)? {
                views.insert(hash, active);
            }
        }
        let mut building = BTreeMap::new();
        for (hash, progress) in BuildProgress::all(&stored, &runtime.name)? {
            if let Some(active) = active(hash, progress.built_from, progress.generation)? {
                building.insert(hash, Building { active, progress });
            }
        }
        runtime.advance_ingest_watermark(progress.watermark());
        let source = runtime.name.to_string();
        let readable_after =
            metrics::histogram!("shipway_event_readable_seconds", "source" => source.clone());
        let lag = metrics::gauge!("shipway_materialise_lag_events", "source" => source);
        let materialiser = Self {
            inner,
            runtime,
            shape,
            progress,
            must_read_progress: false,
            views: Arc::new(views),
            building,
            orders,
            last_run: None,
            readable_after,
            lag,
        };
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
        let order = tokio::select! {
            biased;
            // Not between the buckets of a load: an order may publish.
            Some(order) = self.orders.recv(), if self.progress.bulk.is_none() => Some(order),
            () = self.runtime.topic.wait_beyond(self.progress.applied) => None,
            () = tokio::time::sleep(LOOK_ANEW_AFTER), if self.progress.bulk.is_none() => {
                self.look_anew();
                return Ok(());
            }
        };
        self.follow_shape()?;
        if let Some(order) = order {
            self.obey(order).await;
            return Ok(());
        }
        if let Some(last_run) = self.last_run {
            tokio::time::sleep_until(last_run + APART).await;
        }
        let records = self.runtime.topic.read(self.progress.applied, RECORDS_PER_RUN, BYTES_PER_RUN).await?;
        match records.first() {
            None => Ok(()),
            Some(first) => match self.decode(first)? {
                Record::Event { .. } | Record::Dead(_) | Record::Passed(_) => self.apply_run(records).await,
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
            views.insert(*hash, active.reshaped(&shape.schema)?);
        }
        for building in self.building.values_mut() {
            building.active = building.active.reshaped(&shape.schema)?;
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

    /// Every state in which events are counted.
    fn states(&self) -> Vec<ActiveView> {
        let building = self.building.values().map(|building| &building.active);
        self.views.values().chain(building).cloned().collect()
    }

    async fn apply_run(&mut self, records: Vec<LogRecord>) -> Result<(), FeaturesError> {
        let mut run = Run { events: Vec::with_capacity(records.len()), end: self.progress.applied };
        let mut progress = self.progress.clone();
        for logged in records {
            match self.decode(&logged)? {
                Record::Event { fingerprint, event, origin } => {
                    let event = self.shape.book.align(fingerprint, event, &self.shape.schema)?;
                    run.events.push((logged.offset, event));
                    origin.into_iter().for_each(|origin| progress.positions.pass(origin));
                }
                Record::Dead(letter) => progress.positions.pass(letter.origin),
                Record::Passed(origin) => progress.positions.pass(origin),
                Record::Load(_) | Record::View(_) => break,
            }
            run.end = logged.offset + 1;
        }
        let oldest = run.events.iter().map(|(_, event)| event.received).min();
        let written = self.apply_events(run, progress).await?;
        self.publish();
        self.last_run = Some(Instant::now());
        let now = self.inner.clock.now();
        let waited_us =
            oldest.map(|oldest| now.micros().saturating_sub(oldest.micros()).max(0).unsigned_abs());
        let waited = waited_us.map(Duration::from_micros);
        waited.iter().for_each(|waited| self.readable_after.record(waited.as_secs_f64()));
        self.runtime.tally.became_readable(waited, &written);
        Ok(())
    }

    /// Applies `run`; what is `progress` before its events is stored with them. Says how many states of each view changed.
    async fn apply_events(
        &mut self,
        run: Run,
        progress: SourceProgress,
    ) -> Result<BTreeMap<Name, u64>, FeaturesError> {
        let end = run.end;
        let (states, complete) = (self.states(), self.views.len());
        let definitions = self.inner.definitions();
        let participants = participants(&states, complete, &definitions, &self.shape.schema)?;
        let mut applying = Box::new(Applying::new(run, progress, participants));
        loop {
            let (inner, shape) = (Arc::clone(&self.inner), Arc::clone(&self.shape));
            let runtime = Arc::clone(&self.runtime);
            let work = move || applying.advance(&inner, &shape, &runtime.outbox);
            match off_the_executor(&self.inner, work).await? {
                Outcome::Applied(progress, written) => {
                    self.progress = progress;
                    return Ok(written);
                }
                Outcome::Missing(mut waiting, missing) => {
                    for missing in &missing {
                        let values = history::said(&self.inner, &self.runtime, end, missing).await?;
                        waiting.bring(missing, values);
                    }
                    applying = waiting;
                }
            }
        }
    }

    async fn apply_load(&mut self, offset: u64, marker: LoadMarker) -> Result<(), FeaturesError> {
        let mut finish = Batch::new();
        if progress::applied_load(&self.inner.online, &self.runtime.name, &marker.load_id)?.is_none() {
            let mut watermark = self.progress.clone();
            marker.newest.iter().for_each(|newest| watermark.advance_watermark(*newest));
            let build = Build {
                shape: Arc::clone(&self.shape),
                views: self.states().into(),
                rows: Rows::OfLoad(marker.load_id.clone()),
                offset,
                count: marker.rows,
                watermark: watermark.watermark(),
                runtime: Arc::clone(&self.runtime),
            };
            self.progress = build.run(&self.inner, self.progress.clone()).await?;
            build.remember_ids(&self.inner, offset + 1).await?;
            self.skip_before(offset, build.earliest(), &mut finish);
            self.progress.advance_watermark(build.watermark);
            progress::put_load(&mut finish, &self.runtime.name, &marker.load_id, offset);
        }
        self.move_beyond(offset, &mut finish);
        self.inner.online.commit(finish)?;
        self.publish();
        self.settle_soon();
        Ok(())
    }

    /// Lets the store write out what a load has left in its memory, as soon as no source looks at it as it was before.
    fn settle_soon(&self) {
        let inner = Arc::clone(&self.inner);
        self.inner.tracker.spawn(self.inner.tasks.track_future(async move {
            tokio::select! {
                () = inner.cancel.cancelled() => return,
                () = tokio::time::sleep(LOOK_ANEW_AFTER + RETRY_AFTER) => {}
            }
            let online = inner.online.clone();
            let settled = off_the_executor(&inner, move || Ok(online.settle()?)).await;
            if let Err(error) = settled {
                tracing::warn!(error = chain(&error), "the online store could not write out what it holds");
            }
        }));
    }

    /// From here on events are counted in the view; what had arrived before is merged in beside them.
    async fn apply_view(&mut self, offset: u64, hash: Digest) -> Result<(), FeaturesError> {
        // Once builds stood still at their marker: what such a build has merged stays merged.
        let begun = self.progress.bulk;
        let mut batch = Batch::new();
        let planned = self.planned(hash, offset)?;
        let is_known = self.views.contains_key(&hash) || self.building.contains_key(&hash);
        self.move_beyond(offset, &mut batch);
        if is_known {
            self.inner.online.commit(batch)?;
        } else {
            let mut build = self.made_already(hash, planned).await?;
            if let Some(begun) = begun {
                (build.buckets, build.done) = (Some(begun.buckets), begun.done);
            }
            self.enter(batch, hash, build)?;
        }
        self.publish();
        Ok(())
    }

    /// Notes that rows of a load before `earliest` were not counted in any view.
    fn skip_before(&mut self, offset: u64, earliest: i64, finish: &mut Batch) {
        for (hash, view) in Arc::make_mut(&mut self.views) {
            if earliest > view.built_from {
                view.built_from = earliest;
                ViewProgress::new(offset, earliest, view.generation).put(finish, &self.runtime.name, hash);
            }
        }
        for (hash, Building { active, progress }) in &mut self.building {
            if earliest > active.built_from {
                (active.built_from, progress.built_from) = (earliest, earliest);
                progress.put(finish, &self.runtime.name, hash);
            }
        }
    }

    /// Moves beyond the marker at `offset`.
    fn move_beyond(&mut self, offset: u64, batch: &mut Batch) {
        self.progress.bulk = None;
        self.progress.applied = offset + 1;
        self.progress.put(batch, &self.runtime.name);
    }

    /// The same published state out of a younger snapshot: nothing else writes what readers of this source see.
    fn look_anew(&self) {
        let snapshot = self.inner.online.snapshot();
        let Some(published) = self.runtime.published() else { return };
        let published = Arc::new(Published { snapshot, ..Published::clone(&published) });
        self.runtime.outbox.publish(&published);
        self.runtime.published.send_replace(Some(published));
    }

    /// Lets readers see all that is applied.
    pub(super) fn publish(&self) {
        let published = Published {
            number: Published::next_number(),
            snapshot: self.inner.online.snapshot(),
            applied: self.progress.applied,
            watermark: self.progress.watermark(),
            views: Arc::clone(&self.views),
        };
        // Released first: whoever saw the state may count on the store alone to know its ids.
        self.runtime.dedupe.release(self.progress.applied);
        let published = Arc::new(published);
        self.runtime.outbox.publish(&published);
        self.runtime.published.send_replace(Some(published));
        self.lag.set(self.runtime.topic.end().saturating_sub(self.progress.applied) as f64);
        self.show_builds();
    }
}
