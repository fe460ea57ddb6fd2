//! What sinks need of the feature platform.

use std::sync::Arc;

use async_trait::async_trait;
use shipway_core::{DataType, Failure, Name, Timestamp, Value};
use shipway_definitions::Sink;

/// Why the other side refused or failed.
type OutflowFailure = Box<dyn Failure + Send + Sync>;

/// Rows to be sent, in their order.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The columns of each row. The same allocation for as long as they stay the same.
    pub columns: Arc<[(String, DataType)]>,
    /// Positions of the columns that a row is known by; empty where it is known by nothing.
    pub key: Arc<[usize]>,
    /// The values of each row.
    pub rows: Vec<Vec<Value>>,
    /// Rows that should be here and cannot be given.
    pub left_out: Option<LeftOut>,
    /// When the oldest event behind them was taken in.
    pub oldest: Option<Timestamp>,
}

/// Rows that could not be given or sent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// How many.
    pub rows: u64,
    /// The code of the last one's fault.
    pub code: &'static str,
    /// Why not, of the last one.
    pub reason: String,
}

/// How far a sink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The next record or version to be dealt with.
    pub position: u64,
    /// How many there are from there on.
    pub lag: u64,
    /// What is counted: `records` or `versions`.
    pub unit: &'static str,
    /// What it waits for before it can send anything.
    pub waits_for: Option<String>,
    /// The row of every key is being sent once more.
    pub is_resending: bool,
    /// How many were gone before they were read, since this was last acknowledged.
    pub skipped: u64,
    /// When it last found that some were gone.
    pub skipped_at: Option<Timestamp>,
}

/// Gives out rows, and keeps where each sink stands.
#[async_trait]
pub trait Outflow: Send + Sync {
    /// From now on keeps the places of these sinks and of no others; a new one begins with what comes from now on. Those that are gone
    /// or changed are not read any more when this is called.
    async fn keep(&self, sinks: &[Arc<Sink>]) -> Result<(), OutflowFailure>;

    /// The rows of a sink, from where it stands. One reader at a time.
    async fn open(&self, sink: &Sink) -> Result<Box<dyn Outlet>, OutflowFailure>;

    /// How far a sink is.
    fn standing(&self, sink: &Name) -> Option<Standing>;

    /// Has the row of every key sent once more.
    async fn resend(&self, sink: &Sink) -> Result<(), OutflowFailure>;

    /// Tells no more of what the sink has skipped.
    async fn acknowledge(&self, sink: &Name) -> Result<(), OutflowFailure>;
}

/// The rows of one sink.
#[async_trait]
pub trait Outlet: Send {
    /// The next rows; waits until there are some.
    async fn next(&mut self) -> Result<Rows, OutflowFailure>;

    /// Those that were given out last are sent.
    fn sent(&mut self);

    /// Puts those that were given out last into the table of the sink, exactly once, and with that they are sent.
    async fn append(&mut self, rows: Rows) -> Result<(), OutflowFailure>;

    /// Writes down where the sink stands.
    async fn close(self: Box<Self>) -> Result<(), OutflowFailure>;
}

impl LeftOut {
    /// Adds what else was left out.
    pub(crate) fn add(into: &mut Option<Self>, more: Self) {
        let before = into.as_ref().map_or(0, |left_out| left_out.rows);
        *into = Some(Self { rows: before + more.rows, ..more });
    }

    /// Adds one row.
    pub(crate) fn note(into: &mut Option<Self>, fault: &impl Failure) {
        Self::add(into, Self { rows: 1, code: fault.code(), reason: fault.to_string() });
    }
}
