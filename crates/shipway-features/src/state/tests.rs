//! Laws of the packed state: any order of the same events gives the same answers, every answer is the oracle's or refused,
//! and a moment after the newest event is never refused.

use proptest::prelude::*;
use shipway_aggregate::oracle::{self, OracleEvent};
use shipway_core::{Length, Name, Timestamp, Value};
use shipway_definitions::{DefinitionFile, DefinitionSet, ViewBody};

use crate::{
    model::{
        event::{SourceEvent, Standing},
        schema::SourceSchema,
    },
    state::{Body, Inexact, KeyState, RecentEvent, ViewLayout, answer, codec},
};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

const DEFINITIONS: &str = "
kind: entity
name: shop
keys: { shop: text }
---
kind: source
name: sales
event_time: at
event_id: id
columns: { id: text, at: timestamp, shop: text, amount: float, product: text, tags: list(text) }
---
kind: view
name: windows
entity: shop
source: sales
aggregate:
  - operations: [count]
    windows: [5s, 10m, 1h, 7d, 14d]
  - column: amount
    operations: [sum, stddev, min]
    windows: [10m, 12h, 14d]
  - column: product
    operations: [first, last, distinct_count]
    windows: [5s, 7d]
---
kind: view
name: wide
entity: shop
source: sales
aggregate:
  - column: amount
    operations: [skew, kurtosis, first_k(3), last_k(2), top_k(3), bottom_k(2), approx_distinct, approx_quantile(0.5), histogram(4)]
    windows: [10m, 14d]
  - { operations: [count], windows: [5s, 7d, lifetime], by: product }
  - { column: amount, operations: [sum, last_k(2), histogram(3)], windows: [12h], by: product }
  - { column: product, operations: [histogram(10), approx_distinct], windows: [7d] }
  - { column: tags, operations: [distinct_count, last_k(3), count], windows: [10m, 7d], over: elements }
  - { column: tags, operations: [last, count], windows: [30m, lifetime], over: positions }
  - { column: tags, operations: [max], windows: [1h], over: positions, by: product }
---
kind: view
name: ever
entity: shop
source: sales
aggregate:
  - operations: [count]
    windows: [5s, 14d, lifetime]
  - column: product
    operations: [last]
    windows: [lifetime]
---
kind: view
name: latest_sale
entity: shop
source: sales
latest: [product]
ttl: 2h
";

struct Fixture {
    set: DefinitionSet,
    schema: SourceSchema,
}

impl Fixture {
    fn new() -> Self {
        let file = DefinitionFile { path: "definitions.yaml".into(), text: DEFINITIONS.to_owned() };
        let set = DefinitionSet::parse(&[file]).unwrap();
        let schema = SourceSchema::new(&set.source("sales").unwrap().definition).unwrap();
        Self { set, schema }
    }

    fn layout(&self, view: &str) -> ViewLayout {
        let view = self.set.view(view).unwrap();
        ViewLayout::new(&view.definition, view.hash, &self.schema).unwrap()
    }
}

fn event(number: usize, time: i64, amount: u8) -> SourceEvent {
    let amount = match amount {
        0 => Value::Null,
        1 => Value::float(f64::NAN),
        2 => Value::float(1e17),
        3 => Value::float(-1e17),
        other => Value::float(f64::from(other) * 0.1),
    };
    let product =
        if number.is_multiple_of(5) { Value::Null } else { Value::text(["tea", "jam", "milk"][number % 3]) };
    let id: String = format!("{}-{number}", (number * 7) % 10);
    SourceEvent {
        id: id.as_str().into(),
        time: Timestamp(time),
        received: Timestamp(0),
        standing: Standing::Regular,
        values: vec![
            Value::text(id),
            Value::Timestamp(Timestamp(time)),
            Value::text("a"),
            amount,
            product,
            tags(number),
        ],
    }
}

fn tags(number: usize) -> Value {
    let tag = |at: usize| match (number + at) % 4 {
        0 => Value::Null,
        tag => Value::text(["a", "b", "c"][tag - 1]),
    };
    if number.is_multiple_of(6) { Value::Null } else { Value::list((0..number % 4).map(tag)) }
}

/// Times that meet the edges of hops, each other, and the time before 1970.
fn times() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => -3 * HOUR..3 * HOUR,
        2 => (-20..20_i64).prop_map(|hop| hop * 5 * MINUTE),
        2 => (-200..200_i64).prop_map(|hop| hop * 30_000_000),
        2 => (-10..10_i64).prop_map(|hop| hop * HOUR),
        1 => (-20..3_i64).prop_map(|day| day * DAY),
        2 => (-5..5_i64).prop_map(|step| step * 1_000_000 + 1),
    ]
}

