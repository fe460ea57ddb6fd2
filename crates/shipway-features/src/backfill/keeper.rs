//! Looks after the states that there are: removes those of versions that nothing needs any more, brings back those that something
//! needs again, and has each view built anew now and then, so that a state that went wrong does not stay so.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;
use shipway_core::{Digest, Failure, Timestamp, failure::chain};
use shipway_store::{audit::AuditEntry, jobs::JobState};

use super::{
    job::ITSELF,
    need::{Referred, needed},
};
use crate::{
    Features,
    error::FeaturesError,
    features::Inner,
    materialise::order::Command,
    store::{builds, unneeded, versions::Kind},
};

/// How often it is looked at whether something is to be done.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Says which versions of services something outside of the definitions needs. The binary plugs deployments and the registry in.
#[async_trait]
pub trait ServiceDemand: Send + Sync {
    /// The versions that deployments answer with, and that registered models were trained with.
    async fn needed(&self) -> Result<Vec<Digest>, Box<dyn Failure + Send + Sync>>;
}

/// What is done about states without being asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct ViewCare {
    /// How old the last build of a view may become; without it, views are built anew on request only.
    pub heal_every: Option<Duration>,
    /// How long the state of a version that nothing needs is kept; without it, for ever.
    pub retire_after: Option<Duration>,
}

impl Features {
    /// Plugs in what says which versions are needed; the first one stays. Without one no state is ever retired.
    pub fn set_demand(&self, demand: Arc<dyn ServiceDemand>) {
        let _ = self.inner.demand.set(demand);
    }

    /// Looks after the states again and again until the platform is shut down.
    pub fn care_for_views(&self, care: ViewCare) {
        let features = self.clone();
        let inner = &self.inner;
        let cancel = inner.cancel.clone();
        let repeat = async move {
            let mut round = tokio::time::interval(LOOK_EVERY);
            round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let since = features.inner.clock.now();
            loop {
                round.tick().await;
                if let Some(after) = care.retire_after
                    && let Err(error) = features.retire_views(after).await
                {
                    tracing::warn!(error = chain(&error), "states that nothing needs could not be retired");
                }
                if let Some(every) = care.heal_every
                    && let Err(error) = features.heal_views(every, since).await
                {
                    tracing::warn!(error = chain(&error), "views could not be built anew");
                }
            }
        };
        inner.tracker.spawn(inner.tasks.track_future(async move {
            cancel.run_until_cancelled(repeat).await;
        }));
    }

    /// Removes the states of versions that nothing has needed for `after`, and begins to build those that something needs
    /// again. Answers with the versions whose states are removed.
    pub async fn retire_views(&self, after: Duration) -> Result<Vec<Digest>, FeaturesError> {
        let inner = &self.inner;
        let Some(demand) = inner.demand.get() else { return Ok(Vec::new()) };
        let services = demand.needed().await.map_err(FeaturesError::Elsewhere)?;
        let _one_at_a_time = inner.installing.lock().await;
        let needed = inner.needed(services);
        self.mark_views(&needed).await?;
        inner.see_to_builds().await?;
        let now = inner.clock.now();
        let after_us = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        let noted = unneeded::all(&inner.store).await?;
        let mut retired = Vec::new();
        for view in noted.keys().filter(|view| needed.contains(*view)) {
            unneeded::forget(&inner.store, view).await?;
        }
        for view in inner.kept_states().difference(&needed) {
            match noted.get(view) {
                None => unneeded::note(&inner.store, view, now).await?,
                Some(since) if now.micros().saturating_sub(since.micros()) >= after_us => {
                    inner.retire(view, now).await?;
                    retired.push(*view);
                }
                Some(_) => {}
            }
        }
        Ok(retired)
    }

    /// Builds every view in force anew whose last build is older than `every`, one after the other, and waits for each. A view
    /// that never had a build counts as built at `since`. Answers with the number of views.
    pub async fn heal_views(&self, every: Duration, since: Timestamp) -> Result<usize, FeaturesError> {
        let inner = &self.inner;
        let Some(jobs) = inner.jobs.get() else { return Ok(0) };
        let every_us = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
        let definitions = inner.definitions();
        let mut healed = 0;
        for view in definitions.views.values() {
            let name = &view.definition.name;
            let last = builds::last(&inner.store, &view.hash).await?.map_or(since, |last| last.ended);
            let is_due = inner.clock.now().micros().saturating_sub(last.micros()) >= every_us;
            let is_ready = inner.source(view.definition.source.as_str())?.is_ready(&view.hash);
            if !is_due || !is_ready {
                continue;
            }
            let job = match self.rebuild_view(name.as_str(), Some(view.hash), ITSELF).await {
                Ok(job) => job,
                Err(error) => {
                    tracing::warn!(view = %name, error = chain(&error), "a view could not be built anew");
                    continue;
                }
            };
            let ended =
                jobs.wait(&job.id).await.map_err(|error| FeaturesError::Elsewhere(Box::new(error)))?;
            healed += usize::from(ended.state == JobState::Done);
        }
        Ok(healed)
    }
}

impl Inner {
    /// Every version of a view that is in force or that something refers to.
    pub(crate) fn needed(&self, mut services: Vec<Digest>) -> BTreeSet<Digest> {
        let definitions = self.definitions();
        let in_force = definitions.services.values();
        services.extend(in_force.filter_map(|service| {
            self.plan(service.definition.name.as_str(), None).ok().map(|plan| plan.hash)
        }));
        // While a version in force has no state, the newest one that has answers for features asked for by themselves.
        let is_ready = |view: &Digest| {
            let view = definitions.views_by_hash.get(view);
            let source = view.map(|view| self.source(view.definition.source.as_str()));
            source.is_some_and(|source| {
                source.is_ok_and(|source| view.is_some_and(|view| source.is_ready(&view.hash)))
            })
        };
        let answering = definitions.views.values().filter(|view| !is_ready(&view.hash)).filter_map(|view| {
            let versions = self.versions(Kind::View, &view.definition.name);
            versions.iter().copied().find(|version| is_ready(version))
        });
        needed(&definitions, &Referred { services, views: answering.collect() })
    }

    /// Every version of a view that has a state, whole or not.
    fn kept_states(&self) -> BTreeSet<Digest> {
        let mut kept = BTreeSet::new();
        for runtime in self.sources() {
            if let Some(published) = runtime.published() {
                kept.extend(published.views.keys().copied());
            }
            kept.extend(runtime.builds.borrow().keys().copied());
        }
        kept
    }

    async fn retire(&self, view: &Digest, now: Timestamp) -> Result<(), FeaturesError> {
        let definitions = self.definitions();
        let Some(definition) = definitions.views_by_hash.get(view) else { return Ok(()) };
        let name = definition.definition.name.as_str();
        let runtime = self.source(definition.definition.source.as_str())?;
        let entry = AuditEntry {
            actor: ITSELF.to_owned(),
            action: "features.retire".to_owned(),
            subject: format!("view/{name}"),
            detail: json!({ "hash": view }),
        };
        // Its marker is forgotten first: whoever needs the view between the two steps puts a new one behind this.
        unneeded::retire(&self.store, view, &entry, now).await?;
        runtime.orders.give(Command::Retire(*view)).await?;
        tracing::info!(view = name, version = %view, "nothing needs this version any more: its state is removed");
        Ok(())
    }
}
