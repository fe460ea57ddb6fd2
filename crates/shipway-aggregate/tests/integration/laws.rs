//! Any split of the events into states, merged in any order, finalises to the oracle's bits.

use proptest::prelude::*;
use shipway_aggregate::{
    Aggregation, EventOrder, Operation, Over, Partial, Window, oracle, oracle::OracleEvent,
};
use shipway_core::{DataType, Decimal, DecimalType, ScalarType, Timestamp, Value};

const OPERATIONS: [Operation; 23] = [
    Operation::Count,
    Operation::Sum,
    Operation::Avg,
    Operation::Min,
    Operation::Max,
    Operation::Var,
    Operation::Stddev,
    Operation::Skew,
    Operation::Kurtosis,
    Operation::First,
    Operation::Last,
    Operation::FirstK { k: 3 },
    Operation::LastK { k: 1 },
    Operation::LastK { k: 4 },
    Operation::TopK { k: 3 },
    Operation::BottomK { k: 5 },
    Operation::DistinctCount { bound: 1000 },
    Operation::ApproxDistinct,
    Operation::ApproxQuantile { millionths: 500_000 },
    Operation::ApproxQuantile { millionths: 950_000 },
    Operation::Histogram { k: 2 },
    Operation::Histogram { k: 5 },
    Operation::Histogram { k: 1000 },
];

pub(crate) fn decimal(precision: u8, scale: u8) -> ScalarType {
    ScalarType::Decimal(DecimalType::new(precision, scale).unwrap())
}

/// Every operation over every type that it fits, over lists and in buckets.
pub(crate) fn aggregations() -> Vec<Aggregation> {
    let decimals = [(18, 2), (38, 0), (38, 38)].map(|(precision, scale)| decimal(precision, scale));
    let scalars = ScalarType::PLAIN.into_iter().chain(decimals).map(DataType::scalar);
    let lists = [ScalarType::Float, ScalarType::Int, ScalarType::Text, decimal(18, 2)].map(DataType::list);
    let inputs: Vec<DataType> = scalars.chain(lists).collect();
    let mut all = Vec::new();
    for by in [None, Some(DataType::Text), Some(DataType::Int), Some(DataType::scalar(decimal(18, 2)))] {
        all.extend(Aggregation::shaped(Operation::Count, None, None, by));
        for operation in OPERATIONS {
            for input in inputs.iter().copied() {
                for over in [None, Some(Over::Elements), Some(Over::Positions)] {
                    all.extend(Aggregation::shaped(operation, Some(input), over, by));
                }
            }
        }
    }
    all
}

fn value_of(data_type: DataType) -> BoxedStrategy<Value> {
    let some = match data_type {
        DataType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        DataType::Int => prop_oneof![
            6 => -3_i64..3,
            6 => -1_000_000_i64..1_000_000,
            1 => prop_oneof![Just(1_i64 << 60), Just(-(1_i64 << 60) - 1)],
        ]
        .prop_map(Value::Int)
        .boxed(),
        DataType::Float => prop_oneof![
            8 => (-4000_i32..4000).prop_map(|number| Value::float(f64::from(number) / 10.0)),
            2 => prop_oneof![Just(1e16), Just(-1e16), Just(-0.0), Just(0.1), Just(1e-30)].prop_map(Value::float),
            1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)].prop_map(Value::float),
        ]
        .boxed(),
        DataType::Text => prop_oneof![Just("ATL"), Just("BOS"), Just("")].prop_map(Value::text).boxed(),
        DataType::Timestamp => (-3_i64..3).prop_map(|at| Value::Timestamp(Timestamp(at))).boxed(),
        DataType::Decimal(decimal) => {
            let most = 10_i128.pow(u32::from(decimal.precision())) - 1;
            prop_oneof![
                6 => (-3_i128..4).prop_map(move |small| small.min(most)),
                6 => -999_999_i128..1_000_000,
                1 => prop_oneof![Just(most), Just(-most), Just(most / 3), -most..most],
            ]
            .prop_map(move |unscaled| Value::Decimal(Decimal::new(unscaled, decimal.scale()).unwrap()))
            .boxed()
        }
        DataType::List(item) | DataType::Map(item) => {
            prop::collection::vec(value_of(item.data_type()), 0..4).prop_map(Value::list).boxed()
        }
    };
    prop_oneof![1 => Just(Value::Null), 6 => some].boxed()
}

