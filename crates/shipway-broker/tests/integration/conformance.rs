//! What every broker behind the port has to do.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use shipway_broker::{
    Broker, BrokerError, Ends, Event, GroupProtocol, Header, Outgoing, Start, Subscription,
};
use shipway_core::Failure;
use shipway_testkit::Kafka;

use crate::support::{
    LARGE, MANY, Store, WAIT, assigned, connect, in_time, kafka, keyed, read, settings, subscribe, texts,
    value, write,
};

/// Makes topics, which the port does not.
#[async_trait]
pub(crate) trait Topics: Sync {
    async fn create(&self, name: &str, partitions: u32);
}

#[async_trait]
impl Topics for Kafka {
    async fn create(&self, name: &str, partitions: u32) {
        self.create_topic(name, partitions).await;
    }
}

/// Everything that a broker has to do. `name` begins the names of the topics.
pub(crate) async fn suite(broker: &Arc<dyn Broker>, topics: &dyn Topics, name: &str) {
    tells_partitions_and_ends(broker, topics, &format!("{name}-ends")).await;
    keeps_what_a_message_says(broker, topics, &format!("{name}-says")).await;
    keeps_the_order_of_a_key(broker, topics, &format!("{name}-order")).await;
    reads_on_from_what_is_kept(broker, topics, &format!("{name}-kept")).await;
    begins_where_it_is_told(broker, topics, &format!("{name}-start")).await;
    keeps_to_the_bounds_of_a_call(broker, topics, &format!("{name}-bounds")).await;
    hands_a_partition_over_when_its_owner_says_so(broker, topics, &format!("{name}-hand-over")).await;
    loses_nothing_to_a_dropped_call(broker, topics, &format!("{name}-dropped")).await;
}

async fn tells_partitions_and_ends(broker: &Arc<dyn Broker>, topics: &dyn Topics, topic: &str) {
    topics.create(topic, 2).await;
    assert_eq!(in_time(broker.partitions(topic)).await.unwrap(), 2);
    let receipts = write(broker, vec![keyed(topic, 1, "a"), keyed(topic, 1, "b")]).await;
    let written = receipts[0].partition;
    assert_eq!(
        receipts.iter().map(|receipt| (receipt.partition, receipt.offset)).collect::<Vec<_>>(),
        [(written, 0), (written, 1)]
    );
    let ends = |partition| Ends { partition, low: 0, high: if partition == written { 2 } else { 0 } };
    assert_eq!(in_time(broker.ends(topic)).await.unwrap(), [ends(0), ends(1)]);

    let nowhere = format!("{topic}-nowhere");
    assert_eq!(in_time(broker.partitions(&nowhere)).await.unwrap_err().code(), "broker.topic_unknown");
    assert_eq!(in_time(broker.ends(&nowhere)).await.unwrap_err().code(), "broker.topic_unknown");
}

async fn keeps_what_a_message_says(broker: &Arc<dyn Broker>, topics: &dyn Topics, topic: &str) {
    topics.create(topic, 1).await;
    let header = |name: &str, value| Header { name: name.to_owned(), value };
    let headers = vec![
        header("trace", value("1")),
        header("trace", value("2")),
        header("empty", Some(Bytes::new())),
        header("null", None),
    ];
    let full = Outgoing { headers: headers.clone(), ..keyed(topic, 1, "full") };
    let tombstone = Outgoing { value: None, ..keyed(topic, 1, "") };
    let empty = Outgoing { key: None, ..keyed(topic, 1, "") };
    write(broker, vec![full.clone(), tombstone.clone(), empty.clone()]).await;
    let store = Arc::default();
    let messages = read(&mut subscribe(broker, topic, Start::Earliest, &store).await, 3).await;

    assert_eq!(messages[0].headers, headers);
    for (message, sent) in messages.iter().zip([full, tombstone, empty]) {
        assert_eq!((&message.key, &message.value), (&sent.key, &sent.value));
        let year_2020 = 1_577_836_800_000_000;
        assert!(message.timestamp_us.is_some_and(|at| at > year_2020 && at % 1000 == 0), "{message:?}");
    }
    assert_eq!(messages.iter().map(|message| message.offset).collect::<Vec<_>>(), [0, 1, 2]);
}

