//! The messages of one answer, and how much of memory they take.

use bytes::Bytes;

use crate::{Header, Message, Outgoing};

/// At most this much in one answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// The messages of one answer.
pub(crate) struct Batch {
    messages: Vec<Message>,
    bytes: usize,
    most: Most,
}

impl Batch {
    pub(crate) fn new(most: Most) -> Self {
        Self { messages: Vec::new(), bytes: 0, most }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.messages.len() >= self.most.messages.max(1) || self.bytes >= self.most.bytes
    }

    /// Adds a message, or gives it back when it does not fit. The first always fits.
    pub(crate) fn add(&mut self, message: Message) -> Result<(), Message> {
        let bytes = self.bytes + message_bytes(&message);
        let fits = self.messages.len() < self.most.messages && bytes <= self.most.bytes;
        if !fits && !self.messages.is_empty() {
            return Err(message);
        }
        self.bytes = bytes;
        self.messages.push(message);
        Ok(())
    }

    /// The messages, counted as read.
    pub(crate) fn read_of(self, topic: &str) -> Vec<Message> {
        let count = |name: &'static str, value: usize| {
            metrics::counter!(name, "topic" => topic.to_owned()).increment(value as u64);
        };
        count("shipway_broker_read_messages_total", self.messages.len());
        count("shipway_broker_read_bytes_total", self.bytes);
        self.messages
    }
}

/// How long key, value and headers of a message are together.
pub(crate) fn message_bytes(message: &Message) -> usize {
    parts_bytes(&message.key, &message.value, &message.headers)
}

/// The same of one that is to be written.
pub(crate) fn outgoing_bytes(message: &Outgoing) -> usize {
    parts_bytes(&message.key, &message.value, &message.headers)
}

fn parts_bytes(key: &Option<Bytes>, value: &Option<Bytes>, headers: &[Header]) -> usize {
    let length = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    let headers = headers.iter().map(|header| header.name.len() + length(&header.value));
    length(key) + length(value) + headers.sum::<usize>()
}
