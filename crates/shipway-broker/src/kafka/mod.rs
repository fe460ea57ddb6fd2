//! The port over Kafka, by librdkafka.
//!
//! - `configuration`: our settings in librdkafka's words
//! - `context`: what librdkafka says by itself: log lines, failures of connections, rebalances, acknowledgements
//! - `failure`: librdkafka's failures in our words
//! - `subscription`: the caller's side of a member of a group
//! - `member`: the thread that polls for it
//! - `generation`: the number of an assignment
//! - `producer`: the writer
//! - `headers`: headers there and back

mod configuration;
mod context;
mod failure;
mod generation;
mod headers;
mod member;
#[cfg(test)]
mod mock_tests;
mod producer;
mod subscription;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rdkafka::{
    bindings::rd_kafka_resp_err_t,
    consumer::{BaseConsumer, Consumer},
};

use self::{
    context::{Said, Watching},
    failure::Asked,
    producer::KafkaProducer,
    subscription::KafkaSubscription,
};
use crate::{Broker, BrokerError, Ends, Offsets, Producer, Settings, Subscribe, Subscription};

/// How many polls take in what a client has to say.
const POLLS: usize = 256;

/// A Kafka cluster that answers.
#[derive(Debug)]
pub(crate) struct KafkaBroker {
    asking: Arc<Asking>,
}

/// The client that asks about the cluster. It reads no topic and belongs to no group.
struct Asking {
    client: BaseConsumer<Watching>,
    settings: Settings,
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Asking").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl KafkaBroker {
    pub(crate) async fn connect(settings: Settings) -> Result<Self, BrokerError> {
        settings.check()?;
        let client =
            configuration::client(&settings, &configuration::asking(&settings), Watching::default())?;
        let asking = Arc::new(Asking { client, settings });
        asking.blocking("reach the cluster", Asking::reach).await?;
        Ok(Self { asking })
    }
}

#[async_trait]
impl Broker for KafkaBroker {
    async fn partitions(&self, topic: &str) -> Result<u32, BrokerError> {
        let topic = topic.to_owned();
        self.asking
            .blocking("ask for the partitions of a topic", move |asking| asking.partitions(&topic))
            .await
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>, BrokerError> {
        let topic = topic.to_owned();
        let ask = move |asking: &Asking| {
            (0..asking.partitions(&topic)?).map(|partition| asking.ends(&topic, partition)).collect()
        };
        self.asking.blocking("ask for the ends of a topic", ask).await
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<Box<dyn Subscription>, BrokerError> {
        // A wrong name is told here and now, and not as an assignment that never comes.
        self.partitions(&subscribe.topic).await?;
        Ok(Box::new(KafkaSubscription::join(&self.asking.settings, subscribe)?))
    }

    async fn producer(&self) -> Result<Arc<dyn Producer>, BrokerError> {
        Ok(Arc::new(KafkaProducer::new(&self.asking.settings)?))
    }
}

impl Asking {
    /// Runs a question on a thread that may block.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        action: &'static str,
        question: impl FnOnce(&Self) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let asking = Arc::clone(self);
        let answer = tokio::task::spawn_blocking(move || {
            let answer = question(&asking);
            asking.hear();
            answer
        });
        answer.await.unwrap_or_else(|_| {
            Err(BrokerError::Failed { action, source: rdkafka::error::KafkaError::Canceled.into() })
        })
    }

    /// Takes in what the client had to say, which otherwise waits for ever.
    fn hear(&self) {
        // A poll does not say whether it took something in, so it is asked often enough.
        for _ in 0..POLLS {
            drop(self.client.poll(Duration::ZERO));
        }
    }

    fn said(&self) -> Said {
        self.hear();
        self.client.context().said()
    }

    fn reach(&self) -> Result<(), BrokerError> {
        self.client.context().forget();
        match self.client.client().fetch_cluster_id(self.settings.limits.request_within()) {
            Some(_) => Ok(()),
            None => Err(failure::unreachable(&self.settings.bootstrap, self.said())),
        }
    }

    fn partitions(&self, topic: &str) -> Result<u32, BrokerError> {
        const ACTION: &str = "ask for the partitions of a topic";
        let asked = self.asked(Some(topic));
        let metadata = self.client.fetch_metadata(Some(topic), self.settings.limits.request_within());
        let metadata = metadata.map_err(|error| asked.failed(ACTION, error, || self.said()))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map(|found| (found.error(), found.partitions().len())) {
            None => Err(BrokerError::TopicUnknown { topic: topic.to_owned() }),
            Some((Some(code), _)) if code != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                let error = rdkafka::error::KafkaError::MetadataFetch(code.into());
                Err(asked.failed(ACTION, error, || self.said()))
            }
            Some((_, partitions)) => Ok(u32::try_from(partitions).unwrap_or(u32::MAX)),
        }
    }

    fn ends(&self, topic: &str, partition: u32) -> Result<Ends, BrokerError> {
        let within = self.settings.limits.request_within();
        let ends = self.client.fetch_watermarks(topic, partition.cast_signed(), within);
        let asked = self.asked(Some(topic));
        let (low, high) =
            ends.map_err(|error| asked.failed("ask for the ends of a topic", error, || self.said()))?;
        let (low, high) = (low.unsigned_abs(), high.unsigned_abs());
        Ok(Ends { partition, low, high, offsets: Offsets::Counted })
    }

    fn asked<'a>(&'a self, topic: Option<&'a str>) -> Asked<'a> {
        Asked { bootstrap: &self.settings.bootstrap, topic }
    }
}
