//! Ranges give the bits of sliding windows, which give those of the oracle.

use proptest::prelude::*;
use shipway_core::{DataType, Timestamp, Value};

use super::*;
use crate::{AggregationError, EventOrder, SlidingWindow, Window};

const SECOND: i64 = 1_000_000;

/// An event, or a row that asks.
#[derive(Debug, Clone)]
struct Event {
    key: u8,
    time: i64,
    value: Value,
}

/// Sorted by key and time, as the sweep has them.
fn events(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<Event>> {
    let event = (0_u8..3, -900_i64..900, value).prop_map(|(key, second, value)| Event {
        key,
        time: second * SECOND,
        value,
    });
    prop::collection::vec(event, 0..60).prop_map(|mut events| {
        events.sort_by_key(|event| (event.key, event.time));
        events
    })
}

fn asks() -> impl Strategy<Value = Vec<(u8, i64)>> {
    prop::collection::vec((0_u8..3, (-900_i64..1_900).prop_map(|second| second * SECOND)), 0..40).prop_map(
        |mut asks| {
            asks.sort_unstable();
            asks
        },
    )
}

/// The range of each ask.
fn ranges_of(events: &[Event], asks: &[(u8, i64)], window: Window) -> (Vec<u32>, Vec<u32>) {
    let before =
        |key: u8, time: i64| events.partition_point(|event| (event.key, event.time) < (key, time)) as u32;
    let tail = |q: i64| window.tail(Timestamp(q)).map_or(i64::MIN, Timestamp::micros);
    asks.iter().map(|(key, q)| (before(*key, tail(*q)), before(*key, *q))).unzip()
}

/// What windows that slide over each key say.
fn expected(
    aggregation: &Aggregation,
    window: Window,
    events: &[Event],
    asks: &[(u8, i64)],
) -> Result<Vec<Value>, AggregationError> {
    let mut answers = Vec::new();
    for key in 0..3 {
        let mut sliding = SlidingWindow::new(*aggregation, window);
        let mut waiting = events.iter().filter(|event| event.key == key).enumerate().peekable();
        for (_, q) in asks.iter().filter(|(asked, _)| *asked == key) {
            while let Some((number, event)) = waiting.next_if(|(_, event)| event.time < *q) {
                let event_id = format!("{number:04}");
                sliding
                    .push(&event.value, EventOrder { time: Timestamp(event.time), event_id: &event_id })?;
            }
            answers.push(sliding.value_at(Timestamp(*q))?);
        }
    }
    Ok(answers)
}

/// The answers as values.
fn values_of(answers: &RangeAnswers, events: &[Event]) -> Vec<Value> {
    let some = |is_there: bool, value: Value| if is_there { value } else { Value::Null };
    match answers {
        RangeAnswers::Counts(counts) => counts.iter().map(|count| Value::Int(*count)).collect(),
        RangeAnswers::Ints(values, present) => {
            values.iter().zip(present).map(|(value, present)| some(*present, Value::Int(*value))).collect()
        }
        RangeAnswers::Floats(values, present) => {
            values.iter().zip(present).map(|(value, present)| some(*present, Value::Float(*value))).collect()
        }
        RangeAnswers::Picks(picks) => picks
            .iter()
            .map(|pick| if *pick == NO_PICK { Value::Null } else { events[*pick as usize].value.clone() })
            .collect(),
    }
}

/// Checks every operation that fits the type, over windows with every kind of hop.
fn agrees(input: DataType, events: &[Event], asks: &[(u8, i64)]) {
    let present: Vec<bool> = events.iter().map(|event| !event.value.is_null()).collect();
    let (mut floats, mut ints, mut bytes, mut ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for event in events {
        match &event.value {
            Value::Float(number) => floats.push(*number),
            Value::Int(number) => ints.push(*number),
            Value::Text(text) => bytes.extend(text.as_bytes()),
            _ => {
                floats.push(f64::NAN);
                ints.push(i64::MAX);
            }
        }
        ends.push(bytes.len() as u32);
    }
    let values = match input {
        DataType::Float => RangeValues::Floats(&floats),
        DataType::Int => RangeValues::Ints(&ints),
        _ => RangeValues::Texts { bytes: &bytes, ends: &ends },
    };
    let are_all_present = present.iter().all(|present| *present);
    let column = RangeColumn::new(values, (!are_all_present).then_some(present.as_slice()));
    let operations =
        ["count", "sum", "avg", "var", "stddev", "min", "max", "first", "last", "distinct_count"];
    let mut answered = 0;
    for operation in operations {
        let operation = match operation {
            "distinct_count" => Operation::DistinctCount { bound: 4 },
            other => other.parse().unwrap(),
        };
        let Ok(aggregation) = Aggregation::new(operation, Some(input)) else { continue };
        for window in ["5m", "6m", "1h", "lifetime"] {
            let window: Window = window.parse().unwrap();
            let (from, to) = ranges_of(events, asks, window);
            let answers = answer_ranges(&aggregation, Some(&column), Ranges { from: &from, to: &to });
            let answers = answers.map(|answers| answers.map(|answers| values_of(&answers, events)));
            let Some(answers) = answers.transpose() else { continue };
            answered += 1;
            assert_eq!(answers, expected(&aggregation, window, events, asks), "{operation:?} over {window}");
        }
    }
    assert!(answered >= 16, "the usual operations have a way over ranges");
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-300_i32..300).prop_map(f64::from),
        (-300_i32..300).prop_map(f64::from),
        (-300_i32..300).prop_map(|tenths| f64::from(tenths) / 10.0),
    ]
}

