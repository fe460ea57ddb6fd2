//! Events that take the place of earlier ones with their ids. Every path against the oracle is in `differential`.

use serde_json::{Value as Json, json};
use shipway_core::{Failure, Name, Timestamp};
use shipway_features::{
    ArrivalRule, Limits, Spine, TrainingSet,
    offline::{Label, LabelKeys},
};
use shipway_log::LogOptions;

use futures::TryStreamExt as _;

use crate::{
    offline::world::rows_of,
    world::{DAY, HOUR, World, limits, value},
};

const NOW: i64 = 100 * DAY;

const ORDERS: &str = "
kind: entity
name: shop
keys: { shop: text }
---
kind: source
name: orders
event_time: ordered_at
event_id: order_id
same_id: replace
deleted: gone
retention: 30d
columns: { order_id: int, ordered_at: timestamp, shop: text, amount: float, gone: bool }
---
kind: view
name: shop_orders
entity: shop
source: orders
aggregate:
  - { operations: [count], windows: [14d, lifetime] }
  - { column: amount, operations: [sum, max], windows: [14d] }
---
kind: view
name: last_order
entity: shop
source: orders
latest: [order_id, amount]
---
kind: service
name: shops
views: [shop_orders, last_order]
";

/// As many orders of one shop as a state does not keep one by one.
const MANY: i64 = 200;

fn order(id: i64, shop: &str, ago_us: i64, amount: f64) -> Json {
    let at = Timestamp(NOW - ago_us).to_string();
    json!({ "order_id": id, "ordered_at": at, "shop": shop, "amount": amount })
}

fn gone(id: i64) -> Json {
    json!({ "order_id": id, "gone": true })
}

/// Orders 0 to 199 of shop a, one an hour, the last an hour ago; each of its number.
fn many() -> Vec<Json> {
    (0..MANY).map(|id| order(id, "a", (MANY - id) * HOUR, id as f64)).collect()
}

/// The values of a shop, seen after what `token` stands for.
fn values(world: &World, shop: &str, token: &str) -> Json {
    let answer =
        world.reads_service("shops", &[json!({ "shop": shop })], Timestamp(NOW), Some(token)).unwrap();
    answer.rows[0].values.iter().map(|value| value.to_json()).collect()
}

#[test]
fn what_is_in_tiles_is_taken_back_and_what_has_no_inverse_is_made_again() {
    let mut world = World::new(ORDERS);
    let token = world.ingests("orders", &many()).token;
    let sum = (0..MANY).sum::<i64>() as f64;
    assert_eq!(values(&world, "a", &token), json!([200, 200, sum, 199.0, 199, 199.0]));

    // The greatest of its shop moves to another one; an old one becomes the greatest; one goes.
    let token = world
        .ingests(
            "orders",
            &[order(199, "b", HOUR, 199.0), order(3, "a", (MANY - 3) * HOUR, 1_000.0), gone(7)],
        )
        .token;
    let left = sum - 199.0 - 3.0 + 1_000.0 - 7.0;
    assert_eq!(values(&world, "a", &token), json!([198, 198, left, 1_000.0, 198, 198.0]));
    assert_eq!(values(&world, "b", &token), json!([1, 1, 199.0, 199.0, 199, 199.0]));

    world.dies_and_returns();
    let token = world.ingests("orders", &[gone(3), gone(3), gone(12_345)]).token;
    let left = left - 1_000.0;
    assert_eq!(values(&world, "a", &token), json!([197, 197, left, 198.0, 198, 198.0]));
    // All of it, and one that comes back.
    let all: Vec<Json> = (0..MANY).map(gone).collect();
    let token = world.ingests("orders", &all).token;
    assert_eq!(values(&world, "a", &token), json!([0, 0, null, null, null, null]));
    let token = world.ingests("orders", &[order(5, "a", 2 * HOUR, 5.0)]).token;
    assert_eq!(values(&world, "a", &token), json!([1, 1, 5.0, 5.0, 5, 5.0]));
}

#[test]
fn states_that_are_lost_are_made_again_with_the_rows_though_the_log_was_shortened() {
    let limits = Limits { log_retention_records: 0, archive_rows: 50, ..limits() };
    let log = LogOptions { segment_bytes: 4 << 10, ..LogOptions::default() };
    let mut world = World::with_log(ORDERS, limits, log);
    let mut token = String::new();
    for round in 0..400 {
        world.ingests("orders", &many()[..40]);
        token = world.ingests("orders", &[gone(round % 40), order(900, "b", HOUR, round as f64)]).token;
        values(&world, "a", &token);
        if world.log_start("orders") > 1_000 {
            break;
        }
    }
    assert!(world.log_start("orders") > 1_000, "{}", world.log_start("orders"));
    let before = [values(&world, "a", &token), values(&world, "b", &token)];
    assert_eq!(before[0][0], 39);
    world.loses_its_states();
    world.dies_and_returns();
    world.loses_its_states();
    assert_eq!([values(&world, "a", &token), values(&world, "b", &token)], before);
    // What comes takes away what history brought.
    let token = world.ingests("orders", &[gone(39), gone(900)]).token;
    assert_eq!(values(&world, "a", &token)[4], 38);
    assert_eq!(values(&world, "b", &token)[0], 0);
}

