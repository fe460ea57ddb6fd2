//! Views that stand on other views: what an event carries, on every path and in every trap.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use serde_json::{Value as Json, json};
use shipway_core::{Timestamp, Value};
use shipway_features::{ArrivalRule, Limits, Spine, TrainingSet};
use shipway_log::LogOptions;

use crate::{
    offline::world::rows_of,
    world::{DAY, HOUR, MINUTE, SECOND, World, limits},
};

const NOON: i64 = 90 * DAY + 12 * HOUR;

const DEFINITIONS: &str = "
kind: entity
name: shop
keys: { shop: text }
---
kind: entity
name: product
keys: { product: text }
---
kind: source
name: sales
event_time: at
event_id: id
columns: { id: text, at: timestamp, shop: text, product: text, amount: int }
max_ahead: 5m
dedupe: 7d
retention: 30d
---
kind: view
name: busy
entity: shop
source: sales
aggregate:
  - { operations: [count], windows: [1h] }
  - { column: amount, operations: [sum], windows: [1d] }
---
kind: view
name: rush
entity: product
source: sales
enrich: [busy]
aggregate:
  - { column: busy__count_1h, operations: [first_k(9)], windows: [14d], as: seen }
  - { column: busy__count_1h, operations: [count], windows: [14d], as: known }
  - { operations: [count], windows: [14d], as: events }
  - { column: busy__amount_sum_1d, operations: [max], windows: [14d], as: most }
  - { operations: [count], windows: [14d], by: busy__count_1h, as: by_count }
---
kind: service
name: of_product
views: [rush]
";

fn sale(id: &str, time_us: i64) -> Json {
    json!({ "id": id, "at": Timestamp(time_us).to_string(), "shop": "a", "product": "tea", "amount": 1 })
}

fn changed(mut sale: Json, column: &str, value: impl Into<Json>) -> Json {
    sale[column] = value.into();
    sale
}

/// The features of a product by the online read, which must be those of the training set.
fn features(world: &World, service: &str, product: &str, q: i64, token: &str) -> BTreeMap<String, Json> {
    let row = json!({ "product": product });
    let read = world.reads_service(service, &[row], Timestamp(q), Some(token)).unwrap();
    let values = read.columns.iter().cloned().zip(read.rows[0].values.iter().cloned());
    let online: BTreeMap<String, Value> = values.collect();
    let watermark = BTreeMap::from([("sales".to_owned(), read.watermarks["sales"])]);
    let offline = trained(world, service, product, q, ArrivalRule::Before(watermark));
    assert_eq!(online, offline, "the read and the training set of {product} at {q}");
    online.into_iter().map(|(column, value)| (column, value.to_json())).collect()
}

fn trained(
    world: &World,
    service: &str,
    product: &str,
    q: i64,
    arrival: ArrivalRule,
) -> BTreeMap<String, Value> {
    let wanted = TrainingSet {
        service: service.to_owned(),
        spine: Spine::Sql(format!("SELECT '{product}' AS product, to_timestamp_micros({q}) AS q")),
        time: "q".to_owned(),
        arrival,
        from: None,
        to: None,
        labels: Vec::new(),
    };
    let batches: Vec<_> = world.block_on(async {
        let stream = world.features().training_set(wanted).await.unwrap();
        stream.batches.try_collect().await.unwrap()
    });
    let mut row = rows_of(&batches).remove(0);
    row.retain(|column, _| column.contains("__"));
    row
}

/// What the events of tea carried of `busy__count_1h`, in the order of time.
fn seen(world: &World, token: &str) -> Json {
    features(world, "of_product", "tea", NOON + 9 * DAY, token)["rush__seen"].clone()
}

#[test]
fn an_event_carries_what_was_there_just_before_it_and_not_itself() {
    let world = World::new(DEFINITIONS);
    let events = [sale("a", NOON), sale("b", NOON + 1), sale("c", NOON + HOUR + 6 * MINUTE)];
    let token = world.ingests("sales", &events).token;
    assert_eq!(seen(&world, &token), json!([0, 1, 0]), "two of one key in one run, and one after the window");
    let features = features(&world, "of_product", "tea", NOON + 9 * DAY, &token);
    assert_eq!(features["rush__by_count"], json!({ "0": 2, "1": 1 }));
    assert_eq!(features["rush__most"], 2);
}

#[test]
fn events_of_one_moment_do_not_see_each_other_whatever_request_brings_them() {
    let world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("b", NOON), sale("a", NOON)]);
    let token = world.ingests("sales", &[sale("c", NOON), sale("d", NOON + 1)]).token;
    assert_eq!(seen(&world, &token), json!([0, 0, 0, 3]));
}

