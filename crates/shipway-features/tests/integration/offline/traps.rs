//! The traps of the semantics, one by one, each also against the oracle.

use std::collections::BTreeMap;

use shipway_core::{Timestamp, Value};
use shipway_features::offline::{AsOf, EngineSettings};

use super::world::{Arrival, Ask, Sale, World};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

async fn answered(sales: &[Sale], asks: &[Ask]) -> Vec<BTreeMap<String, Value>> {
    let world = World::new();
    world.holds(sales).await;
    let settings = EngineSettings { target_partitions: Some(2), ..EngineSettings::default() };
    let sorted = EngineSettings { groups_in_memory: false, ..settings.clone() };
    world.agrees(sales, asks, AsOf::EventTime, &sorted).await;
    world.agrees(sales, asks, AsOf::EventTime, &settings).await;
    world.answers(asks, AsOf::EventTime, &settings).await
}

#[tokio::test]
async fn an_event_at_q_is_not_before_q() {
    let rows = answered(&[Sale::new("1", 0, 5.0)], &[Ask::at(0), Ask::at(1)]).await;
    assert_eq!(rows[0]["totals__count_lifetime"], Value::Int(0));
    assert_eq!(rows[0]["newest__amount"], Value::Null);
    assert_eq!(rows[1]["totals__count_lifetime"], Value::Int(1));
    assert_eq!(rows[1]["newest__amount"], Value::float(5.0));
}

#[tokio::test]
async fn an_event_on_the_floored_tail_is_inside_and_the_one_before_it_is_not() {
    // 1h moves in hops of 5m: at 01:02:30 the tail stands at 00:00:00.
    let sales = [Sale::new("before", -1, 1.0), Sale::new("on", 0, 2.0)];
    let rows = answered(&sales, &[Ask::at(HOUR + 150 * SECOND), Ask::at(HOUR + 300 * SECOND)]).await;
    assert_eq!(rows[0]["totals__amount_sum_1h"], Value::float(2.0));
    assert_eq!(rows[1]["totals__amount_sum_1h"], Value::Null, "the whole hop has left");
}

#[tokio::test]
async fn before_1970_the_tail_floors_toward_the_past() {
    let q = -10 * DAY - 1;
    let tail = -10 * DAY - HOUR - 5 * MINUTE;
    let rows = answered(&[Sale::new("1", tail, 1.0), Sale::new("2", tail - 1, 2.0)], &[Ask::at(q)]).await;
    assert_eq!(rows[0]["totals__amount_sum_1h"], Value::float(1.0));
}

#[tokio::test]
async fn at_one_microsecond_the_event_id_decides_and_both_count() {
    let sales = [Sale::new("b", 0, 2.0), Sale::new("a", 0, 1.0), Sale::new("a2", 0, 3.0)];
    let rows = answered(&sales, &[Ask::at(1)]).await;
    assert_eq!(rows[0]["totals__count_1s"], Value::Int(3));
    assert_eq!(rows[0]["totals__amount_first_1s"], Value::float(1.0));
    assert_eq!(rows[0]["totals__amount_last_1s"], Value::float(2.0));
    assert_eq!(rows[0]["newest__amount"], Value::float(2.0));
}

#[tokio::test]
async fn the_ttl_is_inclusive() {
    let rows = answered(&[Sale::new("1", 0, 5.0)], &[Ask::at(HOUR), Ask::at(HOUR + 1)]).await;
    assert_eq!(rows[0]["newest__amount"], Value::float(5.0));
    assert_eq!(rows[1]["newest__amount"], Value::Null);
    assert_eq!(rows[1]["newest_ever__amount"], Value::float(5.0));
}

#[tokio::test]
async fn a_ttl_of_one_feature_is_inclusive_and_leaves_the_others() {
    let asks = [10 * MINUTE, 10 * MINUTE + 1, DAY, DAY + 1].map(Ask::at);
    let rows = answered(&[Sale::new("1", 0, 5.0)], &asks).await;
    let units = rows[..2].iter().map(|row| row["newest__units"].clone()).collect::<Vec<_>>();
    assert_eq!(units, [Value::Int(5), Value::Null]);
    assert_eq!(rows[1]["newest__amount"], Value::float(5.0), "the row itself still counts");
    assert_ne!(rows[2]["newest_ever__label"], Value::Null);
    assert_eq!(rows[3]["newest_ever__label"], Value::Null, "also where the view has no ttl");
    assert_eq!(rows[3]["newest_ever__amount"], Value::float(5.0));
}

