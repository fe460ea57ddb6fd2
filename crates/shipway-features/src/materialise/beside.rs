//! States that are built beside the flow: from their marker on, live events are counted in them as in all others, and what
//! history makes of each key is merged in, part by part, between two runs of events. A state is a function of the set of its
//! events, so it does not matter which part comes first. Only when all of history is in it, readers get it.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use shipway_core::Digest;
use shipway_online::{Batch, Space};

use crate::{
    error::FeaturesError,
    materialise::{
        afresh::Afresh,
        bulk::off_the_executor,
        order::{BuildId, Command, Order, Part},
        progress::{BuildProgress, Leftover, ViewProgress},
        task::Materialiser,
        views::{ActiveView, take_state},
    },
    model::schema::NO_WATERMARK,
    read_copy::StateId,
    state::{KeyState, codec},
};

/// A state that is being built.
#[derive(Clone)]
pub(crate) struct Building {
    pub(crate) active: ActiveView,
    pub(crate) progress: BuildProgress,
}

impl Materialiser {
    pub(super) async fn obey(&mut self, order: Order) {
        let outcome = match order.command {
            Command::Begin(view) => self.begin(view).await,
            Command::Divide { build, buckets, rows } => self.divide(build, buckets, rows),
            Command::Merge { build, part } => self.merge(build, part).await,
            Command::Carry { build, states } => self.carry(build, states).await,
            Command::Finish(build) => self.finish_build(build),
            Command::Abandon(build) => self.abandon(build),
            Command::Retire(view) => self.retire(view),
        };
        // Whoever asked may be gone; then nobody needs to know.
        let _ = order.answer.send(outcome);
    }

    /// Begins to count events in a new state of a view. One of a source that never had an event is complete at once.
    ///
    /// The state counts what arrives from now on; the log is applied up to `marker`, and `batch` is committed with it.
    pub(super) fn enter(
        &mut self,
        mut batch: Batch,
        view: Digest,
        progress: BuildProgress,
    ) -> Result<(), FeaturesError> {
        let definitions = self.inner.definitions();
        let Some(definition) = definitions.views_by_hash.get(&view) else {
            tracing::warn!(source = %self.runtime.name, %view, "a view that is to be built is not defined any more");
            return Ok(self.inner.online.commit(batch)?);
        };
        let definition = Arc::new(definition.definition.clone());
        let BuildProgress { built_from, generation, marker, .. } = progress;
        let active = ActiveView::new(definition, view, &self.shape.schema, built_from, generation)?;
        if self.progress.watermark() == NO_WATERMARK {
            ViewProgress::new(marker, built_from, generation).put(&mut batch, &self.runtime.name, &view);
            self.inner.online.commit(batch)?;
            Arc::make_mut(&mut self.views).insert(view, active);
        } else {
            progress.put(&mut batch, &self.runtime.name, &view);
            self.inner.online.commit(batch)?;
            self.building.insert(view, Building { active, progress });
            // Before readers see the marker: whoever waits for it finds the build.
            self.show_builds();
        }
        Ok(())
    }

    /// A build of `view` over the rows that arrive before `marker`.
    pub(super) fn planned(&self, view: Digest, marker: u64) -> Result<BuildProgress, FeaturesError> {
        let generation = self.next_generation(view)?;
        let definitions = self.inner.definitions();
        let definition = definitions.views_by_hash.get(&view);
        let rows_from = match definition {
            Some(definition) => {
                let definition = Arc::new(definition.definition.clone());
                let view = ActiveView::new(definition, view, &self.shape.schema, i64::MIN, generation)?;
                view.layout.reach(self.progress.watermark()).earliest
            }
            None => i64::MIN,
        };
        Ok(BuildProgress::new(marker, rows_from, generation, self.views.contains_key(&view)))
    }

