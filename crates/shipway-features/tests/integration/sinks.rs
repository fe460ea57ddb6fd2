//! Rows for whoever they are sent on to: what reads answer, nothing left out, in a table exactly once.

mod tables;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use shipway_core::{DataType, Name, Timestamp};
use shipway_features::{Limits, SinkOrigin, SinkRows, SinkRun, SinkSpec, SinkUnit};
use shipway_log::LogOptions;
use tokio::sync::Semaphore;

use crate::world::{DAY, DEFINITIONS, HOUR, MINUTE, SECOND, World, limits, sale, shop};

const NOW: i64 = 100 * DAY;
const WITHIN: Duration = Duration::from_secs(60);
const A_WHILE: Duration = Duration::from_millis(300);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn of_view(view: &str) -> SinkSpec {
    SinkSpec { name: name("rows"), origin: SinkOrigin::View(name(view)), into: None, every: None }
}

fn keeps(world: &World, sinks: &[SinkSpec]) {
    world.block_on(world.features().keep_sinks(sinks)).unwrap();
}

fn opens(world: &World, sink: &SinkSpec) -> SinkRows {
    world.block_on(world.features().open_sink(sink)).unwrap()
}

/// The next run, which comes in time.
fn next(world: &World, rows: &mut SinkRows) -> SinkRun {
    world.block_on(async { tokio::time::timeout(WITHIN, rows.next()).await.unwrap() }).unwrap()
}

/// Nothing comes.
fn is_silent(world: &World, rows: &mut SinkRows) {
    let waited = world.block_on(async { tokio::time::timeout(A_WHILE, rows.next()).await });
    assert!(waited.is_err(), "{waited:?}");
}

fn column(run: &SinkRun, wanted: &str) -> usize {
    let found = run.columns.iter().position(|(name, _)| name == wanted);
    found.unwrap_or_else(|| panic!("{wanted} is not among {:?}", run.columns))
}

/// A column of every row.
fn all(run: &SinkRun, wanted: &str) -> Vec<Json> {
    let place = column(run, wanted);
    run.rows.iter().map(|row| row[place].to_json()).collect()
}

fn in_shop(number: i64, id: &str, time_us: i64) -> Json {
    let mut event = sale(id, time_us, 2.5);
    event["number"] = number.into();
    event
}

fn position(world: &World) -> (u64, u64) {
    let standing = world.features().sink_standing(&name("rows")).unwrap();
    (standing.position, standing.lag)
}

#[test]
fn a_row_is_what_a_read_answers_and_holds_every_event_that_has_arrived() {
    let world = World::new(DEFINITIONS);
    world.ingests("sales", &[in_shop(1, "before", NOW - HOUR)]);
    keeps(&world, &[of_view("shop_sales")]);
    let mut rows = opens(&world, &of_view("shop_sales"));
    // Of one key twice, of another one once; and one that lies ahead of the clock.
    world.ingests(
        "sales",
        &[in_shop(2, "a", NOW - MINUTE), in_shop(1, "b", NOW - 5), in_shop(2, "c", NOW + 2 * MINUTE)],
    );
    let run = next(&world, &mut rows);
    let first: Vec<&str> = run.columns.iter().take(7).map(|(name, _)| name.as_str()).collect();
    assert_eq!(first, ["country", "number", "_at", "_arrival", "_event_time", "_view", "_version"]);
    assert_eq!(*run.key, [0, 1]);
    assert_eq!(run.columns[2].1, DataType::Timestamp);
    assert_eq!(all(&run, "number"), [2, 1], "each key once, in the order of their events");
    assert_eq!(all(&run, "_view"), ["shop_sales", "shop_sales"]);
    assert_eq!(all(&run, "_version")[0], json!(world.view("shop_sales").to_string()));
    assert_eq!(run.left_out, None);
    let at = Timestamp(NOW + 2 * MINUTE + 1);
    assert_eq!(all(&run, "_at")[0], json!(at.to_string()), "just behind the newest event");
    assert_eq!(all(&run, "_event_time")[0], json!(Timestamp(NOW + 2 * MINUTE).to_string()));
    assert_eq!(all(&run, "count_lifetime"), [2, 2]);
    let mut asked = vec![shop(), shop()];
    asked[0]["number"] = 2.into();
    let read = world.reads(&asked, at, None).unwrap();
    for (row, answered) in run.rows.iter().zip(&read.rows) {
        for (place, (feature, _)) in run.columns.iter().enumerate().skip(7) {
            let held = read.columns.iter().position(|column| *column == format!("shop_sales__{feature}"));
            assert_eq!(row[place], answered.values[held.unwrap()], "{feature}");
        }
    }
    rows.sent();
    assert_eq!(position(&world).1, 0);
    is_silent(&world, &mut rows);
}

