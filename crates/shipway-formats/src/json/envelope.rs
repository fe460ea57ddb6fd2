//! A change event of Debezium in JSON, with the schema part or without it.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value as Json, value::RawValue};
use shipway_core::Value;

use super::{Described, JsonReader, connect, malformed, object, tree::Tree};
use crate::{
    columns::Places,
    debezium::{self, Moments},
    error::MessageError,
    row::Decoded,
};

/// What a message is with the schema part.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Parts<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// What a message is without it, and what the payload is.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct ChangeEvent<'a> {
    #[serde(borrow)]
    op: Option<Cow<'a, str>>,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    ts_us: Option<Json>,
    ts_ns: Option<Json>,
    ts_ms: Option<Json>,
}

/// The moments that a part of a change event tells. What is no number tells nothing.
#[derive(Default, Deserialize)]
#[serde(expecting = "an object")]
struct Told {
    ts_us: Option<Json>,
    ts_ns: Option<Json>,
    ts_ms: Option<Json>,
}

impl Told {
    fn note(self, is_of_source: bool, moments: &mut Moments) {
        for (field, told) in [("ts_us", self.ts_us), ("ts_ns", self.ts_ns), ("ts_ms", self.ts_ms)] {
            let number = told.and_then(|told| told.as_i64());
            number.iter().for_each(|number| moments.note(is_of_source, field, *number));
        }
    }
}

impl JsonReader {
    pub(super) fn change(&self, message: &[u8], places: &Places) -> Result<Decoded, MessageError> {
        let text = std::str::from_utf8(message).map_err(|_| MessageError::Malformed {
            format: super::FORMAT,
            reason: "it is not UTF-8".to_owned(),
        })?;
        let parts: Parts<'_> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        let (payload, described) = match (parts.schema, parts.payload) {
            (Some(schema), Some(payload)) => (payload.get(), Some(self.described(schema.get(), places)?)),
            (None, Some(payload)) => (payload.get(), None),
            // With a schema and without a payload there is nothing: a tombstone.
            (Some(_), None) => return Ok(Decoded::Nothing),
            (None, None) => (text, None),
        };
        let event: ChangeEvent<'_> = serde_json::from_str(payload).map_err(|error| malformed(&error))?;
        if event.op.is_none() && event.before.is_none() && event.after.is_none() && is_silent(payload) {
            return Ok(Decoded::Nothing);
        }
        let image = |image: Option<&RawValue>, tree: &Tree| -> Result<Option<Vec<Value>>, MessageError> {
            image.map(|image| object::read(image.get().as_bytes(), tree, places)).transpose()
        };
        let (before_tree, after_tree) = described
            .as_ref()
            .map_or((&self.tree, &self.tree), |described| (&described.before, &described.after));
        let (before, after) = (image(event.before, before_tree)?, image(event.after, after_tree)?);
        let mut moments = Moments::default();
        Told { ts_us: event.ts_us, ts_ns: event.ts_ns, ts_ms: event.ts_ms }.note(false, &mut moments);
        let source = event.source.and_then(|source| serde_json::from_str::<Told>(source.get()).ok());
        source.into_iter().for_each(|source| source.note(true, &mut moments));
        debezium::change((event.op.as_deref(), moments), before, after, places)
    }

    /// The trees by what `schema` says. Only the last one is kept: a topic sends the same for long.
    fn described(&self, schema: &str, places: &Places) -> Result<Arc<Described>, MessageError> {
        let mut last = self.described.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(described) = last.as_ref().filter(|described| *described.schema == *schema) {
            return Ok(Arc::clone(described));
        }
        let json = serde_json::from_str(schema).map_err(|error| malformed(&error))?;
        let tree = |image: &str| Tree::described(places, &|path| connect::describe(&json, image, path));
        let described =
            Arc::new(Described { schema: schema.into(), before: tree("before"), after: tree("after") });
        *last = Some(Arc::clone(&described));
        Ok(described)
    }
}

/// Whether a message without a row is one of those that Debezium sends beside changes: a heartbeat, a change of a table's
/// schema, an edge of a transaction. Anything else without a row is no message of Debezium.
fn is_silent(payload: &str) -> bool {
    let Ok(members) = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(payload) else { return false };
    let has = |name: &str| members.contains_key(name);
    let only =
        |names: &[&str]| !members.is_empty() && members.keys().all(|name| names.contains(&name.as_str()));
    only(&["ts_ms", "ts_us", "ts_ns"])
        || (has("source") && (has("ddl") || has("tableChanges")))
        || (has("status") && has("id") && only(&["status", "id", "event_count", "data_collections", "ts_ms"]))
}
