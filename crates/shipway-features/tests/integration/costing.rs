//! What building a view would cost, and what a source that was dropped takes.

use shipway_core::Timestamp;
use shipway_definitions::{DefinitionKind, Versioned, View};
use shipway_features::{BuildCost, FeaturesError};

use crate::world::{DAY, DEFINITIONS, HOUR, World, parse, sale, shop, value};

const DAYS: &str = "
kind: view
name: daily
entity: shop
source: sales
aggregate: [{ operations: [count], windows: [1d] }]
";
const FOREVER: &str = "
kind: view
name: forever
entity: shop
source: sales
aggregate: [{ operations: [count], windows: [lifetime] }]
";

fn view(text: &str, name: &str) -> Versioned<View> {
    (**parse(&format!("{DEFINITIONS}---\n{text}")).view(name).unwrap()).clone()
}

fn cost(world: &World, view: &Versioned<View>) -> Option<BuildCost> {
    world.block_on(world.features().build_cost(view)).unwrap()
}

/// Two loads, so two files: old days, and the last ones.
fn loaded() -> World {
    let world = World::new(DEFINITIONS);
    let rows = |name: &str, from: i64, count: i64| -> Vec<serde_json::Value> {
        (0..count).map(|row| sale(&format!("{name}{row}"), from + row * HOUR, 1.0)).collect()
    };
    world.loads("sales", Some("old"), &rows("old", 75 * DAY, 300));
    world.loads("sales", Some("new"), &rows("new", 95 * DAY, 100));
    world
}

#[test]
fn a_build_costs_the_files_that_reach_into_what_the_view_looks_at() {
    let world = loaded();
    let daily = cost(&world, &view(DAYS, "daily")).unwrap();
    assert_eq!((daily.rows, daily.files), (100, 1));
    let forever = cost(&world, &view(FOREVER, "forever")).unwrap();
    assert_eq!((forever.rows, forever.files), (400, 2));
    assert!(forever.bytes > daily.bytes && daily.bytes > 0);
}

#[test]
fn a_state_that_is_there_already_costs_nothing() {
    let mut world = loaded();
    let daily = view(DAYS, "daily");
    assert!(cost(&world, &daily).is_some());
    world.applies(DAYS);
    world.settles();
    assert_eq!(cost(&world, &daily), None);
}

#[test]
fn the_first_estimate_is_assumed_and_the_next_is_measured() {
    let mut world = World::new(DEFINITIONS);
    let rows: Vec<_> = (0..2_000).map(|row| sale(&format!("{row}"), 90 * DAY + row, 1.0)).collect();
    world.loads("sales", Some("history"), &rows);
    let assumed = cost(&world, &view(FOREVER, "forever")).unwrap();
    assert_eq!((assumed.measured_builds, assumed.rows), (0, 2_000));
    assert_eq!(assumed.seconds, 2_000.0 / assumed.rows_per_second);
    world.applies(FOREVER);
    world.settles();
    let measured = cost(&world, &view(DAYS, "daily")).unwrap();
    assert_eq!(measured.measured_builds, 1);
    assert!(measured.rows_per_second > 0.0);
}

#[test]
fn a_source_that_does_not_run_yet_has_no_history() {
    let world = World::new(DEFINITIONS);
    let text = DEFINITIONS.replace("name: sales", "name: later").replace("source: sales", "source: later");
    let later = (**parse(&text).view("shop_sales").unwrap()).clone();
    assert_eq!(cost(&world, &later).unwrap().rows, 0);
}

#[test]
fn a_source_that_was_dropped_takes_nothing_in_and_what_was_made_with_it_is_still_read() {
    let mut world = World::new(DEFINITIONS);
    let token = world.loads("sales", Some("first"), &[sale("a", 90 * DAY, 2.0)]).token;
    world.reads(&[shop()], Timestamp(90 * DAY + 1), token.as_deref()).unwrap();

    world.drops(DefinitionKind::Source, "sales");

    let refused = world.tries_to_ingest("sales", &[sale("b", 90 * DAY, 1.0)]).unwrap_err();
    assert!(matches!(refused, FeaturesError::UnknownSource { .. }), "{refused}");
    let refused = world.tries_to_load("sales", Some("l"), &[sale("b", 90 * DAY, 1.0)]).unwrap_err();
    assert!(matches!(refused, FeaturesError::UnknownSource { .. }), "its table is no plain table: {refused}");
    let read = world.reads(&[shop()], Timestamp(90 * DAY + 1), None).unwrap();
    assert_eq!(value(&read, "shop_sales__count_1h"), 1);
    assert_eq!(world.number("SELECT count(*) FROM sales"), 1, "its history stays");

    world.applies("kind: entity\nname: nothing\nkeys: { id: int }");
    assert_eq!(
        world.ingests("sales", &[sale("b", 90 * DAY, 1.0)]).acknowledged,
        1,
        "defined again, it goes on"
    );
}