    /// A build over events that are corrected by their ids is made at once: what comes may take away what history would bring. Any
    /// other goes on as it was.
    pub(super) async fn made_already(
        &self,
        view: Digest,
        mut build: BuildProgress,
    ) -> Result<BuildProgress, FeaturesError> {
        let definitions = self.inner.definitions();
        let definition = definitions.views_by_hash.get(&view);
        let is_corrected = self.shape.schema.corrections.is_some();
        let Some(definition) = definition.filter(|_| is_corrected) else { return Ok(build) };
        if self.progress.watermark() == NO_WATERMARK {
            return Ok(build);
        }
        let definition = Arc::new(definition.definition.clone());
        let active = ActiveView::new(definition, view, &self.shape.schema, i64::MIN, build.generation)?;
        let afresh = Afresh {
            shape: Arc::clone(&self.shape),
            views: [active].into(),
            before: build.marker,
            watermark: self.progress.watermark(),
            with_rows: false,
        };
        let since = std::time::Instant::now();
        self.runtime.archive_up_to(build.marker).await?;
        build.rows = afresh.run(&self.inner).await?;
        build.spent_us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        (build.buckets, build.done) = (Some(1), 1);
        (build.rows_from, build.built_from) = (i64::MIN, i64::MIN);
        Ok(build)
    }

    fn next_generation(&self, view: Digest) -> Result<u32, FeaturesError> {
        let left = Leftover::all(&self.inner.online.snapshot(), &self.runtime.name)?;
        let left = left.iter().filter(|left| left.view == view).map(|left| left.generation);
        let read = self.views.get(&view).map(|active| active.generation);
        let building = self.building.get(&view).map(|building| building.active.generation);
        let newest = left.chain(read).chain(building).max();
        Ok(newest.map_or(0, |newest| newest.saturating_add(1)))
    }

    async fn begin(&mut self, view: Digest) -> Result<Option<BuildProgress>, FeaturesError> {
        if !self.building.contains_key(&view) {
            let planned = self.planned(view, self.progress.applied)?;
            let progress = self.made_already(view, planned).await?;
            self.enter(Batch::new(), view, progress)?;
            self.publish();
        }
        Ok(self.building.get(&view).map(|building| building.progress))
    }

    fn find(&mut self, build: BuildId) -> Option<&mut Building> {
        let found = self.building.get_mut(&build.view);
        found.filter(|building| building.active.generation == build.generation)
    }

    fn divide(
        &mut self,
        build: BuildId,
        buckets: u32,
        rows: u64,
    ) -> Result<Option<BuildProgress>, FeaturesError> {
        let (name, online) = (self.runtime.name.clone(), self.inner.online.clone());
        let Some(building) = self.find(build) else { return Ok(None) };
        if building.progress.buckets.is_none() {
            let mut progress = building.progress;
            (progress.buckets, progress.rows) = (Some(buckets), rows);
            let mut batch = Batch::new();
            progress.put(&mut batch, &name, &build.view);
            online.commit(batch)?;
            building.progress = progress;
        }
        let progress = building.progress;
        self.show_builds();
        Ok(Some(progress))
    }

    async fn merge(&mut self, build: BuildId, part: Part) -> Result<Option<BuildProgress>, FeaturesError> {
        let Some(building) = self.find(build) else { return Ok(None) };
        let mut progress = building.progress;
        if (progress.done, progress.keys) != (part.bucket, part.from) {
            return Ok(Some(progress));
        }
        progress.keys += part.states.len() as u64;
        if part.is_last {
            (progress.done, progress.keys) = (progress.done + 1, 0);
        }
        progress.spent_us = progress.spent_us.saturating_add(part.spent_us);
        let mut batch = Batch::new();
        progress.put(&mut batch, &self.runtime.name, &build.view);
        self.commit_merged(build, batch, part.states).await?;
        if let Some(building) = self.find(build) {
            building.progress = progress;
        }
        self.show_builds();
        Ok(Some(progress))
    }

    async fn carry(
        &mut self,
        build: BuildId,
        states: Vec<(Bytes, KeyState)>,
    ) -> Result<Option<BuildProgress>, FeaturesError> {
        let Some(building) = self.find(build) else { return Ok(None) };
        let progress = building.progress;
        self.commit_merged(build, Batch::new(), states).await?;
        Ok(Some(progress))
    }

