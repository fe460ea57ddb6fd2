//! One build, from where it stands to its end. Dropped in the middle it loses no more than the bucket it was at: the next one
//! who drives it goes on from what the writer has noted.

use std::{sync::Arc, time::Instant};

use shipway_core::Digest;

use super::{
    compare::{Comparison, Found},
    spool::{Spool, States},
};
use crate::{
    error::{FeaturesError, damaged},
    features::Inner,
    materialise::{
        ActiveView, history, off_the_executor,
        order::{BuildId, Command, Part},
        progress::{BuildProgress, SourceProgress},
    },
    source::SourceRuntime,
    store::builds,
};

/// The most keys that the writer merges between two runs of events.
const MOST_KEYS_PER_PART: u64 = 4_096;
/// Keys compared at a time.
const KEYS_PER_COMPARISON: usize = 4_096;

/// Hears how far a build is: the phase, what is done of it, and of how many.
pub(super) type Told = Arc<dyn Fn(&str, u64, Option<u64>) + Send + Sync>;

/// A build that somebody drives.
pub(super) struct Drive {
    pub(super) inner: Arc<Inner>,
    pub(super) runtime: Arc<SourceRuntime>,
    pub(super) view: Digest,
    pub(super) told: Told,
}

impl Drive {
    /// Drives the build to its end; does nothing when there is none.
    pub(super) async fn run(&self) -> Result<(), FeaturesError> {
        let Some(mut progress) = self.runtime.build(&self.view) else { return Ok(()) };
        let build = BuildId { view: self.view, generation: progress.generation };
        // Rows that arrived before the marker may still be in the log alone, also after a crash.
        (self.told)("writing history out", 0, None);
        self.runtime.archive_up_to(progress.marker).await?;
        if progress.buckets.is_none() {
            match self.divide(build, progress).await? {
                Some(divided) => progress = divided,
                None => return Ok(()),
            }
        }
        while !progress.is_complete() {
            match self.pass(build, progress).await? {
                Some(passed) if passed.done > progress.done => progress = passed,
                Some(_) => {
                    return Err(damaged(format!("the progress of a build of view {}", self.view.short())));
                }
                None => return Ok(()),
            }
        }
        let found = self.compare(build, progress).await?;
        // First, and once for each state: a crash right after the end would else leave no trace of what it came to.
        self.record(progress, found).await?;
        self.runtime.orders.give(Command::Finish(build)).await?;
        Ok(())
    }

    /// Counts the rows of history and says in how many buckets they go.
    async fn divide(
        &self,
        build: BuildId,
        progress: BuildProgress,
    ) -> Result<Option<BuildProgress>, FeaturesError> {
        (self.told)("counting rows", 0, None);
        let rows = history::Rows::ArrivedBefore(progress.marker);
        let shape = self.runtime.shape();
        let frame = history::select(&self.inner, &shape.schema, &rows, progress.rows_from).await?;
        let rows = frame.count().await? as u64;
        let buckets =
            u32::try_from(rows / self.inner.limits.bulk_rows.max(1)).unwrap_or(u32::MAX).saturating_add(1);
        self.runtime.orders.give(Command::Divide { build, buckets, rows }).await
    }

    /// Goes through history once, and has the writer merge as many buckets as that brings.
    async fn pass(
        &self,
        build: BuildId,
        mut progress: BuildProgress,
    ) -> Result<Option<BuildProgress>, FeaturesError> {
        let mut since = Instant::now();
        let shape = self.runtime.shape();
        let view = self.inner.active_view(build, &shape)?;
        // What readers see now cannot be asked before this, and later even less.
        let reach = view.layout.reach(self.runtime.first_published().await?.watermark);
        let (told, all) = (Arc::clone(&self.told), progress.rows);
        let reading = move |rows| told("reading history", rows, Some(all.max(rows)));
        let mut spool = Spool::fill(&self.inner, &shape, (view, reach), &progress, reading).await?;
        loop {
            let bucket = progress.done;
            let states = off_the_executor(&self.inner, move || {
                let states = spool.next(bucket)?;
                Ok((spool, states))
            });
            let (back, states) = states.await?;
            spool = back;
            let Some(states) = states else { return Ok(Some(progress)) };
            for part in parts(&progress, states, self.inner.limits.bulk_rows) {
                self.take_step().await;
                let part = Part { spent_us: elapsed_us(&mut since), ..part };
                let merged = self.runtime.orders.give(Command::Merge { build, part }).await?;
                let Some(merged) = merged else { return Ok(None) };
                progress = merged;
                (self.told)("building", progress.done.into(), progress.buckets.map(u64::from));
            }
            if progress.is_complete() || progress.done == bucket {
                return Ok(Some(progress));
            }
        }
    }

