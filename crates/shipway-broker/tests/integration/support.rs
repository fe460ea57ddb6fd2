//! A broker that the tests of a run share, positions in memory, and readers with deadlines.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use shipway_broker::{
    Broker, Event, Message, Outgoing, Partition, Positions, PositionsFailure, Receipt, Settings, Start,
    Subscribe, Subscription,
};
use shipway_testkit::Kafka;

pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
pub(crate) const WAIT: Duration = Duration::from_millis(100);
pub(crate) const MANY: usize = 1000;
pub(crate) const LARGE: usize = 64 << 20;

/// The broker of this run. It ends with the last test that holds it.
pub(crate) async fn kafka() -> Arc<Kafka> {
    static SHARED: tokio::sync::Mutex<Weak<Kafka>> = tokio::sync::Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(kafka) = shared.upgrade() {
        return kafka;
    }
    let kafka = Arc::new(Kafka::start().await);
    *shared = Arc::downgrade(&kafka);
    kafka
}

pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

pub(crate) async fn connect(settings: Settings) -> Arc<dyn Broker> {
    in_time(shipway_broker::connect(settings)).await.unwrap()
}

/// Settings that notice a broker that is back quickly.
pub(crate) fn settings(kafka: &Kafka) -> Settings {
    let mut settings = Settings::new(kafka.bootstrap(), "tests");
    for (name, value) in [("reconnect.backoff.ms", "20"), ("reconnect.backoff.max.ms", "200")] {
        settings.properties.insert(name.to_owned(), value.to_owned());
    }
    settings
}

/// Positions in memory, fenced by generation, with everything that was applied.
#[derive(Debug, Default)]
pub(crate) struct Store(Mutex<BTreeMap<u32, Stored>>);

#[derive(Debug, Default, Clone)]
pub(crate) struct Stored {
    pub(crate) generation: u64,
    /// The highest number that was given to an owner, whether he claimed with it or not.
    pub(crate) numbered: u64,
    pub(crate) position: Option<u64>,
    pub(crate) values: Vec<Bytes>,
}

#[async_trait]
impl Positions for Store {
    async fn position(&self, partition: u32, generation: u64) -> Result<Option<u64>, PositionsFailure> {
        let mut all = self.lock();
        let stored = all.entry(partition).or_default();
        if generation < stored.generation {
            return Err(format!("a newer owner has generation {}", stored.generation).into());
        }
        stored.generation = generation;
        Ok(stored.position)
    }

    async fn next_generation(&self, partition: u32) -> Result<u64, PositionsFailure> {
        let mut all = self.lock();
        let stored = all.entry(partition).or_default();
        stored.numbered = stored.numbered.max(stored.generation) + 1;
        Ok(stored.numbered)
    }
}

impl Store {
    pub(crate) fn at(positions: impl IntoIterator<Item = (u32, u64)>) -> Arc<Self> {
        let stored = |position| Stored { position: Some(position), ..Stored::default() };
        Arc::new(Self(Mutex::new(
            positions.into_iter().map(|(partition, at)| (partition, stored(at))).collect(),
        )))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Stored>> {
        self.0.lock().unwrap()
    }

    /// The same store, moved to another position.
    pub(crate) fn moved(self: &Arc<Self>, partition: u32, position: u64) -> Arc<Self> {
        self.lock().entry(partition).or_default().position = Some(position);
        Arc::clone(self)
    }

    /// Applies a message and moves the position, in one step, unless a newer owner has claimed the partition.
    pub(crate) fn apply(&self, message: &Message, generation: u64) -> bool {
        let mut all = self.lock();
        let stored = all.entry(message.partition).or_default();
        if generation < stored.generation {
            return false;
        }
        assert!(stored.position.is_none_or(|position| message.offset >= position), "read twice: {message:?}");
        stored.position = Some(message.offset + 1);
        stored.values.extend(message.value.clone());
        true
    }
}

pub(crate) fn value(text: impl Into<String>) -> Option<Bytes> {
    Some(Bytes::from(text.into()))
}

pub(crate) fn keyed(topic: &str, key: u32, text: impl Into<String>) -> Outgoing {
    Outgoing {
        topic: topic.to_owned(),
        key: value(format!("k{key}")),
        value: value(text),
        ..Outgoing::default()
    }
}

pub(crate) async fn write(broker: &Arc<dyn Broker>, messages: Vec<Outgoing>) -> Vec<Receipt> {
    let producer = in_time(broker.producer()).await.unwrap();
    let sent = messages.into_iter().map(|message| producer.send(message));
    in_time(join_all(sent)).await.into_iter().map(Result::unwrap).collect()
}

pub(crate) async fn subscribe(
    broker: &Arc<dyn Broker>,
    topic: &str,
    start: Start,
    store: &Arc<Store>,
) -> Box<dyn Subscription> {
    let positions: Arc<dyn Positions> = Arc::<Store>::clone(store);
    let group = Some(format!("group-of-{topic}"));
    in_time(broker.subscribe(Subscribe { topic: topic.to_owned(), group, start, positions })).await.unwrap()
}

/// Goes on until partitions are assigned.
pub(crate) async fn assigned(subscription: &mut Box<dyn Subscription>) -> (Vec<Partition>, u64) {
    in_time(async {
        loop {
            match subscription.next(MANY, LARGE, WAIT).await.unwrap() {
                Event::Assigned { partitions, generation } => return (partitions, generation),
                Event::Idle => {}
                other => panic!("{other:?} before an assignment"),
            }
        }
    })
    .await
}

/// Reads until `number` messages have come.
pub(crate) async fn read(subscription: &mut Box<dyn Subscription>, number: usize) -> Vec<Message> {
    let mut read = Vec::new();
    in_time(async {
        while read.len() < number {
            if let Event::Messages(messages) = subscription.next(MANY, LARGE, WAIT).await.unwrap() {
                read.extend(messages);
            }
        }
    })
    .await;
    assert_eq!(read.len(), number);
    read
}

pub(crate) fn texts(messages: &[Message]) -> Vec<String> {
    let text = |message: &Message| String::from_utf8(message.value.as_ref().unwrap().to_vec()).unwrap();
    messages.iter().map(text).collect()
}
