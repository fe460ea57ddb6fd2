//! What one version has done since it was loaded: counts and times, as the Open Inference statistics name them, and the same
//! times as histograms.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Histogram};
use shipway_core::Timestamp;

/// The parts of a request whose times are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The whole of a request that was answered.
    Success,
    /// The whole of a request that failed or was refused.
    Fail,
    /// Waiting for the model.
    Queue,
    /// Making the model's input of the request: features included.
    ComputeInput,
    /// The model itself.
    ComputeInfer,
    /// Making the answer of the model's output.
    ComputeOutput,
    /// Looking for an answer that was given before, with success.
    CacheHit,
    /// The same without success.
    CacheMiss,
}

const PHASES: usize = 8;

/// The words for the phases in metrics, in their order.
const WORDS: [&str; PHASES] = [
    "total",
    "failed",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "cache_hit",
    "cache_miss",
];

/// Batches of more rows than this are counted as if they had so many.
const MOST_ROWS_TOLD_APART: usize = 1_024;

/// How often, and how long in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) count: u64,
    pub(crate) ns: u64,
}

#[derive(Debug, Default)]
struct AtomicTotal {
    count: AtomicU64,
    ns: AtomicU64,
}

/// The statistics of a version.
#[derive(Default)]
pub(crate) struct Statistics {
    histograms: Vec<Histogram>,
    /// Of the deployment, whichever version answers: rows answered, and the time of each request.
    answers: Option<(Counter, Histogram)>,
    triton: Option<TritonCounters>,
    phases: [AtomicTotal; PHASES],
    last_ms: AtomicU64,
    rows: AtomicU64,
    executions: AtomicU64,
    refused: AtomicU64,
    /// By rows of a batch.
    batches: Mutex<BTreeMap<usize, Total>>,
}

/// The same under the names of Triton's metrics.
struct TritonCounters {
    successes: Counter,
    failures: Counter,
    rejected: Counter,
    rows: Counter,
    executions: Counter,
    /// Of the whole, and of each phase from the queue on.
    microseconds: [Counter; 5],
    /// Found in the cache, and not.
    cache: [Counter; 2],
}

impl TritonCounters {
    fn of(deployment: &str, version: u64) -> Self {
        let counter = |name: &'static str| metrics::counter!(name, "model" => deployment.to_owned(), "version" => version.to_string());
        let failure = |reason: &'static str| {
            metrics::counter!(
                "nv_inference_request_failure",
                "model" => deployment.to_owned(), "version" => version.to_string(), "reason" => reason
            )
        };
        Self {
            successes: counter("nv_inference_request_success"),
            failures: failure("OTHER"),
            rejected: failure("REJECTED"),
            rows: counter("nv_inference_count"),
            executions: counter("nv_inference_exec_count"),
            microseconds: [
                "nv_inference_request_duration_us",
                "nv_inference_queue_duration_us",
                "nv_inference_compute_input_duration_us",
                "nv_inference_compute_infer_duration_us",
                "nv_inference_compute_output_duration_us",
            ]
            .map(counter),
            cache: ["nv_cache_num_hits_per_model", "nv_cache_num_misses_per_model"].map(counter),
        }
    }

    fn record(&self, phase: Phase, took: Duration) {
        let [whole, queue, input, infer, output] = &self.microseconds;
        let [hits, misses] = &self.cache;
        let into = match phase {
            Phase::Success => {
                self.successes.increment(1);
                whole
            }
            Phase::Fail => {
                self.failures.increment(1);
                return;
            }
            Phase::CacheHit => return hits.increment(1),
            Phase::CacheMiss => return misses.increment(1),
            Phase::Queue => queue,
            Phase::ComputeInput => input,
            Phase::ComputeInfer => infer,
            Phase::ComputeOutput => output,
        };
        into.increment(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Statistics {
    /// Of this version of a deployment, from now on.
    pub(crate) fn of(deployment: &str, version: u64, triton_metrics: bool) -> Self {
        let histogram = |phase: &'static str| {
            metrics::histogram!(
                "shipway_inference_seconds",
                "deployment" => deployment.to_owned(), "version" => version.to_string(), "phase" => phase
            )
        };
        let label = deployment.to_owned();
        let answers = (
            metrics::counter!("shipway_predictions_total", "deployment" => label.clone()),
            metrics::histogram!("shipway_predict_seconds", "deployment" => label),
        );
        let triton = triton_metrics.then(|| TritonCounters::of(deployment, version));
        Self { histograms: WORDS.map(histogram).into(), answers: Some(answers), triton, ..Self::default() }
    }

    pub(crate) fn record(&self, phase: Phase, took: Duration) {
        if let Some(total) = self.phases.get(phase as usize) {
            total.count.fetch_add(1, Ordering::Relaxed);
            total.ns.fetch_add(nanoseconds(took), Ordering::Relaxed);
        }
        if let Some(histogram) = self.histograms.get(phase as usize) {
            histogram.record(took.as_secs_f64());
        }
        if let Some(triton) = &self.triton {
            triton.record(phase, took);
        }
    }

    /// The model ran once, on so many rows.
    pub(crate) fn ran(&self, rows: usize, took: Duration) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.executions.fetch_add(1, Ordering::Relaxed);
        if let Some(triton) = &self.triton {
            triton.rows.increment(rows as u64);
            triton.executions.increment(1);
        }
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let total = batches.entry(rows.min(MOST_ROWS_TOLD_APART)).or_default();
        total.count += 1;
        total.ns = total.ns.saturating_add(nanoseconds(took));
    }

    /// So many rows were answered.
    pub(crate) fn answered(&self, rows: usize, took: Duration) {
        if let Some((counter, histogram)) = &self.answers {
            counter.increment(rows as u64);
            histogram.record(took.as_secs_f64());
        }
    }

    /// A request was turned away, or its time ran out.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(triton) = &self.triton {
            triton.rejected.increment(1);
        }
    }

    /// A request came.
    pub(crate) fn asked_at(&self, now: Timestamp) {
        let now_ms = u64::try_from(now.micros() / 1_000).unwrap_or(0);
        self.last_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    pub(crate) fn total(&self, phase: Phase) -> Total {
        self.phases.get(phase as usize).map_or_else(Total::default, |total| Total {
            count: total.count.load(Ordering::Relaxed),
            ns: total.ns.load(Ordering::Relaxed),
        })
    }

    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub(crate) fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    pub(crate) fn refusals(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Per number of rows, how often and how long the model ran.
    pub(crate) fn batches(&self) -> BTreeMap<usize, Total> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
