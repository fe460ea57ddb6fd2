//! The writer.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use rdkafka::{
    ClientContext, Message,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
    types::RDKafkaErrorCode,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    configuration,
    context::{self, Watching},
    failure::Asked,
    headers,
};
use crate::{BrokerError, Outgoing, Producer, Receipt, Settings, batch};

/// How long a message waits before it is offered again to a queue that is full beyond our own bound.
const AGAIN: Duration = Duration::from_millis(5);

pub(super) struct KafkaProducer {
    client: Arc<ThreadedProducer<Acknowledging>>,
    settings: Settings,
    /// Permits for messages on their way, given out in the order in which they are asked for.
    messages: Arc<Semaphore>,
    /// The same for their bytes.
    bytes: Arc<Semaphore>,
    /// Makes waiting for permits and entering the queue one step, so that nobody overtakes.
    turn: tokio::sync::Mutex<()>,
}

impl fmt::Debug for KafkaProducer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KafkaProducer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Hands acknowledgements on.
#[derive(Default)]
struct Acknowledging(Watching);

/// A message on its way: who waits for it, and what it holds of the bounds.
struct Sent {
    answer: oneshot::Sender<Result<Receipt, KafkaError>>,
    _message: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl ClientContext for Acknowledging {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        context::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Acknowledging {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let receipt = match result {
            Ok(message) => Ok(Receipt {
                partition: message.partition().cast_unsigned(),
                offset: message.offset().cast_unsigned(),
            }),
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody waits where the future was dropped; the message is on its way all the same.
        drop(sent.answer.send(receipt));
    }
}

impl KafkaProducer {
    pub(super) fn new(settings: &Settings) -> Result<Self, BrokerError> {
        let configuration = configuration::producer(settings);
        let client = configuration::client(settings, &configuration, Acknowledging::default())?;
        let permits = |bound: u32| Arc::new(Semaphore::new(bound as usize));
        Ok(Self {
            client: Arc::new(client),
            settings: settings.clone(),
            messages: permits(settings.limits.unacknowledged_messages),
            bytes: permits(settings.limits.unacknowledged_bytes),
            turn: tokio::sync::Mutex::new(()),
        })
    }

    /// Puts a message into the queue, when its turn comes and there is room.
    async fn enqueue(
        &self,
        message: &Outgoing,
        bytes: usize,
    ) -> Result<oneshot::Receiver<Result<Receipt, KafkaError>>, BrokerError> {
        let _turn = self.turn.lock().await;
        let held =
            u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.settings.limits.unacknowledged_bytes);
        let (answer, answered) = oneshot::channel();
        let mut sent = Box::new(Sent {
            answer,
            _message: self.permits(&self.messages, 1).await?,
            _bytes: self.permits(&self.bytes, held).await?,
        });
        loop {
            let mut record = BaseRecord::with_opaque_to(&message.topic, sent);
            record.key = message.key.as_deref();
            record.payload = message.value.as_deref();
            record.headers = headers::to_send(&message.headers);
            match self.client.send(record) {
                Ok(()) => return Ok(answered),
                Err((error, record)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    sent = record.delivery_opaque;
                    tokio::time::sleep(AGAIN).await;
                }
                Err((error, _)) => return Err(self.failed(&message.topic, bytes, error)),
            }
        }
    }

    async fn permits(&self, of: &Arc<Semaphore>, number: u32) -> Result<OwnedSemaphorePermit, BrokerError> {
        let permits = Arc::clone(of).acquire_many_owned(number).await;
        // Nobody closes it, so it does not fail.
        permits.map_err(|_| BrokerError::ClientBroken { reason: "the writer has ended".to_owned() })
    }

    fn failed(&self, topic: &str, bytes: usize, error: KafkaError) -> BrokerError {
        use RDKafkaErrorCode as Code;
        metrics::counter!("shipway_broker_write_failures_total", "topic" => topic.to_owned()).increment(1);
        let topic_of = || topic.to_owned();
        match error.rdkafka_error_code() {
            Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => {
                BrokerError::MessageTooLarge { topic: topic_of(), bytes }
            }
            Some(Code::Fatal) => {
                let fatal = self.client.client().fatal_error();
                let reason = fatal.map_or_else(|| error.to_string(), |(_, reason)| reason);
                BrokerError::ClientBroken { reason }
            }
            Some(
                Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::InvalidTopic
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::AllBrokersDown,
            ) => {
                let asked = Asked { bootstrap: &self.settings.bootstrap, topic: Some(topic) };
                let said = || self.client.client().context().0.said();
                asked.failed("write a message", error, said)
            }
            _ => BrokerError::NotAcknowledged { topic: topic_of(), source: error.into() },
        }
    }
}

#[async_trait]
impl Producer for KafkaProducer {
    async fn send(&self, message: Outgoing) -> Result<Receipt, BrokerError> {
        let bytes = batch::outgoing_bytes(&message);
        if bytes > self.settings.limits.message_bytes as usize {
            return Err(BrokerError::MessageTooLarge { topic: message.topic, bytes });
        }
        let answered = self.enqueue(&message, bytes).await?;
        let receipt = answered.await.unwrap_or(Err(KafkaError::Canceled));
        let receipt = receipt.map_err(|error| self.failed(&message.topic, bytes, error))?;
        let count = |name: &'static str, value: usize| {
            metrics::counter!(name, "topic" => message.topic.clone()).increment(value as u64);
        };
        count("shipway_broker_written_messages_total", 1);
        count("shipway_broker_written_bytes_total", bytes);
        Ok(receipt)
    }

    async fn flush(&self) -> Result<(), BrokerError> {
        // Every message on its way holds a permit until it is acknowledged or given up, and permits are given out in
        // order: who has all of them knows that nothing sent before is left.
        let all = self.permits(&self.messages, self.settings.limits.unacknowledged_messages).await?;
        drop(all);
        Ok(())
    }
}
