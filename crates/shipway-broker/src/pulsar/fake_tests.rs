//! What a broker does only now and then: ledgers that are gone, topics that move, batches, logins.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{BufMut, BytesMut};
use prost::Message as _;
use shipway_core::Failure;

use super::{
    commands::{Body, MessageId, Metadata, SingleMetadata},
    fake_broker::FakeBroker,
    place::Place,
};
use crate::{
    Broker, BrokerError, Event, Message, Positions, PositionsFailure, Secret, Settings, Start, Subscribe,
    Subscription, connect,
};

const PATIENCE: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_millis(100);
const TOPIC: &str = "departures";
/// The ledger that a topic has at first.
const FIRST: u64 = 7;

/// Positions in memory, with the number of the last owner.
#[derive(Debug, Default)]
struct Kept {
    positions: Mutex<BTreeMap<u32, u64>>,
    owners: Mutex<u64>,
}

#[async_trait]
impl Positions for Kept {
    async fn position(&self, partition: u32, generation: u64) -> Result<Option<u64>, PositionsFailure> {
        assert_eq!(generation, *self.owners.lock().unwrap(), "claimed under the number that was given");
        Ok(self.positions.lock().unwrap().get(&partition).copied())
    }

    async fn next_generation(&self, _: u32) -> Result<u64, PositionsFailure> {
        let mut owners = self.owners.lock().unwrap();
        *owners += 1;
        Ok(*owners)
    }
}

fn kept_at(position: u64) -> Arc<Kept> {
    let kept = Kept::default();
    kept.positions.lock().unwrap().insert(0, position);
    Arc::new(kept)
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

fn offset(ledger: u64, entry: u64, batch: u64) -> u64 {
    Place::new(ledger, entry, batch).offset().unwrap()
}

fn metadata() -> Metadata {
    Metadata { producer_name: "p".to_owned(), publish_time: 1_700_000_000_000, ..Metadata::default() }
}

/// A broker with a topic that has an empty ledger.
async fn broker() -> (FakeBroker, Arc<dyn Broker>) {
    let fake = FakeBroker::start().await;
    fake.create(TOPIC, FIRST);
    let broker = in_time(connect(fake.settings())).await.unwrap();
    (fake, broker)
}

fn append(fake: &FakeBroker, ledger: u64, texts: &[&str]) {
    for text in texts {
        fake.append(TOPIC, ledger, metadata(), text.as_bytes());
    }
}

async fn subscribe(broker: &Arc<dyn Broker>, start: Start, positions: &Arc<Kept>) -> Box<dyn Subscription> {
    let positions: Arc<dyn Positions> = Arc::<Kept>::clone(positions);
    let subscribe = Subscribe { topic: TOPIC.to_owned(), group: None, start, positions };
    in_time(broker.subscribe(subscribe)).await.unwrap()
}

/// The next thing that happens, or that fails.
async fn happens(subscription: &mut Box<dyn Subscription>) -> Result<Event, BrokerError> {
    in_time(async {
        loop {
            match subscription.next(100, 1 << 20, WAIT).await {
                Ok(Event::Idle) => {}
                other => return other,
            }
        }
    })
    .await
}

async fn assigned(subscription: &mut Box<dyn Subscription>) -> (u64, u64) {
    match happens(subscription).await.unwrap() {
        Event::Assigned { partitions, generation } => (partitions[0].position, generation),
        other => panic!("{other:?}"),
    }
}

async fn read(subscription: &mut Box<dyn Subscription>, number: usize) -> Vec<Message> {
    let mut read = Vec::new();
    while read.len() < number {
        match happens(subscription).await.unwrap() {
            Event::Messages(messages) => read.extend(messages),
            other => panic!("{other:?} after {read:?}"),
        }
    }
    assert_eq!(read.len(), number);
    read
}

fn texts(messages: &[Message]) -> Vec<String> {
    let text = |message: &Message| String::from_utf8(message.value.as_ref().unwrap().to_vec()).unwrap();
    messages.iter().map(text).collect()
}

#[tokio::test]
async fn a_batch_is_read_on_from_within_and_each_message_of_it_once() {
    let (fake, broker) = broker().await;
    append(&fake, FIRST, &["before"]);
    let mut payload = BytesMut::new();
    for text in ["a", "b", "c", "d"] {
        let single = SingleMetadata { payload_size: 1, ..SingleMetadata::default() }.encode_to_vec();
        payload.put_u32(single.len() as u32);
        payload.put_slice(&single);
        payload.put_slice(text.as_bytes());
    }
    let batch = Metadata { num_messages_in_batch: Some(4), ..metadata() };
    fake.append(TOPIC, FIRST, batch, &payload);
    append(&fake, FIRST, &["after"]);

    let mut all = subscribe(&broker, Start::Earliest, &Arc::default()).await;
    assert_eq!(assigned(&mut all).await, (offset(FIRST, 0, 0), 1));
    let messages = read(&mut all, 6).await;
    assert_eq!(texts(&messages), ["before", "a", "b", "c", "d", "after"]);
    let places = [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3), (2, 0)];
    let expected: Vec<u64> = places.iter().map(|(entry, batch)| offset(FIRST, *entry, *batch)).collect();
    assert_eq!(messages.iter().map(|message| message.offset).collect::<Vec<_>>(), expected);
    in_time(all.close()).await.unwrap();

    for (position, expected) in [
        (offset(FIRST, 1, 2), vec!["c", "d", "after"]),
        (offset(FIRST, 1, 3) + 1, vec!["after"]),
        (offset(FIRST, 1, 0), vec!["a", "b", "c", "d", "after"]),
    ] {
        let mut rest = subscribe(&broker, Start::Earliest, &kept_at(position)).await;
        assert_eq!(assigned(&mut rest).await.0, position);
        assert_eq!(texts(&read(&mut rest, expected.len()).await), expected);
        in_time(rest.close()).await.unwrap();
    }
    let ends = in_time(broker.ends(TOPIC)).await.unwrap();
    assert_eq!((ends[0].low, ends[0].high), (offset(FIRST, 0, 0), offset(FIRST, 2, 0) + 1));
}

