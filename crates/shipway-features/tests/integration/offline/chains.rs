//! Chained views offline: what the engine says over events that carry what other views said about them.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use shipway_aggregate::oracle::{self, OracleEvent};
use shipway_core::{Timestamp, Value};
use shipway_definitions::{DefinitionFile, DefinitionSet, ViewBody};
use shipway_features::offline::{AsOf, EngineSettings};

use super::{
    random::{as_of, asks, sales, settings},
    world::{Arrival, Ask, Sale, World},
};

const DEFINITIONS: &str = "
kind: entity
name: place
keys: { shop: text, district: int }
---
kind: entity
name: district
keys: { district: int }
---
kind: source
name: sales
event_time: sold_at
event_id: sale
columns: { sale: text, sold_at: timestamp, store: text, district: int, amount: float, units: int, label: text }
---
kind: view
name: base
entity: district
source: sales
aggregate:
  - { operations: [count], windows: [1h], as: n }
  - { column: amount, operations: [sum], windows: [lifetime], as: total }
  - { column: label, operations: [last], windows: [1d], as: label }
---
kind: view
name: newest
entity: place
source: sales
keys: [store, district]
enrich: ['base:n']
latest: [label, base__n]
ttl: 12h
---
kind: view
name: top
entity: place
source: sales
keys: [store, district]
enrich: [base, newest]
aggregate:
  - { column: base__n, operations: [sum, last_k(3)], windows: [1d] }
  - { column: base__total, operations: [max], windows: [lifetime] }
  - { column: newest__base__n, operations: [avg], windows: [6m, 12d] }
  - { operations: [count], windows: [12h], by: base__label }
---
kind: service
name: everything
views: [top, newest]
request: { basket: float }
";

fn world() -> World {
    let mut world = World::new();
    let files = [DefinitionFile::new("definitions.yaml", DEFINITIONS)];
    world.definitions = Arc::new(DefinitionSet::parse(&files).unwrap());
    world.loads = BTreeMap::from([("first".to_owned(), 0), ("second".to_owned(), 20)]);
    world
}

/// What the naive computation knows of a sale.
struct Event<'a> {
    sale: &'a Sale,
    arrival: u64,
    /// What it carries, by column.
    carried: BTreeMap<String, Value>,
}

impl Event<'_> {
    fn column(&self, column: &str) -> Value {
        match column {
            "store" => self.sale.store.as_deref().map_or(Value::Null, Value::text),
            "district" => self.sale.district.map_or(Value::Null, Value::Int),
            column if column.contains("__") => self.carried[column].clone(),
            column => self.sale.value(column),
        }
    }
}

/// The features of one view at `q`, of the events that `counts` lets in, for the key in the columns of the view.
fn said(
    definitions: &DefinitionSet,
    view: &str,
    key: &[Value],
    q: i64,
    events: &[Event<'_>],
    counts: impl Fn(&Event<'_>) -> bool,
) -> BTreeMap<String, Value> {
    let view = &definitions.view(view).unwrap().definition;
    let has_key = key.iter().all(|part| !part.is_null());
    let is_own = |event: &&Event<'_>| {
        has_key
            && counts(event)
            && view.key_columns.iter().zip(key).all(|(column, part)| event.column(column.as_str()) == *part)
    };
    let seen: Vec<&Event<'_>> = events.iter().filter(is_own).collect();
    let time = |event: &Event<'_>| Timestamp(event.sale.sold_at);
    let mut values = BTreeMap::new();
    match &view.body {
        ViewBody::Aggregates(features) => {
            for feature in features {
                let value_of = |event: &Event<'_>, column: Option<&shipway_core::Name>| {
                    column.map_or(Value::Null, |column| event.column(column.as_str()))
                };
                let events: Vec<OracleEvent> = seen
                    .iter()
                    .map(|event| OracleEvent {
                        time: time(event),
                        event_id: event.sale.id.clone(),
                        value: value_of(event, feature.column.as_ref()),
                        bucket: value_of(event, feature.by.as_ref()),
                    })
                    .collect();
                let value =
                    oracle::value(&events, feature.aggregation, feature.window, Timestamp(q)).unwrap();
                let value = if has_key { value } else { Value::Null };
                values.insert(format!("{}__{}", view.name, feature.name), value);
            }
        }
        ViewBody::Latest { columns, ttl, .. } => {
            let rows: Vec<_> = seen.iter().map(|event| (time(event), event.sale.id.clone())).collect();
            let found = oracle::latest(&rows, *ttl, Timestamp(q));
            for column in columns {
                let value = found.map_or(Value::Null, |found| seen[found].column(column.as_str()));
                values.insert(format!("{}__{column}", view.name), value);
            }
        }
    }
    values
}

