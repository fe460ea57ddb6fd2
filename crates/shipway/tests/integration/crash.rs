//! SIGKILL at random moments under load: nothing acknowledged is missing, nothing is counted twice.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::json;
use shipway_testkit::{Client, Server};

use crate::world::{self, BINARY, Order};

const KILLS: usize = 24;
const ORDERS_PER_BATCH: usize = 40;
const BATCHES_PER_ROUND: usize = 12;
const WRITERS: usize = 3;

/// Sends each batch until it is acknowledged or the server is gone; returns the batches that were not acknowledged.
async fn send(client: Client, batches: Vec<Vec<Order>>) -> Vec<Vec<Order>> {
    let mut rest = batches.into_iter();
    while let Some(batch) = rest.next() {
        let body: String = batch.iter().map(|order| order.line() + "\n").collect();
        let request = client
            .request(Method::POST, "/api/v1/ingest/orders")
            .header("content-type", "application/x-ndjson")
            .body(body);
        match client.send(request).await {
            Ok(answer) if answer.status == 200 => {
                let answer = answer.json();
                assert_eq!(answer["refused"], json!([]), "{answer}");
            }
            _ => return std::iter::once(batch).chain(rest).collect(),
        }
    }
    Vec::new()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_loses_nothing_and_counts_nothing_twice() {
    let mut random = StdRng::seed_from_u64(20_261_123);
    let mut server = Server::start(BINARY).await;
    world::apply(&server).await;
    let all = world::orders(KILLS * BATCHES_PER_ROUND * ORDERS_PER_BATCH, 1);
    let mut waiting: Vec<Vec<Order>> = all.chunks(ORDERS_PER_BATCH).map(<[Order]>::to_vec).rev().collect();
    let mut unacknowledged: Vec<Vec<Order>> = Vec::new();
    let mut kills_under_load = 0;
    let tasks = tokio_util::task::TaskTracker::new();
    for _ in 0..KILLS {
        // What was not acknowledged is sent again with the same ids: it may or may not be there already.
        let mut round = std::mem::take(&mut unacknowledged);
        for _ in 0..BATCHES_PER_ROUND {
            round.extend(waiting.pop());
        }
        let mut shares = vec![Vec::new(); WRITERS];
        for (number, batch) in round.into_iter().enumerate() {
            shares[number % WRITERS].push(batch);
        }
        let writers: Vec<_> =
            shares.into_iter().map(|share| tasks.spawn(send(server.client().clone(), share))).collect();
        tokio::time::sleep(Duration::from_micros(random.random_range(500..60_000))).await;
        server.kill();
        for writer in writers {
            unacknowledged.extend(writer.await.unwrap());
        }
        kills_under_load += usize::from(!unacknowledged.is_empty());
        server.restart().await;
    }
    assert!(
        kills_under_load >= 20,
        "only {kills_under_load} of {KILLS} kills came while events were being sent"
    );

    unacknowledged.extend(waiting);
    assert!(send(server.client().clone(), unacknowledged).await.is_empty());
    let last = world::orders(all.len() + 1, 1).pop().unwrap();
    let answer =
        server.client().post_body("/api/v1/ingest/orders", "application/x-ndjson", last.line()).await.ok();
    let everything: Vec<Order> = all.into_iter().chain([last]).collect();

    let token = answer["token"].as_str();
    let compared =
        world::equals_the_oracle(server.client(), &everything, world::after(&everything), token).await;
    assert!(compared >= 4 * 20, "{compared} values compared");

    // A clean stop writes history out; the table holds every order once.
    assert!(server.stop().await.success());
    server.restart().await;
    let query = json!({ "query": "SELECT count(*) AS orders, count(DISTINCT order_id) AS ids FROM orders" });
    let answer = server.client().post("/api/v1/sql", &query).await.ok();
    let count = everything.len();
    assert_eq!(answer["rows"], json!([[count, count]]), "{answer}");
    world::equals_the_oracle(server.client(), &everything, world::after(&everything), None).await;
}