fn oracle_events(events: &[SourceEvent], column: Option<usize>, by: Option<usize>) -> Vec<OracleEvent> {
    let value = |event: &SourceEvent, column: Option<usize>| {
        column.map_or(Value::Null, |column| event.values[column].clone())
    };
    let oracle_event = |event: &SourceEvent| OracleEvent {
        time: event.time,
        event_id: event.id.to_string(),
        value: value(event, column),
        bucket: value(event, by),
    };
    events.iter().map(oracle_event).collect()
}

/// The state after `events` came in runs, stored and read back between them, and the newest time.
fn packed(layout: &ViewLayout, events: &[SourceEvent], run: usize) -> (KeyState, Timestamp) {
    let mut state = KeyState::empty(layout);
    let mut newest = Timestamp(i64::MIN);
    for events in events.chunks(run) {
        newest = events.iter().map(|event| event.time).fold(newest, Timestamp::max);
        let reach = layout.reach(newest);
        for event in events {
            state.apply(layout, &reach, layout.narrow(&layout.see(event).unwrap()));
        }
        state.prune(layout, &reach);
        let bytes = codec::encode(layout, &state);
        let again = codec::decode(layout, &bytes).unwrap();
        assert!(codec::encode(layout, &again) == bytes, "the stored form is the same after a round trip");
        state = again;
    }
    (state, newest)
}

/// What is kept one by one.
fn recent(state: &KeyState) -> &[RecentEvent] {
    match state {
        KeyState::Aggregates(state) => &state.recent,
        KeyState::Latest(state) => &state.recent,
    }
}

/// Each feature of a view by itself, or why there is no answer.
fn answers(layout: &ViewLayout, state: &KeyState, q: i64) -> Vec<Result<Vec<Value>, answer::NoValue>> {
    match (state, &layout.body) {
        (KeyState::Aggregates(state), Body::Aggregates(aggregates)) => (0..aggregates.features.len())
            .map(|feature| {
                answer::values(aggregates, state, Timestamp(q), i64::MIN, &[feature], false)
                    .map(|values| values.to_vec())
            })
            .collect(),
        (KeyState::Latest(state), Body::Latest { ttl_us, .. }) => {
            let row = state.row_at(Timestamp(q), *ttl_us).map_err(answer::NoValue::from);
            vec![row.map(|row| row.map_or(Vec::new(), |row| row.values.to_vec()))]
        }
        _ => unreachable!(),
    }
}

fn check(
    fixture: &Fixture,
    view: &str,
    events: &[SourceEvent],
    run: usize,
    q: Timestamp,
) -> Result<(), TestCaseError> {
    let (state, newest) = packed(&fixture.layout(view), events, run);
    check_state(fixture, view, events, (&state, newest), q)
}

