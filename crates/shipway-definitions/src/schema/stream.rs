//! The part of a source that says which topic its events come from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use shipway_core::Name;

/// A topic whose messages are events of the source, each taken in once.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamDocument {
    /// The broker, by its name under `brokers` in the server's configuration.
    broker: Name,
    /// The topic.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._:/-]{1,249}$"))]
    topic: String,
    /// Where to begin with a partition that was never read. Default earliest.
    start: Option<StreamStartWord>,
    /// The format of the messages.
    format: StreamFormatWord,
    /// The schema that they were written with, as text: Avro's JSON or a .proto file. Default: the broker's schema registry.
    schema: Option<String>,
    /// The full name of the Protobuf message.
    message: Option<String>,
    /// What is around the event. Default none.
    envelope: Option<StreamEnvelopeWord>,
    /// Which changes of rows become events, with envelope debezium. Default inserts.
    changes: Option<StreamChangesWord>,
    /// The text column that says what happened to the row: insert, update or delete. Needed with changes: all.
    operation: Option<Name>,
    /// The timestamp column that says when it happened, by the clock of the database.
    changed_at: Option<Name>,
    /// What becomes of a message with fields that are no columns. Default ignore.
    unknown_fields: Option<UnknownFieldsWord>,
    /// Columns that are found elsewhere in a message: the column to the path of its field, `a.b.c`, or to several of which the
    /// first that is there counts. Default: the column's name.
    fields: Option<BTreeMap<Name, PathsDocument>>,
    /// What the numbers of a timestamp column count.
    time_unit: Option<BTreeMap<Name, TimeUnitWord>>,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum PathsDocument {
    One(String),
    FirstOf(Vec<String>),
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum StreamStartWord {
    Earliest,
    Latest,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum StreamFormatWord {
    Json,
    Avro,
    Protobuf,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum StreamEnvelopeWord {
    None,
    Debezium,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum StreamChangesWord {
    Inserts,
    All,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum UnknownFieldsWord {
    Ignore,
    Refuse,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum TimeUnitWord {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}
