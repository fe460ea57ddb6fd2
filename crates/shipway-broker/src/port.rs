//! What a broker is to us.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::BrokerError;

/// A cluster of brokers that answers.
#[async_trait]
pub trait Broker: Send + Sync + fmt::Debug {
    /// How many partitions a topic has; they are numbered from 0. A topic that does not exist is an error, and is not made.
    async fn partitions(&self, topic: &str) -> Result<u32, BrokerError>;

    /// Where each partition of a topic begins and ends now, by partition.
    async fn ends(&self, topic: &str) -> Result<Vec<Ends>, BrokerError>;

    /// Joins a group of readers of a topic. Partitions are assigned by and by; [`Subscription::next`] tells of each.
    ///
    /// A broker may share the partitions among the members, as Kafka does, or leave each to the member that came first until
    /// that one leaves, as Pulsar does here.
    async fn subscribe(&self, subscribe: Subscribe) -> Result<Box<dyn Subscription>, BrokerError>;

    /// A writer. Its order per key holds within itself, so one that is shared keeps more than two do.
    async fn producer(&self) -> Result<Arc<dyn Producer>, BrokerError>;
}

/// One member's share of a topic.
///
/// Its future steps are safe to drop: what a dropped [`next`](Self::next) would have answered, the following one does.
/// The member stays in its group while nobody calls it, for as long as the process lives.
#[async_trait]
pub trait Subscription: Send + fmt::Debug {
    /// The next thing that happens, within `wait`: at most `max_messages` messages of together at most `max_bytes`
    /// (keys, values and headers), or a single longer one.
    ///
    /// Calling it after [`Event::Revoked`] says what [`revoked_done`](Self::revoked_done) says. After an error it may
    /// be called again; failures that last are told once, not at every call.
    async fn next(
        &mut self,
        max_messages: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Event, BrokerError>;

    /// The caller has written its last for the partitions that were revoked: their next owners may begin.
    async fn revoked_done(&mut self) -> Result<(), BrokerError>;

    /// Reads on from `position` in a partition that is assigned: the way on after [`BrokerError::PositionGone`].
    async fn seek(&mut self, partition: u32, position: u64) -> Result<(), BrokerError>;

    /// Tells the broker the next position of each partition, for its tools that watch lag. A hint: it may get lost, and
    /// no position is ever read back.
    async fn commit(&mut self, positions: &[(u32, u64)]) -> Result<(), BrokerError>;

    /// Leaves the group, so that its partitions are assigned at once. To drop the subscription does the same without
    /// waiting. Either says that the caller has written its last.
    async fn close(self: Box<Self>) -> Result<(), BrokerError>;
}

/// Writes messages.
#[async_trait]
pub trait Producer: Send + Sync + fmt::Debug {
    /// Sends a message and answers when it is acknowledged. Waits first while the queue is at its bound.
    ///
    /// Messages of one key keep the order in which their futures are first polled. A future that is dropped later than
    /// that does not take its message back.
    async fn send(&self, message: Outgoing) -> Result<Receipt, BrokerError>;

    /// Waits until each message that was sent before is acknowledged or given up.
    async fn flush(&self) -> Result<(), BrokerError>;
}

/// What is to be read.
#[derive(Debug, Clone)]
pub struct Subscribe {
    /// The topic.
    pub topic: String,
    /// The group whose members share it; that of the settings where nothing is said. Members that read different
    /// topics belong into different groups: otherwise each change in one of them moves them all.
    pub group: Option<String>,
    /// Where a partition begins for which no position is kept.
    pub start: Start,
    /// Where the positions are kept.
    pub positions: Arc<dyn Positions>,
}

/// Where a partition begins for which no position is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the oldest message that the broker keeps.
    #[default]
    Earliest,
    /// Behind the newest message, as of the moment of the assignment.
    Latest,
}

