//! Random events, batches, loads, deaths and reads: every answer equals the oracle over exactly the events that its
//! watermark names, or is refused.

use std::collections::HashSet;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value as Json, json};
use shipway_aggregate::oracle::{self, OracleEvent};
use shipway_core::{DataType, Name, Timestamp, Value};
use shipway_definitions::{DefinitionSet, ViewBody};
use shipway_features::{FeaturesError, ReadAnswer};

use crate::world::{DAY, DEFINITIONS, HOUR, MINUTE, SECOND, World, parse};

/// What the outside knows of one event.
#[derive(Clone)]
struct Known {
    arrival: u64,
    time: Timestamp,
    json: Json,
}

struct Simulation {
    world: World,
    random: StdRng,
    known: Vec<Known>,
    ids: HashSet<String>,
    next_id: u32,
    newest: i64,
    services: Vec<(String, String)>,
    answered: usize,
    refused: usize,
}

const EXTRA_VIEW: &str = "
kind: view
name: late_comer
entity: shop
source: sales
aggregate:
  - operations: [count]
    windows: [6m, 1h, 12h, 14d]
  - column: amount
    operations: [var, last, skew, last_k(3), histogram(5)]
    windows: [1h, 14d]
  - { column: prices, operations: [top_k(2), avg], windows: [1h, lifetime], over: elements }
  - { column: prices, operations: [last], windows: [12h], over: positions, by: product }
---
kind: service
name: late_features
views: [late_comer]
";

impl Simulation {
    fn new(seed: u64) -> Self {
        Self {
            world: World::new(DEFINITIONS),
            random: StdRng::seed_from_u64(seed),
            known: Vec::new(),
            ids: HashSet::new(),
            next_id: 0,
            newest: 60 * DAY,
            services: vec![("shop_features".to_owned(), DEFINITIONS.to_owned())],
            answered: 0,
            refused: 0,
        }
    }

    /// Mostly a little later than before; often equal, aligned to hops, late, or far apart.
    fn time(&mut self) -> i64 {
        let newest = self.newest;
        match self.random.random_range(0..12) {
            0 => newest,
            1 => newest - newest.rem_euclid(30 * SECOND),
            2 => newest - newest.rem_euclid(HOUR) + HOUR,
            3 => newest - self.random.random_range(0..2 * HOUR),
            4 => newest - self.random.random_range(0..13 * DAY),
            5 => newest + self.random.random_range(0..3 * HOUR),
            6 => newest - self.random.random_range(0..3) * DAY,
            7 => newest - 12 * HOUR,
            _ => newest + self.random.random_range(0..90 * SECOND),
        }
    }

    fn event(&mut self) -> Json {
        let reuse = !self.known.is_empty() && self.random.random_bool(0.05);
        if reuse {
            let at = self.random.random_range(0..self.known.len());
            return self.known[at].json.clone();
        }
        self.next_id += 1;
        // Ids whose order as text is not the order in which they came.
        let id = format!("{}-{}", self.next_id % 7, self.next_id);
        let time = self.time();
        self.newest = self.newest.max(time);
        let country = ["nl", "be", "n"][self.random.random_range(0..3)];
        let amount = [0.1, -0.0, 1e16, -1e16, 2.5, 3e-9][self.random.random_range(0..6)];
        let product = ["tea", "milk", "jam", ""][self.random.random_range(0..4)];
        let mut event = json!({
            "sale_id": id, "sold_at": Timestamp(time).to_string(), "country": country,
            "number": self.random.random_range(1..3),
            "amount": amount,
            "items": self.random.random_range(-5..100),
            "product": product,
            "prices": self.list(|random| [0.5, -0.0, 1e16, 2.5][random.random_range(0..4)].into()),
            "tags": self.list(|random| ["tea", "", "na\u{ef}ve"][random.random_range(0..3)].into()),
        });
        for column in ["country", "amount", "items", "product", "prices", "tags"] {
            if self.random.random_bool(0.06) {
                event[column] = Json::Null;
            }
        }
        if self.random.random_bool(0.03) {
            event["amount"] = "NaN".into();
        }
        event
    }