#[test]
fn a_late_event_changes_nothing_of_what_others_carry_and_sees_what_had_arrived_before_its_time() {
    let mut world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("a", NOON), sale("c", NOON + 2 * MINUTE)]);
    // It sees a only; d, which comes after it, sees all three.
    let token = world.ingests("sales", &[sale("b", NOON + MINUTE), sale("d", NOON + 3 * MINUTE)]).token;
    assert_eq!(seen(&world, &token), json!([0, 1, 1, 3]), "in the order of time: a, b, c, d");
    world.restarts();
    assert_eq!(seen(&world, &token), json!([0, 1, 1, 3]));
}

#[test]
fn what_a_busy_key_can_not_say_any_more_is_asked_of_history() {
    let world = World::new(DEFINITIONS);
    // Many more than are kept one by one, all in one tile: other products, so that tea has only the late ones.
    let crowd: Vec<Json> =
        (0..200).map(|at| changed(sale(&format!("m{at}"), NOON + at * SECOND), "product", "jam")).collect();
    world.ingests("sales", &crowd[..150]);
    let late = [sale("late", NOON + 30 * SECOND), sale("later", NOON + 30 * SECOND + 1)];
    let token = world.ingests("sales", &[&late[..], &crowd[150..]].concat()).token;
    assert_eq!(
        seen(&world, &token),
        json!([30, 32]),
        "the one second of the crowd, and the late one before it"
    );
    let token = world.ingests("sales", &[sale("last", NOON + 10 * SECOND)]).token;
    assert_eq!(seen(&world, &token), json!([10, 30, 32]));
}

#[test]
fn within_a_load_event_time_decides_and_what_came_before_and_after_it_is_told_apart() {
    let world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("live", NOON + 5 * MINUTE)]);
    let rows = [sale("l2", NOON + 2 * MINUTE), sale("l1", NOON), sale("l3", NOON + 9 * MINUTE)];
    let token = world.loads("sales", Some("history"), &rows).token.unwrap();
    // l1 and l2 in the order of time; live saw nothing; l3 sees all that are earlier.
    assert_eq!(seen(&world, &token), json!([0, 1, 0, 3]));
    let token = world.ingests("sales", &[sale("after", NOON + MINUTE)]).token;
    assert_eq!(
        seen(&world, &token),
        json!([0, 1, 1, 0, 3]),
        "a later arrival moves nothing of the load's rows"
    );
}

#[test]
fn a_null_in_the_inner_key_makes_everything_carried_null_and_the_event_still_counts() {
    let world = World::new(DEFINITIONS);
    let token =
        world.ingests("sales", &[sale("a", NOON), changed(sale("b", NOON + 1), "shop", Json::Null)]).token;
    let features = features(&world, "of_product", "tea", NOON + DAY, &token);
    assert_eq!(features["rush__seen"], json!([0]));
    assert_eq!((&features["rush__known"], &features["rush__events"]), (&json!(1), &json!(2)));
}

#[test]
fn an_event_that_comes_twice_is_seen_once() {
    let world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("a", NOON), sale("a", NOON)]);
    let token = world.ingests("sales", &[sale("a", NOON), sale("b", NOON + 1)]).token;
    assert_eq!(seen(&world, &token), json!([0, 1]));
}

#[test]
fn a_chain_that_is_applied_later_is_built_to_the_same_values() {
    let mut world = World::with_limits(DEFINITIONS, Limits { bulk_rows: 7, ..limits() });
    let rows: Vec<Json> = (0..40).map(|at| sale(&format!("l{at}"), NOON - at * 11 * MINUTE)).collect();
    world.loads("sales", Some("history"), &rows);
    let live: Vec<Json> = (0..40).map(|at| sale(&format!("e{at}"), NOON + (at * 7 % 13) * MINUTE)).collect();
    world.ingests("sales", &live[..20]);
    let twins = DEFINITIONS.split("---").skip(3).collect::<Vec<_>>().join("---");
    let twins =
        twins.replace("busy", "twin_busy").replace("rush", "twin_rush").replace("of_product", "of_twin");
    world.applies(&twins);
    world.ingests("sales", &live[20..30]);
    world.dies_and_returns();
    let token = world.ingests("sales", &live[30..]).token;
    let of = |service: &str, view: &str| {
        let features = features(&world, service, "tea", NOON + 9 * DAY, &token);
        features
            .into_iter()
            .map(|(column, value)| (column.replace(view, ""), value))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(of("of_twin", "twin_rush"), of("of_product", "rush"));
}

#[test]
fn an_outer_view_alone_is_built_over_an_inner_one_that_is_there() {
    let mut world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("a", NOON), sale("b", NOON + 1)]);
    world.applies("kind: view\nname: later\nentity: product\nsource: sales\nenrich: ['busy:count_1h']\nlatest: [busy__count_1h, amount]\n---\nkind: service\nname: of_later\nviews: [later]\n");
    let token = world.ingests("sales", &[sale("c", NOON - 1)]).token;
    assert_eq!(features(&world, "of_later", "tea", NOON + DAY, &token)["later__busy__count_1h"], 1);
    let token = world.ingests("sales", &[sale("d", NOON + 2)]).token;
    assert_eq!(features(&world, "of_later", "tea", NOON + DAY, &token)["later__busy__count_1h"], 3);
}

