//! Where spans wait to be sent. A request only puts them here, and never waits: what does not fit is dropped and counted.

use metrics::Counter;
use shipway_web::spans::{Recorded, TakeSpans};
use tokio::sync::mpsc;

/// Spans that were dropped, by why.
pub(super) fn dropped(reason: &'static str) -> Counter {
    metrics::counter!("shipway_spans_dropped_total", "reason" => reason)
}

/// A queue of so many spans, and its other end.
pub(super) fn bounded(most: usize) -> (Queue, mpsc::Receiver<Recorded>) {
    let (queue, waiting) = mpsc::channel(most);
    let full = dropped("queue_full");
    full.increment(0);
    (Queue { queue, full }, waiting)
}

/// Puts spans that have ended into the queue.
pub(super) struct Queue {
    queue: mpsc::Sender<Recorded>,
    full: Counter,
}

impl TakeSpans for Queue {
    fn take(&self, span: Recorded) {
        if self.queue.try_send(span).is_err() {
            self.full.increment(1);
        }
    }
}