#[test]
fn what_is_not_sent_comes_again_after_a_death_and_what_is_sent_is_behind() {
    let mut world = World::new(DEFINITIONS);
    keeps(&world, &[of_view("shop_last")]);
    world.ingests("sales", &[in_shop(1, "a", NOW - 9)]);
    let mut rows = opens(&world, &of_view("shop_last"));
    assert_eq!(all(&next(&world, &mut rows), "number"), [1]);
    drop(rows);
    world.dies_and_returns();

    keeps(&world, &[of_view("shop_last")]);
    let mut rows = opens(&world, &of_view("shop_last"));
    assert_eq!(all(&next(&world, &mut rows), "number"), [1], "it was not said to be sent");
    rows.sent();
    world.block_on(rows.close()).unwrap();
    world.dies_and_returns();

    keeps(&world, &[of_view("shop_last")]);
    let mut rows = opens(&world, &of_view("shop_last"));
    is_silent(&world, &mut rows);
    world.ingests("sales", &[in_shop(3, "b", NOW - 8)]);
    assert_eq!(all(&next(&world, &mut rows), "number"), [3]);
}

#[test]
fn where_a_sink_stands_is_written_down_also_when_rows_come_without_a_pause() {
    let mut world = World::new(DEFINITIONS);
    keeps(&world, &[of_view("shop_last")]);
    let (begin, _) = position(&world);
    let mut rows = opens(&world, &of_view("shop_last"));
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < Duration::from_millis(1_500) {
        number += 1;
        world.ingests("sales", &[in_shop(number, &format!("e{number}"), NOW - HOUR + number)]);
        next(&world, &mut rows);
        rows.sent();
    }
    drop(rows);
    world.dies_and_returns();
    assert!(position(&world).0 > begin);
}

#[test]
fn rows_of_one_key_within_the_interval_are_one() {
    let world = World::new(DEFINITIONS);
    let often = SinkSpec { every: Some(Duration::from_millis(500)), ..of_view("shop_sales") };
    keeps(&world, std::slice::from_ref(&often));
    let mut rows = opens(&world, &often);
    world.ingests("sales", &[in_shop(1, "first", NOW - 100)]);
    assert_eq!(all(&next(&world, &mut rows), "count_lifetime"), [1]);
    rows.sent();
    for number in 0..5 {
        world.ingests("sales", &[in_shop(1, &format!("then {number}"), NOW - 50 + number)]);
    }
    assert_eq!(all(&next(&world, &mut rows), "count_lifetime"), [6], "the newest");
    rows.sent();
    is_silent(&world, &mut rows);
}

#[test]
fn history_is_not_sent_until_every_key_is_asked_for() {
    let world = World::new(DEFINITIONS);
    keeps(&world, &[of_view("shop_sales")]);
    let loaded: Vec<Json> =
        (0..30).map(|at| in_shop(at % 3, &format!("l{at}"), NOW - DAY + at * SECOND)).collect();
    world.loads("sales", Some("history"), &loaded);
    let mut rows = opens(&world, &of_view("shop_sales"));
    world.ingests("sales", &[in_shop(7, "live", NOW - 5)]);
    assert_eq!(all(&next(&world, &mut rows), "number"), [7], "what comes, and nothing of the load");
    rows.sent();
    is_silent(&world, &mut rows);

    world.block_on(world.features().resend_sink(&of_view("shop_sales"))).unwrap();
    let run = next(&world, &mut rows);
    let counts: BTreeMap<String, Json> = all(&run, "number")
        .into_iter()
        .map(|number| number.to_string())
        .zip(all(&run, "count_lifetime"))
        .collect();
    let expected = [("0", 10), ("1", 10), ("2", 10), ("7", 1)];
    assert_eq!(counts, expected.map(|(shop, count)| (shop.to_owned(), json!(count))).into());
    rows.sent();
    is_silent(&world, &mut rows);
    assert!(!world.features().sink_standing(&name("rows")).unwrap().is_resending);
}