/// Times that sit on hop edges, just beside them, before 1970, and on each other.
pub(crate) fn awkward_time() -> impl Strategy<Value = Timestamp> {
    let grid = prop_oneof![
        Just(1_000_000_i64),
        Just(30_000_000),
        Just(300_000_000),
        Just(3_600_000_000),
        Just(86_400_000_000)
    ];
    (
        grid,
        -40_i64..40,
        prop_oneof![4 => Just(0_i64), 1 => Just(-1_i64), 1 => Just(1_i64), 1 => -5_000_000_i64..5_000_000],
    )
        .prop_map(|(step, times, beside)| Timestamp(step * times + beside))
}

pub(crate) fn events_of(aggregation: Aggregation, most: usize) -> impl Strategy<Value = Vec<OracleEvent>> {
    let of = |data_type: Option<DataType>| data_type.map_or_else(|| Just(Value::Null).boxed(), value_of);
    let (value, bucket) = (of(aggregation.input()), of(aggregation.by()));
    prop::collection::vec((awkward_time(), value, bucket), 0..most).prop_map(|events| {
        let number = events.len();
        // Ids run against the order of arrival, so that a tie decided by arrival is found out.
        let with_id = |(index, (time, value, bucket))| {
            let event_id = format!("{:04}", number - index);
            OracleEvent { time, event_id, value, bucket }
        };
        events.into_iter().enumerate().map(with_id).collect()
    })
}

fn cases_of(
    kept: impl Fn(&Aggregation) -> bool,
) -> impl Strategy<Value = (Aggregation, Vec<OracleEvent>, Vec<usize>)> {
    let kept: Vec<Aggregation> = aggregations().into_iter().filter(kept).collect();
    prop::sample::select(kept).prop_flat_map(|aggregation| {
        (Just(aggregation), events_of(aggregation, 60), prop::collection::vec(0_usize..5, 60))
    })
}

fn case() -> impl Strategy<Value = (Aggregation, Vec<OracleEvent>, Vec<usize>)> {
    cases_of(|_| true)
}

