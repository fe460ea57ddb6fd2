//! Messages of brokers: each taken in once, with its place, whatever is delivered again.

use bytes::Bytes;
use shipway_core::{DataType, Failure as _, Kind, Name, Timestamp, Value};
use shipway_features::{Delivery, Events, FeaturesError, Feed, Limits, Message, Rejection, TakenIn};

use crate::world::{DAY, DEFINITIONS, HOUR, World, limits, sale, shop, value};

const NOON: i64 = 90 * DAY + 12 * HOUR;

fn feed() -> Feed {
    Feed::of("main", "sales")
}

fn columns() -> Vec<(Name, DataType)> {
    let columns = [
        ("sale_id", DataType::Text),
        ("sold_at", DataType::Timestamp),
        ("country", DataType::Text),
        ("number", DataType::Int),
        ("amount", DataType::Float),
    ];
    columns.map(|(name, data_type)| (Name::new(name).unwrap(), data_type)).to_vec()
}

fn message(partition: u32, offset: u64, content: Result<Option<Vec<Value>>, Rejection>) -> Message {
    let message = Some(Bytes::from(format!("message {offset}")));
    Message { partition, offset, sent: Some(Timestamp(NOON)), key: None, message, content }
}

fn sold(partition: u32, offset: u64, id: &str, amount: f64) -> Message {
    let time = Value::Timestamp(Timestamp(NOON + offset as i64));
    let values = vec![Value::text(id), time, Value::text("nl"), Value::Int(1), Value::float(amount)];
    message(partition, offset, Ok(Some(values)))
}

fn broken(partition: u32, offset: u64) -> Message {
    let rejection = Rejection { code: "formats.message_malformed".to_owned(), reason: "no JSON".to_owned() };
    message(partition, offset, Err(rejection))
}

fn delivers(world: &World, generation: u64, messages: Vec<Message>) -> Result<TakenIn, FeaturesError> {
    delivers_as(world, feed(), generation, messages)
}

fn delivers_as(
    world: &World,
    feed: Feed,
    generation: u64,
    messages: Vec<Message>,
) -> Result<TakenIn, FeaturesError> {
    let delivery = Delivery { feed, topic: "sales".to_owned(), generation, columns: columns(), messages };
    world.block_on(world.features().deliver("sales", delivery))
}

fn claims(world: &World, generation: u64, partition: u32) -> Result<Option<u64>, FeaturesError> {
    world.block_on(world.features().claim_partition("sales", feed(), generation, partition))
}

fn count(world: &World, token: &str) -> serde_json::Value {
    let read = world.reads(&[shop()], Timestamp(NOON + HOUR), Some(token)).unwrap();
    value(&read, "shop_sales__count_lifetime")
}

#[test]
fn what_is_delivered_again_is_left_out_also_after_a_crash_and_a_clean_stop() {
    let mut world = World::new(DEFINITIONS);
    assert_eq!(claims(&world, 1, 0).unwrap(), None);
    let taken =
        delivers(&world, 1, vec![sold(0, 5, "a", 1.0), sold(0, 6, "b", 2.0), sold(1, 5, "c", 3.0)]).unwrap();
    assert_eq!((taken.events, taken.repeated), (3, 0));
    for restart in [World::dies_and_returns as fn(&mut World), World::restarts] {
        restart(&mut world);
        assert_eq!(claims(&world, 2, 0).unwrap(), Some(7));
        assert_eq!(claims(&world, 2, 1).unwrap(), Some(6));
        let again = delivers(&world, 2, vec![sold(0, 6, "b", 2.0), sold(1, 5, "c", 3.0)]).unwrap();
        assert_eq!((again.events, again.repeated, again.duplicates), (0, 2, 0));
        assert_eq!(count(&world, &again.token), 3);
    }
    // Offsets may leave gaps, and other topics have places of their own.
    let gap = delivers(&world, 2, vec![sold(0, 6, "b", 2.0), sold(0, 90, "d", 4.0)]).unwrap();
    assert_eq!((gap.events, gap.repeated), (1, 1));
    let other = delivers_as(&world, Feed::of("main", "returns"), 1, vec![sold(0, 0, "e", 1.0)]).unwrap();
    assert_eq!(count(&world, &other.token), 5);
}

