//! Topics of brokers that exist: read with positions that the caller keeps, write with acknowledgement.
//!
//! This crate decides what a reader of a broker may rely on. A [`Subscription`] shares the partitions of a topic with
//! the other members of its group; where it reads on from is what its caller kept ([`Positions`]), never what the
//! broker remembers. A partition that goes to another member is handed over in order: the caller is told, stops
//! writing, says so, and only then may the next owner begin. Each assignment carries a generation that is higher than
//! that of every earlier owner of the partition, so that a store can refuse what an owner writes that was thought dead.
//! A [`Producer`] answers when the broker has the message on all replicas that it demands.
//!
//! Where a broker shares no partitions out, one member has all of them until it leaves.
//!
//! - `port`: the three traits, [`Broker`], [`Subscription`] and [`Producer`], and what goes through them
//! - `settings`: how to reach a broker, and the bounds
//! - `properties`: which settings of the client library a user may set besides
//! - `batch`: the messages of one answer
//! - `error`: what can go wrong
//! - `kafka`: the port over Kafka
//! - `pulsar`: the port over Pulsar

#![deny(missing_docs)]

mod batch;
mod error;
mod kafka;
mod port;
mod properties;
mod pulsar;
mod settings;

use std::sync::Arc;

pub use error::{BrokerError, ClientFailure};
pub use port::{
    Broker, Ends, Event, Header, Message, Offsets, Outgoing, Partition, Positions, PositionsFailure,
    Producer, Receipt, Start, Subscribe, Subscription,
};
pub use settings::{BrokerKind, GroupProtocol, Limits, Mechanism, Protocol, Secret, Security, Settings};

/// Reaches a cluster, of Kafka or of Pulsar as its address says, and answers when one of its brokers did.
///
/// Errors: settings that cannot be, a cluster that does not answer within [`Limits::request_within`], credentials that
/// it refuses.
pub async fn connect(settings: Settings) -> Result<Arc<dyn Broker>, BrokerError> {
    let broker: Arc<dyn Broker> = match settings.kind() {
        BrokerKind::Kafka => Arc::new(kafka::KafkaBroker::connect(settings).await?),
        BrokerKind::Pulsar => Arc::new(pulsar::PulsarBroker::connect(settings).await?),
    };
    Ok(broker)
}
