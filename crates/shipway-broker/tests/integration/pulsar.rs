//! The port over a real Pulsar. Only when asked for, and then said so: its packages are large, and it needs a minute to start.
//!
//! `cargo test --workspace --test integration -- --ignored pulsar::` starts one from its packages. `SHIPWAY_TEST_PULSAR` names one that
//! runs, as `pulsar://127.0.0.1:6650`, and `SHIPWAY_TEST_PULSAR_ADMIN` its administration, as `http://127.0.0.1:8080`.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use rand::Rng;
use shipway_broker::{Broker, BrokerError, Event, Offsets, Settings, Start, Subscribe};
use shipway_core::Failure;
use shipway_testkit::{Pulsar, PulsarTopics};

use crate::{
    conformance::{Ways, World, suite},
    support::{LARGE, MANY, Store, WAIT, assigned, connect, in_time, keyed, read, subscribe, texts, write},
};

/// A Pulsar that tests share: one that we started, or one that somebody has.
#[derive(Debug)]
struct Shared {
    address: String,
    topics: PulsarTopics,
    _started: Option<Pulsar>,
}

/// The Pulsar of this run. One that was started ends with the last test that holds it.
#[expect(clippy::disallowed_methods, reason = "the configuration of a test run")]
async fn pulsar() -> Arc<Shared> {
    static SHARED: tokio::sync::Mutex<Weak<Shared>> = tokio::sync::Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(pulsar) = shared.upgrade() {
        return pulsar;
    }
    let pulsar = Arc::new(match std::env::var("SHIPWAY_TEST_PULSAR") {
        Ok(address) => {
            let admin = std::env::var("SHIPWAY_TEST_PULSAR_ADMIN");
            let admin = admin.unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
            Shared { address, topics: PulsarTopics::at(admin), _started: None }
        }
        Err(_) => {
            let started = Pulsar::start().await;
            Shared { address: started.address(), topics: started.topics(), _started: Some(started) }
        }
    });
    *shared = Arc::downgrade(&pulsar);
    pulsar
}

#[async_trait]
impl World for PulsarTopics {
    async fn create(&self, name: &str, partitions: u32) {
        PulsarTopics::create(self, name, partitions).await;
    }

    fn ways(&self) -> Ways {
        Ways { offsets: Offsets::Ordered, members_share: false, headers_may_be_null: false }
    }
}

/// A name that no earlier run has used: somebody's Pulsar keeps its topics.
fn fresh(name: &str) -> String {
    format!("shipway-{name}-{:08x}", rand::rng().random::<u32>())
}

async fn reach(pulsar: &Shared) -> Arc<dyn Broker> {
    connect(Settings::new(pulsar.address.as_str(), "tests")).await
}

#[tokio::test]
#[ignore = "starts a Pulsar, or uses the one at SHIPWAY_TEST_PULSAR"]
async fn pulsar_conforms() {
    let pulsar = pulsar().await;
    suite(&reach(&pulsar).await, &pulsar.topics, &fresh("conforms")).await;
}

#[tokio::test]
#[ignore = "starts a Pulsar, or uses the one at SHIPWAY_TEST_PULSAR"]
async fn a_topic_without_partitions_is_partition_0() {
    let pulsar = pulsar().await;
    let (broker, topic) = (reach(&pulsar).await, fresh("whole"));
    pulsar.topics.create_whole(&topic).await;
    assert_eq!(in_time(broker.partitions(&topic)).await.unwrap(), 1);
    let receipts =
        write(&broker, (0..3).map(|number| keyed(&topic, number, number.to_string())).collect()).await;
    assert!(receipts.iter().all(|receipt| receipt.partition == 0));
    let store = Arc::default();
    let whole = format!("persistent://public/default/{topic}");
    let messages = read(&mut subscribe(&broker, &whole, Start::Earliest, &store).await, 3).await;
    assert_eq!(texts(&messages), ["0", "1", "2"]);
}

#[tokio::test]
#[ignore = "starts a Pulsar, or uses the one at SHIPWAY_TEST_PULSAR"]
async fn a_topic_that_does_not_exist_is_neither_read_nor_made() {
    let pulsar = pulsar().await;
    let (broker, topic) = (reach(&pulsar).await, fresh("nowhere"));
    let producer = in_time(broker.producer()).await.unwrap();
    let refused = in_time(producer.send(keyed(&topic, 0, "x"))).await.unwrap_err();
    assert_eq!(refused.code(), "broker.topic_unknown", "{refused}");
    let positions = Arc::new(Store::default());
    let asks = Subscribe { topic: topic.clone(), group: None, start: Start::Earliest, positions };
    let refused = in_time(broker.subscribe(asks)).await.unwrap_err();
    assert_eq!(refused.code(), "broker.topic_unknown", "{refused}");
    assert!(!pulsar.topics.list().await.iter().any(|name| name.contains(&topic)));
}

