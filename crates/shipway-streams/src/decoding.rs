//! Messages of a broker as a delivery.

use shipway_broker::Message;
use shipway_core::{DataType, Failure as _, Name, Timestamp, Value};
use shipway_definitions::{
    Source, Stream, StreamChanges, StreamEnvelope, StreamFormat, TimeUnit, UnknownFields,
};
use shipway_formats::{
    Change, Decoded, Decoder, Encoding, Envelope, Format, FormatError, MessageError, Paths, Row,
    SchemaRegistry,
};

use crate::{
    error::StreamsError,
    port::{Arrived, Content, Rejection},
};

/// Reads the messages of one source.
#[derive(Debug, Clone)]
pub(crate) struct SourceDecoder {
    decoder: Decoder,
    /// For JSON whose schema is in the registry: such messages begin with its id, which JSON itself never does.
    framed: Option<Decoder>,
    source: Name,
    pub(crate) columns: Vec<(Name, DataType)>,
    changes: Changes,
}

/// Which changes of rows become events, and the columns that tell of them.
#[derive(Debug, Clone, Copy)]
struct Changes {
    taken: StreamChanges,
    operation: Option<usize>,
    changed_at: Option<usize>,
}

impl SourceDecoder {
    /// Refuses a format that no message could satisfy; asks no registry yet.
    pub(crate) fn new(
        source: &Source,
        stream: &Stream,
        registry: Option<&SchemaRegistry>,
    ) -> Result<Self, StreamsError> {
        let is_plain = stream.format == StreamFormat::Json || stream.schema.is_some();
        if !is_plain && registry.is_none() {
            let (source_name, broker) = (source.name.clone(), stream.broker.clone());
            return Err(StreamsError::NoRegistry { source_name, broker });
        }
        let columns = source.columns.clone();
        let decoder = |registry| Decoder::new(&format(stream, registry), &columns);
        let registry = registry.filter(|_| stream.schema.is_none());
        let (decoder, framed) = match (stream.format, registry) {
            (StreamFormat::Json, Some(registry)) => (decoder(None)?, Some(decoder(Some(registry))?)),
            (_, registry) => (decoder(registry)?, None),
        };
        let position =
            |wanted: &Option<Name>| columns.iter().position(|(column, _)| Some(column) == wanted.as_ref());
        let changes = Changes {
            taken: stream.changes,
            operation: position(&stream.operation),
            changed_at: position(&stream.changed_at),
        };
        Ok(Self { decoder, framed, source: source.name.clone(), columns, changes })
    }

    /// All of `messages`, or why nobody can say for now what they are.
    pub(crate) async fn all(&self, messages: Vec<Message>) -> Result<Vec<Arrived>, FormatError> {
        let mut arrived = Vec::with_capacity(messages.len());
        for Message { partition, offset, key, value, timestamp_us, .. } in messages {
            let content = self.content(value.as_deref()).await?;
            let sent = timestamp_us.map(Timestamp);
            arrived.push(Arrived { partition, offset, sent, key, message: value, content });
        }
        Ok(arrived)
    }

    /// What the body of one message says.
    pub(crate) async fn content(&self, message: Option<&[u8]>) -> Result<Content, FormatError> {
        let is_framed = message.is_some_and(|message| message.first() == Some(&0));
        let decoder = self.framed.as_ref().filter(|_| is_framed).unwrap_or(&self.decoder);
        Ok(match decoder.decode(message).await? {
            Decoded::Nothing => Content::Nothing,
            Decoded::Refused(error) => Content::Rejected(rejection(&error)),
            Decoded::Rows(rows) => self.event(rows),
        })
    }

    fn event(&self, mut rows: Vec<Row>) -> Content {
        let refused = |what| {
            let error = StreamsError::Change { source_name: self.source.clone(), what };
            Content::Rejected(Rejection { code: error.code().to_owned(), reason: error.to_string() })
        };
        let (Some(Row { mut values, change, changed }), is_one) = (rows.pop(), rows.is_empty()) else {
            return Content::Nothing;
        };
        if !is_one {
            return refused("several changes");
        }
        let operation = match (change, self.changes.taken) {
            (Change::Insert, _) => "insert",
            (Change::Update { .. }, StreamChanges::All) => "update",
            (Change::Delete, StreamChanges::All) => "delete",
            (Change::Update { .. }, StreamChanges::Inserts) => return refused("an update"),
            (Change::Delete, StreamChanges::Inserts) => return refused("a deletion"),
        };
        let mut tell = |column: Option<usize>, value: Value| {
            if let Some(told) = column.and_then(|column| values.get_mut(column)) {
                *told = value;
            }
        };
        tell(self.changes.operation, Value::text(operation));
        tell(self.changes.changed_at, changed.map_or(Value::Null, Value::Timestamp));
        Content::Event(values)
    }
}

