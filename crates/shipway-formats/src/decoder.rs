//! From the bytes of a message to rows: picks the schema, then hands over to the format.

use std::sync::Arc;

use shipway_core::{DataType, Name};

use crate::{
    avro,
    columns::{Places, Unmatched},
    definition::{Encoding, Format},
    error::{FormatError, MessageError},
    framing,
    json::JsonReader,
    protobuf,
    registry::{Fetched, Missing, RegistryClient, SchemaType, cache::Cache},
    row::Decoded,
};

/// The longest message that is read.
pub const LONGEST_MESSAGE: usize = 16 << 20;

/// Reads the messages of one source. Cheap to clone; clones share the schemas that they know.
#[derive(Debug, Clone)]
pub struct Decoder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Places,
    means: Means,
}

#[derive(Debug)]
enum Means {
    Json { reader: JsonReader, is_framed: bool },
    Avro(Box<avro::Layout>),
    Protobuf(Box<protobuf::Layout>),
    Registry(Box<Registry>),
}

/// Schemas that are looked up.
#[derive(Debug)]
struct Registry {
    client: RegistryClient,
    format: Format,
    schemas: Cache<Known>,
}

/// What a schema of the registry became, for the columns of this source.
#[derive(Debug)]
enum Known {
    Avro(Result<avro::Layout, Unmatched>),
    Protobuf(protobuf::schema::Schema, Layouts),
}

/// The layouts of the messages of one Protobuf schema that have come, by their indexes.
type Layouts = std::sync::Mutex<Vec<(Vec<usize>, Arc<Result<protobuf::Layout, Unmatched>>)>>;

impl Decoder {
    /// Prepares for messages of `format` as rows of `columns`; asks no registry yet.
    ///
    /// Refused is a format that no message could satisfy, and a schema in it that cannot be read.
    pub fn new(format: &Format, columns: &[(Name, DataType)]) -> Result<Self, FormatError> {
        let places = Places { columns: format.columns(columns)?, unknown: format.unknown_fields };
        let invalid = |reason: String| FormatError::Invalid { reason };
        let unmatched = |unmatched: Unmatched| match unmatched {
            Unmatched::Schema(reason) => invalid(format!("schema: {reason}")),
            Unmatched::Message(error) => invalid(format!("schema: {error}")),
        };
        let client = format.schema_registry.as_ref().map(RegistryClient::new).transpose()?;
        let means = match (format.format, client, &format.schema) {
            (Encoding::Json, client, _) => {
                Means::Json { reader: JsonReader::new(&places, format.envelope), is_framed: client.is_some() }
            }
            (_, Some(client), _) => {
                let format = format.clone();
                Means::Registry(Box::new(Registry { client, format, schemas: Cache::new() }))
            }
            (Encoding::Avro, None, schema) => {
                let schema = avro::schema::Schema::parse(schema.as_deref().unwrap_or_default(), &[]);
                let schema = schema.map_err(|reason| invalid(format!("schema: {reason}")))?;
                let layout = avro::Layout::new(schema, &places, format.envelope).map_err(unmatched)?;
                Means::Avro(Box::new(layout))
            }
            (Encoding::Protobuf, None, schema) => {
                let text = schema.as_deref().unwrap_or_default();
                let schema = protobuf::schema::Schema::compile(text, Vec::new());
                let message = schema.and_then(|schema| schema.message(format.message.as_deref()));
                let message = message.map_err(|reason| invalid(format!("schema: {reason}")))?;
                Means::Protobuf(Box::new(protobuf::Layout::new(message, &places).map_err(unmatched)?))
            }
        };
        Ok(Self(Arc::new(Inner { places, means })))
    }

    /// The host of the registry, for whoever decides where requests may go; `None` where there is none.
    pub fn registry_host(&self) -> Option<&str> {
        match &self.0.means {
            Means::Registry(registry) => Some(registry.client.host()),
            Means::Json { .. } | Means::Avro(_) | Means::Protobuf(_) => None,
        }
    }

    /// Reads the value of one message; `None` is a message without one, which says nothing about rows.
    ///
    /// What the message is to blame for is [`Decoded::Refused`]. An error means that nobody can say for now: the same
    /// message may be read later. Waits for a registry only where an id comes for the first time.
    pub async fn decode(&self, message: Option<&[u8]>) -> Result<Decoded, FormatError> {
        let Some(message) = message else { return Ok(Decoded::Nothing) };
        let limit = LONGEST_MESSAGE;
        if message.len() > limit {
            return Ok(Decoded::Refused(MessageError::TooLarge { bytes: message.len(), limit }));
        }
        let places = &self.0.places;
        let decoded = match &self.0.means {
            Means::Json { reader, is_framed } => json(reader, *is_framed, message, places),
            Means::Avro(layout) => layout.decode(message, places),
            Means::Protobuf(layout) => layout.decode(message, places),
            Means::Registry(registry) => registry.decode(message, places).await?,
        };
        Ok(decoded.unwrap_or_else(Decoded::Refused))
    }
}