#[tokio::test]
#[ignore = "starts a Pulsar, or uses the one at SHIPWAY_TEST_PULSAR"]
async fn partitions_that_are_added_later_are_assigned() {
    let pulsar = pulsar().await;
    let (broker, topic) = (reach(&pulsar).await, fresh("grows"));
    pulsar.topics.create(&topic, 1).await;
    let store = Arc::default();
    let mut subscription = subscribe(&broker, &topic, Start::Earliest, &store).await;
    assigned(&mut subscription).await;
    pulsar.topics.grow(&topic, 3).await;
    let mut added = Vec::new();
    while added.len() < 2 {
        added.extend(assigned(&mut subscription).await.0.into_iter().map(|begun| begun.partition));
    }
    added.sort_unstable();
    assert_eq!(added, [1, 2]);
    write(&broker, (0..30).map(|number| keyed(&topic, number, "x")).collect()).await;
    let messages = read(&mut subscription, 30).await;
    assert!((0..3).all(|partition| messages.iter().any(|message| message.partition == partition)));
}

/// Reads until `number` messages have come, through losses of the partition, and applies each; what comes again is refused.
async fn read_on(
    subscription: &mut Box<dyn shipway_broker::Subscription>,
    store: &Arc<Store>,
    number: usize,
) -> Vec<u64> {
    let mut generations = Vec::new();
    let mut current = store.lock().get(&0).map_or(0, |stored| stored.generation);
    in_time(async {
        while store.lock().get(&0).map_or(0, |stored| stored.values.len()) < number {
            match subscription.next(MANY, LARGE, WAIT).await {
                Ok(Event::Assigned { generation, .. }) => {
                    generations.push(generation);
                    current = generation;
                }
                Ok(Event::Messages(messages)) => {
                    for message in messages {
                        assert!(store.apply(&message, current), "{message:?}");
                    }
                    let position = store.lock()[&0].position.unwrap();
                    subscription.commit(&[(0, position)]).await.unwrap();
                }
                Ok(Event::Revoked { lost, .. }) => assert!(lost),
                Ok(Event::Idle) => {}
                Err(failure) => assert_eq!(failure.code(), "broker.unreachable", "{failure}"),
            }
        }
    })
    .await;
    generations
}

fn applied(store: &Store) -> Vec<String> {
    store.lock()[&0].values.iter().map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
}

#[tokio::test]
#[ignore = "starts a Pulsar, or uses the one at SHIPWAY_TEST_PULSAR"]
async fn a_topic_that_moves_is_read_on_without_a_loss_and_nothing_twice() {
    let pulsar = pulsar().await;
    let (broker, topic) = (reach(&pulsar).await, fresh("moves"));
    pulsar.topics.create_whole(&topic).await;
    let store: Arc<Store> = Arc::default();
    let mut subscription = subscribe(&broker, &topic, Start::Earliest, &store).await;
    let (mut expected, mut generations) = (Vec::new(), Vec::new());
    for round in 0..4 {
        let all: Vec<String> = (0..20).map(|number| format!("{round}-{number}")).collect();
        write(&broker, all.iter().map(|text| keyed(&topic, 0, text.clone())).collect()).await;
        expected.extend(all);
        if round % 2 == 0 {
            // While messages are on their way.
            pulsar.topics.unload(&topic).await;
        }
        generations.extend(read_on(&mut subscription, &store, expected.len()).await);
        if round % 2 == 1 {
            // While nothing is: the next message lies in another ledger.
            pulsar.topics.unload(&topic).await;
        }
    }
    assert_eq!(applied(&store), expected);
    assert!(generations.len() > 2 && generations.is_sorted_by(|one, next| one < next), "{generations:?}");
}

