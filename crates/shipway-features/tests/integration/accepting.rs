//! What ingest takes, refuses and sets aside.

use bytes::Bytes;
use serde_json::json;
use shipway_core::{Failure as _, Kind, Timestamp};
use shipway_features::{Events, Limits};

use crate::world::{DAY, DEFINITIONS, HOUR, MINUTE, SECOND, World, limits, sale, shop, value};

const NOON: i64 = 90 * DAY + 12 * HOUR;

#[test]
fn an_event_that_does_not_fit_is_refused_by_name_and_the_others_are_acknowledged() {
    let world = World::new(DEFINITIONS);
    let events = [
        sale("a", NOON, 1.0),
        json!({ "sale_id": "b", "sold_at": Timestamp(NOON).to_string(), "contry": "nl" }),
        json!({ "sale_id": "c", "sold_at": NOON / SECOND, "country": "nl" }),
        json!({ "sale_id": "d", "country": "nl" }),
        json!({ "sold_at": Timestamp(NOON).to_string() }),
        json!({ "sale_id": "f", "sold_at": Timestamp(NOON).to_string(), "items": 1.5 }),
        json!([1]),
    ];
    let answer = world.ingests("sales", &events);
    assert_eq!(answer.acknowledged, 1);
    let reasons: Vec<String> =
        answer.refused.iter().map(|refused| format!("{}: {}", refused.index, refused.reason)).collect();
    assert_eq!(reasons[0], "1: column contry is not declared in source sales; did you mean country?");
    assert!(reasons[1].starts_with("2: column sold_at: expected timestamp"), "{}", reasons[1]);
    assert!(reasons[1].contains("a number has no unit"), "{}", reasons[1]);
    assert_eq!(reasons[2], "3: column sold_at: the event time is missing");
    assert_eq!(reasons[3], "4: column sale_id: the event id is missing");
    assert_eq!(reasons[4], "5: column items: expected int, got 1.5");
    assert!(reasons[5].starts_with("6: not a JSON object"), "{}", reasons[5]);
    let read = world.reads(&[shop()], Timestamp(NOON + 1), Some(&answer.token)).unwrap();
    assert_eq!(value(&read, "shop_sales__count_lifetime"), 1);
}

#[test]
fn a_line_that_is_not_json_is_refused_alone() {
    let world = World::new(DEFINITIONS);
    let body = format!("{}\n\n{{broken\n{}\n", sale("a", NOON, 1.0), sale("b", NOON, 1.0));
    let answer =
        world.block_on(world.features().ingest("sales", Events::JsonLines(Bytes::from(body)))).unwrap();
    assert_eq!((answer.acknowledged, answer.refused.len(), answer.refused[0].index), (2, 1, 1));
}

#[test]
fn an_unknown_source_is_named_with_its_nearest() {
    let world = World::new(DEFINITIONS);
    let error = world.tries_to_ingest("sale", &[]).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(error.to_string(), "source sale does not exist; did you mean sales?");
}

#[test]
fn a_request_beyond_its_bounds_is_refused_whole() {
    let world = World::with_limits(DEFINITIONS, Limits { ingest_events: 2, ingest_bytes: 400, ..limits() });
    let three = [json!({}), json!({}), json!({})];
    assert_eq!(world.tries_to_ingest("sales", &three).unwrap_err().kind(), Kind::TooLarge);
    let long = [sale(&"x".repeat(400), NOON, 1.0)];
    assert_eq!(world.tries_to_ingest("sales", &long).unwrap_err().kind(), Kind::TooLarge);
    assert_eq!(world.ingests("sales", &[sale("a", NOON, 1.0)]).acknowledged, 1);
}

#[test]
fn the_same_id_counts_once_and_two_ids_at_one_microsecond_count_twice() {
    let mut world = World::new(DEFINITIONS);
    let first = world.ingests("sales", &[sale("a", NOON, 1.0), sale("b", NOON, 2.0), sale("a", NOON, 9.0)]);
    assert_eq!((first.acknowledged, first.duplicates), (3, 1));
    let again = world.ingests("sales", &[sale("a", NOON, 1.0)]);
    assert_eq!((again.acknowledged, again.duplicates), (1, 1));
    let read = world.reads(&[shop()], Timestamp(NOON + 1), Some(&again.token)).unwrap();
    assert_eq!(value(&read, "shop_sales__count_1h"), 2);
    assert_eq!(value(&read, "shop_sales__amount_sum_1h"), 3.0);
    world.dies_and_returns();
    assert_eq!(world.ingests("sales", &[sale("b", NOON, 2.0)]).duplicates, 1);
}

