//! Events from a real Kafka: each counted once, through kills and broken messages, and what cannot be read is kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value as Json, json};
use shipway_broker::{Outgoing, Producer, Settings};
use shipway_testkit::{Kafka, Server, ServerOptions, TempData};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use crate::world::{self, BINARY, Order};

const TOPIC: &str = "orders";
const WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// A broker is a Java machine: more than one at a time would only take the processor from all other tests.
pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What a server needs to know of the broker.
pub(crate) fn options(kafka: &Kafka, settings: &TempData) -> ServerOptions {
    let path = settings.join("shipway.toml");
    let toml = format!(
        "[brokers.main]\nbootstrap = \"{}\"\n[brokers.main.properties]\n\"session.timeout.ms\" = \"1500\"\n\"heartbeat.interval.ms\" = \"300\"\n",
        kafka.bootstrap()
    );
    fs_err::write(&path, toml).unwrap();
    let path = path.to_string_lossy().into_owned();
    ServerOptions { arguments: vec!["--configuration".to_owned(), path], ..ServerOptions::default() }
}

async fn producer(kafka: &Kafka) -> Arc<dyn Producer> {
    let mut settings = Settings::new(kafka.bootstrap(), "tests");
    // A broker that was killed is back soon, and the load should be, too.
    settings.properties.insert("reconnect.backoff.max.ms".to_owned(), "200".to_owned());
    let broker = shipway_broker::connect(settings).await.unwrap();
    broker.producer().await.unwrap()
}

async fn send(producer: &dyn Producer, key: &str, value: impl Into<Bytes>) {
    let (key, value) = (Some(Bytes::from(key.to_owned())), Some(value.into()));
    let message = Outgoing { topic: TOPIC.to_owned(), key, value, headers: Vec::new() };
    producer.send(message).await.unwrap();
}

/// The definitions of the small world, with orders that come from the topic; `with` goes into the stream part.
async fn apply(server: &Server, with: &str) {
    let stream = format!("stream: {{ broker: main, topic: {TOPIC}, format: json{with} }}\n");
    let text =
        world::DEFINITIONS.replacen("event_id: order_id\n", &format!("event_id: order_id\n{stream}"), 1);
    let body = json!({ "files": [{ "path": "world.yaml", "text": text }] });
    server.client().post("/api/v1/definitions/apply", &body).await.ok();
}

async fn stream_status(server: &Server) -> Json {
    server.client().get("/api/v1/streams").await.ok()["streams"][0].clone()
}

