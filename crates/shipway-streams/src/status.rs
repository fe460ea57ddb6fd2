//! How every stream is.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use shipway_broker::{BrokerError, Ends};
use shipway_core::{Failure, Name, Timestamp, failure::chain};

use crate::{error::StreamsError, port::Counts};

/// How a stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamStatus {
    /// The source.
    pub source: Name,
    /// The broker.
    pub broker: Name,
    /// The topic.
    pub topic: String,
    /// The format of its messages.
    pub format: &'static str,
    /// What it is doing.
    #[serde(flatten)]
    pub state: StreamState,
    /// Messages that the broker has and this server has not taken in, in the partitions that it reads; unknown before the
    /// broker was asked, and while a broker that does not count has some.
    pub lag: Option<u64>,
    /// The partitions that it reads.
    pub partitions: Vec<PartitionStatus>,
    /// What came since the server started.
    pub counts: Counts,
    /// When the last message was taken in.
    pub last_message: Option<Timestamp>,
}

/// What a stream is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StreamState {
    /// It connects, or waits for partitions.
    Joining,
    /// It reads.
    Reading,
    /// It cannot go on, and tries again by itself.
    Failing {
        /// Since when.
        since: Timestamp,
        /// The code of the failure.
        code: String,
        /// What is wrong.
        error: String,
        /// What can be done about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
}

/// A partition that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Its number.
    pub partition: u32,
    /// The next message to take in.
    pub position: u64,
    /// One behind the newest message, as of the last time that the broker was asked.
    pub end: Option<u64>,
}

/// The status of one stream, kept up to date by its reader.
#[derive(Debug)]
pub(crate) struct Board(Mutex<Shown>);

#[derive(Debug)]
struct Shown {
    status: StreamStatus,
    positions: BTreeMap<u32, u64>,
    ends: BTreeMap<u32, Ends>,
}

impl Shown {
    /// How many messages a partition has that were not taken in.
    fn lag(&self, partition: u32, position: u64) -> Option<u64> {
        self.ends.get(&partition)?.behind(position)
    }

    fn forget_lag(&self, partitions: &[u32]) {
        for partition in partitions {
            let labels = [("source", self.status.source.to_string()), ("partition", partition.to_string())];
            metrics::gauge!("shipway_stream_lag_messages", &labels).set(0.0);
        }
    }
}

impl Board {
    pub(crate) fn new(source: &Name, broker: &Name, topic: &str, format: &'static str) -> Self {
        let status = StreamStatus {
            source: source.clone(),
            broker: broker.clone(),
            topic: topic.to_owned(),
            format,
            state: StreamState::Joining,
            lag: None,
            partitions: Vec::new(),
            counts: Counts::default(),
            last_message: None,
        };
        Self(Mutex::new(Shown { status, positions: BTreeMap::new(), ends: BTreeMap::new() }))
    }

    pub(crate) fn show(&self) -> StreamStatus {
        let shown = self.shown();
        let mut status = shown.status.clone();
        let partition = |(partition, position): (&u32, &u64)| PartitionStatus {
            partition: *partition,
            position: *position,
            end: shown.ends.get(partition).map(|ends| ends.high.max(*position)),
        };
        status.partitions = shown.positions.iter().map(partition).collect();
        let lags = shown.positions.iter().map(|(partition, position)| shown.lag(*partition, *position));
        status.lag = if status.partitions.is_empty() { None } else { lags.sum() };
        status
    }

    pub(crate) fn assigned(&self, partitions: impl IntoIterator<Item = (u32, u64)>) {
        let mut shown = self.shown();
        shown.positions.extend(partitions);
        shown.status.state = StreamState::Reading;
    }

    pub(crate) fn revoked(&self, partitions: &[u32]) {
        let mut shown = self.shown();
        shown.forget_lag(partitions);
        shown.positions.retain(|partition, _| !partitions.contains(partition));
        if shown.positions.is_empty() {
            shown.status.state = StreamState::Joining;
        }
    }

    pub(crate) fn took(&self, counts: &Counts, positions: &BTreeMap<u32, u64>, now: Timestamp) {
        let mut shown = self.shown();
        shown.positions.extend(positions);
        shown.status.counts.add(counts);
        shown.status.last_message = Some(now);
        for (outcome, count) in counts.outcomes() {
            if count > 0 {
                let source = shown.status.source.to_string();
                metrics::counter!("shipway_stream_messages_total", "source" => source, "outcome" => outcome)
                    .increment(count);
            }
        }
    }

    pub(crate) fn ends(&self, ends: &[Ends]) {
        let mut shown = self.shown();
        shown.ends = ends.iter().map(|ends| (ends.partition, *ends)).collect();
        for (partition, position) in &shown.positions {
            if !shown.ends.contains_key(partition) {
                continue;
            }
            let labels = [("source", shown.status.source.to_string()), ("partition", partition.to_string())];
            // Not 0, which would say that nothing waits.
            let lag = shown.lag(*partition, *position).map_or(f64::NAN, |lag| lag as f64);
            metrics::gauge!("shipway_stream_lag_messages", &labels).set(lag);
        }
    }

    /// Whether this is news: the same failure that lasts is told once.
    pub(crate) fn failed(&self, error: &StreamsError, now: Timestamp) -> bool {
        let mut shown = self.shown();
        let source = shown.status.source.to_string();
        metrics::counter!("shipway_stream_failures_total", "source" => source).increment(1);
        // A partition that stands still does not hold up the others.
        if !matches!(error, StreamsError::Broker(BrokerError::PositionGone { .. })) {
            let partitions: Vec<u32> = shown.positions.keys().copied().collect();
            shown.forget_lag(&partitions);
            shown.positions.clear();
        }
        let (before, text) = (shown.status.state.clone(), chain(error));
        let (since, is_news) = match before {
            StreamState::Failing { since, error, .. } => (since, error != text),
            StreamState::Joining | StreamState::Reading => (now, true),
        };
        let hint = error.hint().map(std::borrow::Cow::into_owned);
        shown.status.state = StreamState::Failing { since, code: error.code().to_owned(), error: text, hint };
        is_news
    }

    /// This server has no lag any more in partitions that it does not read.
    pub(crate) fn ended(&self) {
        let shown = self.shown();
        let partitions: Vec<u32> = shown.positions.keys().copied().collect();
        shown.forget_lag(&partitions);
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use shipway_broker::Offsets;

    use super::*;

    #[test]
    fn a_lag_is_unknown_while_a_broker_has_messages_and_does_not_count_them() {
        let name = |text: &str| Name::new(text).unwrap();
        let board = Board::new(&name("departures"), &name("main"), "flights", "json");
        board.assigned([(0, 10), (1, 1 << 40)]);
        let ends = |partition, high, offsets| Ends { partition, low: 0, high, offsets };
        for (offsets, lag) in [(Offsets::Counted, Some(5)), (Offsets::Ordered, None)] {
            board.ends(&[ends(0, 15, offsets), ends(1, 1 << 40, offsets)]);
            let shown = board.show();
            assert_eq!(shown.lag, lag);
            let ends: Vec<_> = shown.partitions.iter().map(|partition| partition.end).collect();
            assert_eq!(ends, [Some(15), Some(1 << 40)]);
        }
        board.ends(&[ends(0, 10, Offsets::Ordered), ends(1, 1 << 40, Offsets::Ordered)]);
        assert_eq!(board.show().lag, Some(0));
    }
}