#[test]
fn a_resending_that_was_cut_off_goes_on_and_lets_what_comes_pass() {
    let mut world = World::new(DEFINITIONS);
    let events: Vec<Json> =
        (0..2_500).map(|shop| in_shop(shop, &format!("e{shop}"), NOW - HOUR + shop)).collect();
    world.ingests("sales", &events);
    world.settles();
    keeps(&world, &[of_view("shop_last")]);
    world.block_on(world.features().resend_sink(&of_view("shop_last"))).unwrap();
    let mut rows = opens(&world, &of_view("shop_last"));
    let first = next(&world, &mut rows);
    assert_eq!(first.rows.len(), 1_000);
    rows.sent();
    world.ingests("sales", &[in_shop(9_999, "live", NOW - 1)]);
    assert_eq!(all(&next(&world, &mut rows), "number"), [9_999], "every other run is of what comes");
    rows.sent();
    world.block_on(rows.close()).unwrap();
    world.dies_and_returns();

    keeps(&world, &[of_view("shop_last")]);
    let mut rows = opens(&world, &of_view("shop_last"));
    let mut shops = all(&first, "number");
    while world.features().sink_standing(&name("rows")).unwrap().is_resending {
        let waited = world.block_on(async { tokio::time::timeout(A_WHILE * 5, rows.next()).await });
        let Ok(run) = waited else { continue };
        shops.extend(all(&run.unwrap(), "number"));
        rows.sent();
    }
    let mut shops: Vec<i64> =
        shops.iter().map(|shop| shop.as_i64().unwrap()).filter(|shop| *shop < 2_500).collect();
    shops.sort_unstable();
    // The shop of the event that `settles` sends is one of them.
    shops.dedup();
    assert_eq!(shops, (0..2_500).collect::<Vec<_>>());
}

#[test]
fn a_view_that_has_no_state_yet_is_waited_for() {
    let steps = Arc::new(Semaphore::new(0));
    let limits = Limits { build_steps: Some(Arc::clone(&steps)), ..limits() };
    let mut world = World::with_limits(DEFINITIONS, limits);
    let history: Vec<Json> = (0..50).map(|at| in_shop(1, &format!("h{at}"), NOW - HOUR + at)).collect();
    world.ingests("sales", &history);
    world.begins_to_apply("kind: view\nname: late\nentity: shop\nsource: sales\naggregate: [{ operations: [count], windows: [lifetime] }]\n");
    keeps(&world, &[of_view("late")]);
    let mut rows = opens(&world, &of_view("late"));
    world.ingests("sales", &[in_shop(1, "live", NOW - 5)]);
    is_silent(&world, &mut rows);
    let standing = world.features().sink_standing(&name("rows")).unwrap();
    assert_eq!(standing.waits_for.unwrap(), "view late to be built");
    steps.add_permits(1_000);
    assert_eq!(all(&next(&world, &mut rows), "count_lifetime"), [51], "its history, and what came meanwhile");
}

#[test]
fn a_new_version_is_sent_from_the_moment_at_which_it_has_its_state() {
    let mut world = World::new(DEFINITIONS);
    keeps(&world, &[of_view("shop_last")]);
    let mut rows = opens(&world, &of_view("shop_last"));
    world.ingests("sales", &[in_shop(1, "a", NOW - 9)]);
    let before = next(&world, &mut rows);
    rows.sent();
    world.replaces(&DEFINITIONS.replace("latest: [amount, product, tags]", "latest: [amount, items]"));
    world.block_on(world.features().built()).unwrap();
    keeps(&world, &[of_view("shop_last")]);
    world.ingests("sales", &[in_shop(1, "b", NOW - 8)]);
    let after = next(&world, &mut rows);
    assert_eq!(all(&after, "_version"), [world.view("shop_last").to_string()]);
    assert_ne!(all(&after, "_version"), all(&before, "_version"));
    assert_eq!(all(&after, "items"), [1]);
    assert!(after.columns.iter().all(|(name, _)| name != "product"));
}