    /// Merges `states` into what is stored of their keys, and commits them with `batch`.
    async fn commit_merged(
        &mut self,
        build: BuildId,
        mut batch: Batch,
        states: Vec<(Bytes, KeyState)>,
    ) -> Result<(), FeaturesError> {
        let Some(building) = self.find(build) else { return Ok(()) };
        let active = building.active.clone();
        let reach = active.layout.reach(self.progress.watermark());
        let (inner, runtime) = (Arc::clone(&self.inner), Arc::clone(&self.runtime));
        off_the_executor(&self.inner, move || {
            runtime.outbox.note(&active, states.iter().map(|(key, _)| active.state_key(key)));
            // Not kept decoded: nobody has asked for these keys, and there may be very many.
            for (key, history) in states {
                let key = active.state_key(&key);
                let get = |key: &[u8]| inner.online.get(Space::State, key);
                let mut state = take_state(get, &inner.cache, &active.layout, &key)?;
                state.merge(&active.layout, &reach, history);
                state.prune(&active.layout, &reach);
                batch.put(Space::State, key, codec::encode(&active.layout, &state));
            }
            Ok(inner.online.commit(batch)?)
        })
        .await
    }

    fn finish_build(&mut self, build: BuildId) -> Result<Option<BuildProgress>, FeaturesError> {
        let name = self.runtime.name.clone();
        let Some(building) = self.find(build).cloned() else { return Ok(None) };
        if !building.progress.is_complete() {
            return Ok(Some(building.progress));
        }
        let Building { active, progress } = building;
        let mut batch = Batch::new();
        BuildProgress::delete(&mut batch, &name, &build.view);
        ViewProgress::new(progress.marker, progress.built_from, build.generation).put(
            &mut batch,
            &name,
            &build.view,
        );
        self.leave(&mut batch, self.views.get(&build.view).map(|replaced| replaced.generation), build.view);
        self.inner.online.commit(batch)?;
        self.building.remove(&build.view);
        Arc::make_mut(&mut self.views).insert(build.view, active);
        self.publish();
        self.inner.leftovers.notify_one();
        Ok(None)
    }

    fn abandon(&mut self, build: BuildId) -> Result<Option<BuildProgress>, FeaturesError> {
        if self.find(build).is_some() {
            let mut batch = Batch::new();
            BuildProgress::delete(&mut batch, &self.runtime.name, &build.view);
            self.leave(&mut batch, Some(build.generation), build.view);
            self.inner.online.commit(batch)?;
            self.building.remove(&build.view);
            self.show_builds();
            self.inner.leftovers.notify_one();
        }
        Ok(None)
    }

    fn retire(&mut self, view: Digest) -> Result<Option<BuildProgress>, FeaturesError> {
        let name = self.runtime.name.clone();
        let mut batch = Batch::new();
        ViewProgress::delete(&mut batch, &name, &view);
        BuildProgress::delete(&mut batch, &name, &view);
        self.leave(&mut batch, self.views.get(&view).map(|read| read.generation), view);
        self.leave(&mut batch, self.building.get(&view).map(|building| building.active.generation), view);
        self.inner.online.commit(batch)?;
        self.building.remove(&view);
        Arc::make_mut(&mut self.views).remove(&view);
        self.publish();
        self.inner.leftovers.notify_one();
        Ok(None)
    }

    fn leave(&self, batch: &mut Batch, generation: Option<u32>, view: Digest) {
        if let Some(generation) = generation {
            Leftover { view, generation }.put(batch, &self.runtime.name);
            self.runtime.outbox.leave(StateId { view, generation });
        }
    }

    /// Tells who builds how far every build is.
    pub(super) fn show_builds(&self) {
        let builds: BTreeMap<Digest, BuildProgress> =
            self.building.iter().map(|(view, building)| (*view, building.progress)).collect();
        let is_new = self.runtime.builds.send_if_modified(|shown| {
            let is_new = builds.keys().ne(shown.keys());
            let is_changed = **shown != builds;
            if is_changed {
                *shown = Arc::new(builds);
            }
            is_new
        });
        if is_new {
            self.inner.builds_changed.notify_one();
        }
    }
}