async fn keeps_the_order_of_a_key(broker: &Arc<dyn Broker>, topics: &dyn Topics, topic: &str) {
    topics.create(topic, 3).await;
    let sent: Vec<_> = (0..500).map(|number| keyed(topic, number % 7, format!("{:05}", number))).collect();
    write(broker, sent).await;
    let store = Arc::default();
    let messages = read(&mut subscribe(broker, topic, Start::Earliest, &store).await, 500).await;

    let (mut by_key, mut by_partition) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    for message in &messages {
        by_key.entry(&message.key).or_default().push((message.partition, &message.value));
        by_partition.entry(message.partition).or_default().push(message.offset);
    }
    assert_eq!(by_key.len(), 7);
    assert!(by_key.values().all(|values| values.is_sorted() && values[0].0 == values[values.len() - 1].0));
    assert!(by_partition.values().all(|offsets| offsets.is_sorted_by(|one, next| one < next)));
}

async fn reads_on_from_what_is_kept(broker: &Arc<dyn Broker>, topics: &dyn Topics, topic: &str) {
    topics.create(topic, 1).await;
    write(broker, (0..10).map(|number| keyed(topic, 0, number.to_string())).collect()).await;
    let store = Arc::default();
    let mut subscription = subscribe(broker, topic, Start::Earliest, &store).await;
    let (partitions, first_generation) = assigned(&mut subscription).await;
    assert_eq!(
        partitions.iter().map(|begun| (begun.partition, begun.position)).collect::<Vec<_>>(),
        [(0, 0)]
    );
    read(&mut subscription, 10).await;
    in_time(subscription.commit(&[(0, 10)])).await.unwrap();
    in_time(subscription.close()).await.unwrap();

    let mut subscription = subscribe(broker, topic, Start::Earliest, &Store::at([(0, 7)])).await;
    let (_, generation) = assigned(&mut subscription).await;
    assert!(generation > first_generation, "{generation} after {first_generation}");
    assert_eq!(texts(&read(&mut subscription, 3).await), ["7", "8", "9"]);

    in_time(subscription.seek(0, 2)).await.unwrap();
    assert_eq!(texts(&read(&mut subscription, 8).await)[..2], ["2", "3"]);
    let failure = in_time(subscription.seek(5, 0)).await.unwrap_err();
    assert!(matches!(failure, BrokerError::NotAssigned { partition: 5, .. }), "{failure}");
}

async fn begins_where_it_is_told(broker: &Arc<dyn Broker>, topics: &dyn Topics, topic: &str) {
    topics.create(topic, 1).await;
    write(broker, vec![keyed(topic, 0, "old"), keyed(topic, 0, "old")]).await;
    let store = Arc::default();
    let mut subscription = subscribe(broker, topic, Start::Latest, &store).await;
    let (partitions, _) = assigned(&mut subscription).await;
    assert_eq!(partitions[0].position, 2);
    write(broker, vec![keyed(topic, 0, "new")]).await;
    assert_eq!(texts(&read(&mut subscription, 1).await), ["new"]);
    in_time(subscription.close()).await.unwrap();

    let mut subscription = subscribe(broker, topic, Start::Earliest, &store).await;
    assert_eq!(texts(&read(&mut subscription, 3).await), ["old", "old", "new"]);
}

