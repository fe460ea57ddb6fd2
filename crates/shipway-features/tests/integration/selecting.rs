//! Sources that are selected from other ones: each event asked once, whatever happens in between, and joined as of its own time.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value as Json, json};
use shipway_core::{Failure as _, Kind, Timestamp};
use shipway_features::{Limits, SelectionState, SourceStatus};

use crate::world::{DAY, HOUR, MINUTE, SECOND, World, limits};

const NOON: i64 = 90 * DAY + 12 * HOUR;

const BASE: &str = "
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
---
kind: source
name: products
event_time: at
columns: { at: timestamp, product: text, tier: text }
---
kind: view
name: product_info
entity: product
source: products
latest: [tier]
";

const SELECTED: &str = "
kind: source
name: large
event_time: at
event_id: id
select: |
  SELECT sales.*, amount * 2 AS twice, info.tier
  FROM sales LEFT JOIN product_info AS info ON info.product = sales.product
  WHERE amount >= 10
---
kind: view
name: shop_large
entity: shop
source: large
aggregate:
  - { operations: [count], windows: [lifetime], as: larges }
  - { column: twice, operations: [sum], windows: [lifetime], as: twice }
  - { operations: [count], windows: [lifetime], by: tier, as: by_tier }
---
kind: service
name: of_shop
views: [shop_large]
";

fn defined() -> String {
    format!("{BASE}\n---\n{SELECTED}")
}

fn sale(id: &str, time_us: i64, amount: i64) -> Json {
    json!({ "id": id, "at": Timestamp(time_us).to_string(), "shop": "a", "product": "tea", "amount": amount })
}

fn tier(time_us: i64, tier: &str) -> Json {
    json!({ "at": Timestamp(time_us).to_string(), "product": "tea", "tier": tier })
}

fn status(world: &World, source: &str) -> SourceStatus {
    world.features().status().into_iter().find(|status| status.source.as_str() == source).unwrap()
}

