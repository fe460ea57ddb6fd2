//! What can go wrong with a broker.

use std::borrow::Cow;

use shipway_core::{Failure, Kind};

use crate::PositionsFailure;

/// What a client library, or a broker itself, said about a failure.
pub type ClientFailure = Box<dyn std::error::Error + Send + Sync>;

/// Why a broker, or our use of one, failed.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// A setting cannot be.
    #[error("setting {name} {what}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A property is decided by this crate.
    #[error("property {name} is not one to set")]
    PropertyOwned {
        /// Its name.
        name: String,
        /// The setting that decides about it, if one does.
        instead: Option<&'static str>,
    },
    /// The client library does not know a property, or not such a value of it.
    #[error("property {name} is unknown, or its value is wrong")]
    PropertyWrong {
        /// Its name. Its value may be a secret.
        name: String,
    },
    /// No broker of the cluster answers.
    #[error("no broker answers at {bootstrap}: {reason}")]
    Unreachable {
        /// The addresses that were asked.
        bootstrap: String,
        /// The last failure of a connection.
        reason: String,
    },
    /// The cluster refuses our credentials or certificate, or we refuse its own.
    #[error("login at {bootstrap} failed: {reason}")]
    LoginRefused {
        /// The addresses that were asked.
        bootstrap: String,
        /// What the broker or the library said.
        reason: String,
    },
    /// The cluster knows us and does not allow this.
    #[error("the broker does not allow this user to use {what}")]
    Denied {
        /// The topic or the group.
        what: String,
    },
    /// There is no such topic.
    #[error("topic {topic} does not exist at the broker")]
    TopicUnknown {
        /// Its name.
        topic: String,
    },
    /// A position lies outside what the broker keeps. Nothing of the partition is read until the caller decides.
    #[error(
        "topic {topic}: position {position} of partition {partition} is outside of what is kept, {low} to {high}"
    )]
    PositionGone {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Where reading was to go on.
        position: u64,
        /// The oldest offset that is kept.
        low: u64,
        /// One behind the newest.
        high: u64,
    },
    /// A message lies where no position can name it. Nothing of the partition is read until the caller decides.
    #[error("topic {topic}: {what} of partition {partition} is beyond what a position can say")]
    PositionTooLarge {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Which part of the message's place, with its number.
        what: String,
    },
    /// A message cannot be taken apart. Nothing of the partition is read until the caller decides.
    #[error("topic {topic}: the message at {position} of partition {partition} cannot be read: {reason}")]
    MessageUnreadable {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Where it lies.
        position: u64,
        /// Where the next one may lie.
        behind: u64,
        /// Why.
        reason: String,
    },
    /// A message says something that this broker's messages cannot say.
    #[error("topic {topic}: a message of this broker cannot have {what}")]
    MessageRefused {
        /// The topic.
        topic: String,
        /// What it cannot have.
        what: String,
    },
    /// The topic is not one to read from or write to.
    #[error("topic {topic} {what}")]
    TopicUnfit {
        /// Its name.
        topic: String,
        /// Why.
        what: &'static str,
    },
    /// The caller's store of positions failed.
    #[error("topic {topic}: where to read partition {partition} from could not be found out")]
    PositionsFailed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Why.
        source: PositionsFailure,
    },
    /// The partition belongs to another member.
    #[error("topic {topic}: partition {partition} is not assigned to this member")]
    NotAssigned {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// A message is longer than the bound.
    #[error("topic {topic}: a message of {bytes} bytes is longer than what is allowed")]
    MessageTooLarge {
        /// The topic.
        topic: String,
        /// The length of key, value and headers.
        bytes: usize,
    },
    /// A message was not acknowledged in time. It may have been stored all the same.
    #[error("topic {topic}: a message was not acknowledged")]
    NotAcknowledged {
        /// The topic.
        topic: String,
        /// Why.
        source: ClientFailure,
    },
    /// The client met an error after which it can do nothing more.
    #[error("the client of the broker is broken: {reason}")]
    ClientBroken {
        /// What the library said.
        reason: String,
    },
    /// The subscription has ended.
    #[error("the subscription to topic {topic} has ended")]
    Closed {
        /// The topic.
        topic: String,
    },
    /// Anything else that the client library reports.
    #[error("broker: cannot {action}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// What the library said.
        source: ClientFailure,
    },
}

