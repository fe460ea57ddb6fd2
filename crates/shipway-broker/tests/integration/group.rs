//! Members of one group that share a topic under load.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use shipway_broker::{Broker, Event, GroupProtocol, Message, Start, Subscription};
use tokio::task::JoinSet;

use crate::support::{
    LARGE, Store, WAIT, assigned, connect, in_time, kafka, keyed, read, settings, subscribe, write,
};

const PARTITIONS: u32 = 6;
const ROUNDS: u32 = 8;
const PER_ROUND: u32 = 400;

/// Reads until it is told to stop, applies what it reads, and hands partitions over.
async fn member(
    mut subscription: Box<dyn Subscription>,
    store: Arc<Store>,
    ends: Arc<AtomicBool>,
) -> Vec<u64> {
    let mut owned = BTreeMap::new();
    let mut generations = Vec::new();
    let mut last: Option<(Message, u64)> = None;
    while !ends.load(Ordering::Acquire) {
        match subscription.next(37, LARGE, WAIT).await.unwrap() {
            Event::Assigned { partitions, generation } => {
                generations.push(generation);
                owned.extend(partitions.into_iter().map(|begun| (begun.partition, generation)));
            }
            Event::Revoked { partitions, .. } => owned.retain(|partition, _| !partitions.contains(partition)),
            Event::Messages(messages) => {
                for message in messages {
                    let generation = owned[&message.partition];
                    assert!(store.apply(&message, generation), "an owner was refused: {message:?}");
                    last = Some((message, generation));
                }
            }
            Event::Idle => {}
        }
    }
    subscription.close().await.unwrap();
    // What it writes after that comes too late where somebody else has taken over.
    if let Some((message, generation)) = last {
        let stored = store.lock()[&message.partition].generation;
        assert!(stored == generation || !store.apply(&message, generation));
    }
    generations
}

async fn rebalances_under_load(broker: Arc<dyn Broker>, topic: &str, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let store: Arc<Store> = Arc::default();
    let mut tasks = JoinSet::new();
    let mut members: Vec<Arc<AtomicBool>> = Vec::new();
    let applied = |store: &Store| store.lock().values().map(|stored| stored.values.len()).sum::<usize>();
    for round in 0..ROUNDS {
        if members.len() < 2 || (members.len() < 4 && random.random_bool(0.5)) {
            let ends = Arc::new(AtomicBool::new(false));
            let subscription = subscribe(&broker, topic, Start::Earliest, &store).await;
            tasks.spawn(member(subscription, Arc::clone(&store), Arc::clone(&ends)));
            members.push(ends);
        } else {
            let leaves = random.random_range(0..members.len());
            members.swap_remove(leaves).store(true, Ordering::Release);
        }
        let numbers = round * PER_ROUND..(round + 1) * PER_ROUND;
        write(&broker, numbers.map(|number| keyed(topic, number % 50, number.to_string())).collect()).await;
        // The next change comes in the midst of the work of this one.
        let some = (round * PER_ROUND + random.random_range(1..PER_ROUND)) as usize;
        in_time(async {
            while applied(&store) < some {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    in_time(async {
        while applied(&store) < (ROUNDS * PER_ROUND) as usize {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    members.iter().for_each(|ends| ends.store(true, Ordering::Release));
    let generations: Vec<_> = in_time(tasks.join_all()).await;
    assert!(generations.iter().all(|of_one| of_one.is_sorted()), "{generations:?}");

    let mut seen = BTreeMap::<u32, Vec<u32>>::new();
    for stored in store.lock().values() {
        for value in &stored.values {
            let number: u32 = std::str::from_utf8(value).unwrap().parse().unwrap();
            seen.entry(number % 50).or_default().push(number);
        }
    }
    for (key, numbers) in seen {
        let sent: Vec<_> = (0..ROUNDS * PER_ROUND).filter(|number| number % 50 == key).collect();
        assert_eq!(numbers, sent, "key {key}");
    }
}

#[tokio::test]
async fn members_that_come_and_go_lose_nothing_and_read_nothing_twice() {
    let kafka = kafka().await;
    kafka.create_topic("load-classic", PARTITIONS).await;
    let seed = rand::rng().random();
    println!("load-classic: seed {seed}");
    rebalances_under_load(connect(settings(&kafka)).await, "load-classic", seed).await;
}

#[tokio::test]
async fn so_do_members_whose_partitions_the_broker_assigns() {
    let kafka = kafka().await;
    kafka.create_topic("load-consumer", PARTITIONS).await;
    let mut settings = settings(&kafka);
    settings.group_protocol = GroupProtocol::Consumer;
    let seed = rand::rng().random();
    println!("load-consumer: seed {seed}");
    rebalances_under_load(connect(settings).await, "load-consumer", seed).await;
}

#[tokio::test]
async fn a_caller_who_takes_his_time_stays_in_the_group() {
    let kafka = kafka().await;
    kafka.create_topic("slow", 1).await;
    let mut settings = settings(&kafka);
    for (name, value) in
        [("session.timeout.ms", "1500"), ("heartbeat.interval.ms", "300"), ("max.poll.interval.ms", "2000")]
    {
        settings.properties.insert(name.to_owned(), value.to_owned());
    }
    let broker = connect(settings).await;
    write(&broker, (0..10).map(|number| keyed("slow", 0, number.to_string())).collect()).await;
    let store = Arc::default();
    let mut slow = subscribe(&broker, "slow", Start::Earliest, &store).await;
    assigned(&mut slow).await;

    // Were he put out, the other member would get the partition within this wait.
    let mut other = subscribe(&broker, "slow", Start::Earliest, &store).await;
    let waited = in_time(other.next(1, LARGE, Duration::from_secs(6))).await.unwrap();

    assert_eq!(waited, Event::Idle);
    let messages = read(&mut slow, 10).await;
    assert_eq!(
        messages.iter().map(|message| message.offset).collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
}
