//! What was asked and answered, and the finding of calls afterwards.
//!
//! Facts of a call are in the ledger and outlive a kill. Its words are not: they are kept where the definition of the model says so, wait
//! in memory within a bound, are shed before anything else is, and a kill loses those of the last moment. So no call waits for them.
//!
//! - `held`: how many bytes of words may be in memory, all calls together
//! - `content`: the words of one call, while it runs
//! - `row`: the words of a call that is over, as they are kept
//! - `words`: texts as they are searched; pure
//! - `writer`: makes rows and puts them into the store, and takes out what is too old
//! - `question`: which calls are looked for; pure
//! - here: where rows are kept and calls are found

mod content;
mod held;
mod question;
mod row;
mod words;
mod writer;

use async_trait::async_trait;
use serde_json::{Map, Value};
use shipway_core::Timestamp;

pub(crate) use content::{Content, Stage};
pub(crate) use question::call_id;
pub use question::{AskedFor, Question};
pub use row::CallContent;
pub(crate) use row::Over;
pub use writer::ContentLimits;
pub(crate) use writer::{Contents, shed};

use crate::ledger::CarryError;

/// The members of a call, by the names of the columns of its table; `attempts`, `guardrails` and `tags` as JSON.
pub type CallRow = Map<String, Value>;

/// Calls that were found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The newest first.
    pub calls: Vec<CallRow>,
    /// There may be more behind this one: to ask on, name it in `before`.
    pub next: Option<String>,
    /// Words were looked for back to this moment, and no further: it would have taken too long.
    pub searched_since: Option<Timestamp>,
}

/// Where calls are found, and their words are kept. The binary has it: it knows the tables.
#[async_trait]
pub trait TraceStore: Send + Sync {
    /// Keeps the words of calls, all of these or none.
    async fn put(&self, contents: &[CallContent]) -> Result<(), CarryError>;

    /// Takes out the words of calls of days that end before this moment, and keeps what is left in good order; how many days.
    async fn tidy(&self, before: Option<Timestamp>, now: Timestamp) -> Result<u64, CarryError>;

    /// The calls that a question is about.
    async fn find(&self, question: &Question) -> Result<Found, CarryError>;

    /// One call; none: there is no such call, or it is not in the table yet.
    async fn call(&self, call: &str) -> Result<Option<CallRow>, CarryError>;

    /// The words of a call, if they are kept.
    async fn content(&self, call: &str) -> Result<Option<CallContent>, CarryError>;
}
