//! The job: lists what there is, loads what is new, and says what came of it.

use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use shipway_definitions::{Batch, BatchFrom, Source};
use shipway_store::jobs::{JobFailure, JobHandler, JobRun};

use super::{BatchError, BatchProblem, error::error, files, versions};
use crate::{error::FeaturesError, features::Inner, source::SourceRuntime, store::batch};

/// The kind of these jobs.
pub const BATCH_JOB: &str = "source_refresh";

/// Problems that a look names; the others are counted.
const MOST_NAMED: usize = 20;

/// What a look found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Looked {
    /// The source.
    pub source: String,
    /// Files, or versions, that were there.
    pub found: u64,
    /// Those that were loaded now.
    pub loaded: u64,
    /// Rows that came with them.
    pub rows: u64,
    /// Rows left out because their event id was there before.
    pub duplicates: u64,
    /// Items that are not loaded, or not as they are now.
    pub failed: u64,
    /// The first of them, and why.
    pub problems: Vec<BatchProblem>,
    /// Whether online reads see the rows.
    pub visible: bool,
}

/// What a job has to do. Stored in the metadata database, so it only ever grows.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    /// The source.
    source: String,
}

/// One look, under way.
pub(super) struct Look {
    pub(super) inner: Arc<Inner>,
    pub(super) runtime: Arc<SourceRuntime>,
    pub(super) source: Source,
    pub(super) batch: Batch,
    pub(super) run: JobRun,
    pub(super) looked: Looked,
    /// The data file that is being read, where an item has several.
    pub(super) under_way: Arc<Mutex<Option<String>>>,
    /// The offset of the last marker.
    pub(super) marker: Option<u64>,
}

impl Look {
    pub(super) fn name(&self) -> &str {
        self.source.name.as_str()
    }

    /// The pattern or the table, as items are filed under it.
    pub(super) fn location(&self) -> String {
        self.batch.location().to_string()
    }

    /// An error once the look is to end.
    pub(super) fn check_wanted(&self) -> Result<(), FeaturesError> {
        if self.run.cancelled.is_cancelled() { Err(self.cancelled()) } else { Ok(()) }
    }

    pub(super) fn cancelled(&self) -> FeaturesError {
        error(BatchError::Cancelled { source_name: self.name().to_owned() })
    }

    /// Counts an item that is not loaded as it is, and names the first ones.
    pub(super) fn fails(&mut self, problem: BatchProblem) {
        self.looked.failed += 1;
        tracing::warn!(
            source = self.name(),
            item = problem.item,
            code = problem.code,
            reason = problem.message,
            "an item of a batch source is not loaded"
        );
        if self.looked.problems.len() < MOST_NAMED {
            self.looked.problems.push(problem);
        }
    }
}

/// Does these jobs. The platform holds the jobs, so they hold it weakly: else neither would ever be closed.
pub(crate) fn handler(inner: Weak<Inner>) -> Arc<dyn JobHandler> {
    Arc::new(Looks(inner))
}

struct Looks(Weak<Inner>);

#[async_trait]
impl JobHandler for Looks {
    async fn run(&self, run: JobRun) -> Result<Json, JobFailure> {
        let Some(inner) = self.0.upgrade() else {
            return Err(JobFailure::from(FeaturesError::Stopped { what: "the feature platform" }));
        };
        let Ok(Work { source }) = serde_json::from_value(run.payload.clone()) else {
            return Err(JobFailure::from(crate::error::damaged("the job's payload")));
        };
        let cancelled = run.cancelled.clone();
        let looked = Box::pin(look(Arc::clone(&inner), &source, run)).await;
        let outcome = looked.map_err(JobFailure::from);
        // One that was ended on purpose says nothing about the source.
        if !cancelled.is_cancelled() {
            let problem = outcome.as_ref().err().map(|JobFailure(problem)| problem);
            let noted = batch::ended(&inner.store, &source, problem, inner.clock.now()).await;
            noted.map_err(|failure| JobFailure::from(FeaturesError::from(failure)))?;
        }
        let outcome = outcome?;
        metrics::gauge!("shipway_batch_problems", "source" => source).set(outcome.failed as f64);
        Ok(serde_json::to_value(outcome).unwrap_or_default())
    }
}

async fn look(inner: Arc<Inner>, name: &str, run: JobRun) -> Result<Looked, FeaturesError> {
    let (source, batch) = inner.batch_source(name)?;
    let runtime = inner.source(name)?;
    let looked = Looked {
        source: name.to_owned(),
        found: 0,
        loaded: 0,
        rows: 0,
        duplicates: 0,
        failed: 0,
        problems: Vec::new(),
        visible: true,
    };
    let mut look =
        Look { inner, runtime, source, batch, run, looked, under_way: Arc::default(), marker: None };
    match look.batch.from {
        BatchFrom::Files { .. } => Box::pin(files::load_new(&mut look)).await?,
        BatchFrom::Delta { .. } => Box::pin(versions::load_new(&mut look)).await?,
    }
    if let Some(marker) = look.marker {
        look.run.report("making the rows visible", 0, None);
        let limit = look.inner.limits.load_wait;
        let visible = tokio::select! {
            () = look.run.cancelled.cancelled() => return Err(look.cancelled()),
            visible = look.runtime.wait_visible(marker + 1, limit) => visible,
        };
        look.looked.visible = visible.is_ok();
    }
    tracing::info!(
        source = name,
        found = look.looked.found,
        loaded = look.looked.loaded,
        rows = look.looked.rows,
        failed = look.looked.failed,
        "looked for news of a batch source"
    );
    Ok(look.looked)
}
