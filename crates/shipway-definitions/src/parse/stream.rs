//! Reads the stream part of a source: a topic of a broker, and how its messages are to be read.

use std::collections::BTreeMap;

use shipway_core::{DataType, Name, nearest};

use crate::{
    Stream, StreamChanges, StreamEnvelope, StreamFormat, StreamStart, TimeUnit, UnknownFields,
    parse::reader::{Columns, Fields, Reader},
    yaml::{Content, Node},
};

pub(crate) const FIELDS: &[&str] = &[
    "broker",
    "topic",
    "start",
    "format",
    "schema",
    "message",
    "envelope",
    "changes",
    "operation",
    "changed_at",
    "unknown_fields",
    "fields",
    "time_unit",
];

/// The longest name that a topic can have at a broker.
const LONGEST_TOPIC: usize = 249;

/// Reads the stream part; columns are judged against the `declared` ones.
pub(super) fn read(node: &Node, declared: &Columns, reader: &mut Reader<'_>) -> Option<Stream> {
    let fields = Fields::of(node, FIELDS, " in stream", reader)?;
    let broker = fields.required("broker", reader).and_then(|node| reader.name("broker", node));
    let topic = fields.required("topic", reader).and_then(|node| topic(node, reader));
    let format = fields
        .required("format", reader)
        .and_then(|node| word("format", node, StreamFormat::ALL, StreamFormat::word, reader));
    let start = fields.optional("start").map_or(Some(StreamStart::Earliest), |node| {
        word("start", node, StreamStart::ALL, StreamStart::word, reader)
    });
    let envelope = fields.optional("envelope").map_or(Some(StreamEnvelope::None), |node| {
        word("envelope", node, StreamEnvelope::ALL, StreamEnvelope::word, reader)
    });
    let changes = changes(&fields, envelope, declared, reader);
    let unknown_fields = fields.optional("unknown_fields").map_or(Some(UnknownFields::Ignore), |node| {
        word("unknown_fields", node, UnknownFields::ALL, UnknownFields::word, reader)
    });
    let text = |name: &str, reader: &mut Reader<'_>| {
        fields.optional(name).and_then(|node| reader.text(name, node)).map(|text| text.value)
    };
    let schema = text("schema", reader);
    let message = text("message", reader);
    let paths = fields.optional("fields").map(|node| paths(node, declared, reader)).unwrap_or_default();
    let time_unit =
        fields.optional("time_unit").map(|node| units(node, declared, reader)).unwrap_or_default();
    if let (Some(node), Some(format)) = (fields.optional("message"), format)
        && format != StreamFormat::Protobuf
    {
        let hint = Some("leave message out".to_owned());
        reader.refuse(node.line, format!("message is for protobuf, and the format is {format}"), hint);
    }
    if format == Some(StreamFormat::Json)
        && let Some(node) = fields.optional("schema")
    {
        let hint = Some("leave schema out: the columns say what is read".to_owned());
        reader.refuse(node.line, "schema is for avro and protobuf, and the format is json".to_owned(), hint);
    }
    if format == Some(StreamFormat::Protobuf) && schema.is_some() && message.is_none() {
        let hint = Some("add message: with its full name, such as flights.Departure".to_owned());
        reader.refuse(
            fields.line,
            "stream does not say which message of the schema is sent".to_owned(),
            hint,
        );
    }
    if envelope == Some(StreamEnvelope::Debezium) && format == Some(StreamFormat::Protobuf) {
        let hint = Some("write format: json or format: avro".to_owned());
        reader.refuse(fields.line, "envelope debezium comes as json or avro".to_owned(), hint);
    }
    Some(Stream {
        broker: broker?.value,
        topic: topic?,
        start: start?,
        format: format?,
        schema,
        message,
        envelope: envelope?,
        changes: changes.0?,
        operation: changes.1,
        changed_at: changes.2,
        unknown_fields: unknown_fields?,
        fields: paths,
        time_unit,
    })
}