/// Every answer of a state of `events` is the oracle's, or refused because it lies in the past.
fn check_state(
    fixture: &Fixture,
    view: &str,
    events: &[SourceEvent],
    (state, newest): (&KeyState, Timestamp),
    q: Timestamp,
) -> Result<(), TestCaseError> {
    let layout = fixture.layout(view);
    let ViewBody::Aggregates(features) = &fixture.set.view(view).unwrap().definition.body else {
        unreachable!()
    };
    let (KeyState::Aggregates(state), Body::Aggregates(aggregates)) = (state, &layout.body) else {
        unreachable!()
    };
    for (position, feature) in features.iter().enumerate() {
        let place = |column: &Option<Name>| {
            column.as_ref().and_then(|column| fixture.schema.index_of(column.as_str()))
        };
        let events = oracle_events(events, place(&feature.column), place(&feature.by));
        let expected = oracle::value(&events, feature.aggregation, feature.window, q).unwrap();
        match answer::values(aggregates, state, q, i64::MIN, &[position], false) {
            Ok(values) => prop_assert_eq!(&values[0], &expected, "{} at {}", feature.name, q),
            Err(_) => {
                prop_assert!(q <= newest, "{} at {} refused, the newest is {}", feature.name, q, newest)
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_answer_is_the_oracles_or_refused(
        drawn in prop::collection::vec((times(), 0..9_u8), 1..200),
        q in times(),
        run in 1..60_usize,
    ) {
        let fixture = Fixture::new();
        let events: Vec<SourceEvent> =
            drawn.iter().enumerate().map(|(number, (time, amount))| event(number, *time, *amount)).collect();
        let newest = events.iter().map(|event| event.time.micros()).max().unwrap();
        for view in ["windows", "wide", "ever"] {
            for q in [q, newest + 1, newest, newest + q.rem_euclid(2 * DAY)] {
                check(&fixture, view, &events, run, Timestamp(q))?;
            }
        }
    }

    #[test]
    fn the_latest_row_is_the_oracles_or_refused(
        drawn in prop::collection::vec(times(), 1..150),
        q in times(),
        run in 1..60_usize,
    ) {
        let fixture = Fixture::new();
        let layout = fixture.layout("latest_sale");
        let events: Vec<SourceEvent> = drawn.iter().enumerate().map(|(number, time)| event(number, *time, 4)).collect();
        let (state, newest) = packed(&layout, &events, run);
        let KeyState::Latest(state) = state else { unreachable!() };
        let rows: Vec<(Timestamp, String)> = events.iter().map(|event| (event.time, event.id.to_string())).collect();
        let ttl = Length::from_micros(2 * HOUR);
        for q in [Timestamp(q), Timestamp(newest.micros() + 1), Timestamp(newest.micros() + 2 * HOUR)] {
            match state.row_at(q, ttl.map(Length::micros)) {
                Ok(row) => {
                    let expected = oracle::latest(&rows, ttl, q).map(|at| rows[at].1.clone());
                    prop_assert_eq!(row.map(|row| row.id.to_string()), expected);
                }
                Err(Inexact) => prop_assert!(q <= newest),
            }
        }
    }

    #[test]
    fn the_order_of_events_changes_no_answer(
        drawn in prop::collection::vec((times(), 0..9_u8), 1..150),
        swaps in prop::collection::vec((0..150_usize, 0..150_usize), 0..50),
        run in 1..60_usize,
    ) {
        let fixture = Fixture::new();
        let mut events: Vec<SourceEvent> =
            drawn.iter().enumerate().map(|(number, (time, amount))| event(number, *time, *amount)).collect();
        let newest = events.iter().map(|event| event.time.micros()).max().unwrap();
        for (left, right) in swaps {
            let count = events.len();
            events.swap(left % count, right % count);
        }
        check(&fixture, "windows", &events, run, Timestamp(newest + 1))?;
        check(&fixture, "wide", &events, run, Timestamp(newest + 1))?;
    }

    #[test]
    fn two_states_merged_answer_as_the_one_that_saw_all_their_events(
        drawn in prop::collection::vec((times(), 0..9_u8, 0..3_u8), 1..250),
        q in times(),
        run in 1..60_usize,
    ) {
        let fixture = Fixture::new();
        let events: Vec<SourceEvent> =
            drawn.iter().enumerate().map(|(number, (time, amount, _))| event(number, *time, *amount)).collect();
        let newest = events.iter().map(|event| event.time.micros()).max().unwrap();
        let oldest = events.iter().map(|event| event.time.micros()).min().unwrap();
        for view in ["windows", "wide", "ever", "latest_sale"] {
            let layout = fixture.layout(view);
            // Nothing is pruned, so the three parts together are the whole in every answer and every refusal.
            let reach = layout.reach(Timestamp(oldest));
            let state_of = |wanted: &dyn Fn(u8) -> bool| {
                let mut state = KeyState::empty(&layout);
                let own = events.iter().zip(&drawn).filter(|(_, (_, _, part))| wanted(*part));
                own.for_each(|(event, _)| state.apply(&layout, &reach, layout.narrow(&layout.see(event).unwrap())));
                codec::decode(&layout, &codec::encode(&layout, &state)).unwrap()
            };
            let whole = state_of(&|_| true);
            for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
                let mut merged = KeyState::empty(&layout);
                for part in order {
                    merged.merge(&layout, &reach, state_of(&|own| own == part));
                }
                prop_assert_eq!(recent(&merged), recent(&whole));
                for q in [q, newest + 1, newest, oldest, newest + q.rem_euclid(2 * DAY)] {
                    prop_assert_eq!(answers(&layout, &merged, q), answers(&layout, &whole, q), "{} at {}", view, q);
                }
            }
        }
        // Pruned as time went on, each part by itself and then both: the oracle's answer or refused.
        for view in ["windows", "wide", "ever"] {
            let layout = fixture.layout(view);
            let part = |wanted: bool| -> Vec<SourceEvent> {
                let own = events.iter().zip(&drawn).filter(|(_, (_, _, part))| (*part == 0) == wanted);
                own.map(|(event, _)| event.clone()).collect()
            };
            let (mut merged, _) = packed(&layout, &part(true), run);
            let reach = layout.reach(Timestamp(newest));
            merged.merge(&layout, &reach, packed(&layout, &part(false), run).0);
            merged.prune(&layout, &reach);
            for q in [q, newest + 1, newest + q.rem_euclid(2 * DAY)] {
                check_state(&fixture, view, &events, (&merged, Timestamp(newest)), Timestamp(q))?;
            }
        }
    }

    #[test]
    fn sums_kept_of_complete_tiles_never_change_an_answer(
        drawn in prop::collection::vec((times(), 0..9_u8), 80..250),
        run in 1..40_usize,
        asked in prop::collection::vec(0..4 * HOUR, 1..6),
    ) {
        let fixture = Fixture::new();
        for view in ["windows", "ever"] {
            let layout = fixture.layout(view);
            let Body::Aggregates(aggregates) = &layout.body else { unreachable!() };
            let wanted: Vec<usize> = (0..aggregates.features.len()).collect();
            let mut hot = KeyState::empty(&layout);
            let mut newest = Timestamp(i64::MIN);
            let events: Vec<SourceEvent> =
                drawn.iter().enumerate().map(|(number, (time, amount))| event(number, *time, *amount)).collect();
            for events in events.chunks(run) {
                newest = events.iter().map(|event| event.time).fold(newest, Timestamp::max);
                let reach = layout.reach(newest);
                events.iter().for_each(|event| hot.apply(&layout, &reach, layout.narrow(&layout.see(event).unwrap())));
                hot.prune(&layout, &reach);
                let fresh = codec::decode(&layout, &codec::encode(&layout, &hot)).unwrap();
                let (KeyState::Aggregates(hot), KeyState::Aggregates(fresh)) = (&hot, &fresh) else { unreachable!() };
                // Twice each: the second read uses what the first kept.
                for later in asked.iter().chain(&asked) {
                    let q = Timestamp(newest.micros() + 1 + later);
                    let uncached = answer::values(aggregates, fresh, q, i64::MIN, &wanted, false);
                    let cached = answer::values(aggregates, hot, q, i64::MIN, &wanted, true);
                    prop_assert_eq!(cached, uncached, "{} at {}", view, q);
                }
            }
        }
    }

    #[test]
    fn foreign_bytes_never_decode_into_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let fixture = Fixture::new();
        for view in ["windows", "wide", "ever", "latest_sale"] {
            let layout = fixture.layout(view);
            let _ = codec::decode(&layout, &bytes);
            let mut headed = vec![1, 1];
            headed.extend(&bytes);
            let _ = codec::decode(&layout, &headed);
            headed[1] = 2;
            let _ = codec::decode(&layout, &headed);
        }
    }
}

#[test]
fn version_1_of_a_state_is_these_bytes_for_ever() {
    let fixture = Fixture::new();
    let layout = fixture.layout("ever");
    let events: Vec<SourceEvent> = (0..66).map(|number| event(number, number as i64 * HOUR, 4)).collect();
    let (state, _) = packed(&layout, &events, 10);
    let bytes = codec::encode(&layout, &state);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("../../tests/golden/aggregates_v1.hex").trim());
    for cut in 0..bytes.len() {
        assert_eq!(codec::decode(&layout, &bytes[..cut]), None);
    }
    let layout = fixture.layout("latest_sale");
    let (state, _) = packed(&layout, &events, 10);
    let hex: String = codec::encode(&layout, &state).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("../../tests/golden/latest_v1.hex").trim());
}

