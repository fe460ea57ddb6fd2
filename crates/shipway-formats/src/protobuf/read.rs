//! A message by its descriptor into the values of a row.

use std::sync::Arc;

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value as Proto,
};
use shipway_core::{DataType, Value};

use crate::{
    columns::{Places, Unmatched},
    convert::{Judged, Wanted, moment_of_parts},
    definition::UnknownFields,
    error::MessageError,
    row::{Decoded, Row},
};

/// How a message of one descriptor becomes a row.
#[derive(Debug)]
pub(crate) struct Layout {
    message: MessageDescriptor,
    /// Per column the fields that lead to it; none where the schema has no such.
    columns: Vec<Option<Vec<FieldDescriptor>>>,
    /// The fields that are on the way to a column, by message and number: all others are strangers.
    known: Vec<(String, u32)>,
}

impl Layout {
    /// Finds the columns in `message`.
    pub(crate) fn new(message: MessageDescriptor, places: &Places) -> Result<Self, Unmatched> {
        let mut columns = Vec::with_capacity(places.columns.len());
        let mut known = Vec::new();
        for (column, declared) in places.columns.iter().enumerate() {
            let mut found = None;
            for path in &declared.paths {
                match lead(&message, path) {
                    Lead::To(fields) => {
                        known.extend(fields.iter().map(|field| (owner(field), field.number())));
                        found = found.or(Some(fields));
                    }
                    Lead::Nowhere => {}
                    Lead::Through(field) => {
                        let reason = format!("its path leads through field {field}, which is no message");
                        return Err(Unmatched::Message(places.mismatch(column, reason)));
                    }
                }
            }
            columns.push(found);
        }
        Ok(Self { message, columns, known })
    }

    /// Reads a message, from behind its header.
    pub(crate) fn decode(&self, message: &[u8], places: &Places) -> Result<Decoded, MessageError> {
        let message = DynamicMessage::decode(self.message.clone(), message).map_err(|error| {
            MessageError::Malformed { format: "a Protobuf message of its schema", reason: error.to_string() }
        })?;
        if places.unknown == UnknownFields::Refuse {
            self.refuse_strangers(&message, places)?;
        }
        let mut values = places.nothing();
        for (column, fields) in self.columns.iter().enumerate() {
            let Some(fields) = fields else { continue };
            values[column] = at(&message, fields, places.wanted(column))
                .map_err(|reason| places.mismatch(column, reason))?;
        }
        Ok(Decoded::Rows(vec![Row::inserted(values)]))
    }

    /// The reader of messages bounds how deep `message` is, and so how deep this goes.
    fn refuse_strangers(&self, message: &DynamicMessage, places: &Places) -> Result<(), MessageError> {
        if let Some(stranger) = message.unknown_fields().next() {
            return Err(places.stranger_error(&format!("number {}", stranger.number())));
        }
        for (field, value) in message.fields() {
            let owner = field.parent_message().full_name();
            let is_known = |known: &(String, u32)| known.1 == field.number() && *known.0 == *owner;
            if !self.known.iter().any(is_known) {
                return Err(places.stranger_error(field.name()));
            }
            if let Proto::Message(inner) = value
                && self.known.iter().any(|known| *known.0 == *inner.descriptor().full_name())
            {
                self.refuse_strangers(inner, places)?;
            }
        }
        Ok(())
    }
}

fn owner(field: &FieldDescriptor) -> String {
    field.parent_message().full_name().to_owned()
}

enum Lead {
    To(Vec<FieldDescriptor>),
    Nowhere,
    Through(String),
}

fn lead(message: &MessageDescriptor, path: &[Box<str>]) -> Lead {
    let mut fields: Vec<FieldDescriptor> = Vec::with_capacity(path.len());
    let mut within = Some(message.clone());
    for name in path {
        let Some(message) = &within else {
            return Lead::Through(fields.last().map(|field| field.name().to_owned()).unwrap_or_default());
        };
        let Some(field) = message.get_field_by_name(name) else { return Lead::Nowhere };
        within = match field.kind() {
            Kind::Message(inner) if !field.is_list() && !field.is_map() => Some(inner),
            _ => None,
        };
        fields.push(field);
    }
    Lead::To(fields)
}

