//! The brokers of a cluster: connections that are shared, and which of them has a topic.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::task::TaskTracker;

use super::{
    commands::{Body, LOOKUP_CONNECT, LOOKUP_REDIRECT, Lookup, LookupAnswer, PartitionsOf},
    connection::Connection,
    consumer::{Consumer, Reads},
    failure::{Asked, Fault},
    place::Place,
    topic,
    transport::Transport,
};
use crate::{BrokerError, Settings};

/// How often a broker may send us on to another one for one topic.
const REDIRECTIONS: usize = 20;

/// A cluster, and the connections to its brokers.
pub(super) struct Cluster {
    pub(super) settings: Settings,
    transport: Transport,
    connections: Mutex<HashMap<Target, Slot>>,
    pub(super) tasks: TaskTracker,
}

/// One connection, opened by one at a time and then shared.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

/// A broker: where to connect to, and the broker behind it where that is a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Target {
    address: String,
    proxied_to: Option<String>,
}

/// What a topic consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Topic {
    /// As its user calls it.
    pub(super) called: String,
    /// As the cluster calls it.
    whole: String,
    /// How many topics of the cluster hold its partitions; 0 where it is one itself.
    partitioned: u32,
}

impl Topic {
    pub(super) fn is_partitioned(&self) -> bool {
        self.partitioned > 0
    }

    pub(super) fn partitions(&self) -> u32 {
        self.partitioned.max(1)
    }

    /// Where a partition lies.
    pub(super) fn part(&self, partition: u32) -> Part {
        let is_partition = self.is_partitioned();
        let whole =
            if is_partition { topic::of_partition(&self.whole, partition) } else { self.whole.clone() };
        Part { called: self.called.clone(), whole, partition, may_be_made: is_partition }
    }
}

/// One partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The topic, as its user calls it.
    pub(super) called: String,
    /// The topic of the cluster that holds the partition.
    pub(super) whole: String,
    pub(super) partition: u32,
    /// A partition of a topic that exists may be missing until it is first used. Topics themselves are never made.
    pub(super) may_be_made: bool,
}

/// From where to where a partition can be read; both are 0 where it has no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where the oldest ledger begins that is kept.
    pub(super) low: u64,
    /// One behind the newest message.
    pub(super) high: u64,
}

impl Extent {
    /// Whether reading can go on at `position`. At 0 it always can: that stands before everything, also before what an empty partition
    /// will once have, whose ledger nobody knows yet.
    pub(super) fn has(self, position: u64) -> bool {
        position == 0 || (self.low..=self.high).contains(&position)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cluster").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn new(settings: Settings) -> Result<Self, BrokerError> {
        let transport = Transport::new(&settings)?;
        Ok(Self { settings, transport, connections: Mutex::default(), tasks: TaskTracker::new() })
    }

    /// A connection to whichever of the addresses in the settings answers first.
    pub(super) async fn any(&self) -> Result<Arc<Connection>, BrokerError> {
        let mut last = Fault::Lost("there is no address".to_owned());
        for address in self.settings.addresses() {
            match self.connection(Target { address: address.to_owned(), proxied_to: None }).await {
                Ok(connection) => return Ok(connection),
                Err(fault) => last = fault,
            }
        }
        Err(last.of(self.asked(None, "reach the cluster")))
    }

