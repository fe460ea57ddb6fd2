//! The values of an event straight from its JSON, without a tree in between.
//!
//! What is read here is what the way through a tree would read. Whatever needs more (lists, decimals, an unknown column, a value of another
//! type, a broken line) is left to that way, which also has the words for it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use shipway_core::{DataType, Name, Timestamp, Value};

/// The values of the object in `line`, as `columns`; none where the other way has to be taken.
pub(super) fn plain(line: &[u8], columns: &[(Name, DataType)]) -> Option<Vec<Value>> {
    let mut from = serde_json::Deserializer::from_slice(line);
    let values = Object(columns).deserialize(&mut from).ok()?;
    from.end().ok()?;
    Some(values)
}

struct Object<'a>(&'a [(Name, DataType)]);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Vec<Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Vec<Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![Value::Null; self.0.len()];
        let mut expected = 0;
        while let Some(position) = map.next_key_seed(Column { columns: self.0, expected })? {
            values[position] = map.next_value_seed(Cell(self.0[position].1))?;
            // Senders write their columns in one order.
            expected = position + 1;
        }
        Ok(values)
    }
}

/// The position of the column with a name.
struct Column<'a> {
    columns: &'a [(Name, DataType)],
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for Column<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<usize, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Column<'_> {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a column")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<usize, E> {
        let is_it = |(_, (column, _)): &(usize, &(Name, DataType))| column.as_str() == name;
        let (before, from_expected) = self.columns.split_at(self.expected.min(self.columns.len()));
        let places = (before.len()..).zip(from_expected).chain(before.iter().enumerate());
        places.into_iter().find(is_it).map(|(position, _)| position).ok_or_else(|| E::custom("no column"))
    }
}

/// A value of one type.
struct Cell(DataType);

impl<'de> DeserializeSeed<'de> for Cell {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        match self.0 {
            DataType::Bool | DataType::Int | DataType::Float | DataType::Text | DataType::Timestamp => {
                from.deserialize_any(self)
            }
            DataType::Decimal(_) | DataType::List(_) | DataType::Map(_) => Err(D::Error::custom("not plain")),
        }
    }
}

impl Cell {
    fn another<E: serde::de::Error>() -> E {
        E::custom("a value of another type")
    }
}

impl Visitor<'_> for Cell {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Value, E> {
        if self.0 == DataType::Bool { Ok(Value::Bool(flag)) } else { Err(Self::another()) }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Value, E> {
        match self.0 {
            DataType::Int => Ok(Value::Int(number)),
            DataType::Float => Ok(Value::float(number as f64)),
            _ => Err(Self::another()),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Value, E> {
        match (self.0, i64::try_from(number)) {
            (DataType::Int, Ok(number)) => Ok(Value::Int(number)),
            (DataType::Float, _) => Ok(Value::float(number as f64)),
            _ => Err(Self::another()),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        if self.0 == DataType::Float { Ok(Value::float(number)) } else { Err(Self::another()) }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        match self.0 {
            DataType::Text => Ok(Value::text(text)),
            DataType::Timestamp => Timestamp::parse(text).map(Value::Timestamp).map_err(|_| Self::another()),
            _ => Err(Self::another()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<(Name, DataType)> {
        [
            ("id", DataType::Text),
            ("at", DataType::Timestamp),
            ("amount", DataType::Float),
            ("number", DataType::Int),
            ("flag", DataType::Bool),
        ]
        .map(|(name, data_type)| (Name::new(name).unwrap(), data_type))
        .to_vec()
    }

    /// What the way through a tree reads, if it reads anything.
    fn through_a_tree(line: &str) -> Option<Vec<Value>> {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
        let columns = columns();
        object.keys().all(|key| columns.iter().any(|(name, _)| name.as_str() == key)).then_some(())?;
        let value = |(name, data_type): &(Name, DataType)| match object.get(name.as_str()) {
            None => Some(Value::Null),
            Some(json) => Value::from_json(json, *data_type).ok(),
        };
        columns.iter().map(value).collect()
    }

    #[test]
    fn what_it_reads_is_what_the_other_way_reads() {
        let at = r#""at": "2026-01-01T00:00:00Z""#;
        for line in [
            format!(r#"{{"id": "a", {at}, "amount": 1.5, "number": 3, "flag": true}}"#),
            format!(r#"{{"flag": false, "number": -3, "amount": 7, {at}, "id": "ü\u00e9\n"}}"#),
            format!(r#"{{"id": null, {at}, "amount": 18446744073709551615, "amount": 1e300}}"#),
            format!(r#"{{"amount": -0.0, {at}}}"#),
            r#"{ }"#.to_owned(),
            r#"{"at": "2026-01-01T00:00:00+02:00", "id": ""}"#.to_owned(),
        ] {
            let read = plain(line.as_bytes(), &columns());
            assert!(read.is_some(), "{line}");
            assert_eq!(read, through_a_tree(&line), "{line}");
        }
    }

    #[test]
    fn what_it_does_not_know_is_left_to_the_other_way() {
        for line in [
            r#"{"id": 1}"#,
            r#"{"number": 1.0}"#,
            r#"{"number": 9223372036854775808}"#,
            r#"{"at": 5}"#,
            r#"{"at": "soon"}"#,
            r#"{"amount": "NaN"}"#,
            r#"{"stranger": 1}"#,
            r#"{"id": "a"} x"#,
            r#"{"id": "a""#,
            "[]",
            "7",
            "",
            r#"{"id": {"a": 1}}"#,
            r#"{"flag": "true"}"#,
        ] {
            assert_eq!(plain(line.as_bytes(), &columns()), None, "{line}");
        }
    }
}