fn rejection(error: &MessageError) -> Rejection {
    Rejection { code: error.code().to_owned(), reason: error.to_string() }
}

/// What the definition says, in the words of the decoder.
fn format(stream: &Stream, registry: Option<&SchemaRegistry>) -> Format {
    let mut format = Format::new(match stream.format {
        StreamFormat::Json => Encoding::Json,
        StreamFormat::Avro => Encoding::Avro,
        StreamFormat::Protobuf => Encoding::Protobuf,
    });
    format.schema = stream.schema.clone();
    format.schema_registry = registry.cloned();
    format.message = stream.message.clone();
    format.envelope = match stream.envelope {
        StreamEnvelope::None => Envelope::None,
        StreamEnvelope::Debezium => Envelope::Debezium,
    };
    format.unknown_fields = match stream.unknown_fields {
        UnknownFields::Ignore => shipway_formats::UnknownFields::Ignore,
        UnknownFields::Refuse => shipway_formats::UnknownFields::Refuse,
    };
    let path = |(column, paths): (&Name, &Vec<String>)| (column.clone(), Paths::FirstOf(paths.clone()));
    format.fields = stream.fields.iter().map(path).collect();
    let unit = |(column, unit): (&Name, &TimeUnit)| {
        let unit = match unit {
            TimeUnit::Seconds => shipway_formats::TimeUnit::Seconds,
            TimeUnit::Milliseconds => shipway_formats::TimeUnit::Milliseconds,
            TimeUnit::Microseconds => shipway_formats::TimeUnit::Microseconds,
            TimeUnit::Nanoseconds => shipway_formats::TimeUnit::Nanoseconds,
        };
        (column.clone(), unit)
    };
    format.time_unit = stream.time_unit.iter().map(unit).collect();
    format
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shipway_definitions::{DefinitionFile, DefinitionSet};

    use super::*;

    fn decoder(changes: &str) -> SourceDecoder {
        let text = format!(
            "kind: source\nname: carriers\nevent_time: changed\ncolumns: {{ changed: timestamp, op: text, carrier: text, tier: text }}\n\
             stream: {{ broker: main, topic: carriers, format: json, envelope: debezium, {changes} }}\n"
        );
        let set = DefinitionSet::parse(&[DefinitionFile::new("a.yaml", text)]).unwrap();
        let source = &set.source("carriers").unwrap().definition;
        SourceDecoder::new(source, source.stream.as_ref().unwrap(), None).unwrap()
    }

    async fn content(decoder: &SourceDecoder, op: &str) -> Content {
        let (old, new) =
            (json!({ "carrier": "DL", "tier": "silver" }), json!({ "carrier": "DL", "tier": "gold" }));
        let (before, after) = match op {
            "c" => (json!(null), new),
            "d" => (old, json!(null)),
            _ => (old, new),
        };
        let event =
            json!({ "op": op, "before": before, "after": after, "source": { "ts_ms": 7 }, "ts_ms": 9 });
        decoder.content(Some(event.to_string().as_bytes())).await.unwrap()
    }

    #[tokio::test]
    async fn with_all_changes_each_is_an_event_that_says_what_happened_and_when() {
        let decoder = decoder("changes: all, operation: op, changed_at: changed");
        for (op, word, tier) in [("c", "insert", "gold"), ("u", "update", "gold"), ("d", "delete", "silver")]
        {
            let values =
                [Value::Timestamp(Timestamp(7_000)), Value::text(word), Value::text("DL"), Value::text(tier)];
            assert_eq!(content(&decoder, op).await, Content::Event(values.to_vec()), "{op}");
        }
    }

    #[tokio::test]
    async fn without_them_only_what_is_new_is_an_event() {
        let decoder = decoder("changed_at: changed");
        assert!(matches!(content(&decoder, "c").await, Content::Event(_)));
        for op in ["u", "d"] {
            let content = content(&decoder, op).await;
            assert!(
                matches!(&content, Content::Rejected(Rejection { code, .. }) if code == "streams.change_refused"),
                "{content:?}"
            );
        }
    }
}