    async fn connection(&self, target: Target) -> Result<Arc<Connection>, Fault> {
        let slot = {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(connections.entry(target.clone()).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_open()) {
            return Ok(Arc::clone(connection));
        }
        *slot = None;
        let to = (target.address.as_str(), target.proxied_to);
        let opened = Arc::new(Connection::open(&self.transport, &self.settings, to, &self.tasks).await?);
        *slot = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// What a topic consists of. A topic that does not exist is an error, and is not made.
    pub(super) async fn topic(&self, called: &str) -> Result<Topic, BrokerError> {
        let topic = self.named(called).await?;
        if !topic.is_partitioned() {
            // Also what older brokers say of a topic that does not exist. Whoever would read it is told.
            self.extent(&topic.part(0)).await?;
        }
        Ok(topic)
    }

    /// The same, where one without partitions may also not exist.
    pub(super) async fn named(&self, called: &str) -> Result<Topic, BrokerError> {
        let whole = topic::whole(called)?;
        let asked = self.asked(Some(called), "ask for the partitions of a topic");
        let connection = self.any().await?;
        let question = |request_id| {
            Body::PartitionsOf(PartitionsOf {
                topic: whole.clone(),
                request_id,
                metadata_auto_creation_enabled: Some(false),
            })
        };
        let answer = connection.ask(question, self.settings.limits.request_within()).await;
        let partitioned = match answer.map_err(|fault| fault.of(asked))? {
            Body::PartitionsAnswer(answer) => match answer.error {
                Some(code) => {
                    let message = answer.message.unwrap_or_default();
                    return Err(Fault::Refused { code, message }.of(asked));
                }
                None => answer.partitions.unwrap_or(0),
            },
            _ => return Err(Fault::Lost("the broker answers something else".to_owned()).of(asked)),
        };
        Ok(Topic { called: called.to_owned(), whole, partitioned })
    }

    /// A connection to the broker that has a partition.
    pub(super) async fn broker_of(&self, part: &Part) -> Result<Arc<Connection>, BrokerError> {
        let asked = self.asked(Some(&part.called), "find the broker of a topic");
        let mut connection = self.any().await?;
        let mut authoritative = false;
        for _ in 0..REDIRECTIONS {
            let question = |request_id| {
                Body::Lookup(Lookup {
                    topic: part.whole.clone(),
                    request_id,
                    authoritative: Some(authoritative),
                })
            };
            let answer = connection.ask(question, self.settings.limits.request_within()).await;
            let Body::LookupAnswer(answer) = answer.map_err(|fault| fault.of(asked))? else {
                return Err(Fault::Lost("the broker answers something else".to_owned()).of(asked));
            };
            let is_found = match answer.response {
                Some(LOOKUP_CONNECT) => true,
                Some(LOOKUP_REDIRECT) => false,
                _ => {
                    let code = answer.error.unwrap_or(0);
                    let message = answer.message.unwrap_or_default();
                    return Err(Fault::Refused { code, message }.of(asked));
                }
            };
            authoritative = answer.authoritative.unwrap_or(false);
            let target = self.target(&answer).map_err(|fault| fault.of(asked))?;
            connection = self.connection(target).await.map_err(|fault| fault.of(asked))?;
            if is_found {
                return Ok(connection);
            }
        }
        Err(Fault::Lost(format!("{REDIRECTIONS} brokers sent us on to another one")).of(asked))
    }

    /// Where an answer sends us.
    fn target(&self, answer: &LookupAnswer) -> Result<Target, Fault> {
        let url = if self.settings.encrypts() {
            &answer.broker_service_url_tls
        } else {
            &answer.broker_service_url
        };
        let Some(url) = url.as_deref().filter(|url| !url.is_empty()) else {
            return Err(Fault::Lost("the broker of the topic has no address for this scheme".to_owned()));
        };
        let address = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').to_owned();
        if answer.proxy_through_service_url == Some(true) {
            let first = self.settings.addresses().first().map(|address| (*address).to_owned());
            return Ok(Target { address: first.unwrap_or_default(), proxied_to: Some(address) });
        }
        Ok(Target { address, proxied_to: None })
    }

    /// From where to where a partition can be read now. Asked through a reader of its own, which leaves nothing behind.
    pub(super) async fn extent(&self, part: &Part) -> Result<Extent, BrokerError> {
        let connection = self.broker_of(part).await?;
        let reads = Reads::looking(&self.settings.group);
        let consumer = Consumer::subscribe(&connection, &self.settings, part, reads).await;
        let asked = self.asked(Some(&part.called), "ask for the ends of a topic");
        let consumer = consumer.map_err(|fault| fault.of(asked))?;
        let answer = consumer.last_message(&self.settings).await.map_err(|fault| fault.of(asked))?;
        consumer.close(&self.settings).await;
        let Some(last) = Place::named(&answer.last_message_id) else { return Ok(Extent { low: 0, high: 0 }) };
        // This reader stands before the first message: at entry -1 of the first ledger. Older brokers do not say where.
        let first = answer.consumer_mark_delete_position.map(|before| before.ledger);
        let first = first.filter(|ledger| *ledger <= last.ledger).unwrap_or(0);
        let low = self.placed(part, Place::new(first, 0, 0))?;
        Ok(Extent { low, high: self.placed(part, last)? + 1 })
    }

    /// The offset of a message.
    pub(super) fn placed(&self, part: &Part, place: Place) -> Result<u64, BrokerError> {
        place.offset().map_err(|what| BrokerError::PositionTooLarge {
            topic: part.called.clone(),
            partition: part.partition,
            what,
        })
    }

    pub(super) fn asked<'a>(&'a self, topic: Option<&'a str>, action: &'static str) -> Asked<'a> {
        Asked { bootstrap: &self.settings.bootstrap, topic, action }
    }
}
