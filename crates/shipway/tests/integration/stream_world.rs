//! What tests of streams share: the broker, a server that reads the small world's orders from it, those who send them.

use std::{
    collections::BTreeSet,
    ops::{Deref, DerefMut},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value as Json, json};
use shipway_broker::{Outgoing, Producer, Settings};
use shipway_testkit::{Kafka, Server, ServerOptions, TempData};
use tokio::sync::{Mutex, MutexGuard};

use crate::world::{self, Order};

const WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// A broker is a Java machine: more than one at a time would only take the processor from all other tests.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The only broker that runs.
pub(crate) struct Broker {
    // Dropped in this order: the next one may start when this one is gone.
    kafka: Kafka,
    _turn: MutexGuard<'static, ()>,
}

impl Broker {
    /// One that a test has for itself, to kill it.
    pub(crate) async fn own() -> Self {
        Self::own_from(Kafka::start()).await
    }

    /// The same, started as the test wants it.
    pub(crate) async fn own_from(start: impl Future<Output = Kafka>) -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        Self { kafka: start.await, _turn: turn }
    }

    /// One for tests that leave it alone, each with a topic of its own. It ends with the last test that holds it.
    pub(crate) async fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Broker>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(broker) = shared.upgrade() {
            return broker;
        }
        let broker = Arc::new(Self::own().await);
        *shared = Arc::downgrade(&broker);
        broker
    }
}

impl Deref for Broker {
    type Target = Kafka;

    fn deref(&self) -> &Kafka {
        &self.kafka
    }
}

impl DerefMut for Broker {
    fn deref_mut(&mut self) -> &mut Kafka {
        &mut self.kafka
    }
}

/// What a server needs to know of the broker.
pub(crate) fn options(kafka: &Kafka, settings: &TempData) -> ServerOptions {
    options_with(kafka, settings, "")
}

/// The same with further sections of the configuration.
pub(crate) fn options_with(kafka: &Kafka, settings: &TempData, more: &str) -> ServerOptions {
    let bootstrap = kafka.bootstrap();
    // A member that was killed is missed soon, and a new partition is found soon.
    let soon = "\"session.timeout.ms\" = \"1500\"\n\"heartbeat.interval.ms\" = \"300\"\n\
                \"topic.metadata.refresh.interval.ms\" = \"500\"\n";
    configured(
        settings,
        &format!("[brokers.main]\nbootstrap = \"{bootstrap}\"\n[brokers.main.properties]\n{soon}{more}"),
    )
}

/// A server with this configuration.
pub(crate) fn configured(settings: &TempData, toml: &str) -> ServerOptions {
    let path = settings.join("shipway.toml");
    fs_err::write(&path, toml).unwrap();
    let path = path.to_string_lossy().into_owned();
    ServerOptions { arguments: vec!["--configuration".to_owned(), path], ..ServerOptions::default() }
}

/// How a test itself reaches the broker.
pub(crate) fn settings_of(kafka: &Kafka) -> Settings {
    let mut settings = Settings::new(kafka.bootstrap(), "tests");
    // A broker that was killed is back soon, and the load should be, too. So should a new partition be found.
    for (name, value) in [("reconnect.backoff.max.ms", "200"), ("topic.metadata.refresh.interval.ms", "500")]
    {
        settings.properties.insert(name.to_owned(), value.to_owned());
    }
    settings
}

pub(crate) async fn producer(kafka: &Kafka) -> Arc<dyn Producer> {
    let broker = shipway_broker::connect(settings_of(kafka)).await.unwrap();
    broker.producer().await.unwrap()
}

pub(crate) async fn send(producer: &dyn Producer, topic: &str, key: &str, value: impl Into<Bytes>) {
    let (key, value) = (Some(Bytes::from(key.to_owned())), Some(value.into()));
    let message = Outgoing { topic: topic.to_owned(), key, value, headers: Vec::new() };
    producer.send(message).await.unwrap();
}

/// Sends orders, some of them twice and all in an order of their own, until it is told to stop; says how many it has sent.
pub(crate) async fn keep_sending(
    producer: Arc<dyn Producer>,
    topic: String,
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
        let sends = chunk.iter().map(|order| send(&*producer, &topic, order.shop, order.line()));
        futures::future::join_all(sends).await;
        sent += chunk.iter().map(|order| &order.id).collect::<BTreeSet<_>>().len();
        tokio::time::sleep(Duration::from_millis(random.random_range(0..8))).await;
    }
    sent
}

