//! While the side that takes messages in has no room, they stay at a real broker: the reader waits, holds little of them, and goes on where
//! it was, also when the broker has given up on it meanwhile.
//!
//! What is behind the states waits in `shipway-features` (`waiting`); here the reader is alone with a side that has no room.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use serde_json::json;
use shipway_core::{Name, SystemClock};
use shipway_definitions::{DefinitionFile, DefinitionSet};
use shipway_streams::{
    BrokerOptions, Content, Counts, Delivered, Feed, Intake, IntakeFailure, Letters, StreamState, Streams,
    StreamsOptions,
};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::stream_world::{Broker, producer, send, settings_of};

const TOPIC: &str = "more_than_there_is_room_for";
const MESSAGES: u64 = 24_000;
/// All of them together are several times what a reader takes at once.
const MESSAGE_BYTES: usize = 2_000;
/// What docs/streams.md promises of one delivery.
const AT_ONCE: (usize, usize) = (8_192, 16 << 20);
/// A member that hands nothing on for so long is given up by its group.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(2_000);
const WITHIN: Duration = Duration::from_secs(60);

/// Takes in as many deliveries as there are permits, and keeps the positions.
struct Narrow {
    room: Semaphore,
    waiting: AtomicUsize,
    most_waiting: AtomicUsize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    next: BTreeMap<u32, u64>,
    taken: u64,
    /// Messages and bytes of the largest delivery.
    largest: (usize, usize),
}

impl Narrow {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }
}

#[async_trait]
impl Intake for Narrow {
    async fn claim(&self, _: &Name, _: &Feed, _: u64, partition: u32) -> Result<Option<u64>, IntakeFailure> {
        Ok(self.kept().next.get(&partition).copied())
    }

    async fn pass_to(&self, _: &Name, _: &Feed, _: u64, _: (u32, u64)) -> Result<(), IntakeFailure> {
        Ok(())
    }

    async fn deliver(&self, _: &Name, delivered: Delivered) -> Result<Counts, IntakeFailure> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_waiting.fetch_max(waiting, Ordering::SeqCst);
        self.room.acquire().await.unwrap().forget();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let mut kept = self.kept();
        let bytes = delivered
            .messages
            .iter()
            .map(|message| message.message.as_ref().map_or(0, |body| body.len()))
            .sum();
        kept.largest = (kept.largest.0.max(delivered.messages.len()), kept.largest.1.max(bytes));
        let mut counts = Counts::default();
        for message in delivered.messages {
            let next = kept.next.entry(message.partition).or_default();
            if message.offset < *next {
                counts.repeated += 1;
                continue;
            }
            assert_eq!(message.offset, *next, "nothing is passed over");
            assert!(matches!(message.content, Content::Event(_)));
            *next += 1;
            counts.events += 1;
        }
        kept.taken += counts.events;
        Ok(counts)
    }

    async fn letters(&self, _: &Name, _: usize) -> Result<Letters, IntakeFailure> {
        Ok(Letters { letters: Vec::new(), end: 0 })
    }

    async fn count_letters(&self, _: &Name) -> Result<u64, IntakeFailure> {
        Ok(0)
    }
}

fn definitions() -> DefinitionSet {
    let text = format!(
        "kind: source\nname: numbers\nevent_time: at\ncolumns: {{ at: timestamp, body: text }}\n\
         stream: {{ broker: main, topic: {TOPIC}, format: json, time_unit: {{ at: milliseconds }} }}\n"
    );
    DefinitionSet::parse(&[DefinitionFile { path: "numbers.yaml".into(), text }]).unwrap()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_stay_at_the_broker_while_there_is_no_room_and_come_once_each_when_there_is() {
    let kafka = Broker::shared().await;
    kafka.create_topic(TOPIC, 2).await;
    let producer = producer(&kafka).await;
    let body = "x".repeat(MESSAGE_BYTES);
    for first in (0..MESSAGES).step_by(1_000) {
        let sends = (first..first + 1_000).map(|number| {
            let message = json!({ "at": 1_750_075_200_000 + number, "body": body }).to_string();
            let (producer, key) = (&*producer, number.to_string());
            async move { send(producer, TOPIC, &key, message).await }
        });
        futures::future::join_all(sends).await;
    }
    let narrow = Arc::new(Narrow {
        room: Semaphore::new(0),
        waiting: AtomicUsize::new(0),
        most_waiting: AtomicUsize::new(0),
        kept: Mutex::default(),
    });
    let mut settings = settings_of(&kafka);
    let given_up_after = GIVEN_UP_AFTER.as_millis().to_string();
    for (name, value) in [("session.timeout.ms", "1500"), ("max.poll.interval.ms", &given_up_after)] {
        settings.properties.insert(name.to_owned(), value.to_owned());
    }
    let options = BrokerOptions { settings, registry: None };
    let tracker = TaskTracker::new();
    let streams = Streams::new(StreamsOptions {
        brokers: BTreeMap::from([(Name::new("main").unwrap(), options)]),
        intake: Arc::<Narrow>::clone(&narrow),
        clock: Arc::new(SystemClock),
        tracker: tracker.clone(),
    });
    streams.installed(&definitions()).await;

    until("a delivery that waits", || narrow.waiting.load(Ordering::SeqCst) == 1).await;
    tokio::time::sleep(GIVEN_UP_AFTER * 2).await;
    assert_eq!(narrow.most_waiting.load(Ordering::SeqCst), 1, "nothing is read beside a delivery that waits");
    let status = streams.status().remove(0);
    assert_eq!(status.counts, Counts::default());
    assert!(status.partitions.iter().all(|partition| partition.position == 0), "{status:?}");

    narrow.room.add_permits(Semaphore::MAX_PERMITS);
    until("everything", || narrow.kept().taken == MESSAGES).await;
    until("in order again", || matches!(streams.status()[0].state, StreamState::Reading)).await;
    let largest = narrow.kept().largest;
    assert!(largest.0 <= AT_ONCE.0 && largest.1 <= AT_ONCE.1 + MESSAGE_BYTES, "{largest:?}");
    assert!(largest.1 * 2 < MESSAGES as usize * MESSAGE_BYTES, "it takes several deliveries: {largest:?}");
    assert_eq!(narrow.most_waiting.load(Ordering::SeqCst), 1);
    streams.shutdown().await;
}
