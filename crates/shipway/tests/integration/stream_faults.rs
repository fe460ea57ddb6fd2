//! What happens to streams: a clock that is set back, a disk that is full, messages that nobody can read, servers that are killed beside
//! others. Each test prints its seed, and in the end the oracle says whether every message counts, and counts once.

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use reqwest::Method;
use serde_json::{Value as Json, json};
use shipway_broker::Producer;
use shipway_core::{Clock as _, SystemClock, Timestamp};
use shipway_testkit::{Server, SteppedClock, TempData};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::{
    stream_world::{
        Broker, apply, caught_up, ends, equals_the_oracle, holds_each_once, keep_sending, options, producer,
        seed, send, sql, stream_becomes, taken_in,
    },
    world::{self, BINARY, Order},
};

/// More than can be sent while a test breaks things.
const ORDERS: usize = 60_000;

/// Orders on their way into a topic, until somebody says that it is enough.
struct Load {
    orders: Vec<Order>,
    stop: Arc<AtomicBool>,
    sending: JoinHandle<usize>,
}

impl Load {
    fn begin(producer: Arc<dyn Producer>, topic: &str, seed: u64) -> Self {
        let (orders, stop) = (world::orders(ORDERS, seed), Arc::new(AtomicBool::new(false)));
        let sending = keep_sending(producer, topic.to_owned(), orders.clone(), seed, Arc::clone(&stop));
        Self { orders, stop, sending: TaskTracker::new().spawn(sending) }
    }

    /// A fault that comes when nothing flows shows nothing.
    fn assert_flows(&self) {
        assert!(!self.sending.is_finished(), "the fault comes under load");
    }

    /// Stops, and says which orders were sent.
    async fn end(mut self) -> Vec<Order> {
        self.assert_flows();
        self.stop.store(true, Ordering::SeqCst);
        let sent = self.sending.await.unwrap();
        self.orders.truncate(sent);
        self.orders
    }
}

/// All of them, one after the other, each with a broker of its own.
pub(crate) async fn all(seed: u64) {
    a_clock_is_set_back(seed).await;
    the_disk_is_full(seed).await;
    messages_are_poisoned(seed).await;
    one_of_two_servers_is_killed(seed).await;
}

