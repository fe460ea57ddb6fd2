//! How a sink is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use shipway_core::{Failure, Name, Timestamp, failure::chain};
use shipway_definitions::{Sink, SinkFrom, SinkTo};

use super::port::{LeftOut, Standing};
use crate::error::StreamsError;

/// How a sink is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// The sink.
    pub sink: Name,
    /// What it sends.
    pub from: SinkFrom,
    /// Where to.
    pub to: SinkDestination,
    /// What it is doing.
    #[serde(flatten)]
    pub state: SinkState,
    /// What it waits for before it can send anything.
    pub waits_for: Option<String>,
    /// The next record of the source's log, or version of the table, to be dealt with.
    pub position: Option<u64>,
    /// Records or versions from there on.
    pub lag: Option<u64>,
    /// What is counted: `records` or `versions`.
    pub unit: Option<&'static str>,
    /// Rows that were sent since the server started.
    pub rows: u64,
    /// Rows that could not be sent since then, and why.
    pub left_out: Option<LeftOut>,
    /// The row of every key is being sent once more.
    pub resending: bool,
    /// Records or versions that were gone before they were read, since this was last acknowledged.
    pub skipped: u64,
    /// When rows were last sent.
    pub last_sent: Option<Timestamp>,
    /// The schema of the messages, where they are of Avro and some were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Arc<str>>,
}

/// Where a sink sends to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SinkDestination {
    /// A topic.
    Topic {
        /// The broker.
        broker: Name,
        /// The topic.
        topic: String,
        /// The format of its messages.
        format: &'static str,
    },
    /// A table.
    Table {
        /// The table.
        table: Name,
    },
}

/// What a sink is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SinkState {
    /// It connects.
    Starting,
    /// It sends what comes.
    Sending,
    /// It cannot go on, and tries again by itself; or it goes on, and something was missed that somebody should know of.
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

impl SinkState {
    fn of(error: &StreamsError, since: Timestamp) -> Self {
        let hint = error.hint().map(std::borrow::Cow::into_owned);
        Self::Failing { since, code: error.code().to_owned(), error: chain(error), hint }
    }
}

/// The status of one sink, kept up to date by its runner.
#[derive(Debug)]
pub(super) struct Board {
    sink: Arc<Sink>,
    shown: Mutex<Shown>,
}

#[derive(Debug)]
struct Shown {
    state: SinkState,
    rows: u64,
    left_out: Option<LeftOut>,
    last_sent: Option<Timestamp>,
    schema: Option<Arc<str>>,
}

impl Board {
    pub(super) fn new(sink: Arc<Sink>) -> Self {
        let shown =
            Shown { state: SinkState::Starting, rows: 0, left_out: None, last_sent: None, schema: None };
        Self { sink, shown: Mutex::new(shown) }
    }

    /// How the sink is; `standing` says how far.
    pub(super) fn show(&self, standing: Option<Standing>) -> SinkStatus {
        let shown = self.shown();
        let to = match &self.sink.to {
            SinkTo::Topic { broker, topic, format, .. } => {
                SinkDestination::Topic { broker: broker.clone(), topic: topic.clone(), format: format.word() }
            }
            SinkTo::Table(table) => SinkDestination::Table { table: table.clone() },
        };
        let mut state = shown.state.clone();
        let skipped = standing.as_ref().map_or(0, |standing| standing.skipped);
        if let Some(standing) = standing.as_ref().filter(|standing| standing.skipped > 0)
            && !matches!(state, SinkState::Failing { .. })
        {
            let sink = self.sink.name.clone();
            let error = StreamsError::Skipped { sink, count: standing.skipped, unit: standing.unit };
            state = SinkState::of(&error, standing.skipped_at.unwrap_or(Timestamp(0)));
        }
        SinkStatus {
            sink: self.sink.name.clone(),
            from: self.sink.from.clone(),
            to,
            state,
            waits_for: standing.as_ref().and_then(|standing| standing.waits_for.clone()),
            position: standing.as_ref().map(|standing| standing.position),
            lag: standing.as_ref().map(|standing| standing.lag),
            unit: standing.as_ref().map(|standing| standing.unit),
            rows: shown.rows,
            left_out: shown.left_out.clone(),
            resending: standing.as_ref().is_some_and(|standing| standing.is_resending),
            skipped,
            last_sent: shown.last_sent,
            schema: shown.schema.clone(),
        }
    }

    /// It can send, as far as is known.
    pub(super) fn sending(&self) {
        self.shown().state = SinkState::Sending;
    }

    /// The schema that messages have from now on.
    pub(super) fn has_schema(&self, schema: Option<&str>) {
        let mut shown = self.shown();
        if shown.schema.as_deref() != schema {
            shown.schema = schema.map(Arc::from);
        }
    }

