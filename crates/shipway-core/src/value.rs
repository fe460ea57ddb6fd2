//! The values that flow through features, and their JSON and binary forms.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use serde::{Serialize, ser::SerializeMap as _};

pub use crate::data_type::{DataType, ItemType, ScalarType};
use crate::{decimal::Decimal, time::Timestamp};

/// One value. Floats are normalised on entry by [`Value::float`]: one NaN, and -0.0 becomes 0.0.
#[derive(Debug, Clone)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// A 64-bit float.
    Float(f64),
    /// UTF-8 text.
    Text(Arc<str>),
    /// A moment.
    Timestamp(Timestamp),
    /// An exact number.
    Decimal(Decimal),
    /// Values of one type, or null, in an order.
    List(Arc<[Self]>),
    /// Values of one type, or null, under distinct texts, sorted by these.
    Map(Arc<[(Arc<str>, Self)]>),
}

/// The most levels of lists and maps in one another that a stored value may have: more are not a value.
const DEEPEST: u32 = 3;

/// A JSON value does not fit the type that is declared for it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("expected {expected}, got {got}")]
pub struct Mismatch {
    /// The declared type.
    pub expected: DataType,
    /// What came instead, shortened.
    pub got: String,
}

impl Value {
    /// A float, normalised: every NaN is the same NaN, and -0.0 is 0.0.
    #[inline]
    pub fn float(number: f64) -> Self {
        Self::Float(if number.is_nan() { f64::NAN } else { number + 0.0 })
    }

    /// Text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A list, in this order.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// A map; of two values under one text the later is kept.
    pub fn map(entries: impl IntoIterator<Item = (Arc<str>, Self)>) -> Self {
        let sorted: BTreeMap<Arc<str>, Self> = entries.into_iter().collect();
        Self::Map(sorted.into_iter().collect())
    }

    /// Whether this is the absence of a value.
    #[inline]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether this is a value of `data_type`; null is one of every type.
    #[inline]
    pub fn is_of(&self, data_type: DataType) -> bool {
        match (self, data_type) {
            (Self::Null, _)
            | (Self::Bool(_), DataType::Bool)
            | (Self::Int(_), DataType::Int)
            | (Self::Float(_), DataType::Float)
            | (Self::Text(_), DataType::Text)
            | (Self::Timestamp(_), DataType::Timestamp) => true,
            (Self::Decimal(decimal), DataType::Decimal(wanted)) => decimal.fits(wanted),
            (Self::List(items), DataType::List(item)) => {
                items.iter().all(|value| value.is_of(item.data_type()))
            }
            (Self::Map(entries), DataType::Map(item)) => {
                entries.iter().all(|(_, value)| value.is_of(item.data_type()))
            }
            _ => false,
        }
    }

    /// The word for what it is: that of its type, `null`, `list` or `map`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "text",
            Self::Timestamp(_) => "timestamp",
            Self::Decimal(_) => "decimal",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// The scalar type; `None` for null, for lists and maps, which may hold nothing that tells theirs, and for decimals, whose
    /// type may have more digits than the value.
    #[inline]
    pub const fn data_type(&self) -> Option<DataType> {
        match self {
            Self::Null | Self::Decimal(_) | Self::List(_) | Self::Map(_) => None,
            Self::Bool(_) => Some(DataType::Bool),
            Self::Int(_) => Some(DataType::Int),
            Self::Float(_) => Some(DataType::Float),
            Self::Text(_) => Some(DataType::Text),
            Self::Timestamp(_) => Some(DataType::Timestamp),
        }
    }

