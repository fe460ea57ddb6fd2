//! The writer: a lane for each partition that it writes to.
//!
//! Each message is an entry of its own, in the order in which messages are sent. What was sent and not acknowledged when a lane ends
//! is given up, never sent again: the broker may have it.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use shipway_core::{Clock, SystemClock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    cluster::{Cluster, Part, Topic},
    commands::{self, Body, CloseProducer, KeyValue, MessageId, Metadata, Publish},
    connection::{Connection, ToProducer, fresh_number},
    failure::Fault,
    frame,
    place::Place,
    topic,
};
use crate::{BrokerError, Header, Outgoing, Producer, Receipt, batch};

pub(super) struct PulsarProducer {
    cluster: Arc<Cluster>,
    /// Permits for messages on their way, given out in the order in which they are asked for.
    messages: Arc<Semaphore>,
    /// The same for their bytes.
    bytes: Arc<Semaphore>,
    /// Held while a message is put on its way, so that nobody overtakes.
    written: tokio::sync::Mutex<HashMap<String, Written>>,
}

impl fmt::Debug for PulsarProducer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PulsarProducer").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// A topic that is written to.
struct Written {
    topic: Topic,
    /// By partition; opened when it is first written to.
    lanes: Vec<Option<Lane>>,
    /// The partition of the next message without a key.
    turn: u32,
}

/// A way into one partition. Dropped, it says goodbye to the broker.
struct Lane {
    connection: Arc<Connection>,
    number: u64,
    name: String,
    sequence: u64,
    sent: Arc<Mutex<OnTheWay>>,
}

/// What was sent over a lane and is not acknowledged yet, the oldest first.
#[derive(Default)]
struct OnTheWay {
    has_ended: bool,
    sent: VecDeque<Sent>,
}

/// A message on its way: who waits for it, and what it holds of the bounds.
struct Sent {
    sequence: u64,
    answer: oneshot::Sender<Result<Option<MessageId>, Fault>>,
    _message: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl PulsarProducer {
    pub(super) fn new(cluster: Arc<Cluster>) -> Self {
        let permits = |bound: u32| Arc::new(Semaphore::new(bound as usize));
        let limits = &cluster.settings.limits;
        Self {
            messages: permits(limits.unacknowledged_messages),
            bytes: permits(limits.unacknowledged_bytes),
            written: tokio::sync::Mutex::default(),
            cluster,
        }
    }

    async fn permits(&self, of: &Arc<Semaphore>, number: u32) -> Result<OwnedSemaphorePermit, BrokerError> {
        let permits = Arc::clone(of).acquire_many_owned(number).await;
        // Nobody closes it, so it does not fail.
        permits.map_err(|_| BrokerError::ClientBroken { reason: "the writer has ended".to_owned() })
    }

    /// Puts a message on its way when its turn comes and there is room. Answers where it goes, and who will tell how it ended.
    async fn put(
        &self,
        message: &Outgoing,
        said: Metadata,
        bytes: usize,
    ) -> Result<(Part, oneshot::Receiver<Result<Option<MessageId>, Fault>>), BrokerError> {
        let mut written = self.written.lock().await;
        if !written.contains_key(&message.topic) {
            let topic = self.cluster.topic(&message.topic).await?;
            let lanes = (0..topic.partitions()).map(|_| None).collect();
            written.insert(message.topic.clone(), Written { topic, lanes, turn: 0 });
        }
        let Some(written) = written.get_mut(&message.topic) else {
            return Err(BrokerError::TopicUnknown { topic: message.topic.clone() });
        };
        let partition = written.partition_of(&said);
        let part = written.topic.part(partition);
        let Some(lane) = written.lanes.get_mut(partition as usize) else {
            return Err(BrokerError::TopicUnknown { topic: message.topic.clone() });
        };
        if lane.as_ref().is_none_or(Lane::has_ended) {
            *lane = None;
            *lane = Some(Lane::open(&self.cluster, &part).await?);
        }
        let Some(lane) = lane else { return Err(BrokerError::TopicUnknown { topic: message.topic.clone() }) };
        if bytes > lane.connection.longest_message {
            return Err(BrokerError::MessageTooLarge { topic: message.topic.clone(), bytes });
        }
        let held = u32::try_from(bytes).unwrap_or(u32::MAX);
        let held = held.clamp(1, self.cluster.settings.limits.unacknowledged_bytes);
        let permits = (self.permits(&self.messages, 1).await?, self.permits(&self.bytes, held).await?);
        let answered = lane.send(message, said, permits);
        Ok((part, answered))
    }
}

impl Written {
    /// The partition of a message: that of its key, or the next in turn.
    fn partition_of(&mut self, said: &Metadata) -> u32 {
        let partitions = self.topic.partitions();
        match &said.partition_key {
            Some(key) => topic::partition_of(key, partitions),
            None => {
                self.turn = (self.turn + 1) % partitions;
                self.turn
            }
        }
    }
}

impl Lane {
    async fn open(cluster: &Cluster, part: &Part) -> Result<Self, BrokerError> {
        let connection = cluster.broker_of(part).await?;
        let number = fresh_number();
        let comes = connection.listen_for_producer(number);
        let sent = Arc::<Mutex<OnTheWay>>::default();
        // Made before the broker answers: where this is dropped meanwhile, it says goodbye all the same.
        let mut lane = Self { connection, number, name: String::new(), sequence: 0, sent: Arc::clone(&sent) };
        let question = |request_id| {
            Body::Producer(commands::Producer {
                topic: part.whole.clone(),
                producer_id: number,
                request_id,
                user_provided_producer_name: Some(false),
            })
        };
        let asked = cluster.asked(Some(&part.called), "write to a topic");
        let answer = lane.connection.ask(question, cluster.settings.limits.request_within()).await;
        let Body::ProducerSuccess(answer) = answer.map_err(|fault| fault.of(asked))? else {
            return Err(Fault::Lost("the broker answers something else".to_owned()).of(asked));
        };
        lane.name = answer.producer_name;
        // By its channel it keeps the connection from nothing: when the connection ends, so does this.
        cluster.tasks.spawn(take_in(comes, sent));
        Ok(lane)
    }

