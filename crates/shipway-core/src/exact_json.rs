//! JSON whose numbers keep the digits that they are written with.
//!
//! The usual reader makes a float of every number that is not a whole one of 64 bits, and a decimal must never have been a
//! float. So where decimals are expected, numbers are taken as text, which [`crate::Value::from_json`] reads exactly.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value as Json, value::RawValue};

/// A JSON value with each number, in lists and objects too, as the text that it was written as.
///
/// Only where it is read from JSON text: a [`serde_json::Value`] has lost the digits already.
#[derive(Debug, Clone, PartialEq)]
pub struct ExactJson(pub Json);

impl<'de> Deserialize<'de> for ExactJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if is_too_deep(raw.get()) {
            return Err(D::Error::custom(format_args!("nested deeper than {DEEPEST} levels")));
        }
        exact(raw.get()).map(Self).map_err(D::Error::custom)
    }
}

/// As deep as the usual reader goes. Each level of lists and objects here is a call within a call.
const DEEPEST: usize = 128;

/// Whether lists and objects in `json`, which is well-formed, lie deeper in each other than that.
fn is_too_deep(json: &str) -> bool {
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    json.bytes().any(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST
    })
}

fn exact(raw: &str) -> serde_json::Result<Json> {
    Ok(match raw.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => raw.into(),
        Some(b'[') => {
            Json::Array(serde_json::from_str::<Vec<ExactJson>>(raw)?.into_iter().map(|item| item.0).collect())
        }
        Some(b'{') => Json::Object(object(raw.as_bytes(), |_| true)?),
        _ => serde_json::from_str(raw)?,
    })
}

/// Puts the digits back into the rows of a body, `{"rows": […], …}`, whose text is `text`: in the members that `is_exact`
/// names. The body is read again only where one of these has a number that is not a whole one of 64 bits.
pub fn restore_rows(
    rows: &mut [Map<String, Json>],
    text: &[u8],
    is_exact: impl Fn(&str) -> bool,
) -> serde_json::Result<()> {
    #[derive(Deserialize)]
    struct Body {
        rows: Vec<ExactJson>,
    }
    if !rows.iter().any(|row| has_lost_digits(row, &is_exact)) {
        return Ok(());
    }
    let exact: Body = serde_json::from_slice(text)?;
    for (row, ExactJson(exact)) in rows.iter_mut().zip(exact.rows) {
        restore(row, exact, &is_exact);
    }
    Ok(())
}

/// Puts the digits back into the members of `object` that `is_exact` names: the object is the member `member` of the body
/// whose text is `text`. See [`restore_rows`].
pub fn restore_member(
    object: &mut Map<String, Json>,
    text: &[u8],
    member: &str,
    is_exact: impl Fn(&str) -> bool,
) -> serde_json::Result<()> {
    if has_lost_digits(object, &is_exact)
        && let Some(exact) = self::object(text, |name| name == member)?.remove(member)
    {
        restore(object, exact, &is_exact);
    }
    Ok(())
}

fn has_lost_digits(object: &Map<String, Json>, is_exact: &impl Fn(&str) -> bool) -> bool {
    object.iter().any(|(name, json)| has_inexact_numbers(json) && is_exact(name))
}

fn restore(object: &mut Map<String, Json>, exact: Json, is_exact: &impl Fn(&str) -> bool) {
    let Json::Object(mut exact) = exact else { return };
    for (name, json) in object.iter_mut().filter(|(name, _)| is_exact(name)) {
        if let Some(exact) = exact.get_mut(name) {
            *json = exact.take();
        }
    }
}

/// Whether a number in `json` is not a whole one of 64 bits, so that its digits may be lost.
pub fn has_inexact_numbers(json: &Json) -> bool {
    match json {
        Json::Number(number) => !number.is_i64() && !number.is_u64(),
        Json::Array(items) => items.iter().any(has_inexact_numbers),
        Json::Object(entries) => entries.values().any(has_inexact_numbers),
        Json::Null | Json::Bool(_) | Json::String(_) => false,
    }
}

/// Reads one JSON object; the members that `is_exact` names keep their numbers as text, as [`ExactJson`] does.
pub fn object(text: &[u8], is_exact: impl Fn(&str) -> bool) -> serde_json::Result<Map<String, Json>> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let object = Object(is_exact).deserialize(&mut reader)?;
    reader.end()?;
    Ok(object)
}

/// Reads an object member by member.
struct Object<F>(F);

impl<'de, F: Fn(&str) -> bool> DeserializeSeed<'de> for Object<F> {
    type Value = Map<String, Json>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: Fn(&str) -> bool> Visitor<'de> for Object<F> {
    type Value = Map<String, Json>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value =
                if self.0(&name) { members.next_value::<ExactJson>()?.0 } else { members.next_value()? };
            object.insert(name, value);
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_is_nested_without_end_is_refused_and_text_is_no_nesting() {
        let nested = |levels: usize| format!(r#"{{"price": {}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let refused = object(nested(200_000).as_bytes(), |_| true).unwrap_err();
        assert!(refused.to_string().contains("nested deeper than 128 levels"), "{refused}");
        assert!(object(nested(100).as_bytes(), |_| true).is_ok());
        let text = format!(r#"{{"price": "\"{}"}}"#, "[".repeat(1_000));
        assert!(object(text.as_bytes(), |_| true).is_ok());
    }

    #[test]
    fn numbers_of_the_named_members_keep_every_digit() {
        let line = br#" {"price": 0.1000000000000000055, "prices": [1e-2, null, "x"], "by": {"b": 1.50}, "delay": 0.5} "#;
        let read = object(line, |name| name != "delay").unwrap();
        assert_eq!(
            Json::Object(read),
            json!({
                "price": "0.1000000000000000055",
                "prices": ["1e-2", null, "x"],
                "by": { "b": "1.50" },
                "delay": 0.5,
            })
        );
        assert!(
            has_inexact_numbers(&json!({ "a": [1, 1.5] })) && !has_inexact_numbers(&json!([1, "1.5", null]))
        );
    }

    #[test]
    fn digits_come_back_where_they_were_lost_and_nowhere_else() {
        let text =
            br#"{"service": "s", "rows": [{"price": [0.10, 1e30], "delay": 0.5}, {"price": 7}], "at": null}"#;
        let body: Map<String, Json> = serde_json::from_slice(text).unwrap();
        let mut rows: Vec<Map<String, Json>> = serde_json::from_value(body["rows"].clone()).unwrap();
        restore_rows(&mut rows, text, |name| name == "price").unwrap();
        assert_eq!(json!(rows), json!([{ "price": ["0.10", "1e30"], "delay": 0.5 }, { "price": "7" }]));
        let text = br#"{"df": {"price": {"0": 0.10, "1": 2.5, "10": 3.5}, "delay": [0.5]}}"#;
        let body: Map<String, Json> = serde_json::from_slice(text).unwrap();
        let mut frame = body["df"].as_object().unwrap().clone();
        restore_member(&mut frame, text, "df", |name| name == "price").unwrap();
        assert_eq!(
            serde_json::to_string(&frame).unwrap(),
            r#"{"price":{"0":"0.10","1":"2.5","10":"3.5"},"delay":[0.5]}"#
        );
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for wrong in ["[1]", "1", "{\"a\": 1} {}", "{\"a\": 01}", "{\"a\": -}", "{\"a\": [1}", ""] {
            assert!(object(wrong.as_bytes(), |_| true).is_err(), "{wrong}");
        }
    }
}
