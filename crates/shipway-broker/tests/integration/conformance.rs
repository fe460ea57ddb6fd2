//! What every broker behind the port has to do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use shipway_broker::{
    Broker, BrokerError, Ends, Event, GroupProtocol, Header, Message, Offsets, Outgoing, Start, Subscription,
};
use shipway_core::Failure;
use shipway_testkit::Kafka;

use crate::support::{
    LARGE, MANY, Store, WAIT, assigned, connect, in_time, kafka, keyed, read, settings, subscribe, texts,
    value, write,
};

/// Makes topics, which the port does not, and says what of the port is the broker's to choose.
#[async_trait]
pub(crate) trait World: Sync {
    async fn create(&self, name: &str, partitions: u32);
    fn ways(&self) -> Ways;
}

/// What a broker behind the port may do one way or the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ways {
    /// Offsets begin at 0 and have no gaps, and lags are numbers of messages.
    pub(crate) offsets: Offsets,
    /// The members of a group share the partitions; otherwise the first has all of them until it leaves.
    pub(crate) members_share: bool,
    /// A header may be without a value.
    pub(crate) headers_may_be_null: bool,
}

#[async_trait]
impl World for Kafka {
    async fn create(&self, name: &str, partitions: u32) {
        self.create_topic(name, partitions).await;
    }

    fn ways(&self) -> Ways {
        Ways { offsets: Offsets::Counted, members_share: true, headers_may_be_null: true }
    }
}

/// Everything that a broker has to do. `name` begins the names of the topics.
pub(crate) async fn suite(broker: &Arc<dyn Broker>, world: &dyn World, name: &str) {
    tells_partitions_and_ends(broker, world, &format!("{name}-ends")).await;
    keeps_what_a_message_says(broker, world, &format!("{name}-says")).await;
    keeps_the_order_of_a_key(broker, world, &format!("{name}-order")).await;
    reads_on_from_what_is_kept(broker, world, &format!("{name}-kept")).await;
    begins_where_it_is_told(broker, world, &format!("{name}-start")).await;
    keeps_to_the_bounds_of_a_call(broker, world, &format!("{name}-bounds")).await;
    if world.ways().members_share {
        hands_a_partition_over_when_its_owner_says_so(broker, world, &format!("{name}-hand-over")).await;
    } else {
        keeps_a_topic_with_one_member_until_it_leaves(broker, world, &format!("{name}-one-member")).await;
    }
    loses_nothing_to_a_dropped_call(broker, world, &format!("{name}-dropped")).await;
}

async fn tells_partitions_and_ends(broker: &Arc<dyn Broker>, world: &dyn World, topic: &str) {
    world.create(topic, 2).await;
    assert_eq!(in_time(broker.partitions(topic)).await.unwrap(), 2);
    let empty = |partition| Ends { partition, low: 0, high: 0, offsets: world.ways().offsets };
    // A partition that was made just now may have no leader yet.
    let mut ends = in_time(broker.ends(topic)).await;
    for _ in 0..100 {
        if ends.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        ends = in_time(broker.ends(topic)).await;
    }
    assert_eq!(ends.unwrap(), [empty(0), empty(1)]);

    let receipts = write(broker, vec![keyed(topic, 1, "a"), keyed(topic, 1, "b")]).await;
    let [first, second] = receipts[..] else { panic!("{receipts:?}") };
    assert_eq!(first.partition, second.partition);
    assert!(first.offset < second.offset);
    let ends = in_time(broker.ends(topic)).await.unwrap();
    let written = ends[first.partition as usize];
    assert_eq!(written.partition, first.partition);
    assert_eq!((written.low <= first.offset, written.high), (true, second.offset + 1));
    assert_eq!(ends[1 - first.partition as usize], empty(1 - first.partition));
    assert_eq!(written.behind(written.high), Some(0));
    match world.ways().offsets {
        Offsets::Counted => {
            assert_eq!((first.offset, second.offset, written.low), (0, 1, 0));
            assert_eq!(written.behind(first.offset), Some(2));
        }
        Offsets::Ordered => assert_eq!(written.behind(first.offset), None),
    }

    let nowhere = format!("{topic}-nowhere");
    assert_eq!(in_time(broker.partitions(&nowhere)).await.unwrap_err().code(), "broker.topic_unknown");
    assert_eq!(in_time(broker.ends(&nowhere)).await.unwrap_err().code(), "broker.topic_unknown");
}

async fn keeps_what_a_message_says(broker: &Arc<dyn Broker>, world: &dyn World, topic: &str) {
    world.create(topic, 1).await;
    let header = |name: &str, value| Header { name: name.to_owned(), value };
    let mut headers =
        vec![header("trace", value("1")), header("trace", value("2")), header("empty", Some(Bytes::new()))];
    let null = Outgoing { headers: vec![header("null", None)], ..keyed(topic, 1, "null") };
    if world.ways().headers_may_be_null {
        headers.extend(null.headers);
    } else {
        let producer = in_time(broker.producer()).await.unwrap();
        let refused = in_time(producer.send(null)).await.unwrap_err();
        assert_eq!(refused.code(), "broker.message_refused", "{refused}");
    }
    let full = Outgoing { headers: headers.clone(), ..keyed(topic, 1, "full") };
    let tombstone = Outgoing { value: None, ..keyed(topic, 1, "") };
    let empty = Outgoing { key: None, ..keyed(topic, 1, "") };
    let receipts = write(broker, vec![full.clone(), tombstone.clone(), empty.clone()]).await;
    let store = Arc::default();
    let messages = read(&mut subscribe(broker, topic, Start::Earliest, &store).await, 3).await;

    assert_eq!(messages[0].headers, headers);
    for (message, sent) in messages.iter().zip([full, tombstone, empty]) {
        assert_eq!((&message.key, &message.value), (&sent.key, &sent.value));
        let year_2020 = 1_577_836_800_000_000;
        assert!(message.timestamp_us.is_some_and(|at| at > year_2020 && at % 1000 == 0), "{message:?}");
    }
    assert_eq!(offsets(&messages), receipts.iter().map(|receipt| receipt.offset).collect::<Vec<_>>());
}