#[tokio::test]
async fn an_older_row_never_stands_in_for_a_feature_whose_ttl_is_over() {
    let newer = Sale { units: None, ..Sale::new("2", 1, 6.0) };
    let rows = answered(&[Sale::new("1", 0, 5.0), newer], &[Ask::at(2), Ask::at(1 + 10 * MINUTE)]).await;
    assert_eq!(rows[0]["newest__units"], Value::Null, "null in the last row");
    assert_eq!(rows[1]["newest__label"], Value::Null, "the last row is older than a second");
}

#[tokio::test]
async fn the_latest_row_gives_all_columns_nulls_included() {
    let older = Sale::new("1", 0, 5.0);
    let newer = Sale { amount: None, ..Sale::new("2", 1, 6.0) };
    let rows = answered(&[older, newer], &[Ask::at(2)]).await;
    assert_eq!(rows[0]["newest__amount"], Value::Null);
    assert_eq!(rows[0]["newest__units"], Value::Int(6));
    assert_eq!(rows[0]["totals__amount_last_1h"], Value::float(5.0), "an aggregate skips nulls");
}

#[tokio::test]
async fn a_null_in_a_key_matches_nothing_and_nulls_even_the_count() {
    let sales = [Sale::new("1", 0, 5.0).of(None, Some(1)), Sale::new("2", 0, 5.0).of(Some("a"), None)];
    let asks = [Ask::at(1).of(None, Some(1)), Ask::at(1).of(Some("a"), None), Ask::at(1)];
    let rows = answered(&sales, &asks).await;
    assert_eq!(rows[0]["totals__count_lifetime"], Value::Null);
    assert_eq!(rows[1]["totals__count_lifetime"], Value::Null);
    assert_eq!(rows[2]["totals__count_lifetime"], Value::Int(0));
}

#[tokio::test]
async fn keys_that_concatenate_equal_stay_apart() {
    let sales =
        [Sale::new("1", 0, 1.0).of(Some("1"), Some(23)), Sale::new("2", 0, 2.0).of(Some("12"), Some(3))];
    let rows =
        answered(&sales, &[Ask::at(1).of(Some("1"), Some(23)), Ask::at(1).of(Some("12"), Some(3))]).await;
    assert_eq!(rows[0]["totals__amount_sum_1h"], Value::float(1.0));
    assert_eq!(rows[1]["totals__amount_sum_1h"], Value::float(2.0));
}

#[tokio::test]
async fn an_unknown_key_and_an_empty_window_count_nothing() {
    let rows =
        answered(&[Sale::new("1", 0, 5.0)], &[Ask::at(1).of(Some("?"), Some(9)), Ask::at(20 * DAY)]).await;
    for row in &rows {
        assert_eq!(row["totals__count_12d"], Value::Int(0));
        assert_eq!(row["totals__label_distinct_count_12d"], Value::Int(0));
        assert_eq!(row["totals__amount_sum_12d"], Value::Null);
        assert_eq!(row["totals__amount_max_12d"], Value::Null);
    }
}

#[tokio::test]
async fn minus_zero_is_zero_and_nan_comes_last() {
    let sales = [Sale::new("1", 0, -0.0), Sale::new("2", 1, f64::NAN), Sale::new("3", 2, 1.0)];
    let rows = answered(&sales, &[Ask::at(1), Ask::at(3)]).await;
    assert_eq!(rows[0]["totals__amount_min_1h"], Value::Float(0.0));
    assert_eq!(rows[0]["newest__amount"], Value::Float(0.0), "normalised, not -0.0");
    assert_eq!(rows[1]["totals__amount_max_1h"], Value::float(f64::NAN));
    assert_eq!(rows[1]["totals__amount_min_1h"], Value::Float(0.0));
}

#[tokio::test]
async fn the_order_of_floats_changes_no_bit() {
    let amounts = [1e16, 1.0, -1e16, 0.1, 0.2, 0.3, 1e-300];
    let sales: Vec<Sale> = amounts
        .iter()
        .enumerate()
        .map(|(at, amount)| Sale::new(&at.to_string(), at as i64, *amount))
        .collect();
    let rows = answered(&sales, &[Ask::at(1_000)]).await;
    assert_eq!(rows[0]["totals__amount_sum_1h"], Value::float(1.6));
}

#[tokio::test]
async fn duplicated_rows_of_the_spine_stay_and_keep_their_place() {
    let asks = [Ask::at(5), Ask::at(1), Ask::at(5), Ask::at(5), Ask::at(-5)];
    let rows = answered(&[Sale::new("1", 2, 5.0)], &asks).await;
    let numbers: Vec<&Value> = rows.iter().map(|row| &row["number"]).collect();
    assert_eq!(numbers, [&Value::Int(0), &Value::Int(1), &Value::Int(2), &Value::Int(3), &Value::Int(4)]);
    let counts: Vec<&Value> = rows.iter().map(|row| &row["totals__count_1h"]).collect();
    assert_eq!(counts, [&Value::Int(1), &Value::Int(0), &Value::Int(1), &Value::Int(1), &Value::Int(0)]);
}

