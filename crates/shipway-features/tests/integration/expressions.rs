//! `where`, `derive` and `compute`, trap by trap, on every path that reads them: stream, load, view built from history, training
//! set. Random ones meet the oracle in `differential`.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use serde_json::{Value as Json, json};
use shipway_core::{Timestamp, Value};
use shipway_features::{ArrivalRule, Spine, TrainingSet};

use crate::{
    http::Api,
    offline::world::rows_of,
    world::{DAY, HOUR, World, value},
};

const NOON: i64 = 90 * DAY + 12 * HOUR;

const DEFINITIONS: &str = "
kind: entity
name: user
keys: { user: text }
---
kind: entity
name: place
keys: { place: text }
---
kind: source
name: orders
event_time: ordered_at
event_id: id
columns: { id: text, ordered_at: timestamp, user: text, city: text, price: float, count: int, paid_at: timestamp }
max_ahead: 5m
dedupe: 7d
retention: 60d
";

const VIEWS: &str = "
kind: view
name: spending
entity: user
source: orders
where: \"price > 0 AND city <> 'O''Hare'\"
derive:
  total: \"price * count\"
  each: \"total / count\"
  big: \"count * 5000000000000000000\"
  day: \"EXTRACT(isodow FROM ordered_at)\"
  waited: \"EXTRACT(epoch FROM paid_at - ordered_at)\"
aggregate:
  - { operations: [count], windows: [1d] }
  - { column: total, operations: [sum, max], windows: [1d] }
  - { column: each, operations: [count], windows: [1d] }
  - { column: big, operations: [count, last], windows: [1d] }
  - { column: waited, operations: [min], windows: [1d] }
  - { operations: [count], windows: [1d], by: day }