#[test]
fn a_partition_that_is_idle_holds_nothing_up_and_what_comes_of_it_later_counts() {
    let mut world = World::new(DEFINITIONS);
    // The second partition is assigned and says nothing, while the first one goes on for hours of event time.
    for partition in [0, 1] {
        claims(&world, 1, partition).unwrap();
    }
    let busy = |offset: u64| sold(0, offset, &format!("busy-{offset}"), 1.0);
    delivers(&world, 1, vec![busy(0)]).unwrap();
    for hour in 1..=6_u64 {
        let last = delivers(&world, 1, vec![busy(hour * HOUR as u64)]).unwrap();
        let now = Timestamp(NOON + hour as i64 * HOUR + 1);
        let read = world.reads(&[shop()], now, Some(&last.token)).unwrap();
        assert_eq!(
            value(&read, "shop_sales__count_lifetime"),
            hour + 1,
            "no event waits for the idle partition"
        );
    }
    world.dies_and_returns();
    let newest = Timestamp(NOON + 6 * HOUR);
    let sources = world.features().status();
    let sales = sources.iter().find(|source| source.source.as_str() == "sales").unwrap();
    assert_eq!(sales.watermark, Some(newest), "the watermark is that of the source");

    let late = delivers(&world, 1, vec![sold(1, 0, "idle", 1.0)]).unwrap();
    assert_eq!((late.events, late.late), (1, 0));
    let read = world.reads(&[shop()], Timestamp(newest.micros() + 1), Some(&late.token)).unwrap();
    assert_eq!(value(&read, "shop_sales__count_lifetime"), 8);
}

#[test]
fn reads_after_a_crash_go_on_where_they_were() {
    let mut world = World::new(DEFINITIONS);
    let mut sent = 0;
    for _ in 0..3 {
        let many = (sent..sent + 3_000).map(|offset| sold(0, offset, &format!("s{offset}"), 1.0)).collect();
        let taken = delivers(&world, 1, many).unwrap();
        sent += 3_000;
        assert_eq!(count(&world, &taken.token), sent);
        world.dies_and_returns();
        // Without a token nothing waits for what the states had before.
        let read = world.reads(&[shop()], Timestamp(NOON + HOUR), None).unwrap();
        assert_eq!(value(&read, "shop_sales__count_lifetime"), sent);
    }
}

#[test]
fn an_id_that_came_another_way_counts_once_and_its_place_is_kept() {
    let mut world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("a", NOON, 1.0)]);
    let taken =
        delivers(&world, 1, vec![sold(0, 0, "a", 1.0), sold(0, 1, "b", 1.0), sold(0, 2, "b", 1.0)]).unwrap();
    assert_eq!((taken.events, taken.duplicates), (1, 2));
    assert_eq!(count(&world, &taken.token), 2);
    world.dies_and_returns();
    assert_eq!(claims(&world, 2, 0).unwrap(), Some(3), "the last message of the partition left no event");
}

#[test]
fn who_lost_a_partition_cannot_write_and_leaves_no_trace() {
    let world = World::new(DEFINITIONS);
    claims(&world, 7, 0).unwrap();
    claims(&world, 8, 0).unwrap();
    let refusal = delivers(&world, 7, vec![sold(1, 0, "z", 1.0), sold(0, 0, "a", 1.0)]).unwrap_err();
    assert_eq!((refusal.kind(), refusal.code()), (Kind::Conflict, "features.fenced"));
    assert_eq!(claims(&world, 7, 0).unwrap_err().code(), "features.fenced");
    let taken = delivers(&world, 8, vec![sold(0, 0, "a", 1.0)]).unwrap();
    assert_eq!(count(&world, &taken.token), 1);
    assert_eq!(
        claims(&world, 8, 1).unwrap(),
        None,
        "the other partition of the refused delivery has not moved"
    );
}

