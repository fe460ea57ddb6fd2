//! Builds as durable jobs: a server that comes back goes on where the writer's notes say. Cancelling one of a new view leaves it
//! unbuilt and keeps what there is, so that it can be taken up again; cancelling one beside a state that is read removes it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use shipway_core::{Digest, Name, failure::chain, nearest};
use shipway_store::jobs::{Job, JobFailure, JobHandler, JobRun, Jobs, NewJob};

use super::drive::Drive;
use crate::{
    Features,
    error::{FeaturesError, damaged},
    features::Inner,
    materialise::order::{BuildId, Command},
    source::SourceRuntime,
    spans,
    store::builds,
};

/// The kind of these jobs.
pub const BACKFILL_JOB: &str = "backfill";

/// Who asks for a job that nobody in particular asked for.
pub(super) const ITSELF: &str = "shipway";

/// A build that fails is tried so often, and then its job has failed.
const ATTEMPTS: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a job has to do. Stored in the metadata database, so it only ever grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Work {
    /// Build the state of a view that has none.
    Build {
        /// Its source.
        source: Name,
        /// Its version.
        view: Digest,
    },
    /// Build the state of a view anew, compare, and put it in the place of the one that is read.
    Rebuild {
        /// Its source.
        source: Name,
        /// Its version.
        view: Digest,
    },
}

/// What a build came to: the result of its job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewBuild {
    /// The view.
    pub view: Name,
    /// Its version.
    pub view_hash: Digest,
    /// Rows of history.
    pub rows: u64,
    /// How long all attempts worked, in seconds.
    pub seconds: f64,
    /// Keys that were compared with the state that was read before; none for a new view.
    pub keys: Option<u64>,
    /// Keys that had another answer than history gives.
    pub differing: Option<u64>,
}

/// Lets `jobs` do builds for `inner`.
pub(crate) fn register(jobs: &Jobs, inner: &Arc<Inner>) {
    let backfills = Arc::new(Backfills(Arc::downgrade(inner)));
    jobs.register(BACKFILL_JOB, spans::of_jobs(BACKFILL_JOB, backfills));
}

pub(super) async fn submit(
    jobs: &Jobs,
    subject: String,
    work: &Work,
    actor: &str,
) -> Result<Job, FeaturesError> {
    let payload = serde_json::to_value(work).unwrap_or_default();
    let job = NewJob { kind: BACKFILL_JOB, subject, payload, actor: actor.to_owned() };
    jobs.submit(job).await.map_err(|refused| FeaturesError::Elsewhere(Box::new(refused)))
}

impl Features {
    /// Records a job that builds the state of a view from history: of one that is read, anew beside it, compared and swapped in
    /// one step; of one that is not built yet, from where its build stands. Without a version it is the one in force.
    pub async fn rebuild_view(
        &self,
        view: &str,
        version: Option<Digest>,
        actor: &str,
    ) -> Result<Job, FeaturesError> {
        let inner = &self.inner;
        let jobs = inner.jobs()?;
        let (runtime, view) = inner.version_of_view(view, version)?;
        let source = runtime.name.clone();
        let work = if runtime.is_ready(&view) {
            Work::Rebuild { source, view }
        } else {
            Work::Build { source, view }
        };
        submit(jobs, inner.build_subject(&view), &work, actor).await
    }

    /// The same in a platform without jobs: returns when the build has begun; [`Features::built`] waits for its end.
    pub async fn begin_rebuild(&self, view: &str, version: Option<Digest>) -> Result<(), FeaturesError> {
        let (runtime, view) = self.inner.version_of_view(view, version)?;
        runtime.orders.give(Command::Begin(view)).await.map(|_| ())
    }
}

impl Inner {
    /// The source of a view, and which version of it is meant.
    fn version_of_view(
        &self,
        view: &str,
        version: Option<Digest>,
    ) -> Result<(Arc<SourceRuntime>, Digest), FeaturesError> {
        let definitions = self.definitions();
        let found = match version {
            Some(hash) => {
                definitions.views_by_hash.get(&hash).filter(|held| held.definition.name.as_str() == view)
            }
            None => definitions.views.get(view),
        };
        let found = found.ok_or_else(|| FeaturesError::UnknownView {
            name: version.map_or_else(|| view.to_owned(), |hash| format!("{view} at version {hash}")),
            nearest: nearest(view, definitions.views.keys().map(Name::as_str))
                .filter(|near| *near != view)
                .map(str::to_owned),
        })?;
        Ok((self.source(found.definition.source.as_str())?, found.hash))
    }
}