---
kind: view
name: last_order
entity: user
source: orders
derive: { shout: \"upper(city)\", cheap: \"price < 10\" }
latest: [shout, cheap, ordered_at]
---
kind: view
name: by_place
entity: place
source: orders
derive: { where_to: \"nullif(lower(city), 'nowhere')\" }
keys: [where_to]
aggregate: [{ operations: [count], windows: [1d] }]
---
kind: service
name: asked
views: [spending, last_order, by_place]
request: { basket: float }
compute:
  to_usual: \"basket / spending__total_max_1d\"
  doubled: \"to_usual * 2\"
  age: \"EXTRACT(epoch FROM at - last_order__ordered_at)\"
  sundays: \"coalesce(spending__count_by_day_1d['7'], 0)\"
  known: \"user IS NOT NULL AND spending__count_1d > 0\"
";

fn order(id: &str, price: impl Into<Json>, count: i64, city: impl Into<Json>) -> Json {
    json!({
        "id": id, "ordered_at": Timestamp(NOON).to_string(), "user": "ada", "city": city.into(), "price": price.into(),
        "count": count, "paid_at": Timestamp(NOON + 1_500_000).to_string(),
    })
}

/// Events that look for trouble: a condition that is null, a text with a quote, a division by zero, an overflow, a NaN, and a
/// derived key that is null.
fn orders() -> Vec<Json> {
    vec![
        order("a", 2.5, 2, "Delft"),
        order("b", 4.0, 0, "DELFT"),
        order("null price", Json::Null, 1, "Delft"),
        order("null city", 1.0, 1, Json::Null),
        order("quoted", 100.0, 1, "O'Hare"),
        order("negative", -5.0, 1, "nowhere"),
        order("nan", "NaN", 3, "Nowhere"),
    ]
}

fn asked(user: impl Into<Json>, place: impl Into<Json>, basket: f64) -> Json {
    json!({ "user": user.into(), "place": place.into(), "basket": basket })
}

/// What every path must say one second later.
fn expected() -> BTreeMap<&'static str, Json> {
    BTreeMap::from([
        ("spending__count_1d", json!(3)),
        ("spending__total_sum_1d", json!("NaN")),
        ("spending__total_max_1d", json!("NaN")),
        ("spending__each_count_1d", json!(2)),
        ("spending__big_count_1d", json!(1)),
        ("spending__big_last_1d", json!(0)),
        ("spending__waited_min_1d", json!(1.5)),
        ("spending__count_by_day_1d", json!({ "3": 3 })),
        ("last_order__shout", json!("O'HARE")),
        ("last_order__cheap", json!(false)),
        ("last_order__ordered_at", json!("1970-04-01T12:00:00Z")),
        ("by_place__count_1d", json!(3)),
        ("to_usual", json!("NaN")),
        ("doubled", json!("NaN")),
        ("age", json!(1.0)),
        ("sundays", json!(0)),
        ("known", json!(true)),
    ])
}

fn trains(world: &World, spine: &str) -> Vec<BTreeMap<String, Value>> {
    let wanted = TrainingSet {
        service: "asked".to_owned(),
        spine: Spine::Sql(spine.to_owned()),
        time: "q".to_owned(),
        arrival: ArrivalRule::Any,
        from: None,
        to: None,
        labels: Vec::new(),
    };
    let batches: Vec<_> = world.block_on(async {
        let stream = world.features().training_set(wanted).await.unwrap();
        stream.batches.try_collect().await.unwrap()
    });
    rows_of(&batches)
}

#[test]
fn stream_load_history_and_training_set_see_the_same_traps() {
    let streamed = World::new(&format!("{DEFINITIONS}---\n{VIEWS}"));
    let loaded = World::new(&format!("{DEFINITIONS}---\n{VIEWS}"));
    let mut built = World::new(DEFINITIONS);
    let tokens = [
        streamed.ingests("orders", &orders()).token,
        loaded.loads("orders", None, &orders()).token.unwrap(),
        {
            built.ingests("orders", &orders());
            built.applies(VIEWS);
            // Behind the marker of the new views.
            let mut settles = order("settles", 1.0, 1, Json::Null);
            settles["user"] = "nobody".into();
            built.ingests("orders", &[settles]).token
        },
    ];
    let q = Timestamp(NOON + 1_000_000);
    for (path, world, token) in
        [("stream", &streamed, &tokens[0]), ("load", &loaded, &tokens[1]), ("history", &built, &tokens[2])]
    {
        let answer =
            world.reads_service("asked", &[asked("ada", "delft", 7.0)], q, Some(token.as_str())).unwrap();
        for (column, wanted) in expected() {
            assert_eq!(value(&answer, column), wanted, "{path}: {column}");
        }
        let spine = format!(
            "SELECT 'ada' AS user, 'delft' AS place, 7.0 AS basket, to_timestamp_micros({}) AS q",
            q.micros()
        );
        let rows = trains(world, &spine);
        for (column, wanted) in expected() {
            assert_eq!(rows[0][column].to_json(), wanted, "training set after {path}: {column}");
        }
    }
}

#[test]
fn a_derived_key_that_is_null_belongs_to_nobody_and_a_null_key_has_no_features() {
    let world = World::new(&format!("{DEFINITIONS}---\n{VIEWS}"));
    let token = world.ingests("orders", &orders()).token;
    let q = Timestamp(NOON + 1);
    let rows = [asked("ada", "nowhere", 1.0), asked(Json::Null, Json::Null, 1.0), asked("bob", "delft", 1.0)];
    let answer = world.reads_service("asked", &rows, q, Some(&token)).unwrap();
    let cell = |row: usize, column: &str| {
        let at = answer.columns.iter().position(|held| held == column).unwrap();
        answer.rows[row].values[at].to_json()
    };
    assert_eq!(cell(0, "by_place__count_1d"), 0);
    assert_eq!(cell(1, "by_place__count_1d"), Json::Null);
    assert_eq!((cell(1, "known"), cell(1, "age")), (Json::Bool(false), Json::Null));
    assert_eq!((cell(2, "known"), cell(2, "to_usual")), (Json::Bool(false), Json::Null));
    assert_eq!(cell(0, "age"), 0.000_001);
}

#[test]
fn an_event_that_does_not_count_still_moves_the_watermark_and_stays_in_history() {
    let world = World::new(&format!("{DEFINITIONS}---\n{VIEWS}"));
    let answer = world.ingests("orders", &[order("negative", -5.0, 1, "Delft")]);
    let read =
        world.reads_service("asked", &[asked("ada", "delft", 1.0)], Timestamp(NOON + 1), Some(&answer.token));
    assert_eq!(value(&read.unwrap(), "spending__count_1d"), 0);
    let mut world = world;
    world.restarts();
    assert_eq!(world.number("SELECT count(*) FROM orders"), 1);
}

#[test]
fn computed_columns_reach_feast_with_their_status() {
    let world = World::new(&format!("{DEFINITIONS}---\n{VIEWS}"));
    let api = Api::new(&world);
    let token = world.ingests("orders", &[order("a", 2.0, 2, "Delft")]).token;
    world.reads_service("asked", &[], Timestamp(NOON + 1), Some(&token)).unwrap();
    let wanted = json!({
        "feature_service": "asked",
        "full_feature_names": true,
        "entities": { "user": ["ada", "bob"], "place": ["delft", "delft"], "basket": [8.0, 8.0] },
    });
    let (status, answer) = api.post("/get-online-features", wanted.to_string());
    assert_eq!(status, 200, "{answer}");
    let names = answer["metadata"]["feature_names"].as_array().unwrap();
    let at = names.iter().position(|name| name == "known").unwrap();
    assert_eq!(
        answer["results"][at]["values"],
        json!([false, false]),
        "a day and more has passed for the clock"
    );
    assert_eq!(answer["results"][at]["statuses"], json!(["PRESENT", "PRESENT"]));
    let at = names.iter().position(|name| name == "to_usual").unwrap();
    assert_eq!(answer["results"][at]["statuses"], json!(["NULL_VALUE", "NULL_VALUE"]));
}

#[test]
fn a_condition_leaves_out_files_of_history_and_no_event_that_counts() {
    // Only comparisons that history and the language understand alike are handed down: here on text, int and time.
    let view = "
kind: view
name: filtered
entity: user
source: orders
where: \"city >= 'D' AND count = 2 AND 3 > count AND ordered_at >= '1970-04-01' AND price > 0 AND (price > 1 OR count = 7)\"
aggregate: [{ operations: [count], windows: [1d] }]
---
kind: service
name: asked
views: [filtered]
";
    let world = World::new(&format!("{DEFINITIONS}---\n{view}"));
    let orders = [
        order("counts", 2.5, 2, "Delft"),
        order("cheap", 0.5, 2, "Delft"),
        order("one", 2.5, 1, "Delft"),
        order("early letter", 2.5, 2, "Breda"),
        order("null", 2.5, 2, Json::Null),
    ];
    let token = world.loads("orders", None, &orders).token.unwrap();
    let read = world.reads_service("asked", &[json!({ "user": "ada" })], Timestamp(NOON + 1), Some(&token));
    assert_eq!(value(&read.unwrap(), "filtered__count_1d"), 1);
    let spine = format!("SELECT 'ada' AS user, to_timestamp_micros({}) AS q", NOON + 1);
    assert_eq!(trains(&world, &spine)[0]["filtered__count_1d"], Value::Int(1));
}