#[tokio::test]
#[ignore = "starts a Pulsar, or uses the one at SHIPWAY_TEST_PULSAR"]
async fn a_position_that_is_not_kept_any_more_is_told_and_never_skipped() {
    let pulsar = pulsar().await;
    let (broker, topic) = (reach(&pulsar).await, fresh("trimmed"));
    pulsar.topics.create_whole(&topic).await;
    let some = |from: u32| (from..from + 5).map(|number| keyed(&topic, 0, number.to_string())).collect();
    let first = write(&broker, some(0)).await;
    pulsar.topics.unload(&topic).await;
    let second = write(&broker, some(5)).await;
    pulsar.topics.truncate(&topic).await;
    let low = in_time(async {
        loop {
            let low = broker.ends(&topic).await.unwrap()[0].low;
            if low > first[4].offset {
                return low;
            }
            tokio::time::sleep(WAIT).await;
        }
    })
    .await;

    let high = second[4].offset + 1;
    for position in [first[2].offset + 1, high + 1_000_000] {
        let positions = Store::at([(0, position)]);
        let mut subscription = subscribe(&broker, &topic, Start::Earliest, &positions).await;
        assigned(&mut subscription).await;
        let failure = in_time(async {
            loop {
                if let Err(failure) = subscription.next(MANY, LARGE, WAIT).await {
                    return failure;
                }
            }
        })
        .await;
        assert!(
            matches!(failure, BrokerError::PositionGone { position: told, low: l, high: h, .. } if (told, l, h) == (position, low, high)),
            "{failure}"
        );
        in_time(subscription.seek(0, low)).await.unwrap();
        assert_eq!(texts(&read(&mut subscription, 5).await), ["5", "6", "7", "8", "9"]);
        in_time(subscription.close()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "starts a Pulsar of its own"]
async fn a_broker_that_comes_back_loses_nothing_that_it_acknowledged() {
    let mut pulsar = Pulsar::start().await;
    pulsar.topics().create_whole("comes-back").await;
    let broker = connect(Settings::new(pulsar.address(), "tests")).await;
    let store: Arc<Store> = Arc::default();
    let mut subscription = subscribe(&broker, "comes-back", Start::Earliest, &store).await;
    let mut expected = Vec::new();
    for (round, is_killed) in [false, true].into_iter().enumerate() {
        for part in ["before", "at"] {
            let all: Vec<String> = (0..10).map(|number| format!("{round}-{part}-{number}")).collect();
            write(&broker, all.iter().map(|text| keyed("comes-back", 0, text.clone())).collect()).await;
            expected.extend(all);
            if part == "before" {
                // The partition is ours by then: that the broker is gone is told once each time.
                read_on(&mut subscription, &store, expected.len()).await;
            }
        }
        if is_killed {
            pulsar.kill();
        } else {
            pulsar.stop().await;
        }
        in_time(async {
            loop {
                match subscription.next(MANY, LARGE, WAIT).await {
                    Err(failure) if failure.code() == "broker.unreachable" => return,
                    Ok(Event::Messages(messages)) => {
                        let generation = store.lock()[&0].generation;
                        messages.iter().for_each(|message| assert!(store.apply(message, generation)));
                    }
                    Ok(_) => {}
                    Err(failure) => panic!("{failure}"),
                }
            }
        })
        .await;
        pulsar.restart().await;
        read_on(&mut subscription, &store, expected.len()).await;
        assert_eq!(applied(&store), expected);
    }
}

/// Writes 500 messages in batches, by the client that Pulsar's project makes for Python.
const WRITES: &str = r#"
import sys
import pulsar

address, topic, compression = sys.argv[1:]
client = pulsar.Client(address, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
producer = client.create_producer(
    topic,
    compression_type=getattr(pulsar.CompressionType, compression),
    batching_enabled=True,
    batching_max_messages=50,
    batching_max_publish_delay_ms=1000,
)
for number in range(500):
    producer.send_async(
        f"{compression} {number} {'x' * 100}".encode(),
        lambda *_: None,
        partition_key=f"k{number % 7}",
        properties={"number": str(number)},
        event_timestamp=1_600_000_000_000 + number,
    )
producer.flush()
client.close()
"#;

#[tokio::test]
#[ignore = "starts a Pulsar, or uses the one at SHIPWAY_TEST_PULSAR; SHIPWAY_TEST_PULSAR_PYTHON is a Python with pulsar-client"]
#[expect(clippy::disallowed_methods, reason = "the configuration of a test run")]
async fn batches_of_another_client_are_read_whatever_they_are_packed_with_also_from_within() {
    let Ok(python) = std::env::var("SHIPWAY_TEST_PULSAR_PYTHON") else {
        println!("SKIPPED: SHIPWAY_TEST_PULSAR_PYTHON names no Python with pulsar-client");
        return;
    };
    let pulsar = pulsar().await;
    let broker = reach(&pulsar).await;
    for compression in ["NONE", "LZ4", "ZLib", "ZSTD", "SNAPPY"] {
        let topic = fresh(compression);
        pulsar.topics.create_whole(&topic).await;
        let mut writes = std::process::Command::new(&python);
        writes.args(["-c", WRITES, &pulsar.address, &topic, compression]);
        let written = in_time(tokio::task::spawn_blocking(move || writes.output())).await.unwrap().unwrap();
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));

        let store: Arc<Store> = Arc::default();
        let messages = read(&mut subscribe(&broker, &topic, Start::Earliest, &store).await, 500).await;
        let expected: Vec<String> =
            (0..500).map(|number| format!("{compression} {number} {}", "x".repeat(100))).collect();
        assert_eq!(texts(&messages), expected);
        for (number, message) in messages.iter().enumerate() {
            assert_eq!(message.key.as_deref(), Some(format!("k{}", number % 7).as_bytes()));
            assert_eq!(message.headers[0].value.as_deref(), Some(number.to_string().as_bytes()));
            assert_eq!(message.timestamp_us, Some((1_600_000_000_000 + number as i64) * 1000));
        }
        let offsets: Vec<u64> = messages.iter().map(|message| message.offset).collect();
        assert!(offsets.is_sorted_by(|one, next| one < next));
        let first_of_its_batch = offsets.iter().filter(|offset| **offset % 2048 == 0).count();
        assert!(first_of_its_batch < 100, "{first_of_its_batch} batches");

        for place in [122, 123, 124, 499] {
            let moved = Arc::new(Store::default()).moved(0, offsets[place] + 1);
            let mut rest = subscribe(&broker, &topic, Start::Earliest, &moved).await;
            assigned(&mut rest).await;
            assert_eq!(texts(&read(&mut rest, 499 - place).await), expected[place + 1..]);
            in_time(rest.close()).await.unwrap();
        }
    }
}
