//! The rows of a request straight from JSON to values of the declared types, without a JSON value in between.
//!
//! For requests that have no flaw and list no entities. All others give up here, and are read by `rows`, which says what is wrong.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use shipway_core::{DataType, Name, Timestamp, Value};

use crate::read::{plan::ReadPlan, rows::RequestRow};

/// The rows of a JSON array, at most `limit`; `None` when `rows` must look at them.
pub(crate) fn parse(plan: &ReadPlan, rows: &RawValue, limit: usize) -> Option<Vec<RequestRow>> {
    let mut json = serde_json::Deserializer::from_str(rows.get());
    Rows { plan, limit }.deserialize(&mut json).ok()
}

/// Why a row is left to `rows`: any reason.
fn not_here<E: Error>() -> E {
    E::custom("not a plain row")
}

struct Rows<'a> {
    plan: &'a ReadPlan,
    limit: usize,
}

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = Vec<RequestRow>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = Vec<RequestRow>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = sequence.next_element_seed(Row(self.plan))? {
            if rows.len() == self.limit {
                return Err(not_here());
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

struct Row<'a>(&'a ReadPlan);

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = RequestRow;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RequestRow, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = RequestRow;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RequestRow, A::Error> {
        let Self(plan) = self;
        let mut keys: Vec<Option<Value>> = vec![None; plan.keys.len()];
        let mut request: Vec<Option<Value>> = vec![None; plan.request.len()];
        while let Some(place) = map.next_key_seed(Column(plan))? {
            let (held, data_type) = match place {
                Place::Key(at) => (&mut keys[at], plan.keys[at].1),
                Place::Request(at) => (&mut request[at], plan.request[at].1),
            };
            if held.replace(map.next_value_seed(Cell(data_type))?).is_some() {
                return Err(not_here());
            }
        }
        let all = |values: Vec<Option<Value>>| values.into_iter().collect::<Option<Vec<Value>>>();
        match (all(keys), all(request)) {
            (Some(keys), Some(request)) => Ok(RequestRow { keys, request }),
            _ => Err(not_here()),
        }
    }
}

/// Where a column belongs.
enum Place {
    Key(usize),
    Request(usize),
}

struct Column<'a>(&'a ReadPlan);

impl<'de> DeserializeSeed<'de> for Column<'_> {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Column<'_> {
    type Value = Place;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a column")
    }

    fn visit_str<E: Error>(self, column: &str) -> Result<Place, E> {
        let among =
            |columns: &[(Name, DataType)]| columns.iter().position(|(name, _)| name.as_str() == column);
        let key = among(&self.0.keys).map(Place::Key);
        key.or_else(|| among(&self.0.request).map(Place::Request)).ok_or_else(not_here)
    }
}

/// A value of a scalar type, by the rules of [`Value::from_json`].
struct Cell(DataType);

impl<'de> DeserializeSeed<'de> for Cell {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Cell {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        if self.0 == DataType::Bool { Ok(Value::Bool(flag)) } else { Err(not_here()) }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        match self.0 {
            DataType::Int => Ok(Value::Int(number)),
            DataType::Float => Ok(Value::float(number as f64)),
            _ => Err(not_here()),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map_err(|_| not_here()).and_then(|number| self.visit_i64(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        if self.0 == DataType::Float { Ok(Value::float(number)) } else { Err(not_here()) }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        match self.0 {
            DataType::Text => Ok(Value::text(text)),
            DataType::Timestamp => Timestamp::parse(text).map(Value::Timestamp).map_err(|_| not_here()),
            _ => Err(not_here()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value as Json, json};
    use shipway_definitions::{DefinitionFile, DefinitionSet};

    use super::*;
    use crate::read::rows;

    const DEFINITIONS: &str = "
kind: entity
name: place
keys: { shop: text, district: int }
---
kind: source
name: sales
event_time: sold_at
event_id: sale
columns: { sale: text, sold_at: timestamp, shop: text, district: int }
---
kind: view
name: totals
entity: place
source: sales
aggregate: [{ operations: [count], windows: [1h] }]
---
kind: service
name: asked
views: [totals]
request: { basket: float, since: timestamp, member: bool }
";

    fn plan() -> ReadPlan {
        let definitions = DefinitionSet::parse(&[DefinitionFile::new("all.yaml", DEFINITIONS)]).unwrap();
        ReadPlan::new(definitions.service("asked").unwrap(), &definitions).unwrap()
    }

    fn row(shop: Json, district: Json, basket: Json, since: Json, member: Json) -> Json {
        json!({ "shop": shop, "district": district, "basket": basket, "since": since, "member": member })
    }

    /// What each way makes of the rows: their values as text.
    fn both(plan: &ReadPlan, rows: &Json) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let shown = |rows: Vec<RequestRow>| {
            rows.iter().map(|row| format!("{:?} {:?}", row.keys, row.request)).collect::<Vec<_>>()
        };
        let raw = serde_json::value::to_raw_value(rows).unwrap();
        let objects: Option<Vec<Map<String, Json>>> = serde_json::from_value(rows.clone()).ok();
        let slow = objects.and_then(|objects| rows::parse(plan, &objects).ok());
        (parse(plan, &raw, 100).map(shown), slow.map(|read| shown(read.rows)))
    }

    #[test]
    fn rows_without_a_flaw_are_read_here() {
        let good = row(json!("a"), json!(1), json!(2), json!("2013-01-01T00:00:00Z"), json!(true));
        let nulls = row(Json::Null, Json::Null, json!(-0.0), Json::Null, Json::Null);
        let (typed, slow) = both(&plan(), &json!([good, nulls]));
        assert!(typed.is_some());
        assert_eq!(typed, slow);
        assert!(parse(&plan(), &serde_json::value::to_raw_value(&json!([good, good])).unwrap(), 1).is_none());
    }

    fn cell() -> impl Strategy<Value = Json> {
        prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            prop_oneof!["[a-z]{0,3}", Just("NaN".to_owned()), Just("2013-01-01".to_owned())]
                .prop_map(Json::from),
            Just(json!(["a", "b"])),
            Just(json!({ "a": 1 })),
        ]
    }

    proptest! {
        #[test]
        fn what_is_read_here_is_what_rows_reads(
            cells in prop::collection::vec((cell(), cell(), cell(), cell(), cell()), 0..3), missing in 0..12_usize,
        ) {
            let plan = plan();
            let mut all: Vec<Json> = cells.into_iter().map(|(a, b, c, d, e)| row(a, b, c, d, e)).collect();
            if let Some(first) = all.first_mut().and_then(Json::as_object_mut) {
                match missing {
                    0 => drop(first.remove("shop")),
                    1 => drop(first.insert("stranger".to_owned(), json!(1))),
                    _ => {}
                }
            }
            let (typed, slow) = both(&plan, &Json::from(all));
            if typed.is_some() {
                prop_assert_eq!(typed, slow);
            }
        }
    }
}