    fn has_ended(&self) -> bool {
        lock(&self.sent).has_ended || !self.connection.is_open()
    }

    fn send(
        &mut self,
        message: &Outgoing,
        said: Metadata,
        (message_permit, bytes_permit): (OwnedSemaphorePermit, OwnedSemaphorePermit),
    ) -> oneshot::Receiver<Result<Option<MessageId>, Fault>> {
        let sequence = self.sequence;
        self.sequence += 1;
        let (answer, answered) = oneshot::channel();
        let sent = Sent { sequence, answer, _message: message_permit, _bytes: bytes_permit };
        let mut on_the_way = lock(&self.sent);
        if on_the_way.has_ended {
            // It ended since it was looked at: dropped unsent, which whoever waits is told.
            return answered;
        }
        on_the_way.sent.push_back(sent);
        drop(on_the_way);
        let metadata = Metadata { producer_name: self.name.clone(), sequence_id: sequence, ..said };
        let publish = Body::Send(Publish { producer_id: self.number, sequence_id: sequence });
        let payload = message.value.as_deref().unwrap_or_default();
        self.connection.tell_frame(frame::with_entry(publish, &metadata, payload));
        answered
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.connection.forget_producer(self.number);
        let close = CloseProducer { producer_id: self.number, request_id: fresh_number() };
        self.connection.tell(Body::CloseProducer(close));
    }
}

fn lock(sent: &Mutex<OnTheWay>) -> MutexGuard<'_, OnTheWay> {
    // A panic while it was held left nothing half done in it.
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands acknowledgements on until the lane ends; then gives up what was not acknowledged.
async fn take_in(mut comes: mpsc::UnboundedReceiver<ToProducer>, on_the_way: Arc<Mutex<OnTheWay>>) {
    while let Some(what) = comes.recv().await {
        let (sequence, outcome) = match what {
            ToProducer::Receipt { sequence, id } => (sequence, Ok(id)),
            ToProducer::Refused { sequence, fault } => (sequence, Err(fault)),
            ToProducer::Closed => break,
        };
        let mut on_the_way = lock(&on_the_way);
        // Receipts come in the order in which messages were sent; what is not of the oldest message is of one given up.
        if on_the_way.sent.front().is_some_and(|sent| sent.sequence == sequence)
            && let Some(sent) = on_the_way.sent.pop_front()
        {
            // Nobody waits where the future was dropped; the message is stored all the same.
            let _ = sent.answer.send(outcome);
        }
    }
    let mut on_the_way = lock(&on_the_way);
    on_the_way.has_ended = true;
    on_the_way.sent.clear();
}

/// What is said of a message, but for its producer and number. What a message of Pulsar cannot say is refused.
fn said_of(message: &Outgoing) -> Result<Metadata, BrokerError> {
    let refused = |what: String| BrokerError::MessageRefused { topic: message.topic.clone(), what };
    let property = |header: &Header| {
        let value = header
            .value
            .as_ref()
            .ok_or_else(|| refused(format!("header {} without a value", header.name)))?;
        let value = std::str::from_utf8(value)
            .map_err(|_| refused(format!("header {} with a value that is no text", header.name)))?;
        Ok(KeyValue { key: header.name.clone(), value: value.to_owned() })
    };
    let properties = message.headers.iter().map(property).collect::<Result<Vec<_>, BrokerError>>()?;
    // A key of bytes goes as base64, which readers are told.
    let key = message.key.as_ref().map(|key| match std::str::from_utf8(key) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (BASE64_STANDARD.encode(key), Some(true)),
    });
    let (partition_key, partition_key_b64_encoded) = match key {
        Some((text, is_base64)) => (Some(text), is_base64),
        None => (None, None),
    };
    let now_ms = SystemClock.now().micros().div_euclid(1000);
    Ok(Metadata {
        publish_time: u64::try_from(now_ms).unwrap_or(0),
        properties,
        partition_key,
        partition_key_b64_encoded,
        null_value: message.value.is_none().then_some(true),
        ..Metadata::default()
    })
}

