//! The types of columns and features, and the words for them in definitions.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The type of a column or a feature. Its stored form is its word: `float`, `list(float)`, `map(list(text))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// Values of one type in an order; some of them may be null.
    List(ItemType),
    /// Values of one type under distinct texts, in the order of these.
    Map(ItemType),
}

/// A type without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScalarType {
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

/// The type of what a list or a map holds: at most one more list or map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemType {
    /// One value.
    Scalar(ScalarType),
    /// A list of values.
    List(ScalarType),
    /// A map of values.
    Map(ScalarType),
}

/// A word that is not the name of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a type")]
pub struct NotAType(pub String);

macro_rules! words_of {
    ($shape:literal) => {
        [
            concat!($shape, "(bool)"),
            concat!($shape, "(int)"),
            concat!($shape, "(float)"),
            concat!($shape, "(text)"),
            concat!($shape, "(timestamp)"),
            concat!($shape, "(list(bool))"),
            concat!($shape, "(list(int))"),
            concat!($shape, "(list(float))"),
            concat!($shape, "(list(text))"),
            concat!($shape, "(list(timestamp))"),
            concat!($shape, "(map(bool))"),
            concat!($shape, "(map(int))"),
            concat!($shape, "(map(float))"),
            concat!($shape, "(map(text))"),
            concat!($shape, "(map(timestamp))"),
        ]
    };
}

const LISTS: [&str; 15] = words_of!("list");
const MAPS: [&str; 15] = words_of!("map");

impl ScalarType {
    /// Every scalar type.
    pub const ALL: [Self; 5] = [Self::Bool, Self::Int, Self::Float, Self::Text, Self::Timestamp];

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

    const fn index(self) -> usize {
        match self {
            Self::Bool => 0,
            Self::Int => 1,
            Self::Float => 2,
            Self::Text => 3,
            Self::Timestamp => 4,
        }
    }
}

impl ItemType {
    const fn index(self) -> usize {
        match self {
            Self::Scalar(scalar) => scalar.index(),
            Self::List(scalar) => 5 + scalar.index(),
            Self::Map(scalar) => 10 + scalar.index(),
        }
    }

    /// The type itself.
    pub const fn data_type(self) -> DataType {
        match self {
            Self::Scalar(scalar) => DataType::scalar(scalar),
            Self::List(scalar) => DataType::List(Self::Scalar(scalar)),
            Self::Map(scalar) => DataType::Map(Self::Scalar(scalar)),
        }
    }
}

impl DataType {
    /// The type of one value of `scalar`.
    pub const fn scalar(scalar: ScalarType) -> Self {
        match scalar {
            ScalarType::Bool => Self::Bool,
            ScalarType::Int => Self::Int,
            ScalarType::Float => Self::Float,
            ScalarType::Text => Self::Text,
            ScalarType::Timestamp => Self::Timestamp,
        }
    }

    /// The type of a list of `scalar`.
    pub const fn list(scalar: ScalarType) -> Self {
        Self::List(ItemType::Scalar(scalar))
    }

    /// The type of a map of `scalar`.
    pub const fn map(scalar: ScalarType) -> Self {
        Self::Map(ItemType::Scalar(scalar))
    }

    /// The word for it in definitions and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
            Self::Timestamp => "timestamp",
            Self::List(item) => LISTS[item.index()],
            Self::Map(item) => MAPS[item.index()],
        }
    }

    /// Whether sums and averages make sense of it.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float)
    }

    /// The scalar type that it is, `None` for lists and maps.
    pub const fn as_scalar(self) -> Option<ScalarType> {
        match self {
            Self::Bool => Some(ScalarType::Bool),
            Self::Int => Some(ScalarType::Int),
            Self::Float => Some(ScalarType::Float),
            Self::Text => Some(ScalarType::Text),
            Self::Timestamp => Some(ScalarType::Timestamp),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// What a list or a map of it holds; `None` where that would be a third list or map in one another.
    pub const fn as_item(self) -> Option<ItemType> {
        match self {
            Self::List(ItemType::Scalar(scalar)) => Some(ItemType::List(scalar)),
            Self::Map(ItemType::Scalar(scalar)) => Some(ItemType::Map(scalar)),
            Self::List(_) | Self::Map(_) => None,
            scalar => match scalar.as_scalar() {
                Some(scalar) => Some(ItemType::Scalar(scalar)),
                None => None,
            },
        }
    }

    /// The types that a column of a source can have: scalars, and lists of them.
    pub fn of_columns() -> impl Iterator<Item = Self> {
        ScalarType::ALL.into_iter().map(Self::scalar).chain(ScalarType::ALL.into_iter().map(Self::list))
    }
}

impl From<ScalarType> for DataType {
    fn from(scalar: ScalarType) -> Self {
        Self::scalar(scalar)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl FromStr for DataType {
    type Err = NotAType;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let inner = |shape: &str| word.strip_prefix(shape)?.strip_prefix('(')?.strip_suffix(')');
        let item = |inner: &str| inner.parse::<Self>().ok().and_then(Self::as_item);
        let found = if let Some(inner) = inner("list") {
            item(inner).map(Self::List)
        } else if let Some(inner) = inner("map") {
            item(inner).map(Self::Map)
        } else {
            ScalarType::ALL.into_iter().find(|scalar| scalar.word() == word).map(Self::scalar)
        };
        found.ok_or_else(|| NotAType(word.to_owned()))
    }
}

impl Serialize for DataType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for DataType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for DataType {
    fn schema_name() -> Cow<'static, str> {
        "DataType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = Self::of_columns().map(Self::word).collect();
        json_schema!({ "description": "The type of a column or a feature.", "type": "string", "enum": words })
    }
}

impl JsonSchema for ScalarType {
    fn schema_name() -> Cow<'static, str> {
        "ScalarType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words = Self::ALL.map(Self::word);
        json_schema!({ "description": "A type without parts.", "type": "string", "enum": words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_from_its_word() {
        let items = ScalarType::ALL
            .into_iter()
            .flat_map(|scalar| [ItemType::Scalar(scalar), ItemType::List(scalar), ItemType::Map(scalar)]);
        for item in items {
            for data_type in [item.data_type(), DataType::List(item), DataType::Map(item)] {
                assert_eq!(data_type.word().parse(), Ok(data_type));
                let json = serde_json::to_string(&data_type).unwrap();
                assert_eq!(serde_json::from_str::<DataType>(&json).unwrap(), data_type);
            }
        }
        assert_eq!(DataType::Map(ItemType::List(ScalarType::Text)).word(), "map(list(text))");
    }

    #[test]
    fn other_words_are_no_types() {
        for word in ["list", "list()", "list(number)", "list(list(list(int)))", "map(int", "Float", ""] {
            assert!(word.parse::<DataType>().is_err(), "{word}");
        }
    }
}