#[test]
fn what_is_no_event_is_kept_and_can_be_delivered_again_once() {
    let mut world = World::new(DEFINITIONS);
    let without_time = message(0, 3, Ok(Some(vec![Value::text("b"), Value::Null])));
    let mut too_long = sold(0, 4, "c", 1.0);
    too_long.message = Some(Bytes::from(vec![b'x'; (8 << 20) + 1]));
    let nothing = message(0, 5, Ok(None));
    let messages = vec![sold(0, 1, "a", 1.0), broken(0, 2), without_time, too_long, nothing];
    let taken = delivers(&world, 1, messages).unwrap();
    assert_eq!((taken.events, taken.dead, taken.empty), (1, 3, 1));
    world.restarts();
    assert_eq!(claims(&world, 2, 0).unwrap(), Some(6));
    let kept = "SELECT count(*) FROM sales__dead_letters WHERE";
    assert_eq!(world.number(&format!("{kept} code = 'formats.message_malformed' AND reason = 'no JSON' AND text = 'message 2' AND \"partition\" = 0 AND \"offset\" = 2")), 1);
    assert_eq!(
        world.number(&format!(
            "{kept} code = 'features.event_refused' AND reason LIKE '%event time is missing'"
        )),
        1
    );
    assert_eq!(world.number(&format!("{kept} code = 'features.message_too_long' AND message IS NULL")), 1);

    let (letters, end) = world.block_on(world.features().waiting_letters("sales", 100)).unwrap();
    assert_eq!(letters.len(), 3);
    assert!(letters.iter().all(|letter| letter.arrival < end));
    assert_eq!(letters[0].message.as_deref(), Some(b"message 2".as_slice()));
    // The first is mended, the second is not.
    let mended = sold(0, letters[0].arrival, "mended", 1.0);
    let replayed =
        delivers_as(&world, Feed::of_letters("sales"), 0, vec![mended, broken(0, letters[1].arrival)])
            .unwrap();
    assert_eq!((replayed.events, replayed.dead), (1, 1));
    assert_eq!(count(&world, &replayed.token), 2);
    world.dies_and_returns();
    let (letters, _) = world.block_on(world.features().waiting_letters("sales", 100)).unwrap();
    assert_eq!(letters.len(), 2, "one that was not reached, and the one that is a dead letter again");
    assert_eq!(world.block_on(world.features().count_waiting_letters("sales")).unwrap(), 2);
}

#[test]
fn a_position_that_was_passed_to_stays_passed_and_never_goes_back() {
    let mut world = World::new(DEFINITIONS);
    let passes = |world: &World, position| {
        world.block_on(world.features().pass_to("sales", feed(), 1, (0, position))).unwrap();
    };
    passes(&world, 40);
    passes(&world, 30);
    world.dies_and_returns();
    assert_eq!(claims(&world, 1, 0).unwrap(), Some(40));
    assert_eq!(delivers(&world, 1, vec![sold(0, 39, "a", 1.0), sold(0, 40, "b", 1.0)]).unwrap().events, 1);
}

#[test]
fn events_are_refused_while_too_many_wait_to_become_readable() {
    let world = World::with_limits(DEFINITIONS, Limits { ahead_events: 1_000, ..limits() });
    // So many events of one shop take the states far longer than the next request takes to come.
    let many: Vec<_> = (0..20_000).map(|number| sale(&format!("m{number}"), NOON + number, 1.0)).collect();
    let first = world.ingests("sales", &many);
    let refused = world.tries_to_ingest("sales", &[sale("n", NOON, 1.0)]).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Exhausted, "features.behind"));
    assert_eq!(count(&world, &first.token), 20_000);
    assert_eq!(
        world.ingests("sales", &[sale("n", NOON, 1.0)]).acknowledged,
        1,
        "as soon as they can be read"
    );
    let first = world.ingests(
        "sales",
        &many
            .iter()
            .map(|event| {
                let mut event = event.clone();
                event["sale_id"] = format!("again {}", event["sale_id"]).into();
                event
            })
            .collect::<Vec<_>>(),
    );
    let taken =
        delivers(&world, 1, (0..500).map(|offset| sold(0, offset, &format!("k{offset}"), 1.0)).collect());
    let taken = taken.unwrap();
    assert_eq!(taken.events, 500, "a broker's messages wait instead");
    assert!(first.token != taken.token);
    assert_eq!(count(&world, &taken.token), 40_501);
}

#[test]
fn requests_do_not_pile_up_in_memory_and_each_is_taken_whole_or_refused() {
    let world = World::with_limits(DEFINITIONS, Limits { ingest_bytes_at_once: 1, ..limits() });
    let features = world.features().clone();
    let taken = world.block_on(async {
        let sends = (0..64).map(|number| {
            let line = Bytes::from(sale(&format!("c{number}"), NOON, 1.0).to_string());
            let features = features.clone();
            async move { features.ingest("sales", Events::JsonLines(line)).await }
        });
        futures::future::join_all(sends).await
    });
    let (taken, refused): (Vec<_>, Vec<_>) = taken.into_iter().partition(Result::is_ok);
    assert!(!taken.is_empty() && !refused.is_empty(), "{} taken, {} refused", taken.len(), refused.len());
    for refused in refused {
        let refused = refused.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::Exhausted, "features.crowded"));
    }
    let last = world.ingests("sales", &[sale("last", NOON, 1.0)]);
    assert_eq!(count(&world, &last.token), taken.len() as u64 + 1);
}