#[async_trait]
impl Producer for PulsarProducer {
    async fn send(&self, message: Outgoing) -> Result<Receipt, BrokerError> {
        let bytes = batch::outgoing_bytes(&message);
        let topic = || message.topic.clone();
        if bytes > self.cluster.settings.limits.message_bytes as usize {
            return Err(BrokerError::MessageTooLarge { topic: topic(), bytes });
        }
        let said = said_of(&message)?;
        let (part, answered) = self.put(&message, said, bytes).await?;
        let failed = |source: String| {
            metrics::counter!("shipway_broker_write_failures_total", "topic" => topic()).increment(1);
            BrokerError::NotAcknowledged { topic: topic(), source: source.into() }
        };
        let id = match answered.await {
            Ok(Ok(id)) => id,
            Ok(Err(fault)) => return Err(failed(format!("{fault:?}"))),
            Err(_) => return Err(failed("the connection ended, or the broker moved the topic".to_owned())),
        };
        let place = id.as_ref().and_then(Place::named);
        let place = place.ok_or_else(|| failed("the broker does not say where it lies".to_owned()))?;
        let offset = self.cluster.placed(&part, Place { batch: 0, ..place })?;
        let count = |name: &'static str, value: usize| {
            metrics::counter!(name, "topic" => topic()).increment(value as u64);
        };
        count("shipway_broker_written_messages_total", 1);
        count("shipway_broker_written_bytes_total", bytes);
        Ok(Receipt { partition: part.partition, offset })
    }

    async fn flush(&self) -> Result<(), BrokerError> {
        // Every message on its way holds a permit until it is acknowledged or given up, and permits are given out in order: who has
        // all of them knows that nothing sent before is left.
        let all = self.cluster.settings.limits.unacknowledged_messages;
        drop(self.permits(&self.messages, all).await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shipway_core::Failure;

    use super::*;

    fn message(headers: Vec<Header>) -> Outgoing {
        Outgoing {
            topic: "orders".to_owned(),
            key: Some(Bytes::from_static(&[0, 255])),
            value: None,
            headers,
        }
    }

    fn header(value: Option<&'static [u8]>) -> Header {
        Header { name: "trace".to_owned(), value: value.map(Bytes::from_static) }
    }

    #[test]
    fn a_tombstone_and_a_key_of_bytes_are_said_so_that_readers_know() {
        let said = said_of(&message(vec![header(Some(b"1")), header(Some(b"2"))])).unwrap();
        assert_eq!(said.null_value, Some(true));
        assert_eq!(
            (said.partition_key.as_deref(), said.partition_key_b64_encoded),
            (Some("AP8="), Some(true))
        );
        let values: Vec<&str> = said.properties.iter().map(|property| property.value.as_str()).collect();
        assert_eq!(values, ["1", "2"]);
        assert!(said.publish_time > 1_577_836_800_000, "{said:?}");
    }

    #[test]
    fn what_headers_of_pulsar_cannot_say_is_refused_and_not_left_out() {
        for (value, words) in [
            (None, "header trace without a value"),
            (Some(&[0xff][..]), "header trace with a value that is no text"),
        ] {
            let refused = said_of(&message(vec![header(value)])).unwrap_err();
            assert_eq!(refused.code(), "broker.message_refused");
            assert_eq!(
                refused.to_string(),
                format!("topic orders: a message of this broker cannot have {words}")
            );
        }
    }
}