    /// Up to three elements, some of them null.
    fn list(&mut self, element: impl Fn(&mut StdRng) -> Json) -> Json {
        let length = self.random.random_range(0..4);
        let mut one = || if self.random.random_bool(0.1) { Json::Null } else { element(&mut self.random) };
        (0..length).map(|_| one()).collect()
    }

    fn events(&mut self, most: usize) -> Vec<Json> {
        let count = self.random.random_range(1..=most);
        (0..count).map(|_| self.event()).collect()
    }

    /// The events of a request that are new, in order.
    fn fresh(&mut self, events: &[Json]) -> Vec<Json> {
        events
            .iter()
            .filter(|event| self.ids.insert(event["sale_id"].as_str().unwrap().to_owned()))
            .cloned()
            .collect()
    }

    fn know(&mut self, json: Json, arrival: u64) {
        let time = json["sold_at"].as_str().unwrap().parse().unwrap();
        self.known.push(Known { arrival, time, json });
    }

    fn ingests(&mut self) -> String {
        let events = self.events(40);
        let answer = self.world.ingests("sales", &events);
        let fresh = self.fresh(&events);
        assert_eq!(answer.acknowledged - answer.duplicates, fresh.len());
        assert_eq!((answer.late, answer.quarantined), (0, 0));
        let end = offset(&answer.token);
        let first = end - fresh.len() as u64;
        for (position, event) in fresh.into_iter().enumerate() {
            self.know(event, first + position as u64);
        }
        answer.token
    }

    fn loads(&mut self) -> String {
        let rows = self.events(300);
        let answer = self.world.loads("sales", None, &rows);
        assert!(answer.visible);
        let fresh = self.fresh(&rows);
        assert_eq!(answer.rows, fresh.len() as u64);
        let token = answer.token.unwrap();
        let arrival = offset(&token) - 1;
        for event in fresh {
            self.know(event, arrival);
        }
        token
    }