fn state_of<'a>(aggregation: Aggregation, events: impl IntoIterator<Item = &'a OracleEvent>) -> Partial {
    let mut state = aggregation.empty();
    for event in events {
        let at = EventOrder { time: event.time, event_id: &event.event_id };
        aggregation.update_in(&mut state, &event.value, &event.bucket, at).unwrap();
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_split_into_tiles_merged_in_any_order_equals_the_oracle((aggregation, events, tiles) in case()) {
        let mut merged = aggregation.empty();
        for tile in [3, 0, 4, 1, 2] {
            let members = events.iter().zip(&tiles).filter(|(_, of)| **of == tile).map(|(event, _)| event);
            aggregation.merge(&mut merged, &state_of(aggregation, members)).unwrap();
        }
        let end = Timestamp(i64::MAX / 2);
        let expected = oracle::value(&events, aggregation, Window::Lifetime, end);
        prop_assert_eq!(aggregation.finalise(&merged), expected);
    }

    #[test]
    fn merge_is_commutative_and_associative_and_empty_is_its_identity((aggregation, events, tiles) in case()) {
        let part = |of: usize| state_of(aggregation, events.iter().zip(&tiles).filter(|(_, tile)| *tile % 3 == of).map(|(event, _)| event));
        let join = |left: &Partial, right: &Partial| { let mut both = left.clone(); aggregation.merge(&mut both, right).unwrap(); both };
        let bytes = |state: &Partial| { let mut bytes = Vec::new(); aggregation.encode(state, &mut bytes); bytes };
        let (a, b, c) = (part(0), part(1), part(2));
        prop_assert_eq!(bytes(&join(&a, &b)), bytes(&join(&b, &a)));
        prop_assert_eq!(bytes(&join(&join(&a, &b), &c)), bytes(&join(&a, &join(&b, &c))));
        prop_assert_eq!(bytes(&join(&a, &aggregation.empty())), bytes(&a));
    }

    #[test]
    fn a_reversible_state_gives_back_what_is_taken_away((aggregation, events, tiles) in cases_of(Aggregation::is_reversible)) {
        let part = |kept: bool| state_of(aggregation, events.iter().zip(&tiles).filter(|(_, tile)| (**tile > 2) == kept).map(|(event, _)| event));
        let mut state = part(true);
        aggregation.merge(&mut state, &part(false)).unwrap();
        aggregation.unmerge(&mut state, &part(false)).unwrap();
        prop_assert_eq!(aggregation.finalise(&state), aggregation.finalise(&part(true)));
    }

    #[test]
    fn the_stored_form_returns_the_state_and_cut_bytes_are_refused((aggregation, events, _) in case()) {
        let state = state_of(aggregation, &events);
        let mut bytes = Vec::new();
        aggregation.encode(&state, &mut bytes);
        let mut rest = bytes.as_slice();
        let read = aggregation.decode(&mut rest).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(aggregation.finalise(&read), aggregation.finalise(&state));
        for cut in 0..bytes.len() {
            prop_assert_eq!(aggregation.decode(&mut &bytes[..cut]), None);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(tag in 0_u8..26, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut tagged = vec![tag];
        tagged.extend(bytes);
        for aggregation in aggregations() {
            if let Some(state) = aggregation.decode(&mut tagged.as_slice()) {
                let _ = aggregation.finalise(&state);
            }
        }
    }
}

#[test]
fn every_operation_is_tried_over_lists_and_in_buckets() {
    let all = aggregations();
    for operation in OPERATIONS {
        for over in [None, Some(Over::Elements), Some(Over::Positions)] {
            assert!(all.iter().any(|one| (one.operation(), one.over()) == (operation, over)), "{operation}");
        }
        assert!(all.iter().any(|one| one.operation() == operation && one.by().is_some()), "{operation}");
    }
}

#[test]
fn a_bucket_or_position_too_many_is_an_error_and_never_a_guess() {
    let at = EventOrder { time: Timestamp(0), event_id: "" };
    let by = Aggregation::shaped(Operation::Count, None, None, Some(DataType::Int)).unwrap();
    let mut state = by.empty();
    for number in 0..Aggregation::MOST_BUCKETS as i64 {
        by.update_in(&mut state, &Value::Null, &Value::Int(number), at).unwrap();
    }
    assert!(by.finalise(&state).is_ok());
    by.update_in(&mut state, &Value::Null, &Value::Int(-1), at).unwrap();
    assert!(by.finalise(&state).is_err());
    let list = Some(DataType::list(ScalarType::Int));
    let over = Aggregation::shaped(Operation::Sum, list, Some(Over::Positions), None).unwrap();
    let long = Value::list((0..=Aggregation::MOST_POSITIONS as i64).map(Value::Int));
    let mut state = over.empty();
    over.update(&mut state, &long, at).unwrap();
    assert!(over.finalise(&state).is_err());
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let list = Some(DataType::list(ScalarType::Float));
    let refused =
        |operation, input, over, by| Aggregation::shaped(operation, input, over, by).unwrap_err().to_string();
    assert_eq!(refused(Operation::Avg, list, None, None), "avg needs a number, the column is list(float)");
    assert_eq!(
        refused(Operation::Avg, Some(DataType::Float), Some(Over::Positions), None),
        "over: positions needs a list, the column is float"
    );
    assert_eq!(
        refused(Operation::Count, None, Some(Over::Elements), None),
        "over: elements needs a list, there is no column"
    );
    assert_eq!(
        refused(Operation::Count, None, None, Some(DataType::Float)),
        "by needs a bool, an int, a decimal, a text or a timestamp, the column is float"
    );
    assert_eq!(
        refused(Operation::LastK { k: 2 }, list, Some(Over::Positions), Some(DataType::Text)),
        "the values of last_k(2) would be lists or maps three deep"
    );
}

#[test]
fn one_value_beyond_the_bound_is_an_error_and_never_a_guess() {
    let distinct = Aggregation::new(Operation::DistinctCount { bound: 2 }, Some(DataType::Int)).unwrap();
    let mut state = distinct.empty();
    for number in 0..3 {
        assert_eq!(distinct.finalise(&state), Ok(Value::Int(number)));
        distinct
            .update(&mut state, &Value::Int(number), EventOrder { time: Timestamp(0), event_id: "" })
            .unwrap();
    }
    assert!(distinct.finalise(&state).is_err());
}

#[test]
fn an_integer_sum_beyond_64_bits_is_an_error_and_recovers_when_the_window_moves_on() {
    let sum = Aggregation::new(Operation::Sum, Some(DataType::Int)).unwrap();
    let at = EventOrder { time: Timestamp(0), event_id: "" };
    let mut state = sum.empty();
    sum.update(&mut state, &Value::Int(i64::MAX), at).unwrap();
    let mut other = sum.empty();
    sum.update(&mut other, &Value::Int(1), at).unwrap();
    sum.merge(&mut state, &other).unwrap();
    assert!(sum.finalise(&state).is_err(), "never wraps");
    sum.unmerge(&mut state, &other).unwrap();
    assert_eq!(sum.finalise(&state), Ok(Value::Int(i64::MAX)));
}

#[test]
fn a_sum_of_decimals_beyond_38_digits_is_an_error_and_recovers_when_the_window_moves_on() {
    let cents = DataType::scalar(decimal(38, 2));
    let sum = Aggregation::new(Operation::Sum, Some(cents)).unwrap();
    let avg = Aggregation::new(Operation::Avg, Some(cents)).unwrap();
    let at = EventOrder { time: Timestamp(0), event_id: "" };
    let value = |unscaled| Value::Decimal(Decimal::new(unscaled, 2).unwrap());
    let most = 10_i128.pow(38) - 1;
    let mut state = sum.empty();
    sum.update(&mut state, &value(most), at).unwrap();
    let mut other = sum.empty();
    sum.update(&mut other, &value(1), at).unwrap();
    sum.merge(&mut state, &other).unwrap();
    assert!(sum.finalise(&state).is_err(), "never wraps and never rounds");
    assert_eq!(avg.finalise(&state), Ok(Value::float(5e35)), "the average has no such bound");
    sum.unmerge(&mut state, &other).unwrap();
    assert_eq!(sum.finalise(&state), Ok(value(most)));
}

#[test]
fn sums_of_decimals_have_38_digits_and_what_is_measured_of_them_is_a_float() {
    let output = |operation| {
        let aggregation = Aggregation::new(operation, Some(DataType::scalar(decimal(18, 2)))).unwrap();
        aggregation.output_type().to_string()
    };
    assert_eq!(output(Operation::Sum), "decimal(38,2)");
    assert_eq!(output(Operation::Max), "decimal(18,2)");
    assert_eq!(output(Operation::LastK { k: 2 }), "list(decimal(18,2))");
    for operation in
        [Operation::Avg, Operation::Var, Operation::Skew, Operation::ApproxQuantile { millionths: 1 }]
    {
        assert_eq!(output(operation), "float");
    }
    assert_eq!(output(Operation::Histogram { k: 5 }), "map(int)");
}

#[test]
fn tenths_that_floats_cannot_hold_add_up() {
    let tenths = DataType::scalar(decimal(9, 1));
    let state = |operation| {
        let aggregation = Aggregation::new(operation, Some(tenths)).unwrap();
        let mut state = aggregation.empty();
        for unscaled in [1, 2, 10_i128.pow(8), -10_i128.pow(8)] {
            let value = Value::Decimal(Decimal::new(unscaled, 1).unwrap());
            aggregation.update(&mut state, &value, EventOrder { time: Timestamp(0), event_id: "" }).unwrap();
        }
        aggregation.finalise(&state).unwrap()
    };
    assert_eq!(state(Operation::Sum), Value::Decimal(Decimal::new(3, 1).unwrap()));
    assert_eq!(state(Operation::Avg), Value::float(0.075));
}

#[test]
fn a_decimal_of_another_scale_is_refused_and_never_added_without_its_point() {
    let cents = DataType::scalar(decimal(5, 2));
    for operation in [Operation::Sum, Operation::Max, Operation::Var, Operation::Histogram { k: 3 }] {
        let aggregation = Aggregation::new(operation, Some(cents)).unwrap();
        let wrong = Value::Decimal(Decimal::new(15, 1).unwrap());
        let at = EventOrder { time: Timestamp(0), event_id: "" };
        assert!(aggregation.update(&mut aggregation.empty(), &wrong, at).is_err(), "{operation}");
    }
}

#[test]
fn a_value_of_another_type_is_refused() {
    let sum = Aggregation::new(Operation::Sum, Some(DataType::Int)).unwrap();
    let at = EventOrder { time: Timestamp(0), event_id: "" };
    assert!(sum.update(&mut sum.empty(), &Value::text("1"), at).is_err());
    let count = Aggregation::new(Operation::Count, None).unwrap();
    assert!(sum.merge(&mut sum.empty(), &count.empty()).is_err());
}