#[test]
fn one_key_whose_features_cannot_be_given_keeps_no_other_from_being_sent() {
    let world = World::new(DEFINITIONS);
    keeps(&world, &[of_view("shop_sales")]);
    let mut rows = opens(&world, &of_view("shop_sales"));
    let mut events = vec![in_shop(1, "a", NOW - 9), in_shop(1, "b", NOW - 8), in_shop(2, "c", NOW - 7)];
    events[0]["items"] = i64::MAX.into();
    events[1]["items"] = i64::MAX.into();
    world.ingests("sales", &events);
    let mut sent = Vec::new();
    let mut left_out = 0;
    while sent.is_empty() {
        let run = next(&world, &mut rows);
        sent.extend(all(&run, "number"));
        if let Some(missing) = run.left_out {
            assert_eq!(missing.code, "aggregate.integer_overflow");
            left_out += missing.rows;
        }
        rows.sent();
    }
    assert_eq!((sent, left_out), (vec![json!(2)], 1));
}

#[test]
fn an_event_of_a_chained_view_touches_its_key_whatever_it_carries() {
    let chained = "
kind: view
name: busy
entity: shop
source: sales
aggregate: [{ operations: [count], windows: [lifetime] }]
---
kind: view
name: rush
entity: shop
source: sales
enrich: [busy]
where: busy__count_lifetime > 1 and items > 0
aggregate: [{ operations: [count], windows: [lifetime] }]
";
    let world = World::new(&format!("{DEFINITIONS}\n---{chained}"));
    keeps(&world, &[of_view("rush")]);
    let mut rows = opens(&world, &of_view("rush"));
    let mut counts = Vec::new();
    for number in 0..4 {
        world.ingests("sales", &[in_shop(1, &format!("s{number}"), NOW - 9 + number)]);
        counts.extend(all(&next(&world, &mut rows), "count_lifetime"));
        rows.sent();
    }
    assert_eq!(counts, [0, 0, 1, 2]);
}

#[test]
fn rows_are_in_a_table_once_whatever_happens_in_between() {
    let mut world = World::new(DEFINITIONS);
    let into = SinkSpec {
        into: Some(name("shop_rows")),
        every: Some(Duration::from_millis(1)),
        ..of_view("shop_sales")
    };
    keeps(&world, std::slice::from_ref(&into));
    let mut appended = 0;
    for round in 0..6 {
        let mut rows = opens(&world, &into);
        let events: Vec<Json> =
            (0..5).map(|shop| in_shop(shop, &format!("r{round} s{shop}"), NOW - HOUR + round)).collect();
        world.ingests("sales", &events);
        let run = next(&world, &mut rows);
        assert_eq!(run.rows.len(), 5);
        world.block_on(rows.append(&run)).unwrap();
        appended += 5;
        // It dies before it is written down where the sink stands: the table says so.
        drop(rows);
        world.dies_and_returns();
        keeps(&world, std::slice::from_ref(&into));
        assert_eq!(world.number("SELECT count(*) FROM shop_rows"), appended);
    }
    let rows = world.number("SELECT count(*) FROM (SELECT DISTINCT number, _arrival FROM shop_rows)");
    assert_eq!(rows, 30, "each time a row of each key");
    assert_eq!(world.number("SELECT max(count_lifetime) FROM shop_rows"), 6);

    let mut rows = opens(&world, &into);
    world.ingests("sales", &[in_shop(1, "tried twice", NOW - 4)]);
    let run = next(&world, &mut rows);
    world.block_on(rows.append(&run)).unwrap();
    drop(rows);
    let mut rows = opens(&world, &into);
    is_silent(&world, &mut rows);
    assert_eq!(world.number("SELECT count(*) FROM shop_rows"), 31);
    let refused = world.block_on(world.features().resend_sink(&into)).unwrap_err();
    assert_eq!(shipway_core::Failure::code(&refused), "features.sink_not_resent");
}