/// The value at the end of `fields`; null where a message on the way is absent.
fn at(message: &DynamicMessage, fields: &[FieldDescriptor], wanted: Wanted) -> Judged {
    let Some((field, rest)) = fields.split_first() else { return Ok(Value::Null) };
    // A field that says whether it is set is null where it is not; of the others the sender cannot say that they are absent.
    if field.supports_presence() && !message.has_field(field) {
        return Ok(Value::Null);
    }
    let value = message.get_field(field);
    if rest.is_empty() {
        return judge(&value, &field.kind(), wanted);
    }
    match &*value {
        Proto::Message(inner) => at(inner, rest, wanted),
        _ => Err(format!("its path leads through field {}, which is no message", field.name())),
    }
}

fn judge(value: &Proto, kind: &Kind, wanted: Wanted) -> Judged {
    match value {
        Proto::Bool(flag) => wanted.boolean(*flag),
        Proto::I32(number) => wanted.int(i64::from(*number)),
        Proto::I64(number) => wanted.int(*number),
        Proto::U32(number) => wanted.int(i64::from(*number)),
        Proto::U64(number) => wanted.unsigned(*number),
        Proto::F32(number) => wanted.float(f64::from(*number)),
        Proto::F64(number) => wanted.float(*number),
        Proto::String(text) => wanted.text(text),
        Proto::Bytes(bytes) => wanted.bytes(bytes),
        Proto::EnumNumber(number) => {
            let Kind::Enum(descriptor) = kind else { return wanted.int(i64::from(*number)) };
            match descriptor.get_value(*number) {
                Some(named) => wanted.text(named.name()),
                None => Err(format!("enum {} has no name for {number}", descriptor.full_name())),
            }
        }
        Proto::Message(message) => judge_message(message, wanted),
        Proto::List(items) => {
            let DataType::List(item) = wanted.data_type else {
                return Err(wanted.mismatch("a repeated field"));
            };
            let wanted = wanted.with(item.data_type());
            let items = items.iter().map(|item| judge(item, kind, wanted));
            items.collect::<Result<Vec<_>, _>>().map(Value::list)
        }
        Proto::Map(entries) => {
            let DataType::Map(item) = wanted.data_type else { return Err(wanted.mismatch("a map")) };
            let wanted = wanted.with(item.data_type());
            let kind = match kind {
                Kind::Message(entry) if entry.is_map_entry() => entry.map_entry_value_field().kind(),
                other => other.clone(),
            };
            let entries = entries.iter().map(|(key, value)| Ok((text_of(key), judge(value, &kind, wanted)?)));
            entries.collect::<Result<Vec<_>, String>>().map(Value::map)
        }
    }
}

/// Keys of maps are texts, as in Protobuf's JSON form.
fn text_of(key: &MapKey) -> Arc<str> {
    match key {
        MapKey::Bool(flag) => flag.to_string().into(),
        MapKey::I32(number) => number.to_string().into(),
        MapKey::I64(number) => number.to_string().into(),
        MapKey::U32(number) => number.to_string().into(),
        MapKey::U64(number) => number.to_string().into(),
        MapKey::String(text) => text.as_str().into(),
    }
}

fn judge_message(message: &DynamicMessage, wanted: Wanted) -> Judged {
    let descriptor = message.descriptor();
    let name = descriptor.full_name();
    match name {
        "google.protobuf.Timestamp" => {
            let part = |number| message.get_field_by_number(number);
            let (seconds, nanoseconds) = (part(1), part(2));
            let seconds = seconds.as_deref().and_then(Proto::as_i64).unwrap_or(0);
            let nanoseconds = nanoseconds.as_deref().and_then(Proto::as_i32).unwrap_or(0);
            match wanted.data_type {
                DataType::Timestamp if !(0..1_000_000_000).contains(&nanoseconds) => {
                    Err(format!("{nanoseconds} nanoseconds are no part of a second"))
                }
                DataType::Timestamp if wanted.unit.is_some() => {
                    Err("the message has a google.protobuf.Timestamp, which needs no time_unit".to_owned())
                }
                DataType::Timestamp => moment_of_parts(seconds, nanoseconds)
                    .ok_or_else(|| format!("{seconds} seconds are beyond every moment")),
                _ => Err(wanted.mismatch("a moment")),
            }
        }
        "google.protobuf.DoubleValue"
        | "google.protobuf.FloatValue"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt64Value"
        | "google.protobuf.Int32Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.BoolValue"
        | "google.protobuf.StringValue"
        | "google.protobuf.BytesValue" => match descriptor.get_field(1) {
            Some(field) => judge(&message.get_field(&field), &field.kind(), wanted),
            None => Err(wanted.mismatch(name)),
        },
        _ => Err(wanted.mismatch(format_args!("a message {name}"))),
    }
}