/// The caller's store of positions.
#[async_trait]
pub trait Positions: Send + Sync + fmt::Debug {
    /// Claims a partition for an owner of `generation`, and answers the position to read on from: one behind the last
    /// message whose effect is stored. `None` where nothing is stored yet.
    ///
    /// Called once for each partition of an assignment, and again after an error. A store that others write too has to
    /// note the generation before it reads the position, and from then on to refuse writes of a lower one: whatever an
    /// earlier owner wrote is then in the position, and it writes no more.
    async fn position(&self, partition: u32, generation: u64) -> Result<Option<u64>, PositionsFailure>;

    /// A number for the next owner of a partition: higher than every generation that was claimed or answered before, and never
    /// answered twice. Asked for by brokers that do not number the owners themselves; the claim follows.
    async fn next_generation(&self, partition: u32) -> Result<u64, PositionsFailure>;
}

/// Why a store of positions failed.
pub type PositionsFailure = Box<dyn std::error::Error + Send + Sync>;

/// What [`Subscription::next`] answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Partitions are ours now, besides those that were before. Their messages begin at the positions named.
    Assigned {
        /// The partitions, by number.
        partitions: Vec<Partition>,
        /// Higher than the generation of every earlier owner of these partitions, and the same for all that are
        /// assigned to anybody in one step. The broker's number, or the store's: [`Positions::next_generation`].
        generation: u64,
    },
    /// Partitions are going to another member, which waits until the caller has stopped writing for them.
    Revoked {
        /// The partitions, by number.
        partitions: Vec<u32>,
        /// They are gone already: the broker took this member for dead. The next owner may have begun.
        lost: bool,
    },
    /// Messages of one or more partitions; those of one partition are in order.
    Messages(Vec<Message>),
    /// Nothing happened within the wait.
    Idle,
}

/// A partition that was assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub partition: u32,
    /// Where its messages begin.
    pub position: u64,
}

/// A message that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The partition it lies in.
    pub partition: u32,
    /// Its place in the partition. Offsets grow; there may be gaps.
    pub offset: u64,
    /// Its key.
    pub key: Option<Bytes>,
    /// What it says; `None` is a tombstone: its key is deleted.
    pub value: Option<Bytes>,
    /// When it was made or stored, in microseconds since 1970. Brokers keep milliseconds.
    pub timestamp_us: Option<i64>,
    /// Its headers, in order; names may repeat.
    pub headers: Vec<Header>,
}

/// A header of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Option<Bytes>,
}

/// A message to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic.
    pub topic: String,
    /// The key, which decides the partition: the same one that the broker's own Java client chooses.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers. What a broker's headers cannot say is refused.
    pub headers: Vec<Header>,
}

/// Where an acknowledged message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The partition.
    pub partition: u32,
    /// Its place there.
    pub offset: u64,
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The partition.
    pub partition: u32,
    /// The oldest offset that is kept.
    pub low: u64,
    /// One behind the newest message that may be read.
    pub high: u64,
    /// What the difference of two offsets says.
    pub offsets: Offsets,
}

/// What offsets say beside their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offsets {
    /// A difference is a number of messages; those that the broker has removed in between are counted, too.
    Counted,
    /// Nothing: they only grow.
    Ordered,
}

impl Ends {
    /// How many messages lie between `position` and the end. `None` where there are some and the broker does not say how many.
    pub fn behind(&self, position: u64) -> Option<u64> {
        match self.offsets {
            Offsets::Counted => Some(self.high.saturating_sub(position)),
            Offsets::Ordered => (position >= self.high).then_some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_a_number_of_messages_or_unknown_and_never_a_difference_that_says_nothing() {
        let ends = |offsets| Ends { partition: 0, low: 0, high: 1 << 40, offsets };
        assert_eq!(ends(Offsets::Counted).behind(1), Some((1 << 40) - 1));
        assert_eq!(ends(Offsets::Counted).behind(1 << 41), Some(0));
        assert_eq!(ends(Offsets::Ordered).behind(1), None);
        assert_eq!(ends(Offsets::Ordered).behind(1 << 40), Some(0));
    }
}
