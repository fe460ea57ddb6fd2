//! What this crate needs of the feature platform.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use shipway_core::{DataType, Failure, Name, Timestamp, Value};

/// Why the other side refused or failed.
pub type IntakeFailure = Box<dyn Failure + Send + Sync>;

/// A topic of a broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Feed {
    /// The broker, by its name in the configuration; none for the dead letters of a source.
    pub broker: Option<Name>,
    /// Which of the clusters, one after the other, that the broker's name has stood for: positions in one say nothing about another.
    pub era: u32,
    /// The topic, or the source whose dead letters it is.
    pub topic: String,
}

/// Messages of one feed, of each partition in their order.
#[derive(Debug)]
pub struct Delivered {
    /// Where they come from.
    pub feed: Feed,
    /// The assignment under which they were read.
    pub generation: u64,
    /// What their values are, in their order.
    pub columns: Vec<(Name, DataType)>,
    /// The messages.
    pub messages: Vec<Arrived>,
}

/// A message.
#[derive(Debug)]
pub struct Arrived {
    /// Its partition.
    pub partition: u32,
    /// Its place in the partition.
    pub offset: u64,
    /// When its producer sent it.
    pub sent: Option<Timestamp>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its body.
    pub message: Option<Bytes>,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Debug, PartialEq)]
pub enum Content {
    /// The values of an event.
    Event(Vec<Value>),
    /// Nothing about events.
    Nothing,
    /// It cannot be read.
    Rejected(Rejection),
}

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What kind of fault it is: stable.
    pub code: String,
    /// For a person.
    pub reason: String,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events that were taken in.
    pub events: u64,
    /// Events whose id was there before.
    pub duplicates: u64,
    /// Messages that were taken in before.
    pub repeated: u64,
    /// Events too far in the future.
    pub quarantined: u64,
    /// Events older than the retention.
    pub late: u64,
    /// Messages that are dead letters now.
    pub dead: u64,
    /// Messages that said nothing.
    pub empty: u64,
}

/// Dead letters of a source that were not replayed yet.
#[derive(Debug)]
pub struct Letters {
    /// The oldest of them.
    pub letters: Vec<Letter>,
    /// Letters from here on came after the question was asked.
    pub end: u64,
}

/// A dead letter.
#[derive(Debug)]
pub struct Letter {
    /// Its place among the letters of its source.
    pub place: u64,
    /// When its producer sent it.
    pub sent: Option<Timestamp>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its body.
    pub message: Option<Bytes>,
}

/// Takes in what was read, and keeps the positions together with it.
#[async_trait]
pub trait Intake: Send + Sync {
    /// From now on refuses deliveries of this partition under an earlier generation; the next message to read, if any ever was.
    async fn claim(
        &self,
        source: &Name,
        feed: &Feed,
        generation: u64,
        partition: u32,
    ) -> Result<Option<u64>, IntakeFailure>;

    /// Notes that a partition is read from `position` on. Never moves it back.
    async fn pass_to(
        &self,
        source: &Name,
        feed: &Feed,
        generation: u64,
        place: (u32, u64),
    ) -> Result<(), IntakeFailure>;

    /// Takes messages in. When it returns they are durable together with their positions. Leaves out what was taken in before.
    /// After an error nothing has moved. Waits while the source cannot take more.
    async fn deliver(&self, source: &Name, delivered: Delivered) -> Result<Counts, IntakeFailure>;

    /// The first dead letters that were not replayed yet, the oldest first.
    async fn letters(&self, source: &Name, limit: usize) -> Result<Letters, IntakeFailure>;

    /// How many dead letters were not replayed yet.
    async fn count_letters(&self, source: &Name) -> Result<u64, IntakeFailure>;
}

/// A shared intake.
pub(crate) type SharedIntake = Arc<dyn Intake>;

impl Counts {
    pub(crate) fn add(&mut self, more: &Self) {
        self.events += more.events;
        self.duplicates += more.duplicates;
        self.repeated += more.repeated;
        self.quarantined += more.quarantined;
        self.late += more.late;
        self.dead += more.dead;
        self.empty += more.empty;
    }

    /// By the words of the metric.
    pub(crate) fn outcomes(&self) -> [(&'static str, u64); 7] {
        [
            ("event", self.events),
            ("duplicate", self.duplicates),
            ("repeated", self.repeated),
            ("quarantined", self.quarantined),
            ("late", self.late),
            ("dead_letter", self.dead),
            ("empty", self.empty),
        ]
    }
}
