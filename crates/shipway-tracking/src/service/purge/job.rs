//! The durable job that purges, and the clock that begins it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shipway_core::failure::chain;
use shipway_store::jobs::{Job, JobFailure, JobHandler, JobRun, Jobs, NewJob};
use tokio_util::task::TaskTracker;

use super::PurgePlan;
use crate::{error::TrackingError, service::Tracking, store};

/// The kind of the job.
pub const PURGE_JOB: &str = "purge";
/// There is one purge at a time.
const SUBJECT: &str = "tracking";
/// Who asks for the purges that nobody asks for.
const ITSELF: &str = "shipway";
/// How often it is looked whether something is due.
const LOOKS_EVERY: Duration = Duration::from_secs(3_600);

#[derive(Debug, Serialize, Deserialize)]
struct Work {
    older_than_ms: i64,
    actor: String,
}

struct Purges(Tracking);

#[async_trait]
impl JobHandler for Purges {
    async fn run(&self, run: JobRun) -> Result<Value, JobFailure> {
        let work: Work = serde_json::from_value(run.payload.clone())
            .map_err(|error| TrackingError::invalid("payload", error.to_string()))?;
        let told = |phase: &str, done: u64| run.report(phase, done, None);
        let purged = self.0.purge(&work.actor, work.older_than_ms, &run.cancelled, told).await?;
        Ok(serde_json::to_value(purged).unwrap_or_default())
    }
}

impl Tracking {
    /// From now on `jobs` do what outlives a request here; the first ones stay.
    pub fn set_jobs(&self, jobs: &Jobs) {
        jobs.register(PURGE_JOB, Arc::new(Purges(self.clone())));
        let _ = self.inner.jobs.set(jobs.clone());
    }

    /// What a purge would take away now, and the job that does it: none when it was only asked, or when there is nothing.
    pub(crate) async fn begin_purge(
        &self,
        caller: &str,
        older_than_ms: i64,
        dry_run: bool,
    ) -> Result<(PurgePlan, Option<Job>), TrackingError> {
        let plan = self.purge_plan(older_than_ms).await?;
        if dry_run || plan.is_empty() && !store::purge::has_loose(&mut self.reader()).await? {
            return Ok((plan, None));
        }
        let Some(jobs) = self.inner.jobs.get() else {
            return Err(TrackingError::NotImplemented { name: "Purge", reason: "this server does no jobs" });
        };
        let work = Work { older_than_ms, actor: caller.to_owned() };
        let job = NewJob {
            kind: PURGE_JOB,
            subject: SUBJECT.to_owned(),
            payload: serde_json::to_value(work).unwrap_or_default(),
            actor: caller.to_owned(),
        };
        let job = jobs.submit(job).await.map_err(|refused| TrackingError::Elsewhere(Box::new(refused)))?;
        Ok((plan, Some(job)))
    }

    /// Has everything purged that has been deleted for longer than `after`, from now on until the server stops.
    pub fn purge_after(&self, after: Duration, tracker: &TaskTracker) {
        let (tracking, stop) = (self.clone(), self.inner.stopping.clone());
        let older_than_ms = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        tracker.spawn(self.inner.tasks.track_future(async move {
            loop {
                if let Err(error) = tracking.begin_purge(ITSELF, older_than_ms, false).await {
                    tracing::warn!(error = chain(&error), "what was deleted long ago cannot be purged now");
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(LOOKS_EVERY) => {}
                }
            }
        }));
    }
}
