//! Messages of a broker as a delivery.

use shipway_broker::Message;
use shipway_core::{DataType, Failure as _, Name, Timestamp};
use shipway_definitions::{Source, Stream, StreamEnvelope, StreamFormat, TimeUnit, UnknownFields};
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
        Ok(Self { decoder, framed, source: source.name.clone(), columns })
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
        match (rows.pop(), rows.is_empty()) {
            (None, _) => Content::Nothing,
            (Some(Row { values, change: Change::Insert }), true) => Content::Event(values),
            (Some(Row { change: Change::Delete, .. }), true) => refused("a deletion"),
            (Some(Row { change: Change::Update { .. }, .. }), true) => refused("an update"),
            (Some(_), false) => refused("several changes"),
        }
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