/// Waits until what came to a source can be read.
fn settles(world: &World, source: &str) {
    while status(world, source).lag > 0 {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until everything that came is asked, and what came out can be read.
fn follows(world: &World, source: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let status = status(world, source);
        let selection = status.selection.clone().unwrap();
        let is_behind = selection.state != SelectionState::Following || selection.lag > 0 || status.lag > 0;
        if !is_behind {
            return;
        }
        assert!(Instant::now() < until, "{status:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// How many came out, the sum of what was computed, and how many of each tier.
fn counted(world: &World) -> Json {
    follows(world, "large");
    world.block_on(world.features().built()).unwrap();
    let read = world.reads_service("of_shop", &[json!({ "shop": "a" })], Timestamp(100 * DAY), None).unwrap();
    Json::Array(read.rows[0].values.iter().map(shipway_core::Value::to_json).collect())
}

#[test]
fn every_event_is_asked_once_also_after_crashes_and_clean_stops() {
    let mut world = World::new(&defined());
    let sales: Vec<Json> = (0..20).map(|number| sale(&format!("s{number}"), NOON + number, number)).collect();
    world.ingests("sales", &sales);
    assert_eq!(counted(&world), json!([10, 290, null]));
    for restart in [World::dies_and_returns as fn(&mut World), World::restarts] {
        restart(&mut world);
        assert_eq!(counted(&world)[0], 10);
    }
    world.ingests("sales", &[sale("s19", NOON, 19), sale("new", NOON, 50), sale("small", NOON, 1)]);
    assert_eq!(counted(&world), json!([11, 390, null]));
}

#[test]
fn features_are_joined_as_of_the_time_of_each_event() {
    let world = World::new(&defined());
    world.ingests("products", &[tier(NOON, "silver"), tier(NOON + HOUR, "gold")]);
    world.block_on(world.features().built()).unwrap();
    settles(&world, "products");
    let sales = [
        sale("before", NOON - SECOND, 10),
        sale("at", NOON, 10),
        sale("after", NOON + MINUTE, 10),
        sale("later", NOON + 2 * HOUR, 10),
    ];
    world.ingests("sales", &sales);
    assert_eq!(
        counted(&world)[2],
        json!({ "silver": 1, "gold": 1 }),
        "a row at the very moment is not before it"
    );
    let other =
        json!({ "id": "null", "at": Timestamp(NOON + 2 * HOUR).to_string(), "shop": "a", "amount": 10 });
    world.ingests("sales", &[other]);
    assert_eq!(counted(&world)[0], 5, "an event without a key is joined with nothing");
    assert_eq!(counted(&world)[2], json!({ "silver": 1, "gold": 1 }));
}

#[test]
fn what_the_states_cannot_say_any_more_comes_from_history() {
    let world = World::new(&defined());
    let tiers: Vec<Json> =
        (0..200).map(|number| tier(NOON + number * MINUTE, &format!("t{number}"))).collect();
    for tiers in tiers.chunks(20) {
        world.ingests("products", tiers);
    }
    settles(&world, "products");
    world.ingests(
        "sales",
        &[sale("early", NOON + 5 * MINUTE + SECOND, 10), sale("late", NOON + 500 * MINUTE, 10)],
    );
    assert_eq!(counted(&world)[2], json!({ "t5": 1, "t199": 1 }));
}

#[test]
fn history_and_loads_of_the_source_come_out_once() {
    let mut world = World::new(BASE);
    let load: Vec<Json> = (0..50).map(|number| sale(&format!("l{number}"), NOON + number, number)).collect();
    world.loads("sales", Some("first"), &load);
    world.ingests("products", &[tier(NOON - DAY, "silver")]);
    settles(&world, "products");
    world.ingests("sales", &[sale("live", NOON, 11), sale("small", NOON, 2)]);
    world.applies(SELECTED);
    assert_eq!(counted(&world), json!([41, 2382, { "silver": 41 }]));
    world.dies_and_returns();
    let more: Vec<Json> = (45..60).map(|number| sale(&format!("l{number}"), NOON + number, number)).collect();
    world.loads("sales", Some("second"), &more);
    world.ingests("sales", &[sale("behind", NOON, 100)]);
    assert_eq!(counted(&world)[0], 52, "ids that came before count once");
    world.restarts();
    assert_eq!(counted(&world)[0], 52);
}

#[test]
fn a_source_that_is_selected_takes_nothing_else() {
    let world = World::new(&defined());
    let refused = world.tries_to_ingest("large", &[sale("x", NOON, 10)]).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Conflict, "features.selected_source"));
    let refused = world.tries_to_load("large", None, &[sale("x", NOON, 10)]).unwrap_err();
    assert_eq!(refused.code(), "features.selected_source");
    assert_eq!(counted(&world)[0], 0);
}

#[test]
fn what_comes_out_and_is_no_event_is_a_dead_letter() {
    let without_time = SELECTED
        .replace("sales.*,", "id, CASE WHEN amount < 20 THEN sales.at END AS at, shop, product, amount,");
    let mut world = World::new(&format!("{BASE}\n---\n{without_time}"));
    // The last one is seen, so those before it are done with.
    world.ingests("sales", &[sale("dead", NOON, 25), sale("small", NOON, 5), sale("fine", NOON, 15)]);
    assert_eq!(counted(&world)[0], 1);
    // What is archived when a server stops is what its archiver has read by then.
    for _ in 0..10 {
        world.restarts();
        if world.has_table("large__dead_letters") {
            break;
        }
    }
    let letters =
        "SELECT count(*) FROM large__dead_letters WHERE code = 'features.event_refused' AND topic = 'sales'";
    assert_eq!(world.number(letters), 1);
}

#[test]
fn a_changed_text_holds_from_the_next_event_on() {
    let mut world = World::new(&defined());
    world.ingests("sales", &[sale("one", NOON, 10), sale("two", NOON, 5)]);
    assert_eq!(counted(&world)[0], 1);
    world.replaces(&defined().replace(">= 10", "< 10"));
    world.ingests("sales", &[sale("three", NOON, 5), sale("four", NOON, 50)]);
    assert_eq!(counted(&world)[0], 2, "what came out before stays");
}

#[test]
fn a_column_that_the_source_gains_moves_no_feature_that_is_joined() {
    let mut world = World::new(&defined());
    world.ingests("products", &[tier(NOON - DAY, "silver")]);
    settles(&world, "products");
    world.ingests("sales", &[sale("one", NOON, 10)]);
    assert_eq!(counted(&world), json!([1, 20, { "silver": 1 }]));
    world.replaces(&defined().replace("amount: int }", "amount: int, note: text }"));
    let mut noted = sale("two", NOON, 20);
    noted["note"] = "gold".into();
    world.ingests("sales", &[noted]);
    assert_eq!(counted(&world), json!([2, 60, { "silver": 2 }]));
    world.restarts();
    assert_eq!(
        world.number("SELECT count(*) FROM large WHERE note = 'gold'"),
        1,
        "SELECT sales.* gives it, too"
    );
}

#[test]
fn a_selection_of_a_selection_follows_it() {
    let again = "kind: source\nname: largest\nevent_time: at\nselect: SELECT at, shop, twice FROM large WHERE twice > 100\n---\nkind: view\nname: shop_largest\nentity: shop\nsource: largest\naggregate: [{ operations: [count], windows: [lifetime] }]\n---\nkind: service\nname: largest_of_shop\nviews: [shop_largest]\n";
    let world = World::new(&format!("{}\n---\n{again}", defined()));
    world.ingests("sales", &[sale("a", NOON, 10), sale("b", NOON, 51), sale("c", NOON, 60)]);
    follows(&world, "large");
    follows(&world, "largest");
    let read = world
        .reads_service("largest_of_shop", &[json!({ "shop": "a" })], Timestamp(100 * DAY), None)
        .unwrap();
    assert_eq!(read.rows[0].values[0].to_json(), 2);
}

#[test]
fn the_log_keeps_what_was_not_asked_yet() {
    let limits = Limits { log_retention_records: 0, ..limits() };
    let mut world = World::with_limits(&defined(), limits);
    world.ingests("sales", &[sale("first", NOON, 10)]);
    assert_eq!(counted(&world)[0], 1);
    for round in 0..40 {
        let sales: Vec<Json> =
            (0..20).map(|number| sale(&format!("r{round}-{number}"), NOON + number, 10)).collect();
        world.ingests("sales", &sales);
        if round % 10 == 9 {
            world.dies_and_returns();
        }
    }
    assert_eq!(counted(&world)[0], 801);
}

#[test]
fn nothing_is_lost_or_doubled_when_the_server_dies_again_and_again() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new(&defined());
    let (mut expected, mut twice, mut number) = (0, 0, 0);
    for _ in 0..12 {
        for _ in 0..random.random_range(1..6) {
            let mut sales = Vec::new();
            for _ in 0..random.random_range(1..200) {
                number += 1;
                let amount = random.random_range(0..20_i64);
                if amount >= 10 {
                    (expected, twice) = (expected + 1, twice + 2 * amount);
                }
                sales.push(sale(&format!("n{number}"), NOON + number, amount));
            }
            if random.random_bool(0.2) {
                world.loads("sales", Some(&format!("load-{number}")), &sales);
            } else {
                world.ingests("sales", &sales);
            }
        }
        thread::sleep(Duration::from_millis(random.random_range(0..30)));
        world.dies_and_returns();
    }
    assert_eq!(counted(&world), json!([expected, twice, null]), "seed {seed}");
}