#[tokio::test]
async fn a_position_outside_of_what_is_kept_is_told_and_never_skipped() {
    let (fake, broker) = broker().await;
    append(&fake, FIRST, &["one", "two"]);
    append(&fake, 9, &["three", "four"]);
    fake.remove(TOPIC, FIRST);
    let (low, high) = (offset(9, 0, 0), offset(9, 1, 0) + 1);
    for position in [offset(FIRST, 0, 0) + 1, offset(11, 0, 0)] {
        let mut subscription = subscribe(&broker, Start::Earliest, &kept_at(position)).await;
        assigned(&mut subscription).await;
        let failure = happens(&mut subscription).await.unwrap_err();
        let told = format!(
            "topic departures: position {position} of partition 0 is outside of what is kept, {low} to {high}"
        );
        assert_eq!(failure.to_string(), told);
        // It stands still until somebody decides.
        assert_eq!(subscription.next(100, 1 << 20, WAIT).await.unwrap(), Event::Idle);
        in_time(subscription.seek(0, low)).await.unwrap();
        assert_eq!(texts(&read(&mut subscription, 2).await), ["three", "four"]);
        in_time(subscription.close()).await.unwrap();
    }
}

#[tokio::test]
async fn messages_that_vanish_while_a_reader_is_on_its_way_are_told() {
    let (fake, broker) = broker().await;
    append(&fake, FIRST, &["one"]);
    let mut subscription = subscribe(&broker, Start::Earliest, &Arc::default()).await;
    assigned(&mut subscription).await;
    read(&mut subscription, 1).await;
    // Ledger 8 comes and goes unread, and the one before it, too: the broker goes on with 9 as if nothing were missing.
    fake.remove(TOPIC, FIRST);
    append(&fake, 9, &["three"]);
    let failure = happens(&mut subscription).await.unwrap_err();
    assert!(
        matches!(failure, BrokerError::PositionGone { position, low, .. }
            if position == offset(FIRST, 0, 0) + 1 && low == offset(9, 0, 0)),
        "{failure:?}"
    );

    in_time(subscription.seek(0, offset(9, 0, 0))).await.unwrap();
    assert_eq!(texts(&read(&mut subscription, 1).await), ["three"]);
    // With the ledger that was read still there, the next one follows it.
    append(&fake, 12, &["four"]);
    assert_eq!(texts(&read(&mut subscription, 1).await), ["four"]);
}