    fn reads(&mut self, token: Option<&str>) {
        let q = match self.random.random_range(0..6) {
            0 if !self.known.is_empty() => {
                let at = self.random.random_range(0..self.known.len());
                self.known[at].time.micros()
            }
            1 => self.newest + self.random.random_range(0..2 * HOUR),
            2 => self.newest - self.random.random_range(0..DAY),
            3 => self.newest - self.random.random_range(0..10 * MINUTE),
            _ => self.newest + 1,
        };
        let at = self.random.random_range(0..self.services.len());
        let (service, definitions) = self.services[at].clone();
        let country = ["nl", "be", "n"][self.random.random_range(0..3)];
        let mut row = json!({ "country": country, "number": self.random.random_range(1..3) });
        if service == "shop_features" {
            row["basket"] = 1.into();
        }
        match self.world.reads_service(&service, &[row.clone()], Timestamp(q), token) {
            Ok(answer) => {
                self.answered += 1;
                self.compare(&answer, &row, Timestamp(q), &parse(&definitions));
            }
            Err(FeaturesError::NotExact { .. }) => {
                self.refused += 1;
                assert!(q <= self.newest, "a moment after the newest event is always answered");
            }
            // Until the marker of a new view, or a load, is reached.
            Err(FeaturesError::Building { .. }) if token.is_none() => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    fn compare(&self, answer: &ReadAnswer, row: &Json, q: Timestamp, definitions: &DefinitionSet) {
        let seen: Vec<&Known> = self
            .known
            .iter()
            .filter(|event| event.arrival < answer.watermarks["sales"])
            .filter(|event| event.json["country"] == row["country"] && event.json["number"] == row["number"])
            .collect();
        let expected = expected(&seen, q, definitions);
        for (column, expected) in expected {
            let at = answer.columns.iter().position(|held| *held == column);
            let Some(at) = at else { continue };
            assert_eq!(answer.rows[0].values[at], expected, "{column} of {row} at {q}");
        }
    }
}

/// Every feature of every view over `seen` at `q`, by the oracle.
fn expected(seen: &[&Known], q: Timestamp, definitions: &DefinitionSet) -> Vec<(String, Value)> {
    let source = &definitions.source("sales").unwrap().definition;
    let read = |event: &Known, column: &str| -> Value {
        let data_type: DataType = source.column_type(column).unwrap();
        Value::from_json(&event.json[column], data_type).unwrap()
    };
    let mut values = Vec::new();
    for (name, view) in &definitions.views {
        match &view.definition.body {
            ViewBody::Aggregates(features) => {
                for feature in features {
                    let cell = |event: &Known, column: &Option<Name>| {
                        column.as_ref().map_or(Value::Null, |column| read(event, column.as_str()))
                    };
                    let events: Vec<OracleEvent> = seen
                        .iter()
                        .map(|event| OracleEvent {
                            time: event.time,
                            event_id: event.json["sale_id"].as_str().unwrap().to_owned(),
                            value: cell(event, &feature.column),
                            bucket: cell(event, &feature.by),
                        })
                        .collect();
                    let value = oracle::value(&events, feature.aggregation, feature.window, q).unwrap();
                    values.push((format!("{name}__{}", feature.name), value));
                }
            }
            ViewBody::Latest { columns, .. } => {
                let rows: Vec<(Timestamp, String)> = seen
                    .iter()
                    .map(|event| (event.time, event.json["sale_id"].as_str().unwrap().to_owned()))
                    .collect();
                for column in columns {
                    let found = oracle::latest(&rows, view.definition.ttl(column), q);
                    let value = found.map_or(Value::Null, |found| read(seen[found], column.as_str()));
                    values.push((format!("{name}__{column}"), value));
                }
            }
        }
    }
    values
}

fn offset(token: &str) -> u64 {
    token.split_once('@').unwrap().1.parse().unwrap()
}

fn simulate(seed: u64, steps: usize) -> Simulation {
    let mut simulation = Simulation::new(seed);
    let mut token = String::new();
    for step in 0..steps {
        match simulation.random.random_range(0..20) {
            0 if step > 5 => simulation.world.dies_and_returns(),
            1 => simulation.world.restarts(),
            2 => token = simulation.loads(),
            3 if simulation.services.len() == 1 && step > steps / 3 => {
                simulation.world.applies(EXTRA_VIEW);
                let all = simulation.world.definitions.clone();
                simulation.services.push(("late_features".to_owned(), all));
                token = simulation.ingests();
            }
            4..=12 => token = simulation.ingests(),
            _ => {
                for _ in 0..6 {
                    // Without the token the answer may be any earlier state, and must say which.
                    let with_token = !token.is_empty() && simulation.random.random_bool(0.5);
                    simulation.reads(with_token.then_some(token.as_str()));
                }
            }
        }
    }
    simulation
}

#[test]
fn every_answer_equals_the_oracle_over_what_had_arrived_or_is_refused() {
    let (mut answered, mut refused) = (0, 0);
    for seed in 0..6 {
        let simulation = simulate(seed, 60);
        answered += simulation.answered;
        refused += simulation.refused;
    }
    assert!(answered > 300, "only {answered} reads were answered");
    assert!(refused < answered, "{refused} of {answered} reads were refused");
}

#[test]
fn history_holds_every_event_exactly_once_after_deaths_and_restarts() {
    for seed in 100..103 {
        let mut simulation = simulate(seed, 40);
        simulation.world.restarts();
        let count = simulation.known.len() as i64;
        assert_eq!(simulation.world.number("SELECT count(*) FROM sales"), count);
        assert_eq!(simulation.world.number("SELECT count(DISTINCT _event_id) FROM sales"), count);
    }
}
