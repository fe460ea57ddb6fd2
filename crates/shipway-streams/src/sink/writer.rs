//! Rows as messages of a topic.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use shipway_broker::{BrokerError, Outgoing, Producer, Receipt};
use shipway_core::{DataType, Name, Value};
use shipway_definitions::SinkFormat;
use shipway_formats::{AvroEncoder, FormatError, JsonEncoder, RegistryClient, SchemaRegistry};

use super::port::{LeftOut, Rows};
use crate::error::StreamsError;

/// Messages that are on their way at a time.
const ON_THEIR_WAY: usize = 1_000;

/// Writes the rows of one sink.
pub(super) struct TopicWriter {
    pub(super) sink: Name,
    pub(super) topic: String,
    pub(super) format: SinkFormat,
    /// Where schemas are registered; none: messages come without the id of one.
    pub(super) registry: Option<SchemaRegistry>,
    encoders: Option<Encoders>,
}

/// What became of rows.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) rows: u64,
    pub(super) left_out: Option<LeftOut>,
}

struct Encoders {
    columns: Arc<[(String, DataType)]>,
    key: Arc<[usize]>,
    body: Body,
    /// For the columns of the key, if there are some.
    of_key: Option<JsonEncoder>,
}

enum Body {
    Json(JsonEncoder),
    Avro(AvroEncoder),
}

impl Encoders {
    fn message(&self, row: &[Value]) -> Result<(Option<Bytes>, Bytes), FormatError> {
        let mut body = Vec::new();
        match &self.body {
            Body::Json(encoder) => encoder.encode(row, &mut body)?,
            Body::Avro(encoder) => encoder.encode(row, &mut body)?,
        }
        let Some(encoder) = &self.of_key else { return Ok((None, body.into())) };
        let parts: Vec<Value> =
            self.key.iter().map(|place| row.get(*place).cloned().unwrap_or(Value::Null)).collect();
        let mut key = Vec::new();
        encoder.encode(&parts, &mut key)?;
        Ok((Some(key.into()), body.into()))
    }
}

impl TopicWriter {
    pub(super) fn new(
        sink: Name,
        topic: String,
        format: SinkFormat,
        registry: Option<SchemaRegistry>,
    ) -> Self {
        Self { sink, topic, format, registry, encoders: None }
    }

    /// The schema of the messages, once there are some of Avro.
    pub(super) fn schema(&self) -> Option<&str> {
        match &self.encoders.as_ref()?.body {
            Body::Avro(encoder) => Some(encoder.schema()),
            Body::Json(_) => None,
        }
    }

    /// Makes ready for rows of these columns; asks the registry for the id of their schema, where there is one.
    pub(super) async fn prepare(&mut self, rows: &Rows) -> Result<(), StreamsError> {
        let is_ready = |held: &Encoders| held.columns == rows.columns && held.key == rows.key;
        if self.encoders.as_ref().is_some_and(is_ready) {
            return Ok(());
        }
        let body = match self.format {
            SinkFormat::Json => Body::Json(JsonEncoder::new(&rows.columns)),
            SinkFormat::Avro => {
                let mut encoder = AvroEncoder::new(self.sink.as_str(), &rows.columns)?;
                if let Some(registry) = &self.registry {
                    let subject = registry.subject.clone().unwrap_or_else(|| format!("{}-value", self.topic));
                    encoder.register(&RegistryClient::new(registry)?, &subject).await?;
                }
                Body::Avro(encoder)
            }
        };
        let of_key: Vec<(String, DataType)> =
            rows.key.iter().filter_map(|place| rows.columns.get(*place).cloned()).collect();
        let of_key = (!of_key.is_empty()).then(|| JsonEncoder::new(&of_key));
        let (columns, key) = (Arc::clone(&rows.columns), Arc::clone(&rows.key));
        self.encoders = Some(Encoders { columns, key, body, of_key });
        Ok(())
    }

    /// Sends all rows, and answers when the broker has them. After an error none is on its way any more, and which of them the broker
    /// has is not known. A row that can never be a message is left out.
    pub(super) async fn send(&self, producer: &dyn Producer, rows: &Rows) -> Result<Sent, BrokerError> {
        let mut outcome = Outcome { sent: Sent::default(), failed: None };
        let Some(encoders) = &self.encoders else { return Ok(outcome.sent) };
        let mut on_their_way = FuturesUnordered::new();
        for row in &rows.rows {
            if outcome.failed.is_some() {
                break;
            }
            let (key, value) = match encoders.message(row) {
                Ok((key, value)) => (key, Some(value)),
                Err(fault) => {
                    LeftOut::note(&mut outcome.sent.left_out, &fault);
                    continue;
                }
            };
            let message = Outgoing { topic: self.topic.clone(), key, value, headers: Vec::new() };
            let mut sending = producer.send(message);
            // The first poll of each decides their order, so it comes before the next one is made.
            match poll_fn(|context| Poll::Ready(sending.as_mut().poll(context))).await {
                Poll::Ready(receipt) => outcome.note(receipt),
                Poll::Pending => on_their_way.push(sending),
            }
            while on_their_way.len() >= ON_THEIR_WAY {
                let receipt = on_their_way.next().await;
                receipt.into_iter().for_each(|receipt| outcome.note(receipt));
            }
        }
        while let Some(receipt) = on_their_way.next().await {
            outcome.note(receipt);
        }
        match outcome.failed {
            Some(failed) => Err(failed),
            None => Ok(outcome.sent),
        }
    }
}