#[tokio::test]
async fn the_last_message_that_was_read_is_never_acknowledged() {
    let (fake, broker) = broker().await;
    append(&fake, FIRST, &["one", "two", "three"]);
    let mut subscription = subscribe(&broker, Start::Earliest, &Arc::default()).await;
    assigned(&mut subscription).await;
    let messages = read(&mut subscription, 3).await;
    in_time(subscription.commit(&[(0, messages[0].offset + 1)])).await.unwrap();
    in_time(subscription.commit(&[(0, messages[2].offset + 1), (5, 1)])).await.unwrap();
    in_time(subscription.close()).await.unwrap();
    let acknowledged: Vec<MessageId> = fake
        .said()
        .into_iter()
        .filter_map(|body| match body {
            Body::Ack(ack) => Some((ack.ack_type, ack.message_id)),
            _ => None,
        })
        .flat_map(|(kind, ids)| {
            assert_eq!(kind, 1, "everything up to it");
            ids
        })
        .collect();
    let expected = MessageId { ledger: FIRST, entry: 1, partition: None, batch_index: None };
    assert_eq!(acknowledged, [expected]);
}

#[tokio::test]
async fn a_partition_that_the_broker_gives_away_is_lost_and_taken_again_from_what_is_kept() {
    let (fake, broker) = broker().await;
    append(&fake, FIRST, &["one", "two"]);
    let kept: Arc<Kept> = Arc::default();
    let mut subscription = subscribe(&broker, Start::Earliest, &kept).await;
    assert_eq!(assigned(&mut subscription).await.1, 1);
    let messages = read(&mut subscription, 2).await;
    kept.positions.lock().unwrap().insert(0, messages[0].offset + 1);

    for (generation, hang_up) in [(2, false), (3, true)] {
        if hang_up {
            fake.hang_up();
        } else {
            fake.close_consumers();
        }
        let lost = happens(&mut subscription).await.unwrap();
        assert_eq!(lost, Event::Revoked { partitions: vec![0], lost: true });
        assert!(matches!(subscription.seek(0, 0).await, Err(BrokerError::NotAssigned { partition: 0, .. })));
        assert_eq!(assigned(&mut subscription).await, (messages[0].offset + 1, generation));
        assert_eq!(texts(&read(&mut subscription, 1).await), ["two"]);
    }
}

