//! Where spans wait to be sent. A request only puts them here, and never waits: what does not fit is dropped and counted.

use std::time::Duration;

use metrics::Counter;
use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use tokio::sync::mpsc;

/// Spans that were dropped, by why.
pub(super) fn dropped(reason: &'static str) -> Counter {
    metrics::counter!("shipway_spans_dropped_total", "reason" => reason)
}

/// A queue of so many spans, and its other end.
pub(super) fn bounded(most: usize) -> (Queue, mpsc::Receiver<SpanData>) {
    let (queue, waiting) = mpsc::channel(most);
    let full = dropped("queue_full");
    full.increment(0);
    (Queue { queue, full }, waiting)
}

/// Puts spans that have ended into the queue.
pub(super) struct Queue {
    queue: mpsc::Sender<SpanData>,
    full: Counter,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Queue").field("room", &self.queue.capacity()).finish_non_exhaustive()
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.queue.try_send(span).is_err() {
            self.full.increment(1);
        }
    }

    // The sender empties the queue, and is stopped by who started it.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