    /// Compares the state that is read with the one that was built, and keeps what only the former knows.
    async fn compare(&self, build: BuildId, progress: BuildProgress) -> Result<Option<Found>, FeaturesError> {
        let published = self.runtime.first_published().await?;
        let Some(read) = published.views.get(&self.view) else { return Ok(None) };
        let snapshot = self.inner.online.snapshot();
        let watermark = SourceProgress::at(&snapshot, &self.runtime.name)?.watermark();
        let mut comparison =
            Comparison::new(&snapshot, read, build.generation, watermark, progress.rows_from);
        drop(snapshot);
        loop {
            let step = move || {
                let carried = comparison.step(KEYS_PER_COMPARISON)?;
                Ok((comparison, carried))
            };
            let (back, carried) = off_the_executor(&self.inner, step).await?;
            comparison = back;
            (self.told)("comparing", comparison.found.keys, None);
            let Some(states) = carried else { return Ok(Some(comparison.found)) };
            if !states.is_empty() {
                self.runtime.orders.give(Command::Carry { build, states }).await?;
            }
        }
    }

    async fn record(&self, progress: BuildProgress, found: Option<Found>) -> Result<(), FeaturesError> {
        let definitions = self.inner.definitions();
        let name = definitions.views_by_hash.get(&self.view).map(|view| view.definition.name.to_string());
        let name = name.unwrap_or_default();
        if let Some(found) = found {
            metrics::counter!("shipway_features_healed_keys_total", "view" => name.clone())
                .increment(found.differing);
            if found.differing > 0 {
                tracing::error!(
                    view = name,
                    version = %self.view,
                    keys = found.keys,
                    differing = found.differing,
                    "the online state of a view was wrong, and was replaced by one built from history"
                );
            }
        }
        let BuildProgress { rows, spent_us, generation, .. } = progress;
        metrics::counter!("shipway_features_built_rows_total", "view" => name.clone()).increment(rows);
        let record = builds::BuildRow {
            view: name,
            view_hash: self.view,
            generation,
            source: self.runtime.name.to_string(),
            rows,
            spent_us,
            keys: found.map(|found| found.keys),
            differing: found.map(|found| found.differing),
            ended: self.inner.clock.now(),
        };
        Ok(builds::record(&self.inner.store, &record).await?)
    }

    /// Waits for leave to go on, where steps are counted.
    async fn take_step(&self) {
        if let Some(steps) = &self.inner.limits.build_steps
            && let Ok(step) = steps.acquire().await
        {
            step.forget();
        }
    }
}

/// The states of the next bucket in parts, without the keys that are merged already. Every attempt sees the same keys in the
/// same order.
fn parts(progress: &BuildProgress, states: States, bulk_rows: u64) -> Vec<Part> {
    let keys = (bulk_rows / 16).clamp(1, MOST_KEYS_PER_PART) as usize;
    let mut from = progress.keys;
    let mut states = states.into_iter().skip(from as usize).peekable();
    let mut parts = Vec::new();
    loop {
        let some: States = states.by_ref().take(keys).collect();
        let next = from + some.len() as u64;
        let is_last = states.peek().is_none();
        parts.push(Part { bucket: progress.done, from, is_last, states: some, spent_us: 0 });
        from = next;
        if is_last {
            return parts;
        }
    }
}

/// How long it was since `since`, which becomes now.
fn elapsed_us(since: &mut Instant) -> u64 {
    let now = Instant::now();
    let elapsed = now.duration_since(*since);
    *since = now;
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

impl Inner {
    /// The view of a build over a shape of its source.
    fn active_view(
        &self,
        build: BuildId,
        shape: &crate::source::SourceShape,
    ) -> Result<ActiveView, FeaturesError> {
        let definitions = self.definitions();
        let view = definitions.views_by_hash.get(&build.view);
        let view = view.ok_or_else(|| FeaturesError::MissingDefinition {
            what: format!("a view at version {}", build.view.short()),
        })?;
        let view = Arc::new(view.definition.clone());
        ActiveView::new(view, build.view, &shape.schema, i64::MIN, build.generation)
    }
}
