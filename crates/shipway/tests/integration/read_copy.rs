//! A read copy in a real Redis: readers answer exactly, or refuse, while owner and Redis are killed under load.

mod watching;

use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value as Json, json};
use shipway_testkit::{Redis, RedisCluster, Server};

use crate::{
    read_copy::watching::{
        Load, POLL, READ, Seen, WITHIN, Watch, answer_with, copy_status, follows, owner, question, reader,
        says, sent,
    },
    world::{self, BINARY, Order, SHOPS},
};

#[expect(clippy::disallowed_methods, reason = "the configuration of a test run")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn seed() -> u64 {
    setting("SHIPWAY_FAULTS_SEED").unwrap_or_else(rand::random)
}

/// In the end the reader says what the owner says and what the oracle says.
async fn ends_right(owner: &Server, reader: &Server, orders: &[Order], token: &str) {
    let at = world::after(orders);
    let copied = answer_with(reader, at, token).await;
    assert_eq!(copied, owner.client().post(READ, &question("shops", at, Some(token))).await.text());
    let compared = world::equals_the_oracle(reader.client(), orders, at, Some(token)).await;
    assert!(compared >= SHOPS.len() * 20, "{compared} values compared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_has_no_data_of_its_own_and_follows_its_owner_through_every_change() {
    let redis = Redis::start().await;
    let mut owner = owner(&redis.address()).await;
    world::apply(&owner).await;
    follows(&owner).await;
    let reader = reader(&redis.address()).await;
    let orders = world::orders(400, 5);
    let token = sent(owner.client(), &orders).await.unwrap();
    ends_right(&owner, &reader, &orders, &token).await;
    assert_eq!(fs_err::read_dir(reader.data().path()).unwrap().count(), 0, "nothing in its folder");

    // A new view and service reach it without a restart.
    let more = "\
kind: view
name: customer_orders
entity: customer
source: orders
aggregate:
  - operations: [count]
    windows: [1h, lifetime]
---
kind: entity
name: customer
keys: { customer: text }
---
kind: service
name: customers
views: [customer_orders]
";
    let body = json!({ "files": [{ "path": "more.yaml", "text": more }] });
    owner.client().post("/api/v1/definitions/apply", &body).await.ok();
    let at = world::after(&orders).to_string();
    let rows: Vec<Json> = (0..30).map(|number| json!({ "customer": format!("c{number}") })).collect();
    let asked = json!({ "service": "customers", "rows": rows, "at": at });
    let wait = async {
        loop {
            let answers = [reader.client().post(READ, &asked).await, owner.client().post(READ, &asked).await];
            if answers.iter().all(|answer| answer.status == 200) {
                return answers.map(|answer| answer.text());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let [copied, own] = tokio::time::timeout(WITHIN, wait).await.unwrap();
    assert_eq!(copied, own);

    let refused = reader.client().get("/api/v1/definitions").await;
    assert_eq!(refused.refusal(), "404 features.reader_only");
    assert!(refused.json()["hint"].as_str().unwrap().contains("owner"));
    assert_eq!(sent(reader.client(), &orders[..1]).await, None);
    let status = copy_status(&reader).await;
    assert_eq!((&status["role"], &status["state"]), (&json!("reader"), &json!("reading")), "{status}");
    let printed = |server: &Server| {
        let output = std::process::Command::new(BINARY).args(["status", "--server", &server.url()]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(printed(&reader).contains("read copy: reader, reading"), "{}", printed(&reader));
    assert!(printed(&owner).contains("read copy: owner, following"), "{}", printed(&owner));
    for (server, metric) in
        [(&owner, "shipway_read_copy_lag_events"), (&reader, "shipway_read_copy_age_seconds")]
    {
        assert!(server.client().get("/metrics").await.text().contains(metric));
    }

    // A clean stop and a start in between: the copy is gone on with.
    assert!(owner.stop().await.success());
    answer_with(&reader, world::after(&orders), &token).await;
    owner.restart().await;
    assert_eq!(follows(&owner).await.get("full_copy"), None);
    let more = world::orders(450, 5);
    let token = sent(owner.client(), &more[400..]).await.unwrap();
    let body = question("shops", world::after(&more), Some(&token));
    let copied = answer_with(&reader, world::after(&more), &token).await;
    assert_eq!(copied, owner.client().post(READ, &body).await.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_gone_for_a_while_and_comes_back_empty_never_makes_a_wrong_answer() {
    let seed = seed();
    println!("seed {seed}");
    println!("{}", redis_comes_back_empty(seed).await);
}

/// Redis is killed and comes back empty, or is emptied while it runs, under load.
async fn redis_comes_back_empty(seed: u64) -> Seen {
    let mut random = StdRng::seed_from_u64(seed);
    let mut redis = Redis::start().await;
    let owner = owner(&redis.address()).await;
    world::apply(&owner).await;
    let orders = world::orders(200_000, seed);
    let at = world::after(&orders);
    let reader = reader(&redis.address()).await;
    let (load, watch) = (Load::start(&owner, &orders), Watch::start(&reader, at));
    load.waits_for(100).await;
    watch.waits_for(20).await;
    for _ in 0..3 {
        redis.kill();
        tokio::time::sleep(Duration::from_millis(random.random_range(50..1_500))).await;
        load.waits_for(50).await;
        redis.restart().await;
        watch.waits_for(20).await;
        load.waits_for(50).await;
        // Emptied while it runs.
        redis.command(&["FLUSHALL"]);
        watch.waits_for(20).await;
    }
    let (count, token) = load.ends().await;
    ends_right(&owner, &reader, &orders[..count], &token).await;
    let seen = watch.ends().await;
    let known = ["503 online.copy_unreachable", "503 features.copy_incomplete", "503 features.copy_busy"];
    assert!(seen.refusals.keys().all(|code| known.contains(&code.as_str())), "{:?}", seen.refusals);
    assert!(seen.refusals.contains_key(known[0]), "{:?}", seen.refusals);
    assert!(seen.refusals.contains_key(known[1]), "{:?}", seen.refusals);
    seen
}

fn signal(server: &Server, name: &str) {
    let command = format!("kill -{name} {}", server.process_id());
    assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_with_an_older_copy_is_read_as_of_then_and_brought_up_to_date() {
    let seed = seed();
    println!("seed {seed}");
    println!("{}", redis_comes_back_with_an_older_copy(seed).await);
}

/// Redis is killed and comes back with what it had a while ago, under load.
async fn redis_comes_back_with_an_older_copy(seed: u64) -> Seen {
    let mut redis = Redis::start().await;
    let owner = owner(&redis.address()).await;
    world::apply(&owner).await;
    let orders = world::orders(200_000, seed);
    let at = world::after(&orders);
    let reader = reader(&redis.address()).await;
    let (load, watch) = (Load::start(&owner, &orders), Watch::start(&reader, at));
    for _ in 0..3 {
        load.waits_for(100).await;
        // What is on disk from now on is what it comes back with.
        redis.command(&["SAVE"]);
        load.waits_for(300).await;
        watch.waits_for(20).await;
        // The owner does not see it come back before it was read.
        signal(&owner, "STOP");
        redis.kill();
        redis.restart().await;
        watch.waits_for(20).await;
        signal(&owner, "CONT");
    }
    let (count, token) = load.ends().await;
    ends_right(&owner, &reader, &orders[..count], &token).await;
    let seen = watch.ends().await;
    assert!(!seen.watermarks.is_sorted(), "it was read as of then: {:?}", seen.watermarks);
    let known = ["503 online.copy_unreachable", "503 online.copy_refused"];
    assert!(seen.refusals.keys().all(|code| known.contains(&code.as_str())), "{:?}", seen.refusals);
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_go_on_from_the_last_moment_while_an_owner_is_killed_under_load() {
    let seed = seed();
    println!("seed {seed}");
    println!("{}", the_owner_is_killed(seed).await);
}

/// The owner is killed again and again under load.
async fn the_owner_is_killed(seed: u64) -> Seen {
    let mut random = StdRng::seed_from_u64(seed);
    let redis = Redis::start().await;
    let mut owner = owner(&redis.address()).await;
    world::apply(&owner).await;
    let orders = world::orders(200_000, seed);
    let at = world::after(&orders);
    let reader = reader(&redis.address()).await;
    let (load, watch) = (Load::start(&owner, &orders), Watch::start(&reader, at));
    load.waits_for(100).await;
    watch.waits_for(20).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        owner.kill();
        watch.waits_for(10).await;
        owner.restart().await;
        load.waits_for(50).await;
    }
    let (count, token) = load.ends().await;
    ends_right(&owner, &reader, &orders[..count], &token).await;
    let seen = watch.ends().await;
    assert!(seen.refusals.keys().all(|code| code == "503 features.copy_busy"), "{:?}", seen.refusals);
    assert!(seen.watermarks.is_sorted(), "the copy never goes back");
    assert!(seen.watermarks.len() > 20, "{:?}", seen.watermarks);
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_owners_the_later_one_has_the_copy_and_the_other_writes_nothing_more() {
    let redis = Redis::start().await;
    let mut first = owner(&redis.address()).await;
    world::apply(&first).await;
    let orders = world::orders(200, 1);
    let token = sent(first.client(), &orders).await.unwrap();
    follows(&first).await;
    let reader = reader(&redis.address()).await;
    ends_right(&first, &reader, &orders, &token).await;

    let second = owner(&redis.address()).await;
    world::apply(&second).await;
    let others = world::orders(500, 2);
    let other_token = sent(second.client(), &others).await.unwrap();
    follows(&second).await;
    let status = says(&first, |status| status["state"] == "taken_over").await;
    assert_eq!(status["code"], "features.copy_taken_over", "{status}");
    ends_right(&second, &reader, &others, &other_token).await;
    // What the first takes in now is in its own features only.
    let more = world::orders(300, 1);
    let token = sent(first.client(), &more[200..]).await.unwrap();
    let at = world::after(&more);
    first.client().post(READ, &question("shops", at, Some(&token))).await.ok();
    ends_right(&second, &reader, &others, &other_token).await;

    // Started again, it is the later one.
    first.restart().await;
    follows(&first).await;
    says(&second, |status| status["state"] == "taken_over").await;
    let copied = answer_with(&reader, at, &token).await;
    assert_eq!(copied, first.client().post(READ, &question("shops", at, Some(&token))).await.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_answers_are_of_one_moment_and_a_node_that_comes_back_empty_is_filled_again() {
    let seed = seed();
    println!("seed {seed}");
    println!("{}", nodes_of_a_cluster_come_back_empty(seed).await);
}

/// Each node of a cluster is killed and comes back empty under load; then the owner is killed.
async fn nodes_of_a_cluster_come_back_empty(seed: u64) -> Seen {
    let mut cluster = RedisCluster::start(3).await;
    let addresses = cluster.addresses().join(",");
    let mut owner = owner(&addresses).await;
    world::apply(&owner).await;
    let orders = world::orders(200_000, seed);
    let at = world::after(&orders);
    let reader = reader(&addresses).await;
    let (load, watch) = (Load::start(&owner, &orders), Watch::start(&reader, at));
    load.waits_for(100).await;
    watch.waits_for(50).await;
    for node in 0..3 {
        cluster.nodes[node].kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.nodes[node].restart().await;
        watch.waits_for(20).await;
        load.waits_for(50).await;
    }
    owner.kill();
    owner.restart().await;
    load.waits_for(50).await;
    watch.waits_for(20).await;
    let (count, token) = load.ends().await;
    ends_right(&owner, &reader, &orders[..count], &token).await;
    let seen = watch.ends().await;
    let known = [
        "503 online.copy_unreachable",
        "503 online.copy_refused",
        "503 features.copy_incomplete",
        "503 features.copy_busy",
    ];
    assert!(seen.refusals.keys().all(|code| known.contains(&code.as_str())), "{:?}", seen.refusals);
    seen
}

/// `make faults`: all of them with new seeds until the time is up. `SHIPWAY_FAULTS_SECONDS` (default 600) says how long,
/// `SHIPWAY_FAULTS_SEED` with which seed it begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes as long as it is told to: make faults"]
async fn faults() {
    let began = Instant::now();
    let (seconds, first) = (setting("SHIPWAY_FAULTS_SECONDS").unwrap_or(600), seed());
    let mut rounds = 0;
    while rounds == 0 || began.elapsed().as_secs() < seconds {
        let seed = first.wrapping_add(rounds);
        println!("seed {seed}");
        println!("{}", redis_comes_back_empty(seed).await);
        println!("{}", redis_comes_back_with_an_older_copy(seed).await);
        println!("{}", the_owner_is_killed(seed).await);
        println!("{}", nodes_of_a_cluster_come_back_empty(seed).await);
        rounds += 1;
    }
    println!("{rounds} rounds");
}