async fn keeps_the_order_of_a_key(broker: &Arc<dyn Broker>, world: &dyn World, topic: &str) {
    world.create(topic, 3).await;
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

fn offsets(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.offset).collect()
}

async fn reads_on_from_what_is_kept(broker: &Arc<dyn Broker>, world: &dyn World, topic: &str) {
    world.create(topic, 1).await;
    let receipts = write(broker, (0..10).map(|number| keyed(topic, 0, number.to_string())).collect()).await;
    let store: Arc<Store> = Arc::default();
    let mut subscription = subscribe(broker, topic, Start::Earliest, &store).await;
    let (partitions, first_generation) = assigned(&mut subscription).await;
    let low = in_time(broker.ends(topic)).await.unwrap()[0].low;
    assert_eq!(
        partitions.iter().map(|begun| (begun.partition, begun.position)).collect::<Vec<_>>(),
        [(0, low)]
    );
    let messages = read(&mut subscription, 10).await;
    assert_eq!(offsets(&messages), receipts.iter().map(|receipt| receipt.offset).collect::<Vec<_>>());
    in_time(subscription.commit(&[(0, receipts[9].offset + 1)])).await.unwrap();
    in_time(subscription.close()).await.unwrap();

    // What was committed is not asked: the store has another position, behind the seventh message.
    let store = store.moved(0, receipts[6].offset + 1);
    let mut subscription = subscribe(broker, topic, Start::Earliest, &store).await;
    let (_, generation) = assigned(&mut subscription).await;
    assert!(generation > first_generation, "{generation} after {first_generation}");
    assert_eq!(texts(&read(&mut subscription, 3).await), ["7", "8", "9"]);

    in_time(subscription.seek(0, receipts[2].offset)).await.unwrap();
    assert_eq!(texts(&read(&mut subscription, 8).await)[..2], ["2", "3"]);
    let failure = in_time(subscription.seek(5, 0)).await.unwrap_err();
    assert!(matches!(failure, BrokerError::NotAssigned { partition: 5, .. }), "{failure}");
}

async fn begins_where_it_is_told(broker: &Arc<dyn Broker>, world: &dyn World, topic: &str) {
    world.create(topic, 1).await;
    let receipts = write(broker, vec![keyed(topic, 0, "old"), keyed(topic, 0, "old")]).await;
    let store = Arc::default();
    let mut subscription = subscribe(broker, topic, Start::Latest, &store).await;
    let (partitions, _) = assigned(&mut subscription).await;
    assert_eq!(partitions[0].position, receipts[1].offset + 1);
    write(broker, vec![keyed(topic, 0, "new")]).await;
    assert_eq!(texts(&read(&mut subscription, 1).await), ["new"]);
    in_time(subscription.close()).await.unwrap();

    let mut subscription = subscribe(broker, topic, Start::Earliest, &store).await;
    assert_eq!(texts(&read(&mut subscription, 3).await), ["old", "old", "new"]);
}

async fn keeps_to_the_bounds_of_a_call(broker: &Arc<dyn Broker>, world: &dyn World, topic: &str) {
    world.create(topic, 1).await;
    let long = "x".repeat(100);
    let receipts = write(broker, (0..20).map(|_| keyed(topic, 0, long.clone())).collect()).await;
    let store = Arc::default();
    let mut subscription = subscribe(broker, topic, Start::Earliest, &store).await;
    let (number, first) = size_of_next(&mut subscription, 3, LARGE).await;
    assert!(number <= 3 && first == receipts[0].offset);
    let (number_by_bytes, first) = size_of_next(&mut subscription, MANY, 250).await;
    assert!(number_by_bytes <= 2 && first == receipts[number].offset, "{number_by_bytes} from {first}");
    let (one, first) = size_of_next(&mut subscription, MANY, 1).await;
    assert_eq!((one, first), (1, receipts[number + number_by_bytes].offset));
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
    world: &dyn World,
    topic: &str,
) {
    world.create(topic, 2).await;
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

async fn keeps_a_topic_with_one_member_until_it_leaves(
    broker: &Arc<dyn Broker>,
    world: &dyn World,
    topic: &str,
) {
    world.create(topic, 2).await;
    let store = Arc::default();
    let mut old = subscribe(broker, topic, Start::Earliest, &store).await;
    let (mut generations, mut had) = (BTreeMap::new(), 0);
    while had < 2 {
        let (partitions, generation) = assigned(&mut old).await;
        had += partitions.len();
        generations.extend(partitions.into_iter().map(|begun| (begun.partition, generation)));
    }

    let mut new = subscribe(broker, topic, Start::Earliest, &store).await;
    for _ in 0..20 {
        assert_eq!(new.next(MANY, LARGE, WAIT).await.unwrap(), Event::Idle);
        assert_eq!(old.next(MANY, LARGE, WAIT).await.unwrap(), Event::Idle);
    }

    in_time(old.close()).await.unwrap();
    let mut given = 0;
    while given < 2 {
        let (partitions, generation) = assigned(&mut new).await;
        given += partitions.len();
        for begun in partitions {
            let before = generations[&begun.partition];
            assert!(generation > before, "{generation} after {before}");
        }
    }
}

async fn loses_nothing_to_a_dropped_call(broker: &Arc<dyn Broker>, world: &dyn World, topic: &str) {
    world.create(topic, 1).await;
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