    /// Reads `json` as a value of `expected`. An integer is a float where a float is declared; a float without a fraction
    /// is not an integer; a time is text (RFC 3339), because a bare number has no unit; `"NaN"`, `"Infinity"` and
    /// `"-Infinity"` are floats; an array is a list, an object a map. A decimal is text or a whole number: any other number
    /// has been a float on its way here, see [`crate::exact_json`].
    pub fn from_json(json: &serde_json::Value, expected: DataType) -> Result<Self, Mismatch> {
        use serde_json::Value as Json;
        let mismatch = || {
            let text: String = json.to_string().chars().take(60).collect();
            Mismatch { expected, got: text }
        };
        match (expected, json) {
            (_, Json::Null) => Ok(Self::Null),
            (DataType::Bool, Json::Bool(flag)) => Ok(Self::Bool(*flag)),
            (DataType::Int, Json::Number(number)) => number.as_i64().map(Self::Int).ok_or_else(mismatch),
            (DataType::Float, Json::Number(number)) => number.as_f64().map(Self::float).ok_or_else(mismatch),
            (DataType::Float, Json::String(text)) => match text.as_str() {
                "NaN" => Ok(Self::float(f64::NAN)),
                "Infinity" => Ok(Self::float(f64::INFINITY)),
                "-Infinity" => Ok(Self::float(f64::NEG_INFINITY)),
                _ => Err(mismatch()),
            },
            (DataType::Text, Json::String(text)) => Ok(Self::text(text.as_str())),
            (DataType::Timestamp, Json::String(text)) => {
                Timestamp::parse(text).map(Self::Timestamp).map_err(|_| mismatch())
            }
            (DataType::Decimal(decimal), Json::String(text)) => {
                Decimal::parse(text, decimal).map(Self::Decimal).ok_or_else(mismatch)
            }
            (DataType::Decimal(decimal), Json::Number(number)) => {
                let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                whole
                    .and_then(|whole| Decimal::from_int(whole, decimal))
                    .map(Self::Decimal)
                    .ok_or_else(mismatch)
            }
            (DataType::List(item), Json::Array(items)) => items
                .iter()
                .map(|json| Self::from_json(json, item.data_type()))
                .collect::<Result<_, _>>()
                .map(Self::List)
                .map_err(|_| mismatch()),
            (DataType::Map(item), Json::Object(entries)) => entries
                .iter()
                .map(|(key, json)| Ok((Arc::from(key.as_str()), Self::from_json(json, item.data_type())?)))
                .collect::<Result<Vec<_>, Mismatch>>()
                .map(Self::map)
                .map_err(|_| mismatch()),
            _ => Err(mismatch()),
        }
    }

    /// The JSON form that [`Value::from_json`] reads back, bit for bit.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(flag) => (*flag).into(),
            Self::Int(number) => (*number).into(),
            Self::Float(number) if number.is_nan() => "NaN".into(),
            Self::Float(number) if number.is_infinite() => {
                (if *number > 0.0 { "Infinity" } else { "-Infinity" }).into()
            }
            Self::Float(number) => (*number).into(),
            Self::Text(text) => text.as_ref().into(),
            Self::Timestamp(moment) => moment.to_string().into(),
            // As text: most readers of JSON would make a float of a number.
            Self::Decimal(decimal) => decimal.to_string().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// Appends the binary form: a type byte, then eight little-endian bytes, or a 32-bit length and UTF-8, or a scale and
    /// sixteen bytes, or a 32-bit number of items and each of them, in a map after its text.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Null => into.push(0),
            Self::Bool(flag) => into.extend([1, u8::from(*flag)]),
            Self::Int(number) => write_eight(2, number.to_le_bytes(), into),
            Self::Float(number) => write_eight(3, number.to_le_bytes(), into),
            Self::Text(text) => {
                into.push(4);
                write_text(text, into);
            }
            Self::Timestamp(moment) => write_eight(5, moment.0.to_le_bytes(), into),
            Self::Decimal(decimal) => {
                into.extend([8, decimal.scale()]);
                into.extend(decimal.unscaled().to_le_bytes());
            }
            Self::List(items) => {
                into.push(6);
                write_length(items.len(), into);
                items.iter().for_each(|item| item.encode(into));
            }
            Self::Map(entries) => {
                into.push(7);
                write_length(entries.len(), into);
                for (key, value) in entries.iter() {
                    write_text(key, into);
                    value.encode(into);
                }
            }
        }
    }

    /// Reads one value off the front of `from`; `None` when the bytes are not a value.
    pub fn decode(from: &mut &[u8]) -> Option<Self> {
        Self::decode_at(from, 0)
    }

    fn decode_at(from: &mut &[u8], depth: u32) -> Option<Self> {
        let (tag, rest) = from.split_first()?;
        *from = rest;
        Some(match tag {
            0 => Self::Null,
            1 => Self::Bool(take::<1>(from)?[0] != 0),
            2 => Self::Int(i64::from_le_bytes(take(from)?)),
            3 => Self::Float(f64::from_le_bytes(take(from)?)),
            4 => Self::text(take_text(from)?),
            5 => Self::Timestamp(Timestamp(i64::from_le_bytes(take(from)?))),
            6 if depth < DEEPEST => {
                let count = u32::from_le_bytes(take(from)?);
                Self::List((0..count).map(|_| Self::decode_at(from, depth + 1)).collect::<Option<_>>()?)
            }
            7 if depth < DEEPEST => {
                let count = u32::from_le_bytes(take(from)?);
                let entry = |_| Some((Arc::from(take_text(from)?), Self::decode_at(from, depth + 1)?));
                let entries: Vec<(Arc<str>, Self)> = (0..count).map(entry).collect::<Option<_>>()?;
                if !entries.is_sorted_by(|left, right| left.0 < right.0) {
                    return None;
                }
                Self::Map(entries.into())
            }
            8 => {
                let [scale] = take::<1>(from)?;
                Self::Decimal(Decimal::new(i128::from_le_bytes(take(from)?), scale)?)
            }
            _ => return None,
        })
    }
}

