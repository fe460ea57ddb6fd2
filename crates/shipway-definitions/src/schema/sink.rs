//! The shape of a sink.

use schemars::JsonSchema;
use shipway_core::{Length, Name};

use super::Tag;

/// Rows that are sent on as they come: of a view, a prediction log or a table, to a topic or to a table.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkDocument {
    kind: SinkKind,
    /// Its name, unique among sinks.
    name: Name,
    /// What is sent.
    from: SinkFromDocument,
    /// Where it goes.
    to: SinkToDocument,
    /// How often it sends, at most; of a key that changes several times in between, the newest row is sent. Default: as soon as
    /// there are rows to a topic, 10s to a table.
    every: Option<Length>,
    /// What it is, for people.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Words to find it by.
    tags: Option<Vec<Tag>>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum SinkKind {
    Sink,
}

/// What a sink sends: exactly one of these.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct SinkFromDocument {
    /// A view: the features of each key whose events come.
    view: Option<Name>,
    /// A deployment: its predictions.
    deployment: Option<Name>,
    /// A table: the rows that it gains.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_]{0,125}$"))]
    table: Option<String>,
}

/// Where a sink sends: broker, topic and format; or a table.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkToDocument {
    /// The broker, by its name under `brokers` in the server's configuration.
    broker: Option<Name>,
    /// The topic. It must exist.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._:/-]{1,249}$"))]
    topic: Option<String>,
    /// The format of the messages.
    format: Option<SinkFormatWord>,
    /// Columns that are the key of each message, for tables and deployments. Default: no key.
    #[schemars(length(min = 1))]
    key: Option<Vec<String>>,
    /// A table of this server, for rows of a view; it is made when the first rows come.
    table: Option<Name>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum SinkFormatWord {
    Json,
    Avro,
}
