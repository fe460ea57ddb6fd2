//! Parameters of a statement, as they go in, and the few types that a column can hold.

use shipway_core::{Digest, Name, Timestamp};

/// A value of a column or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlValue {
    /// No value.
    Null,
    /// A `BIGINT`.
    Int(i64),
    /// A `DOUBLE PRECISION`; infinite is possible, NaN is refused when it is bound.
    Real(f64),
    /// A `TEXT`.
    Text(String),
    /// A `BLOB`.
    Blob(Vec<u8>),
}

/// The parameters of a statement, in order: `parameters![name, 3_i64, Some("x")]`.
#[macro_export]
macro_rules! parameters {
    ($($value:expr),* $(,)?) => {{
        let parameters: ::std::vec::Vec<$crate::SqlValue> = ::std::vec![$($crate::SqlValue::from($value)),*];
        parameters
    }};
}

macro_rules! from_integer {
    ($($integer:ty),*) => {
        $(impl From<$integer> for SqlValue {
            fn from(value: $integer) -> Self {
                Self::Int(value.into())
            }
        })*
    };
}

from_integer!(i64, i32, i16, u32, u16, u8);

impl From<bool> for SqlValue {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for SqlValue {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&str> for SqlValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for SqlValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for SqlValue {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<Vec<u8>> for SqlValue {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(value)
    }
}

impl From<&[u8]> for SqlValue {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl From<&Name> for SqlValue {
    fn from(value: &Name) -> Self {
        Self::Text(value.as_str().to_owned())
    }
}

impl From<Name> for SqlValue {
    fn from(value: Name) -> Self {
        Self::Text(value.into())
    }
}

impl From<&Digest> for SqlValue {
    fn from(value: &Digest) -> Self {
        Self::Text(value.to_string())
    }
}

impl From<Digest> for SqlValue {
    fn from(value: Digest) -> Self {
        Self::Text(value.to_string())
    }
}

/// Microseconds since the epoch.
impl From<Timestamp> for SqlValue {
    fn from(value: Timestamp) -> Self {
        Self::Int(value.micros())
    }
}

impl<T: Into<Self>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_take_what_rust_has() {
        let made =
            parameters!["a", String::from("b"), 3_i64, 4_u32, true, 0.5, None::<i64>, Some("c"), vec![1_u8]];
        let expected = [
            SqlValue::Text("a".into()),
            SqlValue::Text("b".into()),
            SqlValue::Int(3),
            SqlValue::Int(4),
            SqlValue::Int(1),
            SqlValue::Real(0.5),
            SqlValue::Null,
            SqlValue::Text("c".into()),
            SqlValue::Blob(vec![1]),
        ];
        assert_eq!(made, expected);
        assert!(parameters![].is_empty());
    }
}