/// The definitions of the small world, with orders that come from the topic as JSON; `more` goes into the stream part.
pub(crate) async fn apply(server: &Server, topic: &str, more: Json) {
    let mut stream = json!({ "topic": topic, "format": "json" });
    for (name, value) in more.as_object().into_iter().flatten() {
        stream[name] = value.clone();
    }
    apply_stream(server, stream).await;
}

/// The definitions of the small world, with orders that come as `stream` says, from the broker `main` if it says nothing else.
pub(crate) async fn apply_stream(server: &Server, mut stream: Json) {
    if stream["broker"].is_null() {
        stream["broker"] = "main".into();
    }
    let text = world::DEFINITIONS.replacen(
        "event_id: order_id\n",
        &format!("event_id: order_id\nstream: {stream}\n"),
        1,
    );
    let body = json!({ "files": [{ "path": "world.yaml", "text": text }] });
    server.client().post("/api/v1/definitions/apply", &body).await.ok();
}

/// Waits until the stream is so, and says how it is then.
pub(crate) async fn stream_becomes(server: &Server, what: &str, is_so: impl Fn(&Json) -> bool) -> Json {
    streams_become(server, what, |streams| streams.first().filter(|stream| is_so(stream)).cloned()).await
}

/// Waits until one of the streams is found among all of them as it should be.
pub(crate) async fn streams_become(
    server: &Server,
    what: &str,
    find: impl Fn(&[Json]) -> Option<Json>,
) -> Json {
    let deadline = Instant::now() + WITHIN;
    loop {
        let streams = server.client().get("/api/v1/streams").await.ok();
        if let Some(found) = find(streams["streams"].as_array().unwrap()) {
            return found;
        }
        assert!(Instant::now() < deadline, "not {what}: {streams}\n{}", server.log());
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until as many messages as `ends` were taken in.
pub(crate) async fn caught_up(server: &Server, ends: u64) -> Json {
    stream_becomes(server, &format!("caught up to {ends}"), |status| taken_in(status) >= ends).await
}

/// Messages of all partitions that were taken in, over the whole life of the server.
pub(crate) fn taken_in(status: &Json) -> u64 {
    let positions = status["partitions"].as_array().into_iter().flatten();
    positions.map(|partition| partition["position"].as_u64().unwrap()).sum()
}

/// Messages that the broker has.
pub(crate) async fn ends(kafka: &Kafka, topic: &str) -> u64 {
    let broker = shipway_broker::connect(settings_of(kafka)).await.unwrap();
    broker.ends(topic).await.unwrap().iter().map(|ends| ends.high).sum()
}

/// A token for everything that the server has taken in.
pub(crate) async fn token(server: &Server) -> String {
    let answer =
        server.client().post_body("/api/v1/ingest/orders", "application/x-ndjson", String::new()).await.ok();
    answer["token"].as_str().unwrap().to_owned()
}

pub(crate) async fn sql(server: &Server, query: &str) -> Json {
    server.client().post("/api/v1/sql", &json!({ "query": query })).await.ok()["rows"].clone()
}

/// Compares what the server says of every shop with the oracle, after everything that it has taken in.
pub(crate) async fn equals_the_oracle(server: &Server, orders: &[Order]) {
    let (at, token) = (world::after(orders), token(server).await);
    let compared = world::equals_the_oracle(server.client(), orders, at, Some(&token)).await;
    assert!(compared >= world::SHOPS.len() * 20, "{compared} values compared");
}

/// Has the server write its tables out, and compares them with the oracle: as many rows as orders, and each once.
pub(crate) async fn holds_each_once(server: &mut Server, orders: &[Order]) {
    assert!(server.stop().await.success());
    server.restart().await;
    let rows = sql(server, "SELECT count(*), count(DISTINCT order_id) FROM orders").await;
    assert_eq!(rows, json!([[orders.len(), orders.len()]]));
}

/// The seed of a test with faults, shown so that the test can be run again with it: in `SHIPWAY_FAULTS_SEED`.
#[expect(clippy::print_stdout, reason = "what a person needs to run a test again")]
pub(crate) fn seed() -> u64 {
    let seed = setting("SHIPWAY_FAULTS_SEED").unwrap_or_else(rand::random);
    println!("{}: seed {seed}", std::thread::current().name().unwrap_or_default());
    seed
}

#[expect(clippy::disallowed_methods, reason = "the configuration of a test run")]
pub(crate) fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
