//! The types of columns and features, and the words for them in definitions.

use std::{borrow::Cow, fmt, str::FromStr};

use crate::decimal::DecimalType;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The type of a column or a feature. Its stored form is its word: `float`, `decimal(18,2)`, `map(list(text))`.
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
    /// An exact number with a fixed number of digits after the point.
    Decimal(DecimalType),
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
    /// An exact number with a fixed number of digits after the point.
    Decimal(DecimalType),
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

impl ScalarType {
    /// Every scalar type that takes no parameters: all but the decimals.
    pub const PLAIN: [Self; 5] = [Self::Bool, Self::Int, Self::Float, Self::Text, Self::Timestamp];
}

impl ItemType {
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
            ScalarType::Decimal(decimal) => Self::Decimal(decimal),
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

    /// Its word, where it takes no parameters.
    const fn plain_word(self) -> Option<&'static str> {
        match self {
            Self::Bool => Some("bool"),
            Self::Int => Some("int"),
            Self::Float => Some("float"),
            Self::Text => Some("text"),
            Self::Timestamp => Some("timestamp"),
            Self::Decimal(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// Whether sums and averages make sense of it.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Decimal(_))
    }

    /// The scalar type that it is, `None` for lists and maps.
    pub const fn as_scalar(self) -> Option<ScalarType> {
        match self {
            Self::Bool => Some(ScalarType::Bool),
            Self::Int => Some(ScalarType::Int),
            Self::Float => Some(ScalarType::Float),
            Self::Text => Some(ScalarType::Text),
            Self::Timestamp => Some(ScalarType::Timestamp),
            Self::Decimal(decimal) => Some(ScalarType::Decimal(decimal)),
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

    /// Whether it is a decimal, or holds decimals.
    pub const fn has_decimals(self) -> bool {
        match self {
            Self::Decimal(_) => true,
            Self::List(item) | Self::Map(item) => matches!(
                item,
                ItemType::Scalar(ScalarType::Decimal(_))
                    | ItemType::List(ScalarType::Decimal(_))
                    | ItemType::Map(ScalarType::Decimal(_))
            ),
            _ => false,
        }
    }

    /// Whether a column of a source can have it: scalars, and lists of them.
    pub const fn is_of_columns(self) -> bool {
        self.as_scalar().is_some() || matches!(self, Self::List(ItemType::Scalar(_)))
    }
}

impl From<ScalarType> for DataType {
    fn from(scalar: ScalarType) -> Self {
        Self::scalar(scalar)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.plain_word(), self) {
            (Some(word), _) => formatter.write_str(word),
            (None, Self::Decimal(decimal)) => decimal.fmt(formatter),
            (None, Self::List(item)) => write!(formatter, "list({})", item.data_type()),
            (None, Self::Map(item)) => write!(formatter, "map({})", item.data_type()),
            (None, _) => Ok(()),
        }
    }
}

impl fmt::Display for ScalarType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        DataType::scalar(*self).fmt(formatter)
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
        } else if let Some(inner) = inner("decimal") {
            DecimalType::from_parameters(inner).map(Self::Decimal)
        } else {
            ScalarType::PLAIN.into_iter().map(Self::scalar).find(|plain| plain.plain_word() == Some(word))
        };
        found.ok_or_else(|| NotAType(word.to_owned()))
    }
}

impl Serialize for DataType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.plain_word() {
            Some(word) => serializer.serialize_str(word),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for DataType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What stands in a decimal's brackets: 1 to 38 digits, and how many of them are behind the point.
const DECIMAL_PATTERN: &str = r"decimal\( *([1-9]|[12][0-9]|3[0-8]) *(, *([0-9]|[12][0-9]|3[0-8]) *)?\)";

impl JsonSchema for DataType {
    fn schema_name() -> Cow<'static, str> {
        "DataType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let plain = ScalarType::PLAIN.map(Self::scalar);
        let words = plain.into_iter().chain(ScalarType::PLAIN.map(Self::list)).map(|word| word.to_string());
        json_schema!({
            "description": "The type of a column or a feature.",
            "type": "string",
            "anyOf": [
                { "enum": words.collect::<Vec<_>>() },
                { "pattern": format!("^({DECIMAL_PATTERN}|list\\({DECIMAL_PATTERN}\\))$") },
            ],
        })
    }
}

impl JsonSchema for ScalarType {
    fn schema_name() -> Cow<'static, str> {
        "ScalarType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A type without parts.",
            "type": "string",
            "anyOf": [
                { "enum": Self::PLAIN.map(|word| word.to_string()) },
                { "pattern": format!("^{DECIMAL_PATTERN}$") },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(precision: u8, scale: u8) -> ScalarType {
        ScalarType::Decimal(DecimalType::new(precision, scale).unwrap())
    }

    #[test]
    fn every_type_is_read_from_its_word() {
        let scalars = ScalarType::PLAIN.into_iter().chain([decimal(18, 2), decimal(38, 0), decimal(1, 1)]);
        let items = scalars
            .flat_map(|scalar| [ItemType::Scalar(scalar), ItemType::List(scalar), ItemType::Map(scalar)]);
        for item in items {
            for data_type in [item.data_type(), DataType::List(item), DataType::Map(item)] {
                assert_eq!(data_type.to_string().parse(), Ok(data_type));
                let json = serde_json::to_string(&data_type).unwrap();
                assert_eq!(serde_json::from_str::<DataType>(&json).unwrap(), data_type);
            }
        }
        assert_eq!(DataType::Map(ItemType::List(ScalarType::Text)).to_string(), "map(list(text))");
        let prices = "list(decimal(18, 2))".parse::<DataType>().unwrap();
        assert_eq!(prices.to_string(), "list(decimal(18,2))", "one word for one type");
        assert!(prices.is_of_columns() && !DataType::map(ScalarType::Int).is_of_columns());
    }

    #[test]
    fn other_words_are_no_types() {
        for word in [
            "list",
            "list()",
            "list(number)",
            "list(list(list(int)))",
            "map(int",
            "Float",
            "",
            "decimal",
            "decimal()",
            "decimal(0,0)",
            "decimal(39,2)",
            "decimal(2,3)",
            "decimal(18,2",
            "decimal(18.2)",
        ] {
            assert!(word.parse::<DataType>().is_err(), "{word}");
        }
    }
}