/// A tag and what follows it, as one piece.
fn write_eight(tag: u8, bytes: [u8; 8], into: &mut Vec<u8>) {
    let mut piece = [tag; 9];
    piece[1..].copy_from_slice(&bytes);
    into.extend_from_slice(&piece);
}

fn write_length(length: usize, into: &mut Vec<u8>) {
    into.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn write_text(text: &str, into: &mut Vec<u8>) {
    write_length(text.len(), into);
    into.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    let length = u32::from_le_bytes(take(from)?) as usize;
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    std::str::from_utf8(text).ok()
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}

/// Bit equality: NaN equals NaN, and null equals null. This is the equality of the replay proof.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A total order: by type first, then by value; NaN comes after every other float, lists and maps go by their first
/// difference.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            (Self::Float(left), Self::Float(right)) => left.total_cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Timestamp(left), Self::Timestamp(right)) => left.cmp(right),
            (Self::Decimal(left), Self::Decimal(right)) => left.cmp(right),
            (Self::List(left), Self::List(right)) => left.cmp(right),
            (Self::Map(left), Self::Map(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Value {
    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Text(_) => 4,
            Self::Timestamp(_) => 5,
            Self::List(_) => 6,
            Self::Map(_) => 7,
            Self::Decimal(_) => 8,
        }
    }
}

impl std::hash::Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Self::Null => {}
            Self::Bool(flag) => flag.hash(state),
            Self::Int(number) => number.hash(state),
            Self::Float(number) => number.to_bits().hash(state),
            Self::Text(text) => text.hash(state),
            Self::Timestamp(moment) => moment.hash(state),
            Self::Decimal(decimal) => decimal.hash(state),
            Self::List(items) => items.hash(state),
            Self::Map(entries) => entries.hash(state),
        }
    }
}

