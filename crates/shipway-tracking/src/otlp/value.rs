//! Values of attributes: from messages to JSON text, and from JSON to the JSON form of messages.
//!
//! JSON is written with a space after each colon and comma, as the clients of the MLflow wire write it: previews show such text,
//! and searches look into it.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize as _;
use serde_json::{Map, Value, json, ser::Formatter};

use super::messages::{Any, AnyValue, KeyValue};

/// Writes JSON with spaces.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// JSON with a space after each colon and comma.
pub(crate) fn spaced(value: &Value) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Spaced);
    // Writing to memory does not fail, and JSON is UTF-8; the plain form is as good if it ever were otherwise.
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(text).unwrap_or_else(|_| value.to_string()),
        Err(_) => value.to_string(),
    }
}

/// A value as JSON. A float that JSON has no number for is the text that protobuf writes for it.
pub(super) fn to_json(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        None => Value::Null,
        Some(Any::Text(text)) => Value::from(text.as_str()),
        Some(Any::Flag(flag)) => Value::from(*flag),
        Some(Any::Int(number)) => Value::from(*number),
        Some(Any::Double(number)) => double(*number),
        Some(Any::Bytes(bytes)) => Value::from(STANDARD.encode(bytes)),
        Some(Any::Array(array)) => array.values.iter().map(|value| to_json(Some(value))).collect(),
        Some(Any::Fields(fields)) => Value::Object(to_fields(&fields.values)),
    }
}

pub(super) fn to_fields(pairs: &[KeyValue]) -> Map<String, Value> {
    pairs.iter().map(|pair| (pair.key.clone(), to_json(pair.value.as_ref()))).collect()
}

fn double(number: f64) -> Value {
    match number {
        number if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        number => number.into(),
    }
}

/// A value as the JSON text that a span keeps it as. A text that is itself JSON of a text, a list or an object is kept as what it
/// says: clients write such attributes as JSON.
pub(super) fn to_text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::Text(text)) => match serde_json::from_str(text) {
            Ok(Value::String(_) | Value::Array(_) | Value::Object(_)) => text.clone(),
            _ => Value::from(text.as_str()).to_string(),
        },
        Some(Any::Double(number)) if !number.is_finite() => {
            double(*number).as_str().unwrap_or_default().to_owned()
        }
        _ => spaced(&to_json(value)),
    }
}

/// A kept attribute as the JSON form of an attribute message.
pub(crate) fn attribute(key: &str, text: &str) -> Value {
    let value = match text {
        "" => None,
        "NaN" | "Infinity" | "-Infinity" => Some(json!({ "double_value": text })),
        text => match serde_json::from_str(text) {
            Ok(value) => any(&value),
            Err(_) => Some(json!({ "string_value": text })),
        },
    };
    pair(key, value)
}

/// JSON as the JSON form of an attribute message.
pub(crate) fn attribute_of(key: &str, value: &Value) -> Value {
    pair(key, any(value))
}

fn pair(key: &str, value: Option<Value>) -> Value {
    match value {
        Some(value) => json!({ "key": key, "value": value }),
        None => json!({ "key": key }),
    }
}

fn any(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => json!({ "bool_value": flag }),
        Value::Number(number) if number.is_i64() => json!({ "int_value": number }),
        Value::Number(number) => json!({ "double_value": number }),
        Value::String(text) => json!({ "string_value": text }),
        Value::Array(values) => {
            let values: Vec<Value> =
                values.iter().map(|value| any(value).unwrap_or_else(|| json!({}))).collect();
            json!({ "array_value": some(values) })
        }
        Value::Object(fields) => {
            let values: Vec<Value> = fields.iter().map(|(key, value)| attribute_of(key, value)).collect();
            json!({ "kvlist_value": some(values) })
        }
    })
}

fn some(values: Vec<Value>) -> Value {
    if values.is_empty() { json!({}) } else { json!({ "values": values }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Any) -> String {
        to_text(Some(&AnyValue { value: Some(value) }))
    }

    #[test]
    fn values_are_kept_as_json_text() {
        for (value, expected) in [
            (Any::Text("a".into()), "\"a\""),
            (Any::Text("5".into()), "\"5\""),
            (Any::Text("{\"a\":1}".into()), "{\"a\":1}"),
            (Any::Text("\"a\"".into()), "\"a\""),
            (Any::Flag(true), "true"),
            (Any::Int(i64::MIN), "-9223372036854775808"),
            (Any::Double(1.0), "1.0"),
            (Any::Double(f64::NAN), "NaN"),
            (Any::Bytes(vec![1, 2]), "\"AQI=\""),
        ] {
            assert_eq!(text(value), expected);
        }
        assert_eq!(to_text(None), "null");
        assert_eq!(spaced(&json!({ "a": [1, 2], "b": {} })), "{\"a\": [1, 2], \"b\": {}}");
    }

    #[test]
    fn kept_attributes_go_out_as_messages() {
        for (text, expected) in [
            ("\"a\"", json!({ "key": "k", "value": { "string_value": "a" } })),
            ("not json", json!({ "key": "k", "value": { "string_value": "not json" } })),
            ("null", json!({ "key": "k" })),
            ("3", json!({ "key": "k", "value": { "int_value": 3 } })),
            ("NaN", json!({ "key": "k", "value": { "double_value": "NaN" } })),
            (
                "{\"a\": [1.5, null]}",
                json!({ "key": "k", "value": { "kvlist_value": { "values": [
                    { "key": "a", "value": { "array_value": { "values": [{ "double_value": 1.5 }, {}] } } },
                ] } } }),
            ),
            ("[]", json!({ "key": "k", "value": { "array_value": {} } })),
        ] {
            assert_eq!(attribute("k", text), expected, "{text}");
        }
    }
}