#[test]
fn a_sink_that_is_held_up_for_too_long_says_what_it_missed_and_goes_on() {
    let limits = Limits { log_retention_records: 0, sink_records: 200, archive_rows: 50, ..limits() };
    let log = LogOptions { segment_bytes: 4 << 10, ..LogOptions::default() };
    let mut world = World::with_log(DEFINITIONS, limits, log);
    keeps(&world, &[of_view("shop_last")]);
    let ingests = |world: &World, from: i64, to: i64| {
        for chunk in (from..to).collect::<Vec<_>>().chunks(20) {
            let events: Vec<Json> =
                chunk.iter().map(|at| in_shop(at % 7, &format!("e{at}"), NOW - HOUR + at)).collect();
            let token = world.ingests("sales", &events).token;
            world.reads(&[shop()], Timestamp(NOW), Some(&token)).unwrap();
        }
    };
    // Nobody reads: what is within the bound is kept, and no more.
    ingests(&world, 0, 3_000);
    let mut rows = opens(&world, &of_view("shop_last"));
    let run = next(&world, &mut rows);
    assert!(!run.rows.is_empty());
    rows.sent();
    let standing = world.features().sink_standing(&name("rows")).unwrap();
    assert_eq!(standing.unit, SinkUnit::Records);
    assert!((1..=2_800).contains(&standing.skipped), "{standing:?}");
    assert!(standing.skipped_at.is_some());
    world.block_on(rows.close()).unwrap();
    world.dies_and_returns();

    keeps(&world, &[of_view("shop_last")]);
    assert_eq!(
        world.features().sink_standing(&name("rows")).unwrap().skipped,
        standing.skipped,
        "it stays said"
    );
    world.block_on(world.features().acknowledge_sink(&name("rows"))).unwrap();
    assert_eq!(world.features().sink_standing(&name("rows")).unwrap().skipped, 0);
}

#[test]
fn what_a_sink_has_not_read_stays_in_the_log() {
    let limits = Limits { log_retention_records: 0, archive_rows: 50, ..limits() };
    let log = LogOptions { segment_bytes: 4 << 10, ..LogOptions::default() };
    let world = World::with_log(DEFINITIONS, limits, log);
    keeps(&world, &[of_view("shop_last")]);
    for round in 0..100 {
        let events: Vec<Json> =
            (0..20).map(|at| in_shop(round * 20 + at, &format!("e{round} {at}"), NOW - HOUR)).collect();
        let token = world.ingests("sales", &events).token;
        world.reads(&[shop()], Timestamp(NOW), Some(&token)).unwrap();
    }
    let mut rows = opens(&world, &of_view("shop_last"));
    let mut shops = Vec::new();
    while shops.len() < 2_000 {
        shops.extend(all(&next(&world, &mut rows), "number"));
        rows.sent();
    }
    assert_eq!(world.features().sink_standing(&name("rows")).unwrap().skipped, 0);
    assert_eq!(shops, (0..2_000).collect::<Vec<i64>>());
}

#[test]
fn a_sink_that_is_gone_is_forgotten_and_one_of_its_name_begins_anew() {
    let world = World::new(DEFINITIONS);
    keeps(&world, &[of_view("shop_last")]);
    world.ingests("sales", &[in_shop(1, "a", NOW - 9)]);
    keeps(&world, &[]);
    assert_eq!(world.features().sink_standing(&name("rows")), None);
    keeps(&world, &[of_view("shop_last")]);
    let mut rows = opens(&world, &of_view("shop_last"));
    is_silent(&world, &mut rows);
    world.ingests("sales", &[in_shop(2, "b", NOW - 8)]);
    assert_eq!(all(&next(&world, &mut rows), "number"), [2]);
    // A view of the same source is read from the same log: it goes on.
    rows.sent();
    world.block_on(rows.close()).unwrap();
    world.ingests("sales", &[in_shop(3, "c", NOW - 7)]);
    keeps(&world, &[of_view("shop_sales")]);
    let mut rows = opens(&world, &of_view("shop_sales"));
    assert_eq!(all(&next(&world, &mut rows), "number"), [3]);
}