/// As [`Value::to_json`], without making the JSON value first.
impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) if number.is_finite() => serializer.serialize_f64(*number),
            Self::Float(number) if number.is_nan() => serializer.serialize_str("NaN"),
            Self::Float(number) => {
                serializer.serialize_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Self::Text(text) => serializer.serialize_str(text),
            Self::Timestamp(moment) => moment.serialize(serializer),
            Self::Decimal(decimal) => serializer.collect_str(decimal),
            Self::List(items) => serializer.collect_seq(items.iter()),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries.iter() {
                    map.serialize_entry(&**key, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DecimalType;

    fn decimal_type(precision: u8, scale: u8) -> DecimalType {
        DecimalType::new(precision, scale).unwrap()
    }

    fn decimal(text: &str, precision: u8, scale: u8) -> Value {
        Value::Decimal(Decimal::parse(text, decimal_type(precision, scale)).unwrap())
    }

    #[test]
    fn a_value_is_three_words_whatever_it_holds() {
        assert_eq!(size_of::<Value>(), 24);
    }

    #[test]
    fn a_map_is_sorted_by_its_texts_and_stored_so_or_refused() {
        let map = Value::map([("b".into(), Value::Int(1)), ("a".into(), Value::Int(2))]);
        assert_eq!(map.to_json().to_string(), r#"{"a":2,"b":1}"#);
        let mut bytes = vec![7, 2, 0, 0, 0];
        for key in ["b", "a"] {
            write_text(key, &mut bytes);
            bytes.push(0);
        }
        assert_eq!(Value::decode(&mut bytes.as_slice()), None);
        let nested: Vec<u8> = [6, 1, 0, 0, 0].repeat(1_000);
        assert_eq!(Value::decode(&mut nested.as_slice()), None, "never deeper than what can be written");
    }

    #[test]
    fn floats_are_normalised() {
        assert_eq!(Value::float(-0.0), Value::float(0.0));
        assert_eq!(Value::float(f64::NAN), Value::float(-f64::NAN));
        assert!(Value::float(f64::NAN) > Value::float(f64::INFINITY), "NaN is ordered last");
    }

    #[test]
    fn json_and_binary_forms_return_the_same_bits() {
        let values = [
            (Value::Bool(true), DataType::Bool),
            (Value::Int(i64::MIN), DataType::Int),
            (Value::float(0.1 + 0.2), DataType::Float),
            (Value::float(f64::NAN), DataType::Float),
            (Value::float(5e-324), DataType::Float),
            (Value::text("na\u{ef}ve"), DataType::Text),
            (Value::Timestamp(Timestamp(-1)), DataType::Timestamp),
            (Value::Null, DataType::Int),
            (decimal("-12.50", 18, 2), DataType::Decimal(decimal_type(18, 2))),
            (decimal(&"9".repeat(38), 38, 0), DataType::Decimal(decimal_type(38, 0))),
            (
                Value::list([decimal("0.1", 3, 1), Value::Null]),
                DataType::list(ScalarType::Decimal(decimal_type(3, 1))),
            ),
            (
                Value::list([Value::float(-0.5), Value::Null, Value::float(f64::NAN)]),
                DataType::list(ScalarType::Float),
            ),
            (Value::list([]), DataType::list(ScalarType::Text)),
            (
                Value::map([("b".into(), Value::Int(2)), ("a".into(), Value::Null)]),
                DataType::map(ScalarType::Int),
            ),
            (
                Value::map([("a".into(), Value::list([Value::text("x")]))]),
                DataType::Map(ItemType::List(ScalarType::Text)),
            ),
        ];
        for (value, data_type) in values {
            let written = serde_json::to_string(&value).unwrap();
            assert_eq!(written, value.to_json().to_string());
            let json: serde_json::Value = serde_json::from_str(&written).unwrap();
            assert_eq!(Value::from_json(&json, data_type), Ok(value.clone()));
            assert!(value.is_of(data_type));
            let mut bytes = Vec::new();
            value.encode(&mut bytes);
            assert_eq!(Value::decode(&mut bytes.as_slice()), Some(value));
            for cut in 0..bytes.len() {
                assert_eq!(Value::decode(&mut &bytes[..cut]), None, "cut bytes are not a value");
            }
        }
    }

    #[test]
    fn a_value_of_another_type_is_a_mismatch() {
        for (json, data_type) in [
            ("1.0", DataType::Int),
            ("\"1\"", DataType::Int),
            ("1", DataType::Text),
            ("1", DataType::Bool),
            ("1383300000", DataType::Timestamp),
            ("[1]", DataType::Float),
            ("1", DataType::list(ScalarType::Int)),
            ("[\"1\"]", DataType::list(ScalarType::Int)),
            ("{}", DataType::list(ScalarType::Int)),
            ("{\"a\": 1.5}", DataType::map(ScalarType::Int)),
        ] {
            let json = serde_json::from_str(json).unwrap();
            assert!(Value::from_json(&json, data_type).is_err(), "{json} as {data_type}");
        }
    }
}