/// The platform holds the jobs, so the jobs hold it weakly: else neither would ever be closed.
struct Backfills(Weak<Inner>);

#[async_trait]
impl JobHandler for Backfills {
    async fn run(&self, run: JobRun) -> Result<Json, JobFailure> {
        let stopped = |what| JobFailure::from(FeaturesError::Stopped { what });
        let inner = self.0.upgrade().ok_or_else(|| stopped("the feature platform"))?;
        let work = serde_json::from_value(run.payload.clone());
        let work: Work = work.map_err(|_| JobFailure::from(damaged("the job's payload")))?;
        let (source, view) = match &work {
            Work::Build { source, view } | Work::Rebuild { source, view } => (source, *view),
        };
        let runtime = inner.source(source.as_str()).map_err(JobFailure::from)?;
        let is_rebuild = matches!(work, Work::Rebuild { .. });
        let outcome =
            run.cancelled.run_until_cancelled(attempts(&inner, &runtime, view, is_rebuild, &run)).await;
        match outcome {
            Some(Ok(built)) => Ok(serde_json::to_value(built).unwrap_or_default()),
            Some(Err(error)) => {
                give_up(&runtime, view).await;
                Err(error.into())
            }
            None => {
                if run.is_abandoned() {
                    give_up(&runtime, view).await;
                }
                Err(stopped("the build"))
            }
        }
    }
}

async fn attempts(
    inner: &Arc<Inner>,
    runtime: &Arc<SourceRuntime>,
    view: Digest,
    is_rebuild: bool,
    run: &JobRun,
) -> Result<ViewBuild, FeaturesError> {
    let mut failures = 0;
    loop {
        let error = match attempt(inner, runtime, view, is_rebuild, run).await {
            Ok(built) => return Ok(built),
            Err(error) => error,
        };
        failures += 1;
        if failures >= ATTEMPTS {
            return Err(error);
        }
        tracing::warn!(%view, error = chain(&error), "a view cannot be built; it is tried again");
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

async fn attempt(
    inner: &Arc<Inner>,
    runtime: &Arc<SourceRuntime>,
    view: Digest,
    is_rebuild: bool,
    run: &JobRun,
) -> Result<ViewBuild, FeaturesError> {
    if is_rebuild || !runtime.is_ready(&view) {
        runtime.orders.give(Command::Begin(view)).await?;
    }
    let told = run.clone();
    let told = Arc::new(move |phase: &str, done, total| told.report(phase, done, total));
    let drive = Drive { inner: Arc::clone(inner), runtime: Arc::clone(runtime), view, told };
    Box::pin(drive.run()).await?;
    let definitions = inner.definitions();
    let definition = definitions.views_by_hash.get(&view).ok_or_else(|| {
        FeaturesError::MissingDefinition { what: format!("a view at version {}", view.short()) }
    })?;
    // An earlier attempt may have come to the end of the build and not to that of its job.
    let last = builds::last(&inner.store, &view).await?;
    let found = last.as_ref().and_then(|last| last.keys.zip(last.differing));
    Ok(ViewBuild {
        view: definition.definition.name.clone(),
        view_hash: view,
        rows: last.as_ref().map_or(0, |last| last.rows),
        seconds: last.as_ref().map_or(0, |last| last.spent_us) as f64 / 1e6,
        keys: found.map(|(keys, _)| keys),
        differing: found.map(|(_, differing)| differing),
    })
}

/// Removes what is built beside a state that is read. A view that has no other state keeps what it has.
async fn give_up(runtime: &SourceRuntime, view: Digest) {
    let Some(progress) = runtime.build(&view).filter(|progress| progress.is_rebuild) else { return };
    let build = BuildId { view, generation: progress.generation };
    if let Err(error) = runtime.orders.give(Command::Abandon(build)).await {
        tracing::warn!(%view, error = chain(&error), "a build that was given up is removed at the next start");
    }
}
