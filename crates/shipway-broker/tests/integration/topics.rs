//! What topics of a real broker can be like.

use std::sync::Arc;

use bytes::Bytes;
use shipway_broker::{BrokerError, Mechanism, Outgoing, Protocol, Secret, Start};
use shipway_core::Failure;
use shipway_testkit::Kafka;

use crate::support::{
    LARGE, MANY, Store, WAIT, assigned, connect, in_time, kafka, keyed, read, settings, subscribe, texts,
    value, write,
};

#[tokio::test]
async fn every_compression_is_written_and_read() {
    let kafka = kafka().await;
    for codec in ["zstd", "lz4", "gzip", "snappy"] {
        let topic = format!("packed-{codec}");
        // The broker keeps what it gets, and so shows that the batch came packed as it should.
        kafka.create_topic_with(&topic, 1, &[("compression.type", "producer")]).await;
        let mut settings = settings(&kafka);
        settings.properties.insert("compression.codec".to_owned(), codec.to_owned());
        let broker = connect(settings).await;
        let long = "abcdefgh".repeat(200);
        write(&broker, (0..50).map(|number| keyed(&topic, 0, format!("{number} {long}"))).collect()).await;
        let store = Arc::default();
        let messages = read(&mut subscribe(&broker, &topic, Start::Earliest, &store).await, 50).await;
        for (number, text) in texts(&messages).into_iter().enumerate() {
            assert_eq!(text, format!("{number} {long}"), "{codec}");
        }
        let stored = kafka.topic_bytes(&topic);
        assert!(stored < 50 * 1600 / 2, "{codec}: {stored} bytes are not packed");
    }
}

#[tokio::test]
async fn large_messages_pass_up_to_the_bounds_of_both_sides() {
    let kafka = kafka().await;
    kafka.create_topic_with("large", 1, &[("max.message.bytes", "9000000")]).await;
    let mut settings = settings(&kafka);
    settings.limits.message_bytes = 10_000_000;
    let broker = connect(settings).await;
    let long = Bytes::from(vec![b'x'; 8_000_000]);
    let message = |value: Bytes| Outgoing { value: Some(value), ..keyed("large", 0, "") };
    write(&broker, vec![message(long.clone()), message(long.clone())]).await;
    let store = Arc::default();
    let messages = read(&mut subscribe(&broker, "large", Start::Earliest, &store).await, 2).await;
    assert!(messages.iter().all(|message| message.value.as_ref() == Some(&long)));

    let producer = in_time(broker.producer()).await.unwrap();
    // The first is within our bound and beyond the topic's, the second beyond both.
    for length in [9_500_000, 11_000_000] {
        let refused = in_time(producer.send(message(Bytes::from(vec![b'x'; length])))).await.unwrap_err();
        assert!(
            matches!(refused, BrokerError::MessageTooLarge { bytes, .. } if bytes >= length),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn partitions_that_are_added_later_are_assigned() {
    let kafka = kafka().await;
    kafka.create_topic("grows", 1).await;
    let mut settings = settings(&kafka);
    settings.properties.insert("topic.metadata.refresh.interval.ms".to_owned(), "200".to_owned());
    let broker = connect(settings).await;
    let store = Arc::default();
    let mut subscription = subscribe(&broker, "grows", Start::Earliest, &store).await;
    let (_, first) = assigned(&mut subscription).await;

    kafka.grow_topic("grows", 3).await;

    let (mut added, mut generation) = assigned(&mut subscription).await;
    while added.len() < 2 {
        let (more, next) = assigned(&mut subscription).await;
        added.extend(more);
        generation = next;
    }
    let mut numbers: Vec<_> = added.iter().map(|begun| begun.partition).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    assert!(generation > first);
    assert_eq!(in_time(broker.partitions("grows")).await.unwrap(), 3);
    write(&broker, (0..30).map(|number| keyed("grows", number, "x")).collect()).await;
    let messages = read(&mut subscription, 30).await;
    assert!((0..3).all(|partition| messages.iter().any(|message| message.partition == partition)));
}

#[tokio::test]
async fn a_position_that_is_not_kept_any_more_is_told_and_never_skipped() {
    let kafka = kafka().await;
    kafka.create_topic("trimmed", 1).await;
    let broker = connect(settings(&kafka)).await;
    write(&broker, (0..10).map(|number| keyed("trimmed", 0, number.to_string())).collect()).await;
    kafka.trim_topic("trimmed", 0, 6).await;
    for (position, group) in [(2, "behind"), (99, "ahead")] {
        let positions = Store::at([(0, position)]);
        let subscribe = shipway_broker::Subscribe {
            topic: "trimmed".to_owned(),
            group: Some(group.to_owned()),
            start: Start::Earliest,
            positions,
        };
        let mut subscription = in_time(broker.subscribe(subscribe)).await.unwrap();
        assigned(&mut subscription).await;
        let failure = in_time(async {
            loop {
                if let Err(failure) = subscription.next(MANY, LARGE, WAIT).await {
                    return failure;
                }
            }
        })
        .await;
        let told =
            format!("topic trimmed: position {position} of partition 0 is outside of what is kept, 6 to 10");
        assert_eq!(failure.to_string(), told);
        in_time(subscription.seek(0, 6)).await.unwrap();
        assert_eq!(texts(&read(&mut subscription, 4).await), ["6", "7", "8", "9"]);
    }
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_neither_read_nor_made() {
    let kafka = kafka().await;
    let broker = connect(settings(&kafka)).await;
    let producer = in_time(broker.producer()).await.unwrap();
    let refused = in_time(producer.send(keyed("nowhere", 0, "x"))).await.unwrap_err();
    assert_eq!(refused.code(), "broker.topic_unknown", "{refused}");
    let subscribe = shipway_broker::Subscribe {
        topic: "nowhere".to_owned(),
        group: None,
        start: Start::Earliest,
        positions: Arc::new(Store::default()),
    };
    let refused = in_time(broker.subscribe(subscribe)).await.unwrap_err();
    assert_eq!(refused.code(), "broker.topic_unknown", "{refused}");
    assert_eq!(in_time(broker.partitions("nowhere")).await.unwrap_err().code(), "broker.topic_unknown");
}

#[tokio::test]
async fn a_login_passes_with_the_right_password_only() {
    let kafka = kafka().await;
    kafka.create_topic("behind-login", 1).await;
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha512] {
        let mut settings = settings(&kafka);
        settings.bootstrap = kafka.login_bootstrap();
        settings.limits.request_seconds = 5;
        settings.security.protocol = Protocol::SaslPlaintext;
        settings.security.mechanism = Some(mechanism);
        settings.security.username = Some(Kafka::USERNAME.to_owned());
        settings.security.password = Some(Secret::new(Kafka::PASSWORD));
        let broker = connect(settings.clone()).await;
        let sent = Outgoing { value: value(format!("{mechanism:?}")), ..keyed("behind-login", 0, "") };
        write(&broker, vec![sent]).await;

        settings.security.password = Some(Secret::new("swordfish"));
        let refused = in_time(shipway_broker::connect(settings)).await.unwrap_err();
        assert_eq!(refused.code(), "broker.login_refused", "{mechanism:?}: {refused}");
        assert!(!format!("{refused} {refused:?}").contains("swordfish"));
    }
    let broker = connect(settings(&kafka)).await;
    assert_eq!(in_time(broker.ends("behind-login")).await.unwrap()[0].high, 3);
}