struct Outcome {
    sent: Sent,
    failed: Option<BrokerError>,
}

impl Outcome {
    fn note(&mut self, receipt: Result<Receipt, BrokerError>) {
        match receipt {
            Ok(_) => self.sent.rows += 1,
            Err(fault @ BrokerError::MessageTooLarge { .. }) => {
                LeftOut::note(&mut self.sent.left_out, &fault);
            }
            Err(failed) => self.failed = Some(self.failed.take().unwrap_or(failed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use serde_json::json;
    use shipway_core::Failure as _;
    use tokio::sync::Notify;

    use super::*;

    /// Takes messages in the order of their first poll, and acknowledges them when it is told to: the last one first.
    #[derive(Debug, Default)]
    struct Slow {
        taken: Mutex<Vec<Outgoing>>,
        ended: Mutex<usize>,
        go: Notify,
        refuses: Option<&'static str>,
    }

    #[async_trait]
    impl Producer for Slow {
        async fn send(&self, message: Outgoing) -> Result<Receipt, BrokerError> {
            let text = String::from_utf8_lossy(message.value.as_ref().unwrap()).into_owned();
            let topic = message.topic.clone();
            self.taken.lock().unwrap().push(message);
            if text.contains("large") {
                return Err(BrokerError::MessageTooLarge { topic, bytes: text.len() });
            }
            self.go.notified().await;
            self.go.notify_one();
            *self.ended.lock().unwrap() += 1;
            match self.refuses {
                Some(word) if text.contains(word) => Err(BrokerError::TopicUnknown { topic }),
                _ => Ok(Receipt { partition: 0, offset: 0 }),
            }
        }

        async fn flush(&self) -> Result<(), BrokerError> {
            Ok(())
        }
    }

    fn rows(names: &[&str]) -> Rows {
        let columns: Arc<[(String, DataType)]> =
            Arc::new([("shop".to_owned(), DataType::Text), ("count".to_owned(), DataType::Int)]);
        let row = |(place, name): (usize, &&str)| {
            vec![Value::text(*name), Value::Int(i64::try_from(place).unwrap())]
        };
        let rows = names.iter().enumerate().map(row).collect();
        Rows { columns, key: Arc::new([0]), rows, left_out: None, oldest: None }
    }

    fn writer(format: SinkFormat) -> TopicWriter {
        TopicWriter::new(Name::new("shop_rows").unwrap(), "topic".to_owned(), format, None)
    }

    async fn sends(producer: &Slow, rows: &Rows) -> Result<Sent, BrokerError> {
        let mut writer = writer(SinkFormat::Json);
        writer.prepare(rows).await.unwrap();
        // Nothing is acknowledged before all that may be on their way are.
        let (sent, ()) = tokio::join!(writer.send(producer, rows), async { producer.go.notify_one() });
        sent
    }

    #[tokio::test]
    async fn messages_are_handed_over_in_the_order_of_their_rows() {
        let names: Vec<String> = (0..3_000).map(|number| format!("shop {number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let producer = Slow::default();
        let sent = sends(&producer, &rows(&names)).await.unwrap();
        assert_eq!((sent.rows, sent.left_out), (3_000, None));
        let taken = producer.taken.lock().unwrap();
        for (message, name) in taken.iter().zip(names) {
            let key: serde_json::Value = serde_json::from_slice(message.key.as_ref().unwrap()).unwrap();
            assert_eq!(key, json!({ "shop": name }));
        }
    }

    #[tokio::test]
    async fn a_row_that_can_never_be_a_message_keeps_no_other_from_being_one() {
        let sent = sends(&Slow::default(), &rows(&["a", "large", "b"])).await.unwrap();
        let left_out = sent.left_out.unwrap();
        assert_eq!((sent.rows, left_out.rows, left_out.code), (2, 1, "broker.message_too_large"));
    }

    #[tokio::test]
    async fn after_a_failure_nothing_is_on_its_way_any_more() {
        let producer = Slow { refuses: Some("b"), ..Slow::default() };
        let failed = sends(&producer, &rows(&["a", "b", "c"])).await.unwrap_err();
        assert_eq!(failed.code(), "broker.topic_unknown");
        assert_eq!(producer.taken.lock().unwrap().len(), 3);
        assert_eq!(*producer.ended.lock().unwrap(), 3, "what came behind it is waited for");
    }

    #[tokio::test]
    async fn messages_of_avro_without_a_registry_are_plain_and_their_schema_is_told() {
        let mut writer = writer(SinkFormat::Avro);
        let rows = rows(&["north"]);
        assert_eq!(writer.schema(), None);
        writer.prepare(&rows).await.unwrap();
        let schema: serde_json::Value = serde_json::from_str(writer.schema().unwrap()).unwrap();
        assert_eq!(schema["name"], "shop_rows");
        let producer = Slow::default();
        producer.go.notify_one();
        writer.send(&producer, &rows).await.unwrap();
        let taken = producer.taken.lock().unwrap();
        // Each value is the second of its union; text has its length before it, and the int is zigzag.
        assert_eq!(taken[0].value.as_deref().unwrap(), b"\x02\x0anorth\x02\x00");
        assert_eq!(taken[0].key.as_deref().unwrap(), br#"{"shop":"north"}"#);
    }
}