#[tokio::test]
async fn a_second_member_waits_until_the_first_has_left() {
    let (fake, broker) = broker().await;
    append(&fake, FIRST, &["one"]);
    let kept: Arc<Kept> = Arc::default();
    let mut first = subscribe(&broker, Start::Earliest, &kept).await;
    assert_eq!(assigned(&mut first).await.1, 1);
    let mut second = subscribe(&broker, Start::Earliest, &kept).await;
    let waited = in_time(second.next(1, 1 << 20, Duration::from_secs(2))).await.unwrap();
    assert_eq!(waited, Event::Idle);
    in_time(first.close()).await.unwrap();
    assert_eq!(assigned(&mut second).await.1, 2);
    assert_eq!(texts(&read(&mut second, 1).await), ["one"]);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_stops_its_partition_until_somebody_passes_over_it() {
    let (fake, broker) = broker().await;
    append(&fake, FIRST, &["one"]);
    fake.append(TOPIC, FIRST, Metadata { num_chunks_from_msg: Some(2), ..metadata() }, b"half");
    append(&fake, FIRST, &["three"]);
    let mut subscription = subscribe(&broker, Start::Earliest, &Arc::default()).await;
    assigned(&mut subscription).await;
    assert_eq!(texts(&read(&mut subscription, 1).await), ["one"]);
    let failure = happens(&mut subscription).await.unwrap_err();
    let BrokerError::MessageUnreadable { position, behind, ref reason, .. } = failure else {
        panic!("{failure:?}")
    };
    assert_eq!((position, behind), (offset(FIRST, 1, 0), offset(FIRST, 2, 0)));
    assert_eq!(reason, "its producer sent it in chunks");
    assert!(failure.hint().unwrap().contains(&behind.to_string()));
    in_time(subscription.seek(0, behind)).await.unwrap();
    assert_eq!(texts(&read(&mut subscription, 1).await), ["three"]);
}

#[tokio::test]
async fn a_place_that_no_position_can_name_is_an_error() {
    let (fake, broker) = broker().await;
    append(&fake, 1 << 29, &["far"]);
    let failure = in_time(broker.ends(TOPIC)).await.unwrap_err();
    assert_eq!(failure.code(), "broker.position_too_large");
    assert_eq!(
        failure.to_string(),
        "topic departures: ledger 536870912 of partition 0 is beyond what a position can say"
    );
}

#[tokio::test]
async fn the_first_message_of_an_empty_topic_is_read_whatever_ledger_it_lies_in() {
    for start in [Start::Earliest, Start::Latest] {
        let (fake, broker) = broker().await;
        let mut subscription = subscribe(&broker, start, &Arc::default()).await;
        assert_eq!(assigned(&mut subscription).await.0, 0);
        in_time(subscription.close()).await.unwrap();
        // The empty ledger is replaced by another one, as when a broker restarts.
        fake.remove(TOPIC, FIRST);
        append(&fake, 30, &["one"]);
        let mut subscription = subscribe(&broker, start, &kept_at(0)).await;
        assigned(&mut subscription).await;
        assert_eq!(texts(&read(&mut subscription, 1).await), ["one"], "{start:?}");
    }
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_neither_read_nor_made() {
    let (fake, broker) = broker().await;
    assert_eq!(in_time(broker.partitions("nowhere")).await.unwrap_err().code(), "broker.topic_unknown");
    for body in fake.said() {
        match body {
            Body::PartitionsOf(question) => {
                assert_eq!(question.metadata_auto_creation_enabled, Some(false));
            }
            Body::Subscribe(question) => assert_eq!(question.force_topic_creation, Some(false)),
            _ => {}
        }
    }
    assert_eq!(fake.topics(), ["persistent://public/default/departures"]);
}

#[tokio::test]
async fn a_token_is_sent_and_its_refusal_is_told_without_it() {
    let fake = FakeBroker::start().await;
    let mut settings = fake.settings();
    settings.security.token = Some(Secret::new("swordfish"));
    in_time(connect(settings.clone())).await.unwrap();
    let Some(Body::Connect(greeting)) = fake.said().into_iter().next() else { panic!("{:?}", fake.said()) };
    assert_eq!(greeting.auth_method_name.as_deref(), Some("token"));
    assert_eq!(greeting.auth_data.as_deref(), Some(&b"swordfish"[..]));

    fake.refuse_logins();
    let refused = in_time(connect(settings)).await.unwrap_err();
    assert_eq!(refused.code(), "broker.login_refused");
    assert!(!format!("{refused} {refused:?}").contains("swordfish"), "{refused:?}");
}

#[tokio::test]
async fn a_broker_that_is_gone_is_told_once() {
    let failure = in_time(connect(Settings::new("pulsar://127.0.0.1:1", "tests"))).await.unwrap_err();
    assert_eq!(failure.code(), "broker.unreachable");
    assert!(failure.to_string().contains("refused"), "{failure}");

    let (fake, broker) = broker().await;
    let mut subscription = subscribe(&broker, Start::Earliest, &Arc::default()).await;
    assigned(&mut subscription).await;
    drop(fake);
    assert_eq!(happens(&mut subscription).await.unwrap(), Event::Revoked { partitions: vec![0], lost: true });
    assert_eq!(happens(&mut subscription).await.unwrap_err().code(), "broker.unreachable");
    let waited = in_time(subscription.next(1, 1 << 20, Duration::from_secs(3))).await.unwrap();
    assert_eq!(waited, Event::Idle);
}