#[test]
fn a_view_that_comes_later_counts_the_rows_as_they_are_and_a_rebuild_finds_no_difference() {
    let mut world = World::new(ORDERS);
    world.ingests("orders", &many());
    world.ingests("orders", &[gone(0), order(1, "b", HOUR, 1.0)]);
    world.applies(
        "kind: view\nname: late_orders\nentity: shop\nsource: orders\naggregate: [{ column: amount, operations: [min, count], windows: [lifetime] }]\n---\n\
         kind: service\nname: late\nviews: [late_orders]\n",
    );
    let late = |token: Option<&str>| {
        let answer = world.reads_service("late", &[json!({ "shop": "a" })], Timestamp(NOW), token).unwrap();
        [
            value(&answer, "late_orders__amount_min_lifetime"),
            value(&answer, "late_orders__amount_count_lifetime"),
        ]
    };
    assert_eq!(late(None), [json!(2.0), json!(198)]);
    let token = world.ingests("orders", &[gone(2)]).token;
    assert_eq!(late(Some(&token)), [json!(3.0), json!(197)]);
    for view in ["shop_orders", "last_order", "late_orders"] {
        world.block_on(world.features().begin_rebuild(view, None)).unwrap();
    }
    let token = world.ingests("orders", &[gone(3)]).token;
    world.block_on(world.features().built()).unwrap();
    let token = world.ingests("orders", &[order(8, "a", HOUR, -1.0)]).token.max(token);
    assert_eq!(late(Some(&token)), [json!(-1.0), json!(196)]);
    let records = world.block_on(world.features().builds(100)).unwrap();
    let rebuilt: Vec<_> = records.iter().filter_map(|record| record.differing).collect();
    assert_eq!(rebuilt, [0, 0, 0]);
}

#[test]
fn labels_and_training_sets_look_at_what_is_left() {
    let world = World::new(ORDERS);
    world.ingests(
        "orders",
        &[order(1, "a", 3 * HOUR, 1.0), order(2, "a", HOUR, 2.0), order(3, "a", HOUR, 3.0)],
    );
    world.ingests("orders", &[gone(2), order(1, "a", 3 * HOUR, 10.0)]);
    let wanted = TrainingSet {
        service: "shops".to_owned(),
        spine: Spine::Sql(format!("SELECT 'a' AS shop, to_timestamp_micros({}) AS q", NOW - 2 * HOUR)),
        time: "q".to_owned(),
        arrival: ArrivalRule::Any,
        from: None,
        to: None,
        labels: vec![Label {
            name: Some(Name::new("ordered").unwrap()),
            source: Some(Name::new("orders").unwrap()),
            table: None,
            time: None,
            id: None,
            keys: LabelKeys::Same(vec![Name::new("shop").unwrap()]),
            column: Some(Name::new("amount").unwrap()),
            operation: "sum".to_owned(),
            after: None,
            window: "2h".parse().unwrap(),
        }],
    };
    let batches: Vec<_> = world.block_on(async {
        let stream = world.features().training_set(wanted).await.unwrap();
        stream.batches.try_collect().await.unwrap()
    });
    let row = &rows_of(&batches)[0];
    assert_eq!(row["shop_orders__amount_sum_14d"].to_json(), 10.0);
    assert_eq!(row["label__ordered"].to_json(), 3.0);
}

#[test]
fn what_does_not_fit_corrects_nothing() {
    let world = World::new(ORDERS);
    let token = world.ingests("orders", &[order(1, "a", HOUR, 1.0)]).token;
    let before = values(&world, "a", &token);
    let answer = world.ingests(
        "orders",
        &[
            // No time, and no deletion.
            json!({ "order_id": 1, "shop": "a", "amount": 2.0 }),
            json!({ "gone": true }),
            // Too old, and too far ahead.
            order(1, "a", 40 * DAY, 3.0),
            order(1, "a", -DAY, 4.0),
        ],
    );
    let refused: Vec<_> = answer.refused.iter().map(|refused| refused.index).collect();
    assert_eq!((refused, answer.late, answer.quarantined), (vec![0, 1], 1, 1));
    assert_eq!(answer.duplicates, 0);
    assert_eq!(values(&world, "a", &answer.token), before);

    let error = world.tries_to_load("orders", None, &[order(1, "a", HOUR, 9.0)]).unwrap_err();
    assert_eq!(error.code(), "features.corrected_source");
    // The table has every change, and says which only take away.
    world.ingests("orders", &[gone(1)]);
    world.block_on(world.features().archive_everything()).unwrap();
    assert_eq!(world.number("SELECT count(*) FROM orders"), 2);
    assert_eq!(world.number("SELECT count(*) FROM orders WHERE _deleted"), 1);
}