/// 200 sales, one in every two minutes up to `newest`, and what a view keeps of them.
fn busy(layout: &ViewLayout, newest: i64) -> KeyState {
    let events: Vec<SourceEvent> =
        (0..200).map(|number| event(number, newest - (199 - number as i64) * 2 * MINUTE, 4)).collect();
    packed(layout, &events, 200).0
}

#[test]
fn a_second_read_within_a_hop_finds_the_sums_of_the_first_and_a_late_event_drops_those_it_changes() {
    let fixture = Fixture::new();
    let layout = fixture.layout("windows");
    let Body::Aggregates(aggregates) = &layout.body else { unreachable!() };
    let newest = 90 * DAY + 10 * MINUTE;
    let mut state = busy(&layout, newest);
    let wanted: Vec<usize> = (0..aggregates.features.len()).collect();
    let read = |state: &KeyState, is_hot: bool| {
        let KeyState::Aggregates(state) = state else { unreachable!() };
        let values = answer::values(aggregates, state, Timestamp(newest + 1), i64::MIN, &wanted, is_hot);
        (values.unwrap(), state.merged.kept().map(|kept| kept.len()))
    };

    let (cold, nothing) = read(&state, false);
    assert_eq!(nothing, None, "a read of a cold state keeps nothing");
    let (first, kept) = read(&state, true);
    let (second, again) = read(&state, true);
    assert_eq!((&first, &second), (&cold, &cold));
    assert!(kept.is_some_and(|kept| kept > 0) && kept == again, "{kept:?} {again:?}");

    let reach = layout.reach(Timestamp(newest));
    state.apply(&layout, &reach, layout.narrow(&layout.see(&event(1_000, newest - 5 * HOUR, 4)).unwrap()));
    let KeyState::Aggregates(changed) = &state else { unreachable!() };
    assert!(
        changed.merged.kept().map(|kept| kept.len()) < kept,
        "the sums that cover the late event are gone"
    );
    let (late, _) = read(&state, true);
    assert_eq!(late, read(&state, false).0);
    assert_ne!(late, cold);
}
