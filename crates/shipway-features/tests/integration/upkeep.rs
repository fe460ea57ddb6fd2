//! History keeps itself healthy, and nobody who reads it notices.

use std::time::{Duration, Instant};

use shipway_core::Failure as _;
use shipway_features::Limits;

use crate::world::{DAY, DEFINITIONS, MINUTE, World, limits, sale};

const NOON: i64 = 90 * DAY;

/// So many files, one for each append.
fn with_files(world: &World, count: i64) {
    for number in 0..count {
        world.ingests("sales", &[sale(&format!("s{number}"), NOON + number * MINUTE, 1.0)]);
        world.block_on(world.features().archive_everything()).unwrap();
    }
}

fn files(world: &World, table: &str) -> u64 {
    world.block_on(world.features().lake().table(table)).unwrap().files
}

#[test]
fn files_are_joined_in_the_background_while_events_come_in() {
    let every = Some(Duration::from_millis(20));
    let world = World::with_limits(DEFINITIONS, Limits { upkeep_every: every, ..limits() });
    with_files(&world, 12);

    let deadline = Instant::now() + Duration::from_secs(60);
    while files(&world, "sales") >= 12 {
        assert!(Instant::now() < deadline, "{:?}", world.features().upkeep());
        world.block_on(tokio::time::sleep(Duration::from_millis(10)));
    }

    assert_eq!(world.number("SELECT count(distinct sale_id) FROM sales"), 12);
    assert_eq!(world.number("SELECT count(*) FROM sales"), 12);
    let book = world.features().upkeep();
    assert!(book.iter().any(|table| table.table == "sales" && table.files_removed >= 8), "{book:?}");
}

#[test]
fn the_archiver_goes_on_where_it_was_after_upkeep_and_a_restart() {
    let mut world = World::with_limits(DEFINITIONS, Limits { upkeep_every: None, ..limits() });
    with_files(&world, 5);

    let done = world.block_on(world.features().maintain("sales")).unwrap();
    assert_eq!((done.files_removed, done.files_added, files(&world, "sales")), (5, 1, 1));
    world.dies_and_returns();
    world.ingests("sales", &[sale("s4", NOON, 1.0), sale("new", NOON, 1.0)]);
    world.block_on(world.features().archive_everything()).unwrap();

    assert_eq!(world.number("SELECT count(*) FROM sales"), 6);
    assert_eq!(world.number("SELECT count(distinct sale_id) FROM sales"), 6);
}

#[test]
fn a_table_that_does_not_exist_is_named_with_the_nearest_and_not_noted() {
    let world = World::new(DEFINITIONS);
    let refused = world.block_on(world.features().maintain("saels")).unwrap_err();
    assert_eq!(
        (refused.code(), refused.hint().as_deref()),
        ("lake.table_unknown", Some("did you mean sales?"))
    );
    assert!(world.features().upkeep().iter().all(|table| table.table != "saels"));
}
