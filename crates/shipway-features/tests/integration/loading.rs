//! Bulk loads: exactly once, beside live events, and views that come after the fact.

use serde_json::{Value as Json, json};
use shipway_core::Timestamp;

use crate::world::{DAY, DEFINITIONS, HOUR, SECOND, World, sale, shop, value};

const NOON: i64 = 90 * DAY + 12 * HOUR;

fn month(count: i64) -> Vec<Json> {
    (0..count).map(|at| sale(&format!("m{at}"), NOON - at * 37 * 60 * SECOND, 0.1 * at as f64)).collect()
}

fn features(world: &World, token: Option<&str>) -> Vec<Json> {
    let read = world.reads(&[shop()], Timestamp(NOON + 1), token).unwrap();
    read.rows[0].values.iter().map(shipway_core::Value::to_json).collect()
}

#[test]
fn a_file_is_loaded_once_and_its_rows_are_visible() {
    let mut world = World::new(DEFINITIONS);
    let first = world.loads("sales", None, &month(500));
    assert_eq!((first.rows, first.already_loaded, first.visible), (500, false, true));
    let loaded = features(&world, first.token.as_deref());
    let second = world.loads("sales", None, &month(500));
    assert_eq!((second.rows, second.already_loaded), (500, true));
    assert_eq!(second.load_id, first.load_id);
    world.restarts();
    assert_eq!(features(&world, None), loaded);
    assert!(world.loads("sales", None, &month(500)).already_loaded);
    assert_eq!(world.number("SELECT count(*) FROM sales"), 500);
}

#[test]
fn loading_and_ingesting_the_same_events_give_the_same_features() {
    let loaded = World::new(DEFINITIONS);
    let token = loaded.loads("sales", Some("history"), &month(500)).token;
    let ingested = World::new(DEFINITIONS);
    let answer = ingested.ingests("sales", &month(500));
    assert_eq!(features(&loaded, token.as_deref()), features(&ingested, Some(&answer.token)));
}

#[test]
fn a_row_whose_id_is_taken_counts_once_whichever_came_first() {
    let world = World::new(DEFINITIONS);
    world.ingests("sales", &month(5));
    let mut rows = month(10);
    rows.push(sale("m9", NOON, 7.0));
    let answer = world.loads("sales", Some("l"), &rows);
    assert_eq!((answer.rows, answer.duplicates), (5, 6));
    let again = world.ingests("sales", &month(10));
    assert_eq!(again.duplicates, 10);
    let read = world.reads(&[shop()], Timestamp(NOON + 1), Some(&again.token)).unwrap();
    assert_eq!(value(&read, "shop_sales__count_lifetime"), 10);
}

#[test]
fn a_bad_row_refuses_the_whole_file_and_leaves_no_trace() {
    let world = World::new(DEFINITIONS);
    let mut rows = month(10);
    rows[7]["sold_at"] = Json::Null;
    let error = world.tries_to_load("sales", Some("l"), &rows).unwrap_err();
    assert_eq!(error.to_string(), "row 8: column sold_at: the event time is missing");
    rows[7] = sale("future", 200 * DAY, 1.0);
    let error = world.tries_to_load("sales", Some("l"), &rows).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row 8: column sold_at: the event time is further in the future than max_ahead allows"
    );
    assert_eq!(world.number("SELECT count(*) FROM sales"), 0);
    let answer = world.loads("sales", Some("l"), &month(10));
    assert_eq!((answer.rows, answer.duplicates, answer.already_loaded), (10, 0, false));
}

#[test]
fn a_plain_table_takes_the_columns_of_the_file() {
    let world = World::new(DEFINITIONS);
    let rows = [json!({ "flight": "a", "late": true }), json!({ "flight": "b", "late": false })];
    let answer = world.loads("spine", None, &rows);
    assert_eq!((answer.rows, answer.token, answer.visible), (2, None, true));
    assert!(world.loads("spine", None, &rows).already_loaded);
    assert_eq!(world.number("SELECT count(*) FROM spine WHERE late"), 1);
    assert!(world.tries_to_load("sales__late", None, &rows).is_err());
    assert!(world.tries_to_load("../x", None, &rows).is_err());
    assert!(world.tries_to_load("spine", Some("a b"), &rows).is_err());
}

pub(crate) const TWIN: &str = "
kind: view
name: twin
entity: shop
source: sales
aggregate:
  - operations: [count]
    windows: [10m, 1h, 12h, 14d, lifetime]
  - column: amount
    operations: [sum, avg, stddev, min, max]
    windows: [10m, 1h, 14d]
---
kind: service
name: twins
views: [shop_sales, twin]
";

#[test]
fn a_view_applied_after_the_fact_equals_one_that_was_always_there() {
    let mut world = World::new(DEFINITIONS);
    world.loads("sales", None, &month(300));
    let live: Vec<Json> = (0..300).map(|at| sale(&format!("l{at}"), NOON - at * SECOND, 1.0 / 3.0)).collect();
    world.ingests("sales", &live);
    world.begins_to_apply(TWIN);
    world.dies_and_returns();
    world.block_on(world.features().built()).unwrap();
    let token = world.ingests("sales", &[sale("one more", NOON, 5.0)]).token;
    let row = json!({ "country": "nl", "number": 1 });
    let read = world.reads_service("twins", &[row], Timestamp(NOON + 1), Some(&token)).unwrap();
    let mut compared = 0;
    for column in read.columns.iter().filter(|column| column.starts_with("twin__")) {
        assert_eq!(value(&read, column), value(&read, &column.replace("twin__", "shop_sales__")), "{column}");
        compared += 1;
    }
    assert_eq!(compared, 20);
    assert_eq!(value(&read, "twin__count_lifetime"), 601);
}
