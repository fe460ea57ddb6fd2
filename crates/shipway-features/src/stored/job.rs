//! Training sets as durable jobs: begun again after a crash with the inputs of the first attempt, cancelled without a trace.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use shipway_store::jobs::{Job, JobFailure, JobHandler, JobRun, Jobs, NewJob};

use super::{Recipe, StoreOptions, StoredError, build::Watched, error};
use crate::{Features, backfill, batch, error::FeaturesError, features::Inner, spans, training::TrainingSet};

/// The kind of these jobs.
pub const TRAINING_SET_JOB: &str = "training_set";

/// What a job has to do. Stored in the metadata database, so it only ever grows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Work {
    /// Make the table of a recipe.
    Build {
        /// The table.
        table: String,
        /// Whether a table that holds something else is replaced.
        replace: bool,
        /// What to make.
        recipe: Box<Recipe>,
    },
    /// Make a training set again and compare it.
    Rebuild {
        /// The training set.
        table: String,
        /// The table to write.
        into: Option<String>,
    },
}

impl Features {
    /// Plugs in the jobs of this server; the first ones stay.
    pub fn set_jobs(&self, jobs: Jobs) {
        let training_sets = Arc::new(TrainingSetJobs(Arc::downgrade(&self.inner)));
        jobs.register(TRAINING_SET_JOB, spans::of_jobs(TRAINING_SET_JOB, training_sets));
        backfill::register(&jobs, &self.inner);
        let looks = batch::handler(Arc::downgrade(&self.inner));
        jobs.register(batch::BATCH_JOB, spans::of_jobs(batch::BATCH_JOB, looks));
        let _ = self.inner.jobs.set(jobs);
        // Builds that wait for somebody who drives them, and sources that wait for a look.
        self.inner.builds_changed.notify_one();
        self.inner.batch_due.notify_one();
    }

    /// Records a job that keeps the training set in a table; what can be checked before is checked now, and the inputs are
    /// those of now.
    pub async fn submit_training_set(
        &self,
        wanted: TrainingSet,
        table: &str,
        options: StoreOptions,
        actor: &str,
    ) -> Result<Job, FeaturesError> {
        let jobs = self.inner.jobs()?;
        let recipe = Box::new(self.storable(&wanted, table, options).await?);
        let work = Work::Build { table: table.to_owned(), replace: options.replace, recipe };
        submit(jobs, table, &work, actor).await
    }

    /// Records a job that makes a kept training set again and compares every bit.
    pub async fn submit_rebuild(
        &self,
        table: &str,
        into: Option<&str>,
        actor: &str,
    ) -> Result<Job, FeaturesError> {
        let jobs = self.inner.jobs()?;
        let target = self.rebuild_target(table, into).await?;
        let work = Work::Rebuild { table: table.to_owned(), into: into.map(str::to_owned) };
        submit(jobs, target.as_deref().unwrap_or(table), &work, actor).await
    }
}

impl Inner {
    /// The jobs of this server.
    pub(crate) fn jobs(&self) -> Result<&Jobs, FeaturesError> {
        self.jobs.get().ok_or_else(|| error(StoredError::NoJobs))
    }
}

async fn submit(jobs: &Jobs, table: &str, work: &Work, actor: &str) -> Result<Job, FeaturesError> {
    let job = NewJob {
        kind: TRAINING_SET_JOB,
        subject: format!("table/{table}"),
        payload: serde_json::to_value(work).unwrap_or_default(),
        actor: actor.to_owned(),
    };
    jobs.submit(job).await.map_err(|refused| FeaturesError::Elsewhere(Box::new(refused)))
}

/// The platform holds the jobs, so the jobs hold it weakly: else neither would ever be closed.
struct TrainingSetJobs(Weak<Inner>);

#[async_trait]
impl JobHandler for TrainingSetJobs {
    async fn run(&self, run: JobRun) -> Result<Json, JobFailure> {
        let Some(inner) = self.0.upgrade() else {
            return Err(JobFailure::from(FeaturesError::Stopped { what: "the feature platform" }));
        };
        let features = Features { inner };
        let told = run.clone();
        let watched = Watched {
            cancelled: run.cancelled.clone(),
            report: Arc::new(move |phase: &str, done, total| told.report(phase, done, total)),
        };
        let outcome = match serde_json::from_value(run.payload) {
            Ok(Work::Build { table, replace, recipe }) => {
                let options = StoreOptions { replace };
                let built = Box::pin(features.build(&recipe, &table, options, &watched)).await;
                built.map(|built| serde_json::to_value(built).unwrap_or_default())
            }
            Ok(Work::Rebuild { table, into }) => {
                let rebuilt = Box::pin(features.rebuild(&table, into.as_deref(), &watched)).await;
                rebuilt.map(|rebuilt| serde_json::to_value(rebuilt).unwrap_or_default())
            }
            Err(_) => Err(crate::error::damaged("the job's payload")),
        };
        outcome.map_err(JobFailure::from)
    }
}