#[tokio::test]
async fn an_integer_sum_out_of_range_is_an_error_that_names_the_feature() {
    let world = World::new();
    let huge = |id: &str, at| Sale { units: Some(i64::MAX / 1_000), ..Sale::new(id, at, 1.0) };
    let sales: Vec<Sale> = (0..1_001).map(|at| huge(&format!("{at:04}"), at)).collect();
    world.holds(&sales).await;
    let request = world.request(world.spine(&[Ask::at(2_000)]), AsOf::EventTime);
    let error = world.batches(request, &EngineSettings::default()).await.unwrap_err();
    let message = shipway_core::failure::chain(&error);
    assert!(message.contains("totals:units_sum_6m"), "{message}");
    assert!(message.contains("does not fit 64 bits"), "{message}");
}

#[tokio::test]
async fn a_late_event_is_seen_by_the_rows_after_its_arrival_only() {
    let live = |id: &str, at, arrival| Sale::new(id, at, 1.0).arrived(Arrival::Live(arrival));
    // The event at 10 arrived last; the hop that it belongs to is long closed.
    let sales = [live("1", 0, 0), live("2", 2 * HOUR, 1), live("3", 3 * HOUR, 2), live("late", 10, 3)];
    let asks = [
        Ask::at(4 * HOUR).seeing(3),
        Ask::at(4 * HOUR).seeing(4),
        Ask::at(5 * HOUR).seeing(2),
        Ask::at(2 * DAY).seeing(4),
    ];
    let world = World::new();
    world.holds(&sales).await;
    let as_of = AsOf::ArrivalColumns(BTreeMap::from([("sales".to_owned(), "seen_up_to".to_owned())]));
    world.agrees(&sales, &asks, as_of.clone(), &EngineSettings::default()).await;
    let rows = world.answers(&asks, as_of, &EngineSettings::default()).await;
    let counts: Vec<&Value> = rows.iter().map(|row| &row["totals__count_12h"]).collect();
    assert_eq!(counts, [&Value::Int(3), &Value::Int(4), &Value::Int(2), &Value::Int(0)]);
}

#[tokio::test]
async fn as_of_arrival_a_row_sees_what_was_received_by_its_own_moment() {
    let sales = [
        Sale::new("prompt", 0, 1.0).received(5),
        Sale::new("late", 10, 2.0).received(2 * HOUR),
        Sale::new("loaded", 20, 4.0).arrived(Arrival::Loaded("known".to_owned())),
        Sale::new("never", 30, 8.0).arrived(Arrival::Loaded("unknown".to_owned())),
    ];
    let moments = BTreeMap::from([("known".to_owned(), Timestamp(HOUR))]);
    let as_of = AsOf::Received(BTreeMap::from([("sales".to_owned(), moments)]));
    let asks = [4, 5, HOUR - 1, HOUR, 2 * HOUR - 1, 2 * HOUR, 3 * HOUR].map(Ask::at);
    let world = World::new();
    world.holds(&sales).await;
    world.agrees(&sales, &asks, as_of.clone(), &EngineSettings::default()).await;
    let rows = world.answers(&asks, as_of, &EngineSettings::default()).await;
    let sums: Vec<&Value> = rows.iter().map(|row| &row["totals__amount_sum_1d"]).collect();
    let expected = [Value::Null, Value::float(1.0), Value::float(1.0), Value::float(5.0), Value::float(5.0)];
    assert_eq!(sums[..5], expected.iter().collect::<Vec<_>>());
    assert_eq!(sums[5..], [&Value::float(7.0), &Value::float(7.0)], "the late one counts when it has come");
}

#[tokio::test]
async fn a_load_arrives_with_its_marker() {
    let mut world = World::new();
    world.loads = BTreeMap::from([("known".to_owned(), 7)]);
    let loaded = |id: &str, load: &str| Sale::new(id, 0, 1.0).arrived(Arrival::Loaded(load.to_owned()));
    let sales = [loaded("1", "known"), loaded("2", "unknown")];
    world.holds(&sales).await;
    for (watermark, expected) in [(7, 0), (8, 1)] {
        let as_of = AsOf::Arrival(BTreeMap::from([("sales".to_owned(), watermark)]));
        world.agrees(&sales, &[Ask::at(1)], as_of.clone(), &EngineSettings::default()).await;
        let rows = world.answers(&[Ask::at(1)], as_of, &EngineSettings::default()).await;
        assert_eq!(rows[0]["totals__count_1h"], Value::Int(expected));
    }
}
