//! A consumer of one partition, as the broker sees it: of a lasting subscription, or a reader that leaves nothing behind.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

use tokio::sync::mpsc;

use super::{
    cluster::Part,
    commands::{Ack, Body, CloseConsumer, Flow, LastMessage, LastMessageAnswer, MessageId, Subscribe},
    connection::{Connection, ToConsumer, fresh_number},
    failure::Fault,
    place::Place,
};
use crate::Settings;

const EXCLUSIVE: i32 = 0;
const CUMULATIVE: i32 = 1;
const AT_THE_END: i32 = 0;
const AT_THE_BEGINNING: i32 = 1;

/// What is subscribed to, and from where.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reads {
    subscription: String,
    is_lasting: bool,
    start: Option<MessageId>,
    initial: i32,
}

impl Reads {
    /// The lasting subscription of a group. One member has it at a time, and the broker keeps what it has not acknowledged. It is read
    /// by nobody.
    pub(super) fn holding(group: &str) -> Self {
        Self { subscription: group.to_owned(), is_lasting: true, start: None, initial: AT_THE_BEGINNING }
    }

    /// A reader that begins at the entry of a position, or shortly before it; 0 stands before everything.
    pub(super) fn reading(group: &str, position: u64) -> Self {
        if position == 0 {
            return Self { subscription: of_its_own(group, "reader"), ..Self::looking(group) };
        }
        let place = Place::at(position);
        // What is named is taken as read, though some brokers begin with what is named. One entry earlier suits both; entry -1 is what
        // stands before the first.
        let entry = place.entry.checked_sub(1).unwrap_or(u64::MAX);
        let start = MessageId { ledger: place.ledger, entry, partition: None, batch_index: None };
        Self {
            subscription: of_its_own(group, "reader"),
            is_lasting: false,
            start: Some(start),
            initial: AT_THE_END,
        }
    }

    /// A reader that stands before the first message and never asks for one.
    pub(super) fn looking(group: &str) -> Self {
        let start = MessageId { ledger: u64::MAX, entry: u64::MAX, partition: None, batch_index: None };
        Self {
            subscription: of_its_own(group, "looker"),
            is_lasting: false,
            start: Some(start),
            initial: AT_THE_BEGINNING,
        }
    }
}

/// A name that no other subscription has, in this process or another.
fn of_its_own(group: &str, role: &str) -> String {
    // Each has keys of its own, which the system drew by lot.
    let lot = RandomState::new().build_hasher().finish();
    format!("{group}-{role}-{lot:016x}")
}

/// A consumer. Dropped, it says goodbye without waiting for the broker.
#[derive(Debug)]
pub(super) struct Consumer {
    connection: Arc<Connection>,
    number: u64,
    comes: mpsc::UnboundedReceiver<ToConsumer>,
    /// The broker has it, as far as we know.
    is_there: bool,
}

impl Consumer {
    pub(super) async fn subscribe(
        connection: &Arc<Connection>,
        settings: &Settings,
        part: &Part,
        reads: Reads,
    ) -> Result<Self, Fault> {
        let number = fresh_number();
        let comes = connection.listen_for_consumer(number);
        // From here on, also when this future is dropped: what the broker may have made of us is taken back.
        let consumer = Self { connection: Arc::clone(connection), number, comes, is_there: true };
        let question = |request_id| {
            Body::Subscribe(Subscribe {
                topic: part.whole.clone(),
                subscription: reads.subscription,
                sub_type: EXCLUSIVE,
                consumer_id: number,
                request_id,
                consumer_name: Some("shipway".to_owned()),
                durable: Some(reads.is_lasting),
                start_message_id: reads.start,
                read_compacted: Some(false),
                initial_position: Some(reads.initial),
                force_topic_creation: Some(part.may_be_made),
            })
        };
        match connection.ask(question, settings.limits.request_within()).await {
            Ok(_) => Ok(consumer),
            Err(fault) => {
                let mut consumer = consumer;
                // Who was refused is not there. Whether who got no answer is, nobody knows.
                consumer.is_there = !matches!(fault, Fault::Refused { .. });
                Err(fault)
            }
        }
    }

    /// What comes next. `None` at the end of the connection.
    pub(super) async fn next(&mut self) -> Option<ToConsumer> {
        let what = self.comes.recv().await;
        self.is_there = matches!(what, Some(ToConsumer::Entry { .. }));
        what
    }

    /// Lets the broker send so many more messages.
    pub(super) fn permit(&self, messages: u32) {
        self.connection.tell(Body::Flow(Flow { consumer_id: self.number, message_permits: messages }));
    }

    /// Acknowledges an entry and all before it.
    pub(super) fn acknowledge(&self, ledger: u64, entry: u64) {
        let message_id = vec![MessageId { ledger, entry, partition: None, batch_index: None }];
        self.connection.tell(Body::Ack(Ack { consumer_id: self.number, ack_type: CUMULATIVE, message_id }));
    }

    /// The newest message of the partition, and where this consumer stands.
    pub(super) async fn last_message(&self, settings: &Settings) -> Result<LastMessageAnswer, Fault> {
        let question = |request_id| Body::LastMessage(LastMessage { consumer_id: self.number, request_id });
        match self.connection.ask(question, settings.limits.request_within()).await? {
            Body::LastMessageAnswer(answer) => Ok(answer),
            _ => Err(Fault::Lost("the broker answers something else".to_owned())),
        }
    }

    /// Leaves, and waits until the broker knows.
    pub(super) async fn close(mut self, settings: &Settings) {
        if !std::mem::take(&mut self.is_there) {
            return;
        }
        let consumer_id = self.number;
        let question = |request_id| Body::CloseConsumer(CloseConsumer { consumer_id, request_id });
        if let Err(fault) = self.connection.ask(question, settings.limits.request_within()).await {
            tracing::debug!(?fault, "a consumer was not closed in order");
        }
    }

    /// Why the connection ended.
    pub(super) fn failure(&self) -> Fault {
        self.connection.failure()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.connection.forget_consumer(self.number);
        if self.is_there {
            let close = CloseConsumer { consumer_id: self.number, request_id: fresh_number() };
            self.connection.tell(Body::CloseConsumer(close));
        }
    }
}
