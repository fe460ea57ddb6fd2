//! A broker that stops, is killed, and comes back.

use std::sync::Arc;

use shipway_broker::{Event, Start};
use shipway_core::Failure;
use shipway_testkit::Kafka;

use crate::support::{LARGE, MANY, WAIT, connect, in_time, keyed, read, settings, subscribe, texts, write};

#[tokio::test]
async fn a_broker_that_comes_back_loses_nothing_that_it_acknowledged() {
    let mut kafka = Kafka::start().await;
    kafka.create_topic("comes-back", 1).await;
    let broker = connect(settings(&kafka)).await;
    let producer = in_time(broker.producer()).await.unwrap();
    let store = Arc::default();
    let mut subscription = subscribe(&broker, "comes-back", Start::Earliest, &store).await;
    let mut expected = Vec::new();
    for (round, is_killed) in [false, true].into_iter().enumerate() {
        let text = |number: i32| format!("{round}-{number}");
        write(&broker, (0..10).map(|number| keyed("comes-back", 0, text(number))).collect()).await;
        if is_killed {
            kafka.kill();
        } else {
            assert!(kafka.stop().await.code().is_some());
        }
        // What is sent meanwhile waits, and the reader hears that nobody answers.
        let waits = producer.send(keyed("comes-back", 0, text(10)));
        let told = async {
            loop {
                match subscription.next(MANY, LARGE, WAIT).await {
                    Err(failure) if failure.code() == "broker.unreachable" => return,
                    Err(failure) => panic!("{failure}"),
                    Ok(Event::Messages(messages)) => expected.extend(texts(&messages)),
                    Ok(_) => {}
                }
            }
        };
        in_time(told).await;
        let (receipt, ()) = in_time(async { tokio::join!(waits, kafka.restart()) }).await;
        assert_eq!(receipt.unwrap().offset, 11 * round as u64 + 10);
        in_time(async {
            while expected.len() < 11 * (round + 1) {
                match subscription.next(MANY, LARGE, WAIT).await {
                    Ok(Event::Messages(messages)) => expected.extend(texts(&messages)),
                    Err(failure) => assert_eq!(failure.code(), "broker.unreachable"),
                    Ok(_) => {}
                }
            }
        })
        .await;
    }
    let sent: Vec<_> =
        (0..2).flat_map(|round| (0..11).map(move |number| format!("{round}-{number}"))).collect();
    assert_eq!(expected, sent);
    let again = Arc::default();
    drop(subscription);
    assert_eq!(
        texts(&read(&mut subscribe(&broker, "comes-back", Start::Earliest, &again).await, 22).await),
        sent
    );
}
