//! What the oracle says to a question, for every feature of a service.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use shipway_aggregate::oracle::{self, OracleEvent};
use shipway_core::{Name, Timestamp, Value};
use shipway_definitions::{DefinitionSet, Source, View, ViewBody};

use super::events::Known;

/// A key of both entities and a moment.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) k: Json,
    pub(crate) n: Json,
    pub(crate) q: Timestamp,
}

impl Question {
    fn part(&self, name: &str) -> &Json {
        if name == "k" { &self.k } else { &self.n }
    }
}

/// Every feature of the views of `service`, by column, over the events with an arrival before `watermark`.
pub(crate) fn expected(
    definitions: &DefinitionSet,
    service: &str,
    known: &[Known],
    question: &Question,
    watermark: u64,
) -> BTreeMap<String, Value> {
    let source = &definitions.source("stream").unwrap().definition;
    let mut values = BTreeMap::new();
    for reference in &definitions.service(service).unwrap().definition.views {
        let view = &definitions.view(reference.view.as_str()).unwrap().definition;
        let is_asked = |event: &&Known| {
            let mut keys = view.entity_keys.iter();
            event.arrival < watermark
                && keys.all(|(key, _)| event.json[key.as_str()] == *question.part(key.as_str()))
        };
        let seen: Vec<&Known> = known.iter().filter(is_asked).collect();
        let has_key = view.entity_keys.iter().all(|(key, _)| !question.part(key.as_str()).is_null());
        for (name, value) in features(view, source, &seen, question.q) {
            values.insert(format!("{}__{name}", view.name), if has_key { value } else { Value::Null });
        }
    }
    values
}

fn features(view: &View, source: &Source, seen: &[&Known], q: Timestamp) -> Vec<(String, Value)> {
    let read = |event: &Known, column: &str| {
        Value::from_json(&event.json[column], source.column_type(column).unwrap()).unwrap()
    };
    let id = |event: &Known| event.json["id"].as_str().unwrap().to_owned();
    match &view.body {
        ViewBody::Aggregates(features) => features
            .iter()
            .map(|feature| {
                let value_of = |event: &Known, column: &Option<Name>| match column {
                    Some(column) => read(event, column.as_str()),
                    None => Value::Null,
                };
                let oracle_event = |event: &&Known| OracleEvent {
                    time: event.time,
                    event_id: id(event),
                    value: value_of(event, &feature.column),
                    bucket: value_of(event, &feature.by),
                };
                let events: Vec<OracleEvent> = seen.iter().map(oracle_event).collect();
                let value = oracle::value(&events, feature.aggregation, feature.window, q).unwrap();
                (feature.name.to_string(), value)
            })
            .collect(),
        ViewBody::Latest { columns, ttl } => {
            let rows: Vec<(Timestamp, String)> = seen.iter().map(|event| (event.time, id(event))).collect();
            let found = oracle::latest(&rows, *ttl, q);
            columns
                .iter()
                .map(|column| {
                    let value = found.map_or(Value::Null, |found| read(seen[found], column.as_str()));
                    (column.to_string(), value)
                })
                .collect()
        }
    }
}
