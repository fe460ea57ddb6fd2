//! The port over Pulsar, spoken by ourselves.
//!
//! Why no library: docs/decisions/0024-pulsar-behind-the-same-port.md.
//!
//! - `commands`: the messages of the protocol that we speak
//! - `frame`: commands and entries as bytes
//! - `entry`: an entry taken apart into its messages
//! - `place`: where a message lies, as one number
//! - `topic`: names of topics and partitions
//! - `transport`: TCP and TLS
//! - `connection`: one connection, its questions and routes
//! - `failure`: what goes wrong there, in our words
//! - `cluster`: which broker has what, and connections that are shared
//! - `consumer`: a consumer as the broker sees it
//! - `track`: whether what comes follows what was read
//! - `window`: how much a broker may send ahead
//! - `owner`: the task that owns a partition
//! - `subscription`: the caller's side
//! - `producer`: the writer

mod cluster;
mod commands;
mod connection;
mod consumer;
mod entry;
mod failure;
#[cfg(test)]
mod fake_broker;
#[cfg(test)]
mod fake_tests;
mod frame;
mod owner;
mod place;
mod producer;
mod subscription;
mod topic;
mod track;
mod transport;
mod window;

use std::sync::Arc;

use async_trait::async_trait;

use self::{
    cluster::{Cluster, Extent},
    producer::PulsarProducer,
    subscription::PulsarSubscription,
};
use crate::{Broker, BrokerError, Ends, Offsets, Producer, Settings, Subscribe, Subscription};

/// A Pulsar cluster that answers.
#[derive(Debug)]
pub(crate) struct PulsarBroker {
    cluster: Arc<Cluster>,
}

impl PulsarBroker {
    pub(crate) async fn connect(settings: Settings) -> Result<Self, BrokerError> {
        settings.check()?;
        let cluster = Arc::new(Cluster::new(settings)?);
        cluster.any().await?;
        Ok(Self { cluster })
    }
}

#[async_trait]
impl Broker for PulsarBroker {
    async fn partitions(&self, topic: &str) -> Result<u32, BrokerError> {
        Ok(self.cluster.topic(topic).await?.partitions())
    }

    async fn ends(&self, topic: &str) -> Result<Vec<Ends>, BrokerError> {
        // Where it does not exist, whoever asks for an end is told.
        let topic = self.cluster.named(topic).await?;
        let mut ends = Vec::with_capacity(topic.partitions() as usize);
        for partition in 0..topic.partitions() {
            let Extent { low, high } = self.cluster.extent(&topic.part(partition)).await?;
            ends.push(Ends { partition, low, high, offsets: Offsets::Ordered });
        }
        Ok(ends)
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<Box<dyn Subscription>, BrokerError> {
        // A wrong name is told here and now, and not as an assignment that never comes.
        let topic = self.cluster.topic(&subscribe.topic).await?;
        Ok(Box::new(PulsarSubscription::join(Arc::clone(&self.cluster), topic, subscribe)))
    }

    async fn producer(&self) -> Result<Arc<dyn Producer>, BrokerError> {
        Ok(Arc::new(PulsarProducer::new(Arc::clone(&self.cluster))))
    }
}