    /// Rows were sent, or left out; the oldest event behind them was taken in so long ago.
    pub(super) fn sent(
        &self,
        rows: u64,
        left_out: Option<LeftOut>,
        oldest: Option<Timestamp>,
        now: Timestamp,
    ) {
        let labels = [("sink", self.sink.name.to_string())];
        metrics::counter!("shipway_sink_rows_total", &labels).increment(rows);
        if let Some(oldest) = oldest {
            let waited_us = now.micros().saturating_sub(oldest.micros()).max(0).unsigned_abs();
            let waited = std::time::Duration::from_micros(waited_us);
            metrics::histogram!("shipway_sink_event_sent_seconds", &labels).record(waited.as_secs_f64());
        }
        let mut shown = self.shown();
        shown.state = SinkState::Sending;
        shown.rows += rows;
        if rows > 0 {
            shown.last_sent = Some(now);
        }
        if let Some(left_out) = left_out {
            metrics::counter!("shipway_sink_rows_left_out_total", &labels).increment(left_out.rows);
            LeftOut::add(&mut shown.left_out, left_out);
        }
    }

    /// Whether this is news: the same failure that lasts is told once.
    pub(super) fn failed(&self, error: &StreamsError, now: Timestamp) -> bool {
        metrics::counter!("shipway_sink_failures_total", "sink" => self.sink.name.to_string()).increment(1);
        let mut shown = self.shown();
        let text = chain(error);
        let (since, is_news) = match &shown.state {
            SinkState::Failing { since, error, .. } => (*since, *error != text),
            SinkState::Starting | SinkState::Sending => (now, true),
        };
        shown.state = SinkState::of(error, since);
        is_news
    }

    /// Shows how far the sink is to whoever collects metrics.
    pub(super) fn lags(&self, standing: &Standing) {
        let labels = [("sink", self.sink.name.to_string()), ("unit", standing.unit.to_owned())];
        metrics::gauge!("shipway_sink_lag", &labels).set(standing.lag as f64);
    }

    /// A sink that is gone lags behind nothing.
    pub(super) fn ended(&self) {
        let unit = match self.sink.from {
            SinkFrom::View(_) => "records",
            SinkFrom::Deployment(_) | SinkFrom::Table(_) => "versions",
        };
        let labels = [("sink", self.sink.name.to_string()), ("unit", unit.to_owned())];
        metrics::gauge!("shipway_sink_lag", &labels).set(0.0);
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use shipway_definitions::{DefinitionFile, DefinitionSet};

    use super::*;

    fn board() -> Board {
        let text = "kind: sink\nname: again\nfrom: { table: orders }\nto: { broker: main, topic: t, format: avro }\n";
        let set = DefinitionSet::parse(&[DefinitionFile::new("sink.yaml", text)]).unwrap();
        Board::new(Arc::new(set.sink("again").unwrap().definition.clone()))
    }

    fn standing(skipped: u64) -> Standing {
        let skipped_at = (skipped > 0).then_some(Timestamp(5));
        Standing {
            position: 7,
            lag: 2,
            unit: "versions",
            waits_for: None,
            is_resending: false,
            skipped,
            skipped_at,
        }
    }

    #[test]
    fn a_sink_that_has_missed_something_is_failing_until_it_is_known() {
        let board = board();
        board.sending();
        assert_eq!(board.show(Some(standing(0))).state, SinkState::Sending);
        let status = serde_json::to_value(board.show(Some(standing(3)))).unwrap();
        assert_eq!((&status["state"], &status["code"]), (&"failing".into(), &"streams.sink_skipped".into()));
        assert_eq!(status["skipped"], 3);
        assert!(status["hint"].as_str().unwrap().contains("shipway sinks acknowledge again"), "{status}");
        assert_eq!(status["from"], serde_json::json!({ "table": "orders" }));
        assert_eq!(status["to"], serde_json::json!({ "broker": "main", "topic": "t", "format": "avro" }));
    }

    #[test]
    fn the_same_failure_is_news_once_and_keeps_its_moment() {
        let board = board();
        let broker = Name::new("main").unwrap();
        let failure = StreamsError::UnknownBroker { broker, known: Vec::new() };
        assert!(board.failed(&failure, Timestamp(1)) && !board.failed(&failure, Timestamp(2)));
        let SinkState::Failing { since, code, .. } = board.show(None).state else { panic!("failing") };
        assert_eq!((since, code.as_str()), (Timestamp(1), "streams.unknown_broker"));
        board.sent(4, None, None, Timestamp(3));
        let status = board.show(None);
        assert_eq!(
            (status.state, status.rows, status.last_sent),
            (SinkState::Sending, 4, Some(Timestamp(3)))
        );
        assert!(board.failed(&failure, Timestamp(4)), "after it went on it is news again");
    }

    #[test]
    fn rows_that_are_left_out_add_up() {
        let board = board();
        let left_out =
            |rows| Some(LeftOut { rows, code: "aggregate.integer_overflow", reason: "too large".into() });
        board.sent(1, left_out(2), None, Timestamp(1));
        board.sent(0, left_out(1), None, Timestamp(2));
        let status = board.show(None);
        assert_eq!((status.rows, status.left_out.unwrap().rows), (1, 3));
        assert_eq!(status.last_sent, Some(Timestamp(1)), "none was sent the second time");
    }
}