/// The events that have arrived, with what they carry: level after level.
fn events<'a>(world: &World, sales: &'a [Sale]) -> Vec<Event<'a>> {
    let arrival = |sale: &Sale| match &sale.arrival {
        Arrival::Live(offset) => Some(*offset),
        Arrival::Loaded(load) => world.loads.get(load).copied(),
    };
    let mut events: Vec<Event<'a>> = sales
        .iter()
        .filter_map(|sale| Some(Event { sale, arrival: arrival(sale)?, carried: BTreeMap::new() }))
        .collect();
    for (inner, keys) in [("base", &["district"][..]), ("newest", &["store", "district"])] {
        let carried: Vec<_> = events
            .iter()
            .map(|event| {
                let key: Vec<Value> = keys.iter().map(|column| event.column(column)).collect();
                let before = |other: &Event<'_>| {
                    other.arrival <= event.arrival && other.sale.sold_at < event.sale.sold_at
                };
                said(&world.definitions, inner, &key, event.sale.sold_at, &events, before)
            })
            .collect();
        events.iter_mut().zip(carried).for_each(|(event, carried)| event.carried.extend(carried));
    }
    events
}

async fn agrees(sales: &[Sale], asks: &[Ask], as_of: AsOf, settings: &EngineSettings) {
    let world = world();
    world.holds(sales).await;
    let events = events(&world, sales);
    let answers = world.answers(asks, as_of.clone(), settings).await;
    assert_eq!(answers.len(), asks.len());
    for (ask, answer) in asks.iter().zip(&answers) {
        let key = [
            ask.shop.as_deref().map_or(Value::Null, Value::text),
            ask.district.map_or(Value::Null, Value::Int),
        ];
        let counts = |event: &Event<'_>| match &as_of {
            AsOf::EventTime => true,
            AsOf::Arrival(watermarks) => event.arrival < watermarks["sales"],
            AsOf::ArrivalColumns(_) => event.arrival < ask.watermark,
            AsOf::Received(moments) => match &event.sale.arrival {
                Arrival::Live(_) => event.sale.received <= ask.q,
                Arrival::Loaded(load) => moments["sales"][load].micros() <= ask.q,
            },
        };
        for view in ["top", "newest"] {
            for (column, value) in said(&world.definitions, view, &key, ask.q, &events, counts) {
                assert_eq!(answer[&column], value, "{column} of {ask:?} {as_of:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_events_of_a_chained_view_carry_what_the_oracle_says(
        sales in sales(), asks in asks(), as_of in as_of(), settings in settings(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(agrees(&sales, &asks, as_of, &settings));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn little_memory_and_shared_hashes_change_nothing() {
    let sale = |number: i64| {
        let arrival =
            if number % 5 == 0 { Arrival::Loaded("first".to_owned()) } else { Arrival::Live(number as u64) };
        let at = (number * 7_919) % 50_000 * 1_000_000;
        let sale = Sale::new(&format!("{number:06}"), at, (number % 100) as f64 / 8.0);
        sale.of(Some(&format!("shop {}", number % 7)), Some(number % 3)).arrived(arrival)
    };
    let sales: Vec<Sale> = (0..400).map(sale).collect();
    let ask = |number: i64| {
        Ask::at(number * 104_729 % 60_000 * 1_000_000)
            .of(Some(&format!("shop {}", number % 7)), Some(number % 3))
    };
    let asks: Vec<Ask> = (0..60).map(ask).collect();
    for (target_partitions, key_hash_mask, groups_in_memory) in
        [(1, u64::MAX, true), (3, 1, true), (1, u64::MAX, false), (3, 1, false)]
    {
        let settings = EngineSettings {
            target_partitions: Some(target_partitions),
            key_hash_mask,
            batch_rows: 16,
            kept_memory_bytes: 0,
            groups_in_memory,
        };
        agrees(&sales, &asks, AsOf::EventTime, &settings).await;
    }
}
