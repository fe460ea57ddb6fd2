//! Spans of reads, training sets and jobs, for a collector; see `shipway_web::spans`.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use serde_json::Value as Json;
use shipway_core::Failure as _;
use shipway_store::jobs::{JobFailure, JobHandler, JobRun};
use shipway_web::spans::{self, SpanAttribute};

use crate::{error::FeaturesError, read::ReadAnswer};

/// A read of so many rows that began at `started` and is over now.
pub(crate) fn read(started: Instant, rows: usize, answered: &Result<ReadAnswer, FeaturesError>) {
    let Some(span) = spans::current() else { return };
    let mut attributes = vec![SpanAttribute::new("shipway.rows", count(rows))];
    match answered {
        Ok(answer) => {
            attributes.push(SpanAttribute::new("shipway.service.name", answer.service.to_string()));
            attributes.push(SpanAttribute::new("shipway.service.hash", answer.service_hash.to_string()));
        }
        Err(error) => attributes.push(SpanAttribute::new("error.type", error.code())),
    }
    span.was("features", (started, Instant::now()), attributes);
}

/// What is said of a training set that is made.
pub(crate) fn of_training_set(service: &str, table: Option<&str>) -> Vec<SpanAttribute> {
    let service = SpanAttribute::new("shipway.service.name", service.to_owned());
    let table = table.map(|table| SpanAttribute::new("shipway.table", table.to_owned()));
    std::iter::once(service).chain(table).collect()
}

/// The same handler, with a trace of its own for each attempt.
pub(crate) fn of_jobs(kind: &'static str, handler: Arc<dyn JobHandler>) -> Arc<dyn JobHandler> {
    Arc::new(Traced { kind, handler })
}

struct Traced {
    kind: &'static str,
    handler: Arc<dyn JobHandler>,
}

#[async_trait]
impl JobHandler for Traced {
    async fn run(&self, run: JobRun) -> Result<Json, JobFailure> {
        let span = spans::begin_trace("job", || {
            vec![
                SpanAttribute::new("shipway.job.kind", self.kind),
                SpanAttribute::new("shipway.job.id", run.id.clone()),
                SpanAttribute::new("shipway.job.attempt", i64::from(run.attempt)),
            ]
        });
        let cancelled = run.cancelled.clone();
        let outcome = spans::under(span.clone(), self.handler.run(run)).await;
        if let Some(span) = span {
            match &outcome {
                Err(_) if cancelled.is_cancelled() => {
                    span.set(SpanAttribute::new("error.type", "cancelled"));
                }
                Err(JobFailure(problem)) => span.fail(&problem.code, &problem.message),
                Ok(_) => {}
            }
            span.end();
        }
        outcome
    }
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