async fn keeps_to_the_bounds_of_a_call(broker: &Arc<dyn Broker>, topics: &dyn Topics, topic: &str) {
    topics.create(topic, 1).await;
    let long = "x".repeat(100);
    write(broker, (0..20).map(|_| keyed(topic, 0, long.clone())).collect()).await;
    let store = Arc::default();
    let mut subscription = subscribe(broker, topic, Start::Earliest, &store).await;
    let (number, first) = size_of_next(&mut subscription, 3, LARGE).await;
    assert!(number <= 3 && first == 0);
    let (number_by_bytes, first) = size_of_next(&mut subscription, MANY, 250).await;
    assert!(number_by_bytes <= 2 && first == number as u64, "{number_by_bytes} from {first}");
    let (one, first) = size_of_next(&mut subscription, MANY, 1).await;
    assert_eq!((one, first), (1, (number + number_by_bytes) as u64));
}

/// How many messages the next answer has that has any, and the offset of the first.
async fn size_of_next(
    subscription: &mut Box<dyn Subscription>,
    most: usize,
    most_bytes: usize,
) -> (usize, u64) {
    in_time(async {
        loop {
            if let Event::Messages(messages) = subscription.next(most, most_bytes, WAIT).await.unwrap() {
                return (messages.len(), messages[0].offset);
            }
        }
    })
    .await
}

async fn hands_a_partition_over_when_its_owner_says_so(
    broker: &Arc<dyn Broker>,
    topics: &dyn Topics,
    topic: &str,
) {
    topics.create(topic, 2).await;
    let store = Arc::default();
    let mut old = subscribe(broker, topic, Start::Earliest, &store).await;
    let (mut had, mut old_generation) = assigned(&mut old).await;
    while had.len() < 2 {
        let (more, generation) = assigned(&mut old).await;
        (had.extend(more), old_generation = generation).1
    }

    let mut new = subscribe(broker, topic, Start::Earliest, &store).await;
    let revoked = in_time(async {
        loop {
            assert_eq!(new.next(MANY, LARGE, WAIT).await.unwrap(), Event::Idle);
            if let Event::Revoked { partitions, lost } = old.next(MANY, LARGE, WAIT).await.unwrap() {
                assert!(!lost);
                return partitions;
            }
        }
    })
    .await;
    assert_eq!(revoked.len(), 1);
    // The old owner has not said that it wrote its last, so the new one gets nothing, however often it asks.
    for _ in 0..20 {
        assert_eq!(new.next(MANY, LARGE, WAIT).await.unwrap(), Event::Idle);
    }

    in_time(old.revoked_done()).await.unwrap();
    let (given, generation) = in_time(async {
        loop {
            if let Event::Assigned { partitions, generation } = new.next(MANY, LARGE, WAIT).await.unwrap() {
                return (partitions, generation);
            }
            assert_eq!(old.next(MANY, LARGE, WAIT).await.unwrap(), Event::Idle);
        }
    })
    .await;
    assert_eq!(given.iter().map(|begun| begun.partition).collect::<Vec<_>>(), revoked);
    assert!(generation > old_generation, "{generation} after {old_generation}");
}

async fn loses_nothing_to_a_dropped_call(broker: &Arc<dyn Broker>, topics: &dyn Topics, topic: &str) {
    topics.create(topic, 1).await;
    write(broker, (0..100).map(|number| keyed(topic, 0, number.to_string())).collect()).await;
    let store = Arc::default();
    let mut subscription = subscribe(broker, topic, Start::Earliest, &store).await;
    let mut messages = Vec::new();
    in_time(async {
        while messages.len() < 100 {
            match subscription.next(7, LARGE, WAIT).now_or_never() {
                Some(event) => match event.unwrap() {
                    Event::Messages(more) => messages.extend(more),
                    _ => continue,
                },
                None => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    assert_eq!(texts(&messages), (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn kafka_conforms_with_the_classic_protocol() {
    let kafka = kafka().await;
    suite(&connect(settings(&kafka)).await, &*kafka, "classic").await;
}

#[tokio::test]
async fn kafka_conforms_with_the_consumer_protocol() {
    let kafka = kafka().await;
    let mut settings = settings(&kafka);
    settings.group_protocol = GroupProtocol::Consumer;
    suite(&connect(settings).await, &*kafka, "consumer").await;
}