/// Which changes are taken, and the columns that tell of them.
fn changes(
    fields: &Fields<'_>,
    envelope: Option<StreamEnvelope>,
    declared: &Columns,
    reader: &mut Reader<'_>,
) -> (Option<StreamChanges>, Option<Name>, Option<Name>) {
    for field in ["changes", "operation", "changed_at"] {
        if let Some(node) = fields.optional(field)
            && envelope == Some(StreamEnvelope::None)
        {
            let hint = Some(format!("leave {field} out, or write envelope: debezium"));
            reader.refuse(node.line, format!("{field} is for an envelope that tells of changes"), hint);
        }
    }
    let changes = fields.optional("changes").map_or(Some(StreamChanges::Inserts), |node| {
        word("changes", node, StreamChanges::ALL, StreamChanges::word, reader)
    });
    let mut column = |field: &str, needs: DataType| {
        let name = fields.optional(field).and_then(|node| reader.name(field, node))?;
        match declared.iter().find(|(known, _)| known.value == name.value) {
            Some((_, data_type)) if *data_type == needs => return Some(name.value),
            Some((_, data_type)) => {
                let message =
                    format!("column {} of {field} in stream is {data_type}, not {needs}", name.value);
                reader.refuse(name.line, message, Some(format!("declare it as {needs}")));
            }
            // What could not be read of the columns was reported already.
            None if declared.is_empty() => {}
            None => {
                let hint = Some(format!("add {}: {needs} to columns", name.value));
                reader.refuse(name.line, format!("{field} {} in stream is not in columns", name.value), hint);
            }
        }
        None
    };
    let (operation, changed_at) =
        (column("operation", DataType::Text), column("changed_at", DataType::Timestamp));
    if changes == Some(StreamChanges::All) && fields.optional("operation").is_none() {
        let hint = Some("add operation: with a text column, which says insert, update or delete".to_owned());
        reader.refuse(
            fields.line,
            "changes: all needs a column that tells a deletion from a row".to_owned(),
            hint,
        );
    }
    (changes, operation, changed_at)
}

/// Reads the name of a topic.
pub(super) fn topic(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text("topic", node)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte);
    if text.value.len() <= LONGEST_TOPIC && text.value.bytes().all(fits) {
        return Some(text.value);
    }
    let hint = format!("letters, digits and . _ - : /, at most {LONGEST_TOPIC} of them");
    reader.refuse(text.line, format!("topic {} cannot be the name of a topic", text.value), Some(hint));
    None
}

fn word<T: Copy>(
    what: &str,
    node: &Node,
    all: &[T],
    word: fn(T) -> &'static str,
    reader: &mut Reader<'_>,
) -> Option<T> {
    let text = reader.text(what, node)?;
    let found = all.iter().copied().find(|one| word(*one) == text.value);
    if found.is_none() {
        let words: Vec<&str> = all.iter().map(|one| word(*one)).collect();
        let hint = nearest(&text.value, words.iter().copied()).map_or_else(
            || format!("write one of {}", words.join(", ")),
            |near| format!("did you mean {near}?"),
        );
        reader.refuse(text.line, format!("{what} {} does not exist in stream", text.value), Some(hint));
    }
    found
}

fn paths(node: &Node, declared: &Columns, reader: &mut Reader<'_>) -> BTreeMap<Name, Vec<String>> {
    by_column("fields", "its path in a message", node, declared, reader, |node, _, reader| {
        let one = |node: &Node, reader: &mut Reader<'_>| {
            reader.text("a path of fields", node).map(|text| text.value)
        };
        match &node.content {
            Content::List(nodes) => nodes.iter().map(|node| one(node, reader)).collect(),
            _ => one(node, reader).map(|path| vec![path]),
        }
    })
}

fn units(node: &Node, declared: &Columns, reader: &mut Reader<'_>) -> BTreeMap<Name, TimeUnit> {
    by_column("time_unit", "its unit", node, declared, reader, |node, (name, data_type), reader| {
        if data_type != DataType::Timestamp {
            let hint = Some("units are for timestamps that come as numbers".to_owned());
            reader.refuse(node.line, format!("column {name} of time_unit is {data_type}"), hint);
        }
        word("time_unit", node, TimeUnit::ALL, TimeUnit::word, reader)
    })
}

fn by_column<T>(
    field: &str,
    what: &str,
    node: &Node,
    declared: &Columns,
    reader: &mut Reader<'_>,
    read: impl Fn(&Node, (&Name, DataType), &mut Reader<'_>) -> Option<T>,
) -> BTreeMap<Name, T> {
    let Content::Map(map) = &node.content else {
        let hint = format!("write {field}: {{ column: {what}, … }}");
        let message = format!("{field} in stream is a map, got {}", node.content.word());
        reader.refuse(node.line, message, Some(hint));
        return BTreeMap::new();
    };
    let mut read_so_far = BTreeMap::new();
    for (key, node) in map {
        let Some(name) = reader.name_of("column", key.line, &key.text) else { continue };
        let Some((_, data_type)) = declared.iter().find(|(known, _)| known.value == name.value) else {
            // What could not be read of the columns was reported already.
            if !declared.is_empty() {
                let near =
                    nearest(name.value.as_str(), declared.iter().map(|(known, _)| known.value.as_str()));
                let hint = near.map(|near| format!("did you mean {near}?"));
                let message = format!("column {} of {field} in stream is not in columns", name.value);
                reader.refuse(name.line, message, hint);
            }
            continue;
        };
        if let Some(value) = read(node, (&name.value, *data_type), reader)
            && read_so_far.insert(name.value.clone(), value).is_some()
        {
            reader.refuse(key.line, format!("column {} is given twice in {field}", name.value), None);
        }
    }
    read_so_far
}
