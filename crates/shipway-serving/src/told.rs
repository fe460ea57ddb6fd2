//! What a collector of OpenTelemetry is told of predictions: which version answers in which part, how long it waits and how long the
//! model runs, with whom. The moments are those of the statistics.

use std::{future::Future, time::Instant};

use shipway_web::spans::{self, Span, SpanAttribute, Within};

use crate::{
    error::ServingError,
    service::{Deployment, Part, Served},
};

/// Lets a version answer under a span of its own.
pub(crate) fn predicting<T, F: Future<Output = Result<T, ServingError>>>(
    (deployment, served, part): (&Deployment, &Served, Part),
    answer: F,
) -> Within<F> {
    let described = || {
        vec![
            SpanAttribute::new("shipway.deployment", deployment.name.to_string()),
            SpanAttribute::new("shipway.model.name", served.resolved.name.clone()),
            SpanAttribute::new("shipway.model.version", count(served.resolved.version)),
            SpanAttribute::new("shipway.variant", part.variant.word()),
            SpanAttribute::new("shipway.prediction.id", part.request_id.to_string()),
        ]
    };
    spans::within("predict", described, answer)
}

/// The model ran on the thread of the request, from `started` to now.
pub(crate) fn ran(started: Instant, rows: usize) {
    if let Some(span) = spans::current() {
        span.was("compute", (started, Instant::now()), together(rows, rows, 1));
    }
}

/// An answer was one that had been given before.
pub(crate) fn kept() {
    if let Some(span) = spans::current() {
        span.set(SpanAttribute::new("shipway.cache.hit", true));
    }
}

/// Requests that run together, and those of them that are sampled.
#[derive(Default)]
pub(crate) struct Batch {
    rows: usize,
    requests: usize,
    sampled: Vec<(Span, Instant, usize)>,
}

impl Batch {
    /// One more, which has waited since then.
    pub(crate) fn joined(&mut self, span: Option<Span>, since: Instant, rows: usize) {
        self.rows += rows;
        self.requests += 1;
        self.sampled.extend(span.map(|span| (span, since, rows)));
    }

    /// They have run, from one moment to another.
    pub(crate) fn ran(self, started: Instant, ended: Instant) {
        for (span, since, rows) in self.sampled {
            span.was("queue", (since, started), vec![SpanAttribute::new("shipway.rows", count(rows as u64))]);
            span.was("compute", (started, ended), together(rows, self.rows, self.requests));
        }
    }
}

fn together(rows: usize, of: usize, requests: usize) -> Vec<SpanAttribute> {
    vec![
        SpanAttribute::new("shipway.rows", count(rows as u64)),
        SpanAttribute::new("shipway.batch.rows", count(of as u64)),
        SpanAttribute::new("shipway.batch.requests", count(requests as u64)),
    ]
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