#[test]
fn a_carried_value_can_be_a_key_and_views_stand_three_deep() {
    let mut world = World::new(DEFINITIONS);
    world.applies(
        "kind: view\nname: home\nentity: product\nsource: sales\nlatest: [shop]\n---\nkind: view\nname: homes\nentity: shop\nkeys: [home__shop]\nsource: sales\nenrich: [home]\naggregate: [{ operations: [count], windows: [1d], as: n }]\n---\nkind: view\nname: top\nentity: product\nsource: sales\nenrich: [homes, home]\naggregate: [{ column: homes__n, operations: [first_k(9)], windows: [1d], as: seen }, { column: home__shop, operations: [first_k(9)], windows: [1d], as: homes }]\n---\nkind: service\nname: of_top\nviews: [top]\n",
    );
    let events: Vec<Json> = [("a", "x"), ("b", "x"), ("c", "y"), ("d", "x"), ("e", "y")]
        .into_iter()
        .zip(0..)
        .map(|((id, shop), at)| changed(sale(id, NOON + at), "shop", shop))
        .collect();
    world.ingests("sales", &events[..2]);
    let token = world.ingests("sales", &events[2..]).token;
    let features = features(&world, "of_top", "tea", NOON + HOUR, &token);
    // Where tea was sold before: -, x, x, y, x. How many sales of things from there came before: b asks for x: none.
    assert_eq!(features["top__homes"], json!(["x", "x", "y", "x"]));
    assert_eq!(features["top__seen"], json!([0, 1, 0, 2]));
}

#[test]
fn a_sum_that_no_integer_holds_is_null_for_the_event_and_stops_nothing() {
    let world = World::new(DEFINITIONS);
    let huge = |id: &str, at: i64| changed(sale(id, NOON + at), "amount", i64::MAX);
    world.ingests("sales", &[huge("a", 0), huge("b", 1)]);
    let token = world.ingests("sales", &[sale("c", NOON + 2), sale("d", NOON + 3)]).token;
    let features = features(&world, "of_product", "tea", NOON + HOUR, &token);
    assert_eq!(features["rush__most"], json!(i64::MAX), "b saw one of them; c and d saw no sum");
    assert_eq!(features["rush__seen"], json!([0, 1, 2, 3]));
}

#[test]
fn a_training_set_of_the_truth_as_it_is_known_now_carries_what_was_known_then() {
    let world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("a", NOON), sale("c", NOON + 2)]);
    world.ingests("sales", &[sale("b", NOON + 1)]);
    let now = trained(&world, "of_product", "tea", NOON + 2, ArrivalRule::Any);
    assert_eq!(now["rush__seen"].to_json(), json!([0, 1]), "b counts, and it carries what it carried");
    let then = BTreeMap::from([("sales".to_owned(), 4)]);
    let then = trained(&world, "of_product", "tea", NOON + 9, ArrivalRule::Before(then));
    assert_eq!(then["rush__seen"].to_json(), json!([0, 1]), "views take a place in the log as well");
}

#[test]
fn lost_states_of_a_chain_are_made_again_where_the_log_was_shortened() {
    let limits = Limits { log_retention_records: 0, archive_rows: 50, ..limits() };
    let log = LogOptions { segment_bytes: 4 << 10, ..LogOptions::default() };
    let mut world = World::with_log(DEFINITIONS, limits, log);
    let q = NOON + DAY;
    let mut token = String::new();
    for round in 0..400 {
        let event = |at: i64| {
            let sold = sale(&format!("s{round} {at}"), NOON + (round * 20 + at) * SECOND);
            changed(sold, "shop", format!("shop {}", at % 3))
        };
        token = world.ingests("sales", &(0..20).map(event).collect::<Vec<_>>()).token;
        let tea = json!({ "product": "tea" });
        world.reads_service("of_product", &[tea], Timestamp(q), Some(&token)).unwrap();
        if world.log_start("sales") > 500 {
            break;
        }
    }
    assert!(world.log_start("sales") > 500);
    let before = features(&world, "of_product", "tea", q, &token);
    world.loses_its_states();
    world.block_on(world.features().built()).unwrap();
    assert_eq!(features(&world, "of_product", "tea", q, &token), before);
}