#[test]
fn concurrent_requests_with_one_id_are_all_acknowledged_and_count_once() {
    let world = World::new(DEFINITIONS);
    let requests = (0..32).map(|_| {
        let body = Bytes::from(sale("a", NOON, 1.0).to_string());
        world.features().ingest("sales", Events::JsonLines(body))
    });
    let answers = world.block_on(futures::future::try_join_all(requests)).unwrap();
    assert_eq!(answers.iter().map(|answer| answer.acknowledged - answer.duplicates).sum::<usize>(), 1);
    let token = answers.iter().map(|answer| answer.token.as_str()).collect::<Vec<_>>().join(",");
    let read = world.reads(&[shop()], Timestamp(NOON + 1), Some(&token)).unwrap();
    assert_eq!(value(&read, "shop_sales__count_lifetime"), 1);
}

#[test]
fn an_id_beyond_the_dedupe_horizon_counts_again() {
    let world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("a", NOON, 1.0)]);
    let visible = world.ingests("sales", &[sale("b", NOON, 1.0)]);
    world.reads(&[shop()], Timestamp(NOON + 1), Some(&visible.token)).unwrap();
    world.clock.set(Timestamp(100 * DAY + 7 * DAY + 1));
    let again = world.ingests("sales", &[sale("a", NOON, 1.0)]);
    assert_eq!(again.duplicates, 0);
}

#[test]
fn a_future_event_is_quarantined_and_moves_no_watermark() {
    let mut world = World::new(DEFINITIONS);
    let now = 100 * DAY;
    let answer = world
        .ingests("sales", &[sale("edge", now + 5 * MINUTE, 1.0), sale("far", now + 5 * MINUTE + 1, 1.0)]);
    assert_eq!((answer.acknowledged, answer.quarantined), (2, 1));
    // Had it moved the watermark, this one would be late beyond the retention of 30 days.
    let old = world.ingests("sales", &[sale("old", now - 30 * DAY + 5 * MINUTE, 1.0)]);
    assert_eq!(old.late, 0);
    world.restarts();
    assert_eq!(world.number("SELECT count(*) FROM sales__quarantine"), 1);
    assert_eq!(world.number("SELECT count(*) FROM sales"), 2);
}

#[test]
fn an_event_older_than_the_retention_goes_to_the_side_table() {
    let mut world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("new", NOON, 1.0)]);
    let answer =
        world.ingests("sales", &[sale("old", NOON - 30 * DAY - 1, 1.0), sale("edge", NOON - 30 * DAY, 1.0)]);
    assert_eq!((answer.acknowledged, answer.late), (2, 1));
    let read = world.reads(&[shop()], Timestamp(NOON + 1), Some(&answer.token)).unwrap();
    assert_eq!(value(&read, "shop_sales__count_lifetime"), 2);
    world.restarts();
    assert_eq!(world.number("SELECT count(*) FROM sales__late"), 1);
    assert_eq!(world.number("SELECT count(*) FROM sales"), 2);
}

#[test]
fn arrow_events_are_taken_and_a_number_for_a_time_is_refused() {
    use arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray},
        ipc::writer::StreamWriter,
    };
    use std::sync::Arc;
    let stream = |time: ArrayRef| {
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let countries: ArrayRef = Arc::new(StringArray::from(vec!["nl", "nl"]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 1]));
        let columns = [("sale_id", ids), ("sold_at", time), ("country", countries), ("number", numbers)];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        Events::Arrow(Bytes::from(bytes))
    };
    let world = World::new(DEFINITIONS);
    let wrong = stream(Arc::new(Int64Array::from(vec![NOON, NOON])));
    let error = world.block_on(world.features().ingest("sales", wrong)).unwrap_err();
    assert_eq!(error.to_string(), "column sold_at: expected timestamp, got Int64: a number has no unit");
    let right = stream(Arc::new(TimestampNanosecondArray::from(vec![NOON * 1_000, -1])));
    let answer = world.block_on(world.features().ingest("sales", right)).unwrap();
    assert_eq!((answer.acknowledged, answer.late), (2, 0));
    let read = world.reads(&[shop()], Timestamp(0), Some(&answer.token)).unwrap();
    assert_eq!(
        value(&read, "shop_sales__count_10s"),
        1,
        "a nanosecond before 1970 floors to a microsecond before it"
    );
}

#[test]
fn columns_added_later_are_null_in_old_events_and_old_records_still_decode() {
    let mut world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("a", NOON, 1.0)]);
    world.die();
    world.defines(&DEFINITIONS.replace("tags: list(text) }", "tags: list(text), clerk: text }"));
    world.start();
    let mut event = sale("b", NOON + 1, 2.0);
    event["clerk"] = json!("ann");
    let answer = world.ingests("sales", &[event]);
    assert_eq!(answer.refused, vec![]);
    let read = world.reads(&[shop()], Timestamp(NOON + 2), Some(&answer.token)).unwrap();
    assert_eq!(value(&read, "shop_sales__amount_sum_1h"), 3.0);
    world.restarts();
    assert_eq!(world.number("SELECT count(*) FROM sales WHERE clerk IS NULL"), 1);
    assert_eq!(world.number("SELECT count(*) FROM sales WHERE clerk = 'ann'"), 1);
}
