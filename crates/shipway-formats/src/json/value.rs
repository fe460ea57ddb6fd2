//! One JSON value of a message as a value of a column. The rules are those of `Value::from_json` in `shipway-core`; a test
//! holds the two together. Beside them: numbers of moments with a unit, and what Debezium's own types say.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use shipway_core::{DataType, Decimal, Value};

use super::connect::Described;
use crate::{
    convert::{Judged, Wanted, moment_of_digits},
    definition::TimeUnit,
    meaning::Meaning,
};

/// Reads one value; what is not wanted is a judgement, what is not JSON an error.
pub(super) struct ValueSeed<'a> {
    pub(super) wanted: Wanted,
    pub(super) described: &'a Described,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Judged;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Judged, D::Error> {
        let needs_digits = match (self.wanted.data_type, self.described.meaning) {
            (DataType::Decimal(_), Meaning::Plain) => true,
            (DataType::Timestamp, Meaning::Plain) => self.unit().is_some(),
            _ => false,
        };
        if needs_digits {
            return <&RawValue>::deserialize(deserializer).map(|raw| self.digits(raw.get()));
        }
        deserializer.deserialize_any(self)
    }
}

impl ValueSeed<'_> {
    fn unit(&self) -> Option<TimeUnit> {
        self.wanted.unit.filter(|unit| *unit != TimeUnit::Rfc3339)
    }

    /// A scalar by its text, so that a number has the digits that it is written with.
    fn digits(&self, raw: &str) -> Judged {
        match raw.as_bytes().first() {
            Some(b'"') => match serde_json::from_str::<Cow<'_, str>>(raw) {
                Ok(text) => self.wanted.text(&text),
                Err(error) => Err(error.to_string()),
            },
            Some(b'n') => Ok(Value::Null),
            Some(b'-' | b'0'..=b'9') => {
                let read = match (self.wanted.data_type, self.unit()) {
                    (DataType::Decimal(to), _) => Decimal::parse(raw, to).map(Value::Decimal),
                    (_, Some(unit)) => moment_of_digits(raw, unit),
                    _ => None,
                };
                read.ok_or_else(|| self.wanted.mismatch(raw))
            }
            Some(b'[') => Err(self.wanted.mismatch("an array")),
            Some(b'{') => Err(self.wanted.mismatch("an object")),
            _ => Err(self.wanted.mismatch(raw)),
        }
    }

    fn item(&self, data_type: DataType) -> ValueSeed<'_> {
        ValueSeed { wanted: self.wanted.with(data_type), described: self.described.item() }
    }

    fn whole(&self, number: i64) -> Judged {
        match (self.described.meaning, self.wanted.data_type) {
            (Meaning::Epoch(unit), _) => self.wanted.epoch(number, unit),
            (Meaning::Days, _) => self.wanted.days(number),
            (Meaning::TimeOfDay, _) => self.wanted.time_of_day(number),
            // JSON has one kind of number: its float is the nearest, whether there is a point in it or not.
            (_, DataType::Float) => Ok(Value::float(number as f64)),
            _ => self.wanted.int(number),
        }
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Judged;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Judged, E> {
        Ok(Ok(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Judged, E> {
        Ok(self.wanted.boolean(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Judged, E> {
        Ok(self.whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Judged, E> {
        Ok(match i64::try_from(number) {
            Ok(number) => self.whole(number),
            Err(_) if self.wanted.data_type == DataType::Float => Ok(Value::float(number as f64)),
            Err(_) => self.wanted.unsigned(number),
        })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Judged, E> {
        Ok(self.wanted.float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Judged, E> {
        Ok(match (self.wanted.data_type, self.described.meaning) {
            (_, Meaning::Decimal(scale)) => match STANDARD.decode(text) {
                Ok(bytes) => self.wanted.unscaled(&bytes, scale),
                Err(_) => Err(self.wanted.mismatch("text that is not base64")),
            },
            (DataType::Float, _) => match text {
                "NaN" => Ok(Value::float(f64::NAN)),
                "Infinity" => Ok(Value::float(f64::INFINITY)),
                "-Infinity" => Ok(Value::float(f64::NEG_INFINITY)),
                _ => self.wanted.text(text),
            },
            _ => self.wanted.text(text),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Judged, A::Error> {
        let DataType::List(item) = self.wanted.data_type else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Err(self.wanted.mismatch("an array")));
        };
        let (mut list, mut wrong) = (Vec::new(), None);
        while let Some(judged) = items.next_element_seed(self.item(item.data_type()))? {
            match judged {
                Ok(value) => list.push(value),
                Err(reason) => wrong = wrong.or(Some(reason)),
            }
        }
        Ok(wrong.map_or_else(|| Ok(Value::list(list)), Err))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Judged, A::Error> {
        let DataType::Map(item) = self.wanted.data_type else {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Err(self.wanted.mismatch("an object")));
        };
        // A key may come twice, and the later value is the one that is judged.
        let mut map: Vec<(Arc<str>, Judged)> = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.push((key.into(), entries.next_value_seed(self.item(item.data_type()))?));
        }
        let last = map.into_iter().collect::<std::collections::BTreeMap<_, _>>();
        let entries = last.into_iter().map(|(key, judged)| judged.map(|value| (key, value)));
        Ok(entries.collect::<Result<Vec<_>, _>>().map(Value::map))
    }
}
