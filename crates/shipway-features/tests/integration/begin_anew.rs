//! States that are gone, while the log has dropped what they were made of.

use serde_json::{Value as Json, json};
use shipway_core::{DataType, Name, Timestamp, Value};
use shipway_features::{Delivery, Feed, Limits, Message};
use shipway_log::LogOptions;

use crate::world::{DAY, DEFINITIONS, HOUR, World, limits, sale};

const NOW: i64 = 100 * DAY;
const SHOPS: i64 = 7;
const DELIVERED: u64 = 40;

/// A world whose log keeps next to nothing.
fn forgetful() -> World {
    let limits = Limits { log_retention_records: 0, archive_rows: 50, ..limits() };
    World::with_log(DEFINITIONS, limits, LogOptions { segment_bytes: 4 << 10, ..LogOptions::default() })
}

fn feed() -> Feed {
    Feed::of("main", "sales")
}

/// Messages of a broker, the first things that ever come.
fn delivers(world: &World) {
    let columns = [
        ("sale_id", DataType::Text),
        ("sold_at", DataType::Timestamp),
        ("country", DataType::Text),
        ("number", DataType::Int),
        ("amount", DataType::Float),
    ];
    let columns = columns.map(|(name, data_type)| (Name::new(name).unwrap(), data_type)).to_vec();
    let message = |offset: u64| {
        let time = Value::Timestamp(Timestamp(NOW - 2 * HOUR));
        let values = vec![
            Value::text(format!("d{offset}")),
            time,
            Value::text("nl"),
            Value::Int(1),
            Value::float(1.0),
        ];
        Message { partition: 3, offset, sent: None, key: None, message: None, content: Ok(Some(values)) }
    };
    let messages = (0..DELIVERED).map(message).collect();
    let delivery = Delivery { feed: feed(), topic: "sales".to_owned(), generation: 1, columns, messages };
    world.block_on(world.features().claim_partition("sales", feed(), 1, 3)).unwrap();
    world.block_on(world.features().deliver("sales", delivery)).unwrap();
}

fn in_shop(number: i64, id: &str, time: i64) -> Json {
    let mut event = sale(id, time, 2.0);
    event["number"] = number.into();
    event
}

/// Sales until the log has dropped most of them; the token of the last.
fn sells_until_the_log_is_short(world: &World) -> String {
    let mut token = String::new();
    for round in 0..400 {
        let events: Vec<Json> = (0..20)
            .map(|at| {
                in_shop((round + at) % SHOPS, &format!("e{round} {at}"), NOW - HOUR + round * 1_000 + at)
            })
            .collect();
        token = world.ingests("sales", &events).token;
        answers(world, &token);
        if world.log_start("sales") > 1_000 {
            break;
        }
    }
    assert!(world.log_start("sales") > 1_000, "{}", world.log_start("sales"));
    token
}

/// What reads say of every shop, and up to which event.
fn answers(world: &World, token: &str) -> Json {
    let shops: Vec<Json> =
        (0..SHOPS).map(|number| json!({ "country": "nl", "number": number, "basket": 3 })).collect();
    let answer = world.reads(&shops, Timestamp(NOW), Some(token)).unwrap();
    json!([answer.rows, answer.watermarks])
}

#[test]
fn they_are_made_again_from_history_with_ids_and_places_at_brokers() {
    let mut world = forgetful();
    delivers(&world);
    world.loads("sales", None, &[in_shop(1, "loaded", NOW - DAY), in_shop(2, "loaded too", NOW - 2 * DAY)]);
    let token = sells_until_the_log_is_short(&world);
    let before = answers(&world, &token);

    world.loses_its_states();
    world.block_on(world.features().built()).unwrap();

    assert_eq!(answers(&world, &token), before);
    for (id, what) in [("e0 0", "from long ago"), ("loaded", "of a load"), ("d0", "of a broker")] {
        assert_eq!(world.ingests("sales", &[in_shop(0, id, NOW - HOUR)]).duplicates, 1, "an id {what}");
    }
    let claimed = world.block_on(world.features().claim_partition("sales", feed(), 2, 3)).unwrap();
    assert_eq!(claimed, Some(DELIVERED), "what a broker delivered before is not taken in again");

    // From here on it is a server as any other.
    let token = world.ingests("sales", &[in_shop(0, "new", NOW - HOUR)]).token;
    let after = answers(&world, &token);
    assert_ne!(after[0], before[0]);
    world.dies_and_returns();
    assert_eq!(answers(&world, &token), after);
}

#[test]
fn a_death_while_they_are_made_again_changes_nothing() {
    let mut world = forgetful();
    let token = sells_until_the_log_is_short(&world);
    let before = answers(&world, &token);
    world.loses_its_states();
    world.dies_and_returns();
    world.loses_its_states();
    world.dies_and_returns();
    world.block_on(world.features().built()).unwrap();
    assert_eq!(answers(&world, &token), before);
}

#[test]
fn a_view_that_comes_later_and_one_that_was_there_are_both_made_again() {
    let mut world = forgetful();
    let token = sells_until_the_log_is_short(&world);
    world.applies(
        "kind: view\nname: late_shops\nentity: shop\nsource: sales\naggregate:\n  - operations: [count]\n    windows: [lifetime]\n---\n\
         kind: service\nname: late\nviews: [late_shops]\n",
    );
    let counted = |world: &World| {
        let answer = world
            .reads_service("late", &[json!({ "country": "nl", "number": 3 })], Timestamp(NOW), None)
            .unwrap();
        answer.rows[0].values[0].to_json()
    };
    let (before, late) = (answers(&world, &token), counted(&world));
    world.loses_its_states();
    world.block_on(world.features().built()).unwrap();
    assert_eq!((answers(&world, &token), counted(&world)), (before, late));
}