impl Failure for BrokerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Setting { .. }
            | Self::PropertyOwned { .. }
            | Self::PropertyWrong { .. }
            | Self::MessageRefused { .. }
            | Self::TopicUnfit { .. } => Kind::Invalid,
            Self::Unreachable { .. }
            | Self::LoginRefused { .. }
            | Self::Denied { .. }
            | Self::NotAcknowledged { .. }
            | Self::Closed { .. } => Kind::Unavailable,
            Self::TopicUnknown { .. } | Self::PositionGone { .. } => Kind::NotFound,
            Self::NotAssigned { .. } => Kind::Conflict,
            Self::MessageTooLarge { .. } => Kind::TooLarge,
            Self::PositionTooLarge { .. }
            | Self::MessageUnreadable { .. }
            | Self::PositionsFailed { .. }
            | Self::ClientBroken { .. }
            | Self::Failed { .. } => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "broker.setting_wrong",
            Self::PropertyOwned { .. } => "broker.property_owned",
            Self::PropertyWrong { .. } => "broker.property_wrong",
            Self::Unreachable { .. } => "broker.unreachable",
            Self::LoginRefused { .. } => "broker.login_refused",
            Self::Denied { .. } => "broker.denied",
            Self::TopicUnknown { .. } => "broker.topic_unknown",
            Self::PositionGone { .. } => "broker.position_gone",
            Self::PositionTooLarge { .. } => "broker.position_too_large",
            Self::MessageUnreadable { .. } => "broker.message_unreadable",
            Self::MessageRefused { .. } => "broker.message_refused",
            Self::TopicUnfit { .. } => "broker.topic_unfit",
            Self::PositionsFailed { .. } => "broker.positions_failed",
            Self::NotAssigned { .. } => "broker.not_assigned",
            Self::MessageTooLarge { .. } => "broker.message_too_large",
            Self::NotAcknowledged { .. } => "broker.not_acknowledged",
            Self::ClientBroken { .. } => "broker.client_broken",
            Self::Closed { .. } => "broker.closed",
            Self::Failed { .. } => "broker.failed",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::PropertyOwned { instead: Some(instead), .. } => {
                return Some(Cow::Owned(format!("set {instead} instead")));
            }
            Self::MessageUnreadable { behind, .. } => {
                return Some(Cow::Owned(format!(
                    "mend its producer; to go on without it, and without the rest of its batch, read on from {behind}"
                )));
            }
            Self::PositionTooLarge { .. } => {
                "have the broker close its ledgers sooner and producers make smaller batches, or move to another topic"
            }
            Self::MessageRefused { .. } => "leave it out, or put it into the value",
            Self::TopicUnfit { .. } => "name a persistent topic, as persistent://tenant/namespace/topic",
            Self::PropertyOwned { instead: None, .. } => {
                "leave it out: its value follows from what shipway promises"
            }
            Self::PropertyWrong { .. } => "librdkafka's documentation lists its properties and their values",
            Self::Unreachable { .. } => {
                "check the addresses and that the broker runs; with a broker that encrypts, check security.protocol"
            }
            Self::LoginRefused { .. } => {
                "check the user, the password, the token, the mechanism and the certificates"
            }
            Self::Denied { .. } => {
                "have the broker allow this user to read or write the topic and to join the group"
            }
            Self::TopicUnknown { .. } => {
                "check the name, or make the topic at the broker; shipway makes none"
            }
            Self::PositionGone { .. } => {
                "the broker deleted messages that were not read, or the topic is another one: load what is missing \
                 from elsewhere, then read on from the oldest offset that is kept"
            }
            Self::MessageTooLarge { .. } => {
                "send smaller messages, or raise limits.message_bytes and what the broker takes at most"
            }
            Self::NotAcknowledged { .. } => "send it again; readers may see it twice",
            Self::ClientBroken { .. } => "connect again",
            Self::Setting { .. }
            | Self::PositionsFailed { .. }
            | Self::NotAssigned { .. }
            | Self::Closed { .. }
            | Self::Failed { .. } => return None,
        };
        Some(Cow::Borrowed(hint))
    }
}