async fn some_time(random: &mut StdRng) {
    tokio::time::sleep(Duration::from_millis(random.random_range(100..700))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_loses_nothing_and_counts_nothing_twice() {
    a_clock_is_set_back(seed()).await;
}

async fn a_clock_is_set_back(seed: u64) {
    const TOPIC: &str = "orders_while_the_clock_is_set_back";
    let mut random = StdRng::seed_from_u64(seed);
    let kafka = Broker::shared().await;
    kafka.create_topic(TOPIC, 3).await;
    let (clock, settings) = (SteppedClock::new(), TempData::new());
    let mut options = options(&kafka, &settings);
    options.environment.extend(clock.environment());
    let mut server = Server::start_in(BINARY, TempData::new(), options).await;
    apply(&server, TOPIC, json!({})).await;
    let producer = producer(&kafka).await;
    let load = Load::begin(Arc::clone(&producer), TOPIC, seed);
    let mut behind = Duration::ZERO;
    for step in 0..6 {
        some_time(&mut random).await;
        load.assert_flows();
        let before = last_message(&server, |_| true).await;
        // From a quarter of a minute to some days.
        behind += Duration::from_secs(16 << random.random_range(0..14));
        clock.set_back(behind);
        last_message(&server, |last| last < before).await;
        if step % 3 == 2 {
            // What was taken in at later moments is read again at earlier ones.
            server.kill();
            server.restart().await;
        }
    }
    // Senders that were not sure try again: the ids are known, though of the future.
    let mut orders = load.end().await;
    for order in orders.iter().step_by(orders.len() / 100) {
        send(&*producer, TOPIC, order.shop, order.line()).await;
    }
    caught_up(&server, ends(&kafka, TOPIC).await).await;
    equals_the_oracle(&server, &orders).await;

    // A clock from before the orders: they are early for it, set aside and told, until it is right again.
    let stood_at = orders.iter().map(|order| order.at).min().unwrap();
    let passed_us = SystemClock.now().0 - stood_at.0;
    clock.set_back(Duration::from_micros(passed_us.unsigned_abs()) + Duration::from_secs(3_600));
    let more = world::orders(orders.len() + 200, seed).split_off(orders.len());
    let (early, timely) = more.split_at(100);
    let before = caught_up(&server, 0).await["counts"]["quarantined"].as_u64().unwrap();
    assert_eq!(before, 0);
    for order in early {
        send(&*producer, TOPIC, order.shop, order.line()).await;
    }
    let status = caught_up(&server, ends(&kafka, TOPIC).await).await;
    assert_eq!(status["counts"]["quarantined"], 100, "{status}");
    clock.set_back(Duration::ZERO);
    for order in timely {
        send(&*producer, TOPIC, order.shop, order.line()).await;
    }
    caught_up(&server, ends(&kafka, TOPIC).await).await;
    orders.extend_from_slice(timely);
    equals_the_oracle(&server, &orders).await;
    holds_each_once(&mut server, &orders).await;
    let aside = sql(&server, "SELECT count(*), count(DISTINCT order_id) FROM orders__quarantine").await;
    assert_eq!(aside, json!([[100, 100]]));
}

/// Waits until a message was taken in at a moment of the server's own clock that `is_so`.
async fn last_message(server: &Server, is_so: impl Fn(Timestamp) -> bool) -> Timestamp {
    let moment = |status: &Json| status["last_message"].as_str().and_then(|text| text.parse().ok());
    let status =
        stream_becomes(server, "taking in by its clock", |status| moment(status).is_some_and(&is_so)).await;
    moment(&status).unwrap()
}

/// A file that may not grow is told by a signal that would end the server; a full disk sends none. What the server says goes through a
/// pipe, as it does under a supervisor, and so not onto the disk.
const LAUNCH: &str = "trap '' XFSZ; said=$(mktemp -u); mkfifo \"$said\"; cat <\"$said\" & exec >\"$said\" 2>&1; rm \"$said\"; exec \"$0\" \"$@\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_disk_is_full_the_stream_stands_and_says_so_and_later_everything_is_there_once() {
    the_disk_is_full(seed()).await;
}

async fn the_disk_is_full(seed: u64) {
    const TOPIC: &str = "orders_onto_a_full_disk";
    let mut random = StdRng::seed_from_u64(seed);
    let kafka = Broker::shared().await;
    kafka.create_topic(TOPIC, 3).await;
    let settings = TempData::new();
    let mut options = options(&kafka, &settings);
    options.launcher = ["sh", "-c", LAUNCH].map(str::to_owned).to_vec();
    let mut server = Server::start_in(BINARY, TempData::new(), options).await;
    apply(&server, TOPIC, json!({})).await;
    let load = Load::begin(producer(&kafka).await, TOPIC, seed);
    for round in 0..2 {
        some_time(&mut random).await;
        stream_becomes(&server, "reading", |status| taken_in(status) > 500 && status["state"] == "reading")
            .await;
        load.assert_flows();
        // So many bytes more, then nothing: somewhere within a record.
        let room = largest_file(&server.data().join("log")) + random.random_range(0..20_000);
        bound_files(&server, Some(room));
        let status = stream_becomes(&server, "standing", |status| status["state"] == "failing").await;
        assert_eq!(status["code"], "log.write_failed", "{status}");
        assert!(status["hint"].as_str().unwrap().contains("free disk space"), "{status}");
        bound_files(&server, Some(1));
        let order = Order { id: format!("refused {round}"), ..load.orders[0].clone() };
        let request = server.client().request(Method::POST, "/api/v1/ingest/orders");
        let request = request.header("content-type", "application/x-ndjson").body(order.line());
        let answer = server.client().send(request).await.unwrap();
        assert_eq!(answer.refusal(), "503 log.write_failed", "{}", answer.text());
        // What is there can be read all the same.
        let rows = json!({ "service": "shops", "rows": [{ "shop": "north" }] });
        server.client().post("/api/v1/features/read", &rows).await.ok();
        load.assert_flows();
        if round == 0 {
            // With room again the log takes records by itself.
            bound_files(&server, None);
            let stood_at = events(&status);
            stream_becomes(&server, "going on", |status| events(status) > stood_at + 500).await;
            assert!(server.stop().await.success());
        } else {
            server.kill();
        }
        server.restart().await;
    }
    let orders = load.end().await;
    caught_up(&server, ends(&kafka, TOPIC).await).await;
    equals_the_oracle(&server, &orders).await;
    holds_each_once(&mut server, &orders).await;
}

/// Events that were taken in since the server started.
fn events(status: &Json) -> u64 {
    status["counts"]["events"].as_u64().unwrap()
}

/// The length of the largest file in a folder and those in it, in bytes.
fn largest_file(folder: &Path) -> u64 {
    let entries = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let length = |path: std::path::PathBuf| {
        if path.is_dir() { largest_file(&path) } else { fs_err::metadata(path).unwrap().len() }
    };
    entries.map(length).max().unwrap_or(0)
}

/// From now on no file of the server may grow beyond so many bytes: each of its writes there fails, as on a disk that is full.
fn bound_files(server: &Server, bytes: Option<u64>) {
    let bound = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let id = server.process_id().to_string();
    // The soft one of the two limits, which can be raised again.
    let status = Command::new("prlimit").args(["--pid", &id, &format!("--fsize={bound}:")]).status();
    assert!(status.unwrap().success());
}

/// What no definition makes an order of. Each is another one, by `number`.
fn poison(number: usize) -> (Vec<u8>, &'static str) {
    let text = |text: String| text.into_bytes();
    match number % 6 {
        0 => ([&[0xff, 0xfe, 0x80], number.to_string().as_bytes()].concat(), "formats.message_malformed"),
        1 => (
            text(format!("{{ \"order_id\": \"cut {number}\", \"ordered_at\": \"2025-06")),
            "formats.message_malformed",
        ),
        2 => (text("[".repeat(3_000 + number)), "formats.message_malformed"),
        3 => (
            text(json!({ "order_id": number, "ordered_at": "2025-06-16T12:00:00Z" }).to_string()),
            "formats.column_mismatch",
        ),
        4 => (
            text(json!({ "order_id": number.to_string(), "ordered_at": "yesterday" }).to_string()),
            "formats.column_mismatch",
        ),
        _ => (
            text(json!({ "order_id": number.to_string(), "shop": "north" }).to_string()),
            "features.event_refused",
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poisoned_messages_under_load_and_kills_are_kept_once_each_and_hold_nothing_up() {
    messages_are_poisoned(seed()).await;
}

#[expect(clippy::print_stdout, reason = "what a person needs to run a test again")]
async fn messages_are_poisoned(seed: u64) {
    const TOPIC: &str = "orders_among_poison";
    const POISONED: usize = 600;
    let mut random = StdRng::seed_from_u64(seed);
    let kafka = Broker::shared().await;
    kafka.create_topic(TOPIC, 4).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    apply(&server, TOPIC, json!({})).await;
    let producer = producer(&kafka).await;
    let load = Load::begin(Arc::clone(&producer), TOPIC, seed);
    // Every seventh of the bad ones can be mended: its sender has renamed a field.
    let mendable = world::orders(POISONED / 7, seed ^ 1);
    let mendable: Vec<Order> =
        mendable.into_iter().map(|order| Order { id: format!("renamed {}", order.id), ..order }).collect();
    let mut bad: Vec<Vec<u8>> = (0..POISONED).map(|number| poison(number).0).collect();
    bad.extend(mendable.iter().map(|order| order.line().replace("ordered_at", "placed_at").into_bytes()));
    bad.shuffle(&mut random);
    for (index, message) in bad.iter().enumerate() {
        send(&*producer, TOPIC, world::SHOPS[random.random_range(0..4)], message.clone()).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..6))).await;
        if index % 250 == 249 {
            load.assert_flows();
            server.kill();
            server.restart().await;
        }
    }
    let mut orders = load.end().await;
    let status = caught_up(&server, ends(&kafka, TOPIC).await).await;
    assert_eq!(status["state"], "reading", "{status}");
    equals_the_oracle(&server, &orders).await;
    letters_wait(&server, bad.len()).await;

    // They are read again while the server is killed; each that can be mended counts once, each other one waits.
    apply(&server, TOPIC, json!({ "fields": { "ordered_at": ["ordered_at", "placed_at"] } })).await;
    let client = server.client().clone();
    let replaying = TaskTracker::new().spawn(async move {
        client
            .send(client.request(Method::POST, "/api/v1/streams/orders/replay").json(&json!({})))
            .await
            .is_ok()
    });
    tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
    server.kill();
    println!("the replay was answered before the kill: {}", replaying.await.unwrap());
    server.restart().await;
    stream_becomes(&server, "reading", |status| status["state"] == "reading").await;
    server.client().post("/api/v1/streams/orders/replay", &json!({})).await.ok();
    orders.extend(mendable);
    equals_the_oracle(&server, &orders).await;
    letters_wait(&server, POISONED).await;
    holds_each_once(&mut server, &orders).await;
    let kept = "SELECT code, count(DISTINCT message) FROM orders__dead_letters WHERE topic = 'orders_among_poison' \
                AND coalesce(text, '') NOT LIKE '%placed_at%' GROUP BY code ORDER BY code";
    let of = |code: &str| (0..POISONED).filter(|number| poison(*number).1 == code).count();
    let codes = ["features.event_refused", "formats.column_mismatch", "formats.message_malformed"];
    assert_eq!(sql(&server, kept).await, json!(codes.map(|code| (code, of(code)))));
    let places = "SELECT count(*), count(DISTINCT \"partition\" * 1000000 + \"offset\") FROM orders__dead_letters \
                  WHERE topic = 'orders_among_poison'";
    assert_eq!(sql(&server, places).await, json!([[bad.len(), bad.len()]]));
}

/// Waits until so many letters wait: they are counted in their table, which follows the log.
async fn letters_wait(server: &Server, letters: usize) {
    let waiting =
        async || server.client().get("/api/v1/streams/orders/dead-letters").await.ok()["waiting"].clone();
    let deadline = Instant::now() + Duration::from_secs(60);
    while waiting().await != letters {
        assert!(Instant::now() < deadline, "{} letters wait, not {letters}", waiting().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_have_every_event_each_while_one_is_killed_and_partitions_are_added() {
    one_of_two_servers_is_killed(seed()).await;
}

async fn one_of_two_servers_is_killed(seed: u64) {
    const TOPIC: &str = "orders_of_two_servers";
    let mut random = StdRng::seed_from_u64(seed);
    let kafka = Broker::shared().await;
    kafka.create_topic(TOPIC, 2).await;
    let settings = TempData::new();
    let mut stays = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    let mut dies = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    for server in [&stays, &dies] {
        apply(server, TOPIC, json!({})).await;
    }
    let load = Load::begin(producer(&kafka).await, TOPIC, seed);
    let partitions = |status: &Json| status["partitions"].as_array().map_or(0, Vec::len);
    for round in 0..4 {
        some_time(&mut random).await;
        load.assert_flows();
        if round == 1 {
            // A rebalance in the groups of both.
            kafka.grow_topic(TOPIC, 5).await;
        }
        dies.kill();
        some_time(&mut random).await;
        dies.restart().await;
    }
    for server in [&stays, &dies] {
        stream_becomes(server, "reading the new partitions", |status| partitions(status) == 5).await;
    }
    some_time(&mut random).await;
    let orders = load.end().await;
    let ends = ends(&kafka, TOPIC).await;
    for server in [&mut stays, &mut dies] {
        let status = caught_up(server, ends).await;
        assert_eq!((&status["state"], &status["counts"]["dead"]), (&json!("reading"), &json!(0)), "{status}");
        equals_the_oracle(server, &orders).await;
        holds_each_once(server, &orders).await;
    }
    let groups: BTreeSet<String> = [&stays, &dies]
        .iter()
        .map(|server| fs_err::read_to_string(server.data().join("server-id")).unwrap())
        .collect();
    assert_eq!(groups.len(), 2, "each has a group of its own: {groups:?}");
}
