//! The scalar values that flow through features, and their JSON and binary forms.

use std::{cmp::Ordering, fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The type of a column or a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    /// True or false.
    Bool,
    /// A signed 64-bit integer.
    Int,
    /// A 64-bit float.
    Float,
    /// UTF-8 text.
    Text,
    /// Microseconds UTC.
    Timestamp,
}

impl DataType {
    /// The word for it in definitions and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
            Self::Timestamp => "timestamp",
        }
    }

    /// Whether sums and averages make sense of it.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// One scalar. Floats are normalised on entry by [`Value::float`]: one NaN, and -0.0 becomes 0.0.
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
}

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
    pub fn float(number: f64) -> Self {
        Self::Float(if number.is_nan() { f64::NAN } else { number + 0.0 })
    }

    /// Text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Whether this is the absence of a value.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The type, `None` for null.
    pub const fn data_type(&self) -> Option<DataType> {
        match self {
            Self::Null => None,
            Self::Bool(_) => Some(DataType::Bool),
            Self::Int(_) => Some(DataType::Int),
            Self::Float(_) => Some(DataType::Float),
            Self::Text(_) => Some(DataType::Text),
            Self::Timestamp(_) => Some(DataType::Timestamp),
        }
    }

    /// Reads `json` as a value of `expected`. An integer is a float where a float is declared; a float without a fraction
    /// is not an integer; a time is text (RFC 3339), because a bare number has no unit; `"NaN"`, `"Infinity"` and
    /// `"-Infinity"` are floats.
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
        }
    }

    /// Appends the binary form: a type byte, then eight little-endian bytes, or a 32-bit length and UTF-8.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Null => into.push(0),
            Self::Bool(flag) => into.extend([1, u8::from(*flag)]),
            Self::Int(number) => {
                into.push(2);
                into.extend(number.to_le_bytes());
            }
            Self::Float(number) => {
                into.push(3);
                into.extend(number.to_le_bytes());
            }
            Self::Text(text) => {
                into.push(4);
                into.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
                into.extend(text.as_bytes());
            }
            Self::Timestamp(moment) => {
                into.push(5);
                into.extend(moment.0.to_le_bytes());
            }
        }
    }

    /// Reads one value off the front of `from`; `None` when the bytes are not a value.
    pub fn decode(from: &mut &[u8]) -> Option<Self> {
        let (tag, rest) = from.split_first()?;
        *from = rest;
        Some(match tag {
            0 => Self::Null,
            1 => Self::Bool(take::<1>(from)?[0] != 0),
            2 => Self::Int(i64::from_le_bytes(take(from)?)),
            3 => Self::Float(f64::from_le_bytes(take(from)?)),
            4 => {
                let length = u32::from_le_bytes(take(from)?) as usize;
                let (text, rest) = from.split_at_checked(length)?;
                *from = rest;
                Self::text(std::str::from_utf8(text).ok()?)
            }
            5 => Self::Timestamp(Timestamp(i64::from_le_bytes(take(from)?))),
            _ => return None,
        })
    }
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

/// A total order: by type first, then by value; NaN comes after every other float.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            (Self::Float(left), Self::Float(right)) => left.total_cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Timestamp(left), Self::Timestamp(right)) => left.cmp(right),
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
        }
    }
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ];
        for (value, data_type) in values {
            let json: serde_json::Value = serde_json::from_str(&value.to_json().to_string()).unwrap();
            assert_eq!(Value::from_json(&json, data_type), Ok(value.clone()));
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
        ] {
            let json = serde_json::from_str(json).unwrap();
            assert!(Value::from_json(&json, data_type).is_err(), "{json} as {data_type}");
        }
    }
}
