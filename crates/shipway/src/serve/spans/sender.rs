//! Takes spans out of the queue and sends them in batches. A collector that does not answer costs memory up to the queue, and spans
//! beyond it; never a request.

use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::Counter;
use shipway_web::spans::Recorded;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    collector::{Collector, NotTaken},
    queue::dropped,
};

/// Spans of one message.
const MOST_TOGETHER: usize = 512;

/// How long the first span of a batch waits for others.
const COMPANY: Duration = Duration::from_secs(1);

/// How long is waited before a batch is sent again, each time.
const AGAIN_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// How often a loss is logged at most.
const COMPLAINS_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Sender {
    collector: Collector,
    waiting: mpsc::Receiver<Recorded>,
    sent: Counter,
    not_sent: Counter,
    refused: Counter,
    complaints: Complaints,
}

impl Sender {
    pub(super) fn new(collector: Collector, waiting: mpsc::Receiver<Recorded>) -> Self {
        let sender = Self {
            collector,
            waiting,
            sent: metrics::counter!("shipway_spans_sent_total"),
            not_sent: dropped("not_sent"),
            refused: dropped("refused"),
            complaints: Complaints::default(),
        };
        // So that they are there from the beginning.
        for counter in [&sender.sent, &sender.not_sent, &sender.refused] {
            counter.increment(0);
        }
        sender
    }

    /// Sends until it is told to stop, and then what still waits.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while let Some(batch) = self.next(&stop).await {
            self.send(batch, &stop).await;
        }
    }

    /// The next batch: full, or as old as it may get, or what is left when it is told to stop. None when nothing is left then.
    async fn next(&mut self, stop: &CancellationToken) -> Option<Vec<Recorded>> {
        let mut batch = Vec::new();
        let first = stop.run_until_cancelled(self.waiting.recv_many(&mut batch, MOST_TOGETHER)).await;
        if first.is_some() {
            let company = tokio::time::sleep(COMPANY);
            tokio::pin!(company);
            while batch.len() < MOST_TOGETHER {
                let room = MOST_TOGETHER - batch.len();
                tokio::select! {
                    more = self.waiting.recv_many(&mut batch, room) => if more == 0 { break },
                    () = &mut company => break,
                    () = stop.cancelled() => break,
                }
            }
        } else {
            self.waiting.close();
            self.waiting.recv_many(&mut batch, MOST_TOGETHER).await;
        }
        (!batch.is_empty()).then_some(batch)
    }

    async fn send(&mut self, batch: Vec<Recorded>, stop: &CancellationToken) {
        let spans = batch.len() as u64;
        match self.send_again(self.collector.message(batch), stop).await {
            Ok(taken) => {
                self.sent.increment(spans.saturating_sub(taken.refused));
                if taken.refused > 0 {
                    self.refused.increment(taken.refused);
                    self.complaints
                        .lost(taken.refused, &format!("the collector refused them: {}", taken.reason));
                }
            }
            Err(NotTaken { why, .. }) => {
                self.not_sent.increment(spans);
                self.complaints.lost(spans, &why);
            }
        }
    }

    /// Sends a message until it is taken, or there is no hope, or it has been tried often enough. Who stops has one try.
    async fn send_again(
        &self,
        message: Bytes,
        stop: &CancellationToken,
    ) -> Result<super::collector::Taken, NotTaken> {
        for pause in AGAIN_AFTER {
            match self.collector.send(message.clone()).await {
                Err(NotTaken { may_help: true, why }) if !stop.is_cancelled() => {
                    tracing::debug!(why, "spans are sent again");
                }
                outcome => return outcome,
            }
            let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        self.collector.send(message).await
    }
}

/// What was lost and not yet said.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    fn lost(&mut self, spans: u64, why: &str) {
        self.unsaid += spans;
        let is_due = self.last.is_none_or(|last| last.elapsed() >= COMPLAINS_EVERY);
        if is_due {
            tracing::warn!(spans = self.unsaid, why, "spans were lost on their way to the collector");
            *self = Self { last: Some(Instant::now()), unsaid: 0 };
        }
    }
}
