//! What is handed in, and what became of it.

use bytes::Bytes;
use serde::Serialize;
use shipway_core::{DataType, Name, Timestamp, Value};

use crate::model::origin::Feed;

/// Messages of one feed, read by one member of its group. Of each partition in their order.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The topic of the broker.
    pub feed: Feed,
    /// The topic's name, for people.
    pub topic: String,
    /// The generation of the assignment under which they were read; see [`crate::Features::claim_partition`].
    pub generation: u64,
    /// The columns that `values` have, in their order. Columns that the source has gained since are null.
    pub columns: Vec<(Name, DataType)>,
    /// The messages.
    pub messages: Vec<Message>,
}

/// One message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its partition.
    pub partition: u32,
    /// Its place in the partition.
    pub offset: u64,
    /// When its producer sent it.
    pub sent: Option<Timestamp>,
    /// Its key, as it came.
    pub key: Option<Bytes>,
    /// Its body, as it came.
    pub message: Option<Bytes>,
    /// What it says: an event's values, nothing at all, or why it cannot be read.
    pub content: Result<Option<Vec<Value>>, Rejection>,
}

/// Why a message is no event of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What kind of fault it is: stable.
    pub code: String,
    /// For a person.
    pub reason: String,
}

/// What became of a delivery. Together they are all of its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TakenIn {
    /// Messages that were taken in before, by this process or an earlier one.
    pub repeated: usize,
    /// Messages that said nothing.
    pub empty: usize,
    /// Messages that are no events: they are in the table `<source>__dead_letters`.
    pub dead: usize,
    /// Events whose id was there before: they count once.
    pub duplicates: usize,
    /// Events too far in the future: they are in the table `<source>__quarantine`.
    pub quarantined: usize,
    /// Events older than the retention: they are in the table `<source>__late`.
    pub late: usize,
    /// All other events.
    pub events: usize,
    /// Give it to a read that must see these events.
    pub token: String,
}
