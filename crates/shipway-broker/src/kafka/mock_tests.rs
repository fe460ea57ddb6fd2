//! The port over the library's own mock of a cluster: what a real broker does only when it is ill.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, future::join_all};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext, types::RDKafkaRespErr};
use shipway_core::Failure;

use crate::{
    Broker, BrokerError, Event, Message, Outgoing, Positions, PositionsFailure, Settings, Start, Subscribe,
    Subscription, connect,
};

const PATIENCE: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_millis(200);
const TOPIC: &str = "departures";

/// Positions in memory.
#[derive(Debug, Default)]
struct Kept(Mutex<BTreeMap<u32, u64>>);

#[async_trait]
impl Positions for Kept {
    async fn position(&self, partition: u32, _: u64) -> Result<Option<u64>, PositionsFailure> {
        Ok(self.0.lock().unwrap().get(&partition).copied())
    }

    async fn next_generation(&self, _: u32) -> Result<u64, PositionsFailure> {
        Err("Kafka numbers the owners itself".into())
    }
}

type Cluster = MockCluster<'static, DefaultProducerContext>;

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster
}

fn settings(cluster: &Cluster) -> Settings {
    let mut settings = Settings::new(cluster.bootstrap_servers(), "tests");
    // The mock keeps a member that has left until its session is over, and lets a group wait for three seconds first.
    let quick = [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500")];
    for (name, value) in
        [("reconnect.backoff.max.ms", "100"), ("reconnect.backoff.ms", "10")].into_iter().chain(quick)
    {
        settings.properties.insert(name.to_owned(), value.to_owned());
    }
    settings
}

async fn write(broker: &Arc<dyn Broker>, values: impl IntoIterator<Item = u32>) {
    let producer = in_time(broker.producer()).await.unwrap();
    let sent = values
        .into_iter()
        .map(|value| producer.send(Outgoing { value: Some(Bytes::from(value.to_string())), ..message() }));
    for receipt in in_time(join_all(sent)).await {
        receipt.unwrap();
    }
}

fn message() -> Outgoing {
    Outgoing { topic: TOPIC.to_owned(), key: Some(Bytes::from_static(b"N14228")), ..Outgoing::default() }
}

async fn subscribe(broker: &Arc<dyn Broker>, kept: &Arc<Kept>) -> Box<dyn Subscription> {
    let positions: Arc<dyn Positions> = Arc::<Kept>::clone(kept);
    let subscribe = Subscribe { topic: TOPIC.to_owned(), group: None, start: Start::Earliest, positions };
    in_time(broker.subscribe(subscribe)).await.unwrap()
}

/// Reads until `number` messages have come.
async fn read(subscription: &mut Box<dyn Subscription>, number: usize) -> Vec<Message> {
    let mut read = Vec::new();
    in_time(async {
        while read.len() < number {
            if let Event::Messages(messages) = subscription.next(1000, 1 << 20, WAIT).await.unwrap() {
                read.extend(messages);
            }
        }
    })
    .await;
    read
}

fn values(messages: &[Message]) -> Vec<u32> {
    let value =
        |message: &Message| std::str::from_utf8(message.value.as_ref().unwrap()).unwrap().parse().unwrap();
    messages.iter().map(value).collect()
}

#[tokio::test]
async fn messages_come_in_order_from_the_position_that_is_kept_whatever_was_committed() {
    let cluster = cluster();
    let broker = in_time(connect(settings(&cluster))).await.unwrap();
    write(&broker, 0..10).await;
    let kept = Arc::new(Kept::default());
    let mut subscription = subscribe(&broker, &kept).await;
    assert_eq!(values(&read(&mut subscription, 10).await), (0..10).collect::<Vec<_>>());
    in_time(subscription.commit(&[(0, 10)])).await.unwrap();
    in_time(subscription.close()).await.unwrap();

    kept.0.lock().unwrap().insert(0, 4);
    let mut subscription = subscribe(&broker, &kept).await;

    assert_eq!(values(&read(&mut subscription, 6).await), (4..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_dropped_call_would_have_answered_the_next_one_does() {
    let cluster = cluster();
    let broker = in_time(connect(settings(&cluster))).await.unwrap();
    write(&broker, 0..50).await;
    let mut subscription = subscribe(&broker, &Arc::new(Kept::default())).await;
    let mut read = Vec::new();
    in_time(async {
        while read.len() < 50 {
            // Polled once and dropped, again and again.
            match subscription.next(1, 1 << 20, WAIT).now_or_never() {
                Some(Ok(Event::Messages(messages))) => read.extend(messages),
                Some(Err(error)) => panic!("{error}"),
                Some(Ok(_)) => {}
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert_eq!(values(&read), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_cluster_that_goes_away_is_told_and_read_again_when_it_is_back() {
    let cluster = cluster();
    let broker = in_time(connect(settings(&cluster))).await.unwrap();
    write(&broker, 0..3).await;
    let mut subscription = subscribe(&broker, &Arc::new(Kept::default())).await;
    read(&mut subscription, 3).await;

    cluster.broker_down(1).unwrap();
    let failure = in_time(async {
        loop {
            if let Err(failure) = subscription.next(10, 1 << 20, WAIT).await {
                return failure;
            }
        }
    })
    .await;
    assert_eq!(failure.code(), "broker.unreachable");

    cluster.broker_up(1).unwrap();
    write(&broker, 3..6).await;
    let mut read = Vec::new();
    in_time(async {
        while read.len() < 3 {
            if let Ok(Event::Messages(messages)) = subscription.next(10, 1 << 20, WAIT).await {
                read.extend(messages);
            }
        }
    })
    .await;
    assert_eq!(values(&read), [3, 4, 5]);
}

#[tokio::test]
async fn a_write_that_the_broker_refuses_for_now_is_repeated_in_order() {
    let cluster = cluster();
    let broker = in_time(connect(settings(&cluster))).await.unwrap();
    let not_now = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    cluster.request_errors(rdkafka::types::RDKafkaApiKey::Produce, &[not_now; 3]);
    write(&broker, 0..100).await;
    let mut subscription = subscribe(&broker, &Arc::new(Kept::default())).await;
    assert_eq!(values(&read(&mut subscription, 100).await), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_write_waits_while_the_queue_is_full() {
    let cluster = cluster();
    let mut settings = settings(&cluster);
    settings.limits.unacknowledged_messages = 1;
    let broker = in_time(connect(settings)).await.unwrap();
    let producer = in_time(broker.producer()).await.unwrap();
    cluster.broker_down(1).unwrap();

    let mut first = producer.send(message());
    let mut second = producer.send(message());
    assert!((&mut first).now_or_never().is_none());
    assert!((&mut second).now_or_never().is_none());
    cluster.broker_up(1).unwrap();

    let (first, second) = in_time(async { (first.await.unwrap(), second.await.unwrap()) }).await;
    assert_eq!((first.offset, second.offset), (0, 1));
    in_time(producer.flush()).await.unwrap();
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_refused_at_once() {
    let cluster = cluster();
    cluster.topic_error("nowhere", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let broker = in_time(connect(settings(&cluster))).await.unwrap();
    let failure = in_time(broker.partitions("nowhere")).await.unwrap_err();
    assert_eq!(failure.to_string(), "topic nowhere does not exist at the broker");
}

#[tokio::test]
async fn settings_that_the_library_refuses_are_named_without_their_value() {
    let cluster = cluster();
    for name in ["ssl.keystore.passwort", "linger.ms"] {
        let mut settings = settings(&cluster);
        settings.properties.insert(name.to_owned(), "swordfish".to_owned());
        let failure = in_time(connect(settings)).await.unwrap_err();
        assert_eq!(failure.to_string(), format!("property {name} is unknown, or its value is wrong"));
        assert!(!format!("{failure:?}").contains("swordfish"));
    }
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_unreachable() {
    let mut settings = Settings::new("127.0.0.1:1", "tests");
    settings.limits.request_seconds = 1;
    let failure = in_time(connect(settings)).await.unwrap_err();
    assert!(matches!(failure, BrokerError::Unreachable { .. }), "{failure}");
    assert!(failure.to_string().contains("refused"), "{failure}");
}

#[tokio::test]
async fn a_store_of_positions_that_fails_is_asked_again() {
    #[derive(Debug, Default)]
    struct FailsOnce(Mutex<u32>);
    #[async_trait]
    impl Positions for FailsOnce {
        async fn position(&self, _: u32, _: u64) -> Result<Option<u64>, PositionsFailure> {
            let mut asked = self.0.lock().unwrap();
            *asked += 1;
            if *asked == 1 { Err("the store is away".into()) } else { Ok(Some(1)) }
        }

        async fn next_generation(&self, _: u32) -> Result<u64, PositionsFailure> {
            Err("Kafka numbers the owners itself".into())
        }
    }
    let cluster = cluster();
    let broker = in_time(connect(settings(&cluster))).await.unwrap();
    write(&broker, 0..3).await;
    let positions = Arc::new(FailsOnce::default());
    let subscribe = Subscribe { topic: TOPIC.to_owned(), group: None, start: Start::Earliest, positions };
    let mut subscription = in_time(broker.subscribe(subscribe)).await.unwrap();
    let failure = in_time(async {
        loop {
            if let Err(failure) = subscription.next(10, 1 << 20, WAIT).await {
                return failure;
            }
        }
    })
    .await;
    assert_eq!(failure.code(), "broker.positions_failed");
    assert_eq!(values(&read(&mut subscription, 2).await), [1, 2]);
}