fn awkward() -> impl Strategy<Value = f64> {
    prop_oneof![
        -1000.0..1000.0,
        prop::num::f64::ANY,
        Just(1e16),
        Just(-1e16),
        Just(0.1),
        Just(f64::MAX),
        Just(f64::INFINITY),
        Just(f64::NAN),
        Just(-0.0),
        Just(5e-324),
    ]
}

proptest! {
    #[test]
    fn floats_that_fit_integers_have_the_bits_of_exact_sums(
        events in events(prop_oneof![8 => number().prop_map(Value::float), 1 => Just(Value::Null)]), asks in asks(),
    ) {
        agrees(DataType::Float, &events, &asks);
    }

    #[test]
    fn whole_floats_without_nulls_have_the_bits_of_exact_sums(
        events in events((-9_000_i32..9_000).prop_map(|number| Value::float(f64::from(number)))), asks in asks(),
    ) {
        agrees(DataType::Float, &events, &asks);
    }

    #[test]
    fn any_floats_have_the_bits_of_exact_sums(
        events in events(prop_oneof![8 => awkward().prop_map(Value::float), 1 => Just(Value::Null)]), asks in asks(),
    ) {
        agrees(DataType::Float, &events, &asks);
    }

    #[test]
    fn integers_agree_up_to_the_overflow_of_a_sum(
        events in events(prop_oneof![
            8 => (-50_i64..50).prop_map(Value::Int), 1 => Just(Value::Null), 1 => prop::num::i64::ANY.prop_map(Value::Int)
        ]),
        asks in asks(),
    ) {
        agrees(DataType::Int, &events, &asks);
    }

    #[test]
    fn small_integers_agree(
        events in events(prop_oneof![8 => (-50_i64..50).prop_map(Value::Int), 1 => Just(Value::Null)]), asks in asks(),
    ) {
        agrees(DataType::Int, &events, &asks);
    }

    #[test]
    fn texts_agree(
        events in events(prop_oneof![8 => "[a-f]{0,2}".prop_map(Value::text), 1 => Just(Value::Null)]), asks in asks(),
    ) {
        agrees(DataType::Text, &events, &asks);
    }
}
