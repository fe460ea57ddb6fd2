//! What the oracle says to a question, for every feature of a service.
//!
//! What an event carries for a chained view is asked in the same way: at the event's own time, by its own key, over the events
//! that had arrived when it did. It never changes again, so it is remembered.

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::Value as Json;
use shipway_aggregate::oracle::{self, OracleEvent};
use shipway_core::{Digest, Name, Timestamp, Value};
use shipway_definitions::{DefinitionSet, View, ViewBody};

use super::{events::Known, expressions};

/// The keys of all entities and a moment.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// An object.
    pub(crate) keys: Json,
    pub(crate) q: Timestamp,
}

/// Which events a question is asked over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen {
    /// Those that arrived before.
    Before(u64),
    /// Those that were taken in by a moment, that one included.
    By(Timestamp),
}

impl Seen {
    fn has(self, event: &Known) -> bool {
        match self {
            Self::Before(watermark) => {
                event.arrival < watermark && event.until.is_none_or(|(end, _)| end >= watermark)
            }
            Self::By(moment) => event.received <= moment && event.until.is_none_or(|(_, end)| end > moment),
        }
    }
}

/// Everything that was ever taken in, and what its events carry.
#[derive(Default)]
pub(crate) struct Judge {
    pub(crate) known: Vec<Known>,
    /// By the place of the event and the view that is asked.
    carried: RefCell<BTreeMap<(usize, Digest), BTreeMap<String, Value>>>,
}

impl Judge {
    /// Every feature of the views of `service`, by column, over the events that are `seen`.
    pub(crate) fn expected(
        &self,
        definitions: &DefinitionSet,
        service: &str,
        question: &Question,
        seen: Seen,
    ) -> BTreeMap<String, Value> {
        let mut values = BTreeMap::new();
        let service = &definitions.service(service).unwrap().definition;
        if !service.computed.is_empty() {
            values.extend(expressions::computed(&question.keys["k"], question.q));
        }
        for reference in &service.views {
            let view = &definitions.views_by_hash[&reference.hash].definition;
            let keys = view.entity_keys.iter();
            let key = keys
                .map(|(key, data_type)| Value::from_json(&question.keys[key.as_str()], *data_type).unwrap());
            let key: Vec<Value> = key.collect();
            for (name, value) in self.features(definitions, view, &key, question.q, seen) {
                values.insert(format!("{}__{name}", view.name), value);
            }
        }
        values
    }

    fn features(
        &self,
        definitions: &DefinitionSet,
        view: &View,
        key: &[Value],
        q: Timestamp,
        seen: Seen,
    ) -> Vec<(Name, Value)> {
        if key.iter().any(Value::is_null) {
            return view.outputs().into_iter().map(|(name, _)| (name, Value::Null)).collect();
        }
        let read = |place: &usize, column: &Name| self.column(definitions, view, *place, column);
        let is_asked = |place: &usize| {
            let event = &self.known[*place];
            seen.has(event)
                && event.time.is_some_and(|time| time < q)
                && view.key_columns.iter().zip(key).all(|(column, part)| read(place, column) == *part)
                && self.counts(definitions, view, *place)
        };
        let asked: Vec<usize> = (0..self.known.len()).filter(is_asked).collect();
        let id = |place: &usize| self.known[*place].id().to_owned();
        match &view.body {
            ViewBody::Aggregates(features) => features
                .iter()
                .map(|feature| {
                    let value_of = |place: &usize, column: &Option<Name>| {
                        column.as_ref().map_or(Value::Null, |column| read(place, column))
                    };
                    let oracle_event = |place: &usize| OracleEvent {
                        time: self.known[*place].time.unwrap(),
                        event_id: id(place),
                        value: value_of(place, &feature.column),
                        bucket: value_of(place, &feature.by),
                    };
                    let events: Vec<OracleEvent> = asked.iter().map(oracle_event).collect();
                    let value = oracle::value(&events, feature.aggregation, feature.window, q).unwrap();
                    (feature.name.clone(), value)
                })
                .collect(),
            ViewBody::Latest { columns, .. } => {
                let rows: Vec<_> =
                    asked.iter().map(|place| (self.known[*place].time.unwrap(), id(place))).collect();
                let value = |column: &Name| {
                    let found = oracle::latest(&rows, view.ttl(column), q);
                    found.map_or(Value::Null, |found| read(&asked[found], column))
                };
                columns.iter().map(|column| (column.clone(), value(column))).collect()
            }
        }
    }

    /// A column of an event as `view` sees it: the source's, or one that other views gave it.
    fn column(&self, definitions: &DefinitionSet, view: &View, place: usize, column: &Name) -> Value {
        let event = &self.known[place];
        for reference in &view.enrich {
            if !reference.columns().any(|(_, carried)| carried == column.as_str()) {
                continue;
            }
            let slot = (place, reference.hash);
            if let Some(carried) = self.carried.borrow().get(&slot) {
                return carried[column.as_str()].clone();
            }
            let inner = &definitions.views_by_hash[&reference.hash].definition;
            let key = inner.key_columns.iter().map(|part| self.column(definitions, inner, place, part));
            let key: Vec<Value> = key.collect();
            let said =
                self.features(definitions, inner, &key, event.time.unwrap(), Seen::Before(event.arrival + 1));
            let said = said.into_iter().map(|(name, value)| (format!("{}__{name}", inner.name), value));
            let said: BTreeMap<String, Value> = said.collect();
            let value = said[column.as_str()].clone();
            self.carried.borrow_mut().insert(slot, said);
            return value;
        }
        let derived = view.derived.iter().find(|derived| derived.name == *column);
        if let Some(told) = derived.and_then(|derived| derived.expression.strip_suffix(expressions::IS_THERE))
        {
            return Value::Bool(self.is_there(definitions, view, place, told));
        }
        expressions::cell(&|name| self.own(definitions, place, name), column.as_str())
    }

    /// The cell of a column of the source.
    fn own(&self, definitions: &DefinitionSet, place: usize, column: &str) -> Value {
        let source = &definitions.source("stream").unwrap().definition;
        Value::from_json(&self.known[place].json[column], source.column_type(column).unwrap()).unwrap()
    }

    /// Whether an event counts for `view`.
    fn counts(&self, definitions: &DefinitionSet, view: &View, place: usize) -> bool {
        let filter = view.filter.as_deref();
        match filter.and_then(|filter| filter.strip_suffix(expressions::IS_THERE)) {
            Some(column) => self.is_there(definitions, view, place, column),
            None => expressions::counts(&|name| self.own(definitions, place, name), filter),
        }
    }

    fn is_there(&self, definitions: &DefinitionSet, view: &View, place: usize, column: &str) -> bool {
        !self.column(definitions, view, place, &Name::new(column).unwrap()).is_null()
    }
}