/// Waits until every message before now was taken in.
async fn caught_up(server: &Server, ends: u64) -> Json {
    let wait = async {
        loop {
            let status = stream_status(server).await;
            let positions = status["partitions"].as_array().into_iter().flatten();
            let taken: u64 = positions.map(|partition| partition["position"].as_u64().unwrap()).sum();
            if taken >= ends {
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let status = tokio::time::timeout(WITHIN, wait).await;
    assert!(status.is_ok(), "not caught up to {ends}: {}\n{}", stream_status(server).await, server.log());
    status.unwrap()
}

/// A token for everything that the server has taken in.
async fn token(server: &Server) -> String {
    let answer =
        server.client().post_body("/api/v1/ingest/orders", "application/x-ndjson", String::new()).await.ok();
    answer["token"].as_str().unwrap().to_owned()
}

async fn sql(server: &Server, query: &str) -> Json {
    server.client().post("/api/v1/sql", &json!({ "query": query })).await.ok()["rows"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_become_features_and_what_cannot_be_read_is_kept_and_read_again_after_a_fix() {
    let _one_at_a_time = ONE_AT_A_TIME.lock().await;
    let kafka = Kafka::start().await;
    kafka.create_topic(TOPIC, 3).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    let producer = producer(&kafka).await;
    apply(&server, "").await;
    let orders = world::orders(400, 7);
    let (now, later) = orders.split_at(300);
    for order in now {
        send(&*producer, order.shop, order.line()).await;
    }
    // A producer that tried again; a message that is no JSON, one that is no order, one that deletes a key.
    send(&*producer, now[3].shop, now[3].line()).await;
    send(&*producer, "north", "{ \"order_id\": \"broken").await;
    send(&*producer, "north", r#"{ "order_id": "early", "ordered_at": null }"#).await;
    producer
        .send(Outgoing { topic: TOPIC.to_owned(), key: Some(Bytes::from("north")), ..Outgoing::default() })
        .await
        .unwrap();
    // Orders whose sender has renamed a field.
    for order in later {
        send(&*producer, order.shop, order.line().replace("ordered_at", "placed_at")).await;
    }

    let status = caught_up(&server, 404).await;
    assert_eq!(status["counts"]["events"], 300, "{status}");
    assert_eq!(status["counts"]["duplicates"], 1, "{status}");
    assert_eq!(status["counts"]["dead"], 102, "{status}");
    assert_eq!(status["counts"]["empty"], 1, "{status}");
    let at = world::after(&orders);
    world::equals_the_oracle(server.client(), now, at, Some(&token(&server).await)).await;

    apply(&server, ", fields: { ordered_at: placed_at }").await;
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

/// Sends orders, some of them twice and all in an order of their own, until it is told to stop; says how many it has sent.
async fn keep_sending(
    producer: Arc<dyn Producer>,
    orders: Vec<Order>,
    seed: u64,
    stop: Arc<AtomicBool>,
) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sent = 0;
    for chunk in orders.chunks(20) {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let mut chunk: Vec<&Order> = chunk.iter().collect();
        let twice: Vec<&Order> = chunk.iter().copied().filter(|_| random.random_bool(0.05)).collect();
        chunk.extend(twice);
        chunk.shuffle(&mut random);
        let sends = chunk.iter().map(|order| send(&*producer, order.shop, order.line()));
        futures::future::join_all(sends).await;
        sent += chunk.iter().map(|order| &order.id).collect::<BTreeSet<_>>().len();
        tokio::time::sleep(Duration::from_millis(random.random_range(0..8))).await;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_counted_twice_when_server_and_broker_are_killed_under_load() {
    let seed = setting("SHIPWAY_FAULTS_SEED").unwrap_or_else(rand::random);
    println!("seed {seed}");
    survives_kills(seed, 6, 2).await;
}

/// `make faults`: the same with more kills and new seeds until the time is up. `SHIPWAY_FAULTS_SECONDS` (default 600) says how long,
/// `SHIPWAY_FAULTS_SEED` with which seed it begins.
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
        rounds += 1;
    }
    println!("{rounds} rounds");
}

#[expect(clippy::disallowed_methods, reason = "the configuration of a test run")]
pub(crate) fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Orders flow while the server and the broker are killed again and again; in the end each is there, once.
async fn survives_kills(seed: u64, of_the_server: usize, of_the_broker: usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let _one_at_a_time = ONE_AT_A_TIME.lock().await;
    let mut kafka = Kafka::start().await;
    kafka.create_topic(TOPIC, 4).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    apply(&server, "").await;
    let orders = world::orders(30_000 * of_the_broker, seed);
    let stop = Arc::new(AtomicBool::new(false));
    let sending = keep_sending(producer(&kafka).await, orders.clone(), seed, Arc::clone(&stop));
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

    caught_up(&server, ends(&kafka).await).await;
    let at = world::after(orders);
    let compared = world::equals_the_oracle(server.client(), orders, at, Some(&token(&server).await)).await;
    assert!(compared >= world::SHOPS.len() * 20, "{compared} values compared");
    assert!(server.stop().await.success());
    server.restart().await;
    let rows = sql(&server, "SELECT count(*), count(DISTINCT order_id) FROM orders").await;
    assert_eq!(rows, json!([[orders.len(), orders.len()]]), "seed {seed}");
}

/// Messages that the broker has.
async fn ends(kafka: &Kafka) -> u64 {
    let broker = shipway_broker::connect(Settings::new(kafka.bootstrap(), "tests")).await.unwrap();
    broker.ends(TOPIC).await.unwrap().iter().map(|ends| ends.high).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_ids_the_place_of_a_message_tells_it_from_all_others() {
    let _one_at_a_time = ONE_AT_A_TIME.lock().await;
    let kafka = Kafka::start().await;
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
        send(&*producer, shop, message.to_string()).await;
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
    let _one_at_a_time = ONE_AT_A_TIME.lock().await;
    let kafka = Kafka::start().await;
    let settings = TempData::new();
    let server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    apply(&server, "").await;
    let wait = async {
        loop {
            let status = stream_status(&server).await;
            if status["state"] == "failing" {
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let status = tokio::time::timeout(WITHIN, wait).await.unwrap();
    assert_eq!(status["code"], "broker.topic_unknown", "{status}");
    assert_eq!(status["error"], "topic orders does not exist at the broker");

    kafka.create_topic(TOPIC, 1).await;
    let orders = world::orders(10, 3);
    let producer = producer(&kafka).await;
    for order in &orders {
        send(&*producer, order.shop, order.line()).await;
    }
    let status = caught_up(&server, 10).await;
    assert_eq!(status["state"], "reading", "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_whose_messages_are_gone_stands_still_alone_until_somebody_passes_over_them() {
    let _one_at_a_time = ONE_AT_A_TIME.lock().await;
    let kafka = Kafka::start().await;
    kafka.create_topic(TOPIC, 2).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    apply(&server, "").await;
    let orders = world::orders(200, 5);
    // All orders of a shop are in one partition; so two partitions share the four shops.
    let producer = producer(&kafka).await;
    let (before, after) = orders.split_at(60);
    for order in before {
        send(&*producer, order.shop, order.line()).await;
    }
    caught_up(&server, 60).await;
    assert!(server.stop().await.success());
    for order in after {
        send(&*producer, order.shop, order.line()).await;
    }
    let broker = shipway_broker::connect(Settings::new(kafka.bootstrap(), "tests")).await.unwrap();
    let highs: Vec<u64> = broker.ends(TOPIC).await.unwrap().iter().map(|ends| ends.high).collect();
    assert!(highs.iter().all(|high| *high > 20), "both partitions have orders: {highs:?}");
    kafka.trim_topic(TOPIC, 0, highs[0] - 1).await;
    server.restart().await;

    // Partition 1 is read to its end; partition 0 waits.
    let wait = async {
        loop {
            let status = stream_status(&server).await;
            let partitions = status["partitions"].as_array().unwrap();
            let one = partitions.iter().find(|partition| partition["partition"] == 1);
            if status["state"] == "failing" && one.is_some_and(|one| one["position"] == highs[1]) {
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let status = tokio::time::timeout(WITHIN, wait).await;
    assert!(status.is_ok(), "{}\n{}", stream_status(&server).await, server.log());
    assert_eq!(status.unwrap()["code"], "broker.position_gone");

    let skip = json!({ "partition": 0, "position": highs[0] - 1 });
    server.client().post("/api/v1/streams/orders/skip", &skip).await.ok();
    let status = caught_up(&server, highs.iter().sum()).await;
    assert_eq!(status["state"], "reading", "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_stops_in_time_when_its_broker_is_gone_and_reads_on_when_both_are_back() {
    let _one_at_a_time = ONE_AT_A_TIME.lock().await;
    let mut kafka = Kafka::start().await;
    kafka.create_topic(TOPIC, 1).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    apply(&server, "").await;
    let orders = world::orders(300, 9);
    let producer = producer(&kafka).await;
    for order in &orders[..200] {
        send(&*producer, order.shop, order.line()).await;
    }
    caught_up(&server, 200).await;
    // Just now the broker is being told how far we are.
    kafka.kill();
    assert!(server.stop().await.success());
    kafka.restart().await;
    server.restart().await;
    for order in &orders[200..] {
        send(&*producer, order.shop, order.line()).await;
    }
    caught_up(&server, 300).await;
    let at = world::after(&orders);
    world::equals_the_oracle(server.client(), &orders, at, Some(&token(&server).await)).await;
}
