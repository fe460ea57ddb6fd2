//! Events from a real Kafka: each counted once, through kills and broken messages, and what cannot be read is kept.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value as Json, json};
use shipway_broker::{Outgoing, Settings};
use shipway_testkit::{Server, TempData};
use tokio_util::task::TaskTracker;

use crate::{
    stream_faults,
    stream_world::{
        Broker, apply, caught_up, ends, equals_the_oracle, holds_each_once, keep_sending, options, producer,
        seed, send, setting, sql, stream_becomes, token,
    },
    world::{self, BINARY},
};

const TOPIC: &str = "orders";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_become_features_and_what_cannot_be_read_is_kept_and_read_again_after_a_fix() {
    let kafka = Broker::own().await;
    kafka.create_topic(TOPIC, 3).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    let producer = producer(&kafka).await;
    apply(&server, TOPIC, json!({})).await;
    let orders = world::orders(400, 7);
    let (now, later) = orders.split_at(300);
    for order in now {
        send(&*producer, TOPIC, order.shop, order.line()).await;
    }
    // A producer that tried again; a message that is no JSON, one that is no order, one that deletes a key.
    send(&*producer, TOPIC, now[3].shop, now[3].line()).await;
    send(&*producer, TOPIC, "north", "{ \"order_id\": \"broken").await;
    send(&*producer, TOPIC, "north", r#"{ "order_id": "early", "ordered_at": null }"#).await;
    producer
        .send(Outgoing { topic: TOPIC.to_owned(), key: Some(Bytes::from("north")), ..Outgoing::default() })
        .await
        .unwrap();
    // Orders whose sender has renamed a field.
    for order in later {
        send(&*producer, TOPIC, order.shop, order.line().replace("ordered_at", "placed_at")).await;
    }

    let status = caught_up(&server, 404).await;
    assert_eq!(status["counts"]["events"], 300, "{status}");
    assert_eq!(status["counts"]["duplicates"], 1, "{status}");
    assert_eq!(status["counts"]["dead"], 102, "{status}");
    assert_eq!(status["counts"]["empty"], 1, "{status}");
    shows(&server, ["orders", "main/orders", "reading", "0", "300", "1", "0", "0", "0", "102"]);
    let at = world::after(&orders);
    world::equals_the_oracle(server.client(), now, at, Some(&token(&server).await)).await;

    apply(&server, TOPIC, json!({ "fields": { "ordered_at": "placed_at" } })).await;
    let replayed = server.client().post("/api/v1/streams/orders/replay", &json!({})).await.ok();
    assert_eq!(
        (replayed["letters"].clone(), replayed["events"].clone()),
        (json!(102), json!(100)),
        "{replayed}"
    );
    assert_eq!(replayed["dead"], 2, "{replayed}");
    world::equals_the_oracle(server.client(), &orders, at, Some(&token(&server).await)).await;
    let waiting = server.client().get("/api/v1/streams/orders/dead-letters").await.ok();
    assert_eq!(waiting["table"], "orders__dead_letters");

    // What still is none waits behind the others, and a second replay finds only that.
    let again = server.client().post("/api/v1/streams/orders/replay", &json!({})).await.ok();
    assert_eq!((again["letters"].clone(), again["dead"].clone()), (json!(2), json!(2)), "{again}");
    assert!(server.stop().await.success());
    server.restart().await;
    let reasons = sql(&server, "SELECT DISTINCT code, text FROM orders__dead_letters WHERE text LIKE '%early%' OR text LIKE '%broken%' ORDER BY code").await;
    assert_eq!(
        reasons,
        json!([
            ["features.event_refused", r#"{ "order_id": "early", "ordered_at": null }"#],
            ["formats.message_malformed", r#"{ "order_id": "broken"#],
        ])
    );
    let rows = sql(&server, "SELECT count(*), count(DISTINCT order_id) FROM orders").await;
    assert_eq!(rows, json!([[400, 400]]));
}

/// What `shipway sources status` prints of a source begins with `row`: source, from, state, lag, events, duplicates, late, too early,
/// refused, dead.
fn shows(server: &Server, row: [&str; 10]) {
    let output =
        std::process::Command::new(BINARY).args(["sources", "status", "--server", &server.url()]).output();
    let printed = String::from_utf8(output.unwrap().stdout).unwrap();
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let found = printed.lines().map(words).find(|words| words.first().is_some_and(|word| word == row[0]));
    assert_eq!(found.unwrap_or_default().get(..row.len()), Some(&row.map(str::to_owned)[..]), "{printed}");
    assert!(printed.contains("READABLE P50 / P99 MS"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_counted_twice_when_server_and_broker_are_killed_under_load() {
    survives_kills(seed(), 6, 2).await;
}

/// `make faults`: the same with more kills, and every other fault, with new seeds until the time is up. `SHIPWAY_FAULTS_SECONDS`
/// (default 600) says how long, `SHIPWAY_FAULTS_SEED` with which seed it begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as it is told to: make faults"]
async fn faults() {
    let began = Instant::now();
    let seconds = setting("SHIPWAY_FAULTS_SECONDS").unwrap_or(600);
    let first: u64 = setting("SHIPWAY_FAULTS_SEED").unwrap_or_else(rand::random);
    let mut rounds = 0;
    while rounds == 0 || began.elapsed().as_secs() < seconds {
        let seed = first.wrapping_add(rounds);
        println!("seed {seed}");
        survives_kills(seed, 24, 6).await;
        stream_faults::all(seed).await;
        rounds += 1;
    }
    println!("{rounds} rounds");
}

/// Orders flow while the server and the broker are killed again and again; in the end each is there, once.
async fn survives_kills(seed: u64, of_the_server: usize, of_the_broker: usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut kafka = Broker::own().await;
    kafka.create_topic(TOPIC, 4).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    apply(&server, TOPIC, json!({})).await;
    let orders = world::orders(30_000 * of_the_broker, seed);
    let stop = Arc::new(AtomicBool::new(false));
    let sending =
        keep_sending(producer(&kafka).await, TOPIC.to_owned(), orders.clone(), seed, Arc::clone(&stop));
    let sending = TaskTracker::new().spawn(sending);
    let mut kills = [vec![false; of_the_server], vec![true; of_the_broker]].concat();
    kills.shuffle(&mut random);
    for is_of_the_broker in kills {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..900))).await;
        assert!(!sending.is_finished(), "the kill comes under load");
        if is_of_the_broker {
            kafka.kill();
            tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
            kafka.restart().await;
        } else {
            server.kill();
            server.restart().await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let orders = &orders[..sending.await.unwrap()];

    caught_up(&server, ends(&kafka, TOPIC).await).await;
    equals_the_oracle(&server, orders).await;
    holds_each_once(&mut server, orders).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_ids_the_place_of_a_message_tells_it_from_all_others() {
    let kafka = Broker::own().await;
    kafka.create_topic(TOPIC, 2).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    let definitions = format!(
        "kind: entity\nname: shop\nkeys: {{ shop: text }}\n---\nkind: source\nname: orders\nevent_time: ordered_at\n\
         columns: {{ ordered_at: timestamp, shop: text, amount: float }}\n\
         stream: {{ broker: main, topic: {TOPIC}, format: json, time_unit: {{ ordered_at: milliseconds }} }}\n---\n\
         kind: view\nname: shop_orders\nentity: shop\nsource: orders\naggregate:\n  - operations: [count]\n    windows: [lifetime]\n---\n\
         kind: service\nname: shops\nviews: [shop_orders]\n"
    );
    let body = json!({ "files": [{ "path": "world.yaml", "text": definitions }] });
    server.client().post("/api/v1/definitions/apply", &body).await.ok();
    let producer = producer(&kafka).await;
    let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
    let mut random = StdRng::seed_from_u64(11);
    for number in 0..1_000_u64 {
        let shop = world::SHOPS[random.random_range(0..world::SHOPS.len())];
        // Two equal messages are two orders.
        let message = json!({ "ordered_at": 1_750_075_200_000_u64 + number / 2, "shop": shop, "amount": 1.5, "more": number });
        send(&*producer, TOPIC, shop, message.to_string()).await;
        *sent.entry(shop).or_default() += 1;
        if number % 250 == 249 {
            server.kill();
            server.restart().await;
        }
    }
    caught_up(&server, 1_000).await;
    let rows: Vec<Json> = world::SHOPS.iter().map(|shop| json!({ "shop": shop })).collect();
    let body = json!({ "service": "shops", "rows": rows, "at": "2025-07-01T00:00:00Z", "token": token(&server).await });
    let answer = server.client().post("/api/v1/features/read", &body).await.ok();
    let counts: Vec<u64> =
        answer["rows"].as_array().unwrap().iter().map(|row| row["values"][0].as_u64().unwrap()).collect();
    assert_eq!(counts, world::SHOPS.map(|shop| sent[shop]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_cannot_run_says_why_and_runs_as_soon_as_it_can() {
    let kafka = Broker::own().await;
    let settings = TempData::new();
    let server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    apply(&server, TOPIC, json!({})).await;
    let status = stream_becomes(&server, "failing", |status| status["state"] == "failing").await;
    assert_eq!(status["code"], "broker.topic_unknown", "{status}");
    assert_eq!(status["error"], "topic orders does not exist at the broker");

    kafka.create_topic(TOPIC, 1).await;
    let orders = world::orders(10, 3);
    let producer = producer(&kafka).await;
    for order in &orders {
        send(&*producer, TOPIC, order.shop, order.line()).await;
    }
    let status = caught_up(&server, 10).await;
    assert_eq!(status["state"], "reading", "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_whose_messages_are_gone_stands_still_alone_until_somebody_passes_over_them() {
    let kafka = Broker::own().await;
    kafka.create_topic(TOPIC, 2).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    apply(&server, TOPIC, json!({})).await;
    let orders = world::orders(200, 5);
    // All orders of a shop are in one partition; so two partitions share the four shops.
    let producer = producer(&kafka).await;
    let (before, after) = orders.split_at(60);
    for order in before {
        send(&*producer, TOPIC, order.shop, order.line()).await;
    }
    caught_up(&server, 60).await;
    assert!(server.stop().await.success());
    for order in after {
        send(&*producer, TOPIC, order.shop, order.line()).await;
    }
    let broker = shipway_broker::connect(Settings::new(kafka.bootstrap(), "tests")).await.unwrap();
    let highs: Vec<u64> = broker.ends(TOPIC).await.unwrap().iter().map(|ends| ends.high).collect();
    assert!(highs.iter().all(|high| *high > 20), "both partitions have orders: {highs:?}");
    kafka.trim_topic(TOPIC, 0, highs[0] - 1).await;
    server.restart().await;

    // Partition 1 is read to its end; partition 0 waits.
    let status = stream_becomes(&server, "read but for partition 0", |status| {
        let partitions = status["partitions"].as_array().unwrap();
        let one = partitions.iter().find(|partition| partition["partition"] == 1);
        status["state"] == "failing" && one.is_some_and(|one| one["position"] == highs[1])
    })
    .await;
    assert_eq!(status["code"], "broker.position_gone");

    let skip = json!({ "partition": 0, "position": highs[0] - 1 });
    server.client().post("/api/v1/streams/orders/skip", &skip).await.ok();
    let status = caught_up(&server, highs.iter().sum()).await;
    assert_eq!(status["state"], "reading", "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_stops_in_time_when_its_broker_is_gone_and_reads_on_when_both_are_back() {
    let mut kafka = Broker::own().await;
    kafka.create_topic(TOPIC, 1).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    apply(&server, TOPIC, json!({})).await;
    let orders = world::orders(300, 9);
    let producer = producer(&kafka).await;
    for order in &orders[..200] {
        send(&*producer, TOPIC, order.shop, order.line()).await;
    }
    caught_up(&server, 200).await;
    // Just now the broker is being told how far we are.
    kafka.kill();
    assert!(server.stop().await.success());
    kafka.restart().await;
    server.restart().await;
    for order in &orders[200..] {
        send(&*producer, TOPIC, order.shop, order.line()).await;
    }
    caught_up(&server, 300).await;
    equals_the_oracle(&server, &orders).await;
}