fn json(
    reader: &JsonReader,
    is_framed: bool,
    message: &[u8],
    places: &Places,
) -> Result<Decoded, MessageError> {
    if is_framed {
        return reader.decode(framing::split(message)?.1, places);
    }
    if framing::has_header(message) {
        let reason = "the message begins with the id of a schema, and no schema_registry is declared";
        return Err(MessageError::Header { reason });
    }
    reader.decode(message, places)
}

impl Registry {
    async fn decode(
        &self,
        message: &[u8],
        places: &Places,
    ) -> Result<Result<Decoded, MessageError>, FormatError> {
        let (id, rest) = match framing::split(message) {
            Ok(split) => split,
            Err(error) => return Ok(Err(error)),
        };
        let known = match self.known(id, places).await {
            Ok(known) => known,
            Err(Missing::Unknown) => return Ok(Err(MessageError::SchemaUnknown { id })),
            Err(Missing::Unusable(reason)) => return Ok(Err(unusable(id, &reason))),
            Err(Missing::Surroundings(error)) => return Err(error),
        };
        Ok(match &*known {
            Known::Avro(Ok(layout)) => layout.decode(rest, places),
            Known::Avro(Err(unmatched)) => Err(of_schema(id, unmatched)),
            Known::Protobuf(schema, layouts) => self.protobuf(id, schema, layouts, rest, places),
        })
    }

    async fn known(&self, id: u32, places: &Places) -> Result<Arc<Known>, Missing> {
        let ask = || {
            let (client, format, places) = (self.client.clone(), self.format.clone(), places.clone());
            async move { know(client.fetch(id).await?, &format, &places) }
        };
        self.schemas.get(id, ask).await
    }

    fn protobuf(
        &self,
        id: u32,
        schema: &protobuf::schema::Schema,
        layouts: &Layouts,
        message: &[u8],
        places: &Places,
    ) -> Result<Decoded, MessageError> {
        let (indexes, rest) = framing::message_indexes(message)?;
        let known = {
            let mut layouts = layouts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match layouts.iter().find(|(known, _)| *known == indexes) {
                Some((_, layout)) => Arc::clone(layout),
                None => {
                    let layout = Arc::new(self.layout(schema, &indexes, places));
                    // Only what the schema has is kept, and that is bounded.
                    if schema.message_at(&indexes).is_some() {
                        layouts.push((indexes, Arc::clone(&layout)));
                    }
                    layout
                }
            }
        };
        match &*known {
            Ok(layout) => layout.decode(rest, places),
            Err(unmatched) => Err(of_schema(id, unmatched)),
        }
    }

    fn layout(
        &self,
        schema: &protobuf::schema::Schema,
        indexes: &[usize],
        places: &Places,
    ) -> Result<protobuf::Layout, Unmatched> {
        let found = schema.message_at(indexes);
        let found = found.ok_or_else(|| Unmatched::Schema(format!("it has no message at {indexes:?}")))?;
        match &self.format.message {
            Some(wanted) if *wanted != *found.full_name() => Err(Unmatched::Schema(format!(
                "the message is a {}, and {wanted} is wanted",
                found.full_name()
            ))),
            _ => protobuf::Layout::new(found, places),
        }
    }
}

fn of_schema(id: u32, unmatched: &Unmatched) -> MessageError {
    match unmatched {
        Unmatched::Schema(reason) => unusable(id, reason),
        Unmatched::Message(error) => error.clone(),
    }
}

/// The reason is cut: it may repeat what stands in the schema, however long.
fn unusable(id: u32, reason: &str) -> MessageError {
    MessageError::SchemaUnusable { id, reason: reason.chars().take(500).collect() }
}

fn know(fetched: Fetched, format: &Format, places: &Places) -> Result<Known, Missing> {
    match (fetched.schema_type, format.format) {
        (SchemaType::Avro, Encoding::Avro) => {
            let references: Vec<String> = fetched.references.into_iter().map(|(_, text)| text).collect();
            let schema =
                avro::schema::Schema::parse(&fetched.text, &references).map_err(Missing::Unusable)?;
            Ok(Known::Avro(avro::Layout::new(schema, places, format.envelope)))
        }
        (SchemaType::Protobuf, Encoding::Protobuf) => {
            let schema = protobuf::schema::Schema::compile(&fetched.text, fetched.references);
            Ok(Known::Protobuf(schema.map_err(Missing::Unusable)?, Layouts::default()))
        }
        (found, wanted) => {
            let what = format!("it is of {found:?}, and the format is {wanted:?}").to_lowercase();
            Err(Missing::Unusable(what))
        }
    }
}
