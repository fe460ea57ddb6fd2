//! Where rows go that others want: to a topic of a broker, or to a table.

use std::fmt;

use serde::{Deserialize, Serialize};
use shipway_core::{Length, Name};

use super::stream::words;

/// Rows of a view, of a prediction log or of a table, sent on as they come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sink {
    /// Its name, unique among sinks.
    pub name: Name,
    /// What is sent.
    pub from: SinkFrom,
    /// Where it goes.
    pub to: SinkTo,
    /// How often it sends, at most; of a key that changes several times in between, the newest row is sent. None: topics get rows
    /// as soon as there are some, tables every ten seconds. Says nothing about what is sent, so it is not in the hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Length>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What a sink sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkFrom {
    /// The features of each key of a view whose events come.
    View(Name),
    /// The predictions that a deployment answers. It may not exist yet.
    Deployment(Name),
    /// The rows that a table gains. It may not exist yet.
    Table(String),
}

/// Where a sink sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SinkTo {
    /// A topic of a broker.
    Topic {
        /// The broker, by its name in the server's configuration: addresses and passwords are not for definitions.
        broker: Name,
        /// The topic.
        topic: String,
        /// The format of the messages.
        format: SinkFormat,
        /// The columns that are the key of a message; none: messages have no key. Rows of a view have the keys of its entity, and
        /// nothing here.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        key: Vec<String>,
    },
    /// A table of this server, which is made when the first rows come.
    Table(Name),
}

words! {
    /// A format of messages that are sent.
    SinkFormat {
        /// A JSON object.
        Json = "json",
        /// An Avro datum; with the id of its schema where the broker has a registry.
        Avro = "avro",
    }
}

impl SinkFrom {
    /// The name of what is sent.
    pub fn name(&self) -> &str {
        match self {
            Self::View(name) | Self::Deployment(name) => name.as_str(),
            Self::Table(name) => name,
        }
    }
}

impl fmt::Display for SinkFrom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::View(_) => "view",
            Self::Deployment(_) => "deployment",
            Self::Table(_) => "table",
        };
        write!(formatter, "{kind} {}", self.name())
    }
}

impl fmt::Display for SinkTo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic { broker, topic, .. } => write!(formatter, "topic {topic} of broker {broker}"),
            Self::Table(table) => write!(formatter, "table {table}"),
        }
    }
}
