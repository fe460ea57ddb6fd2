//! SIGKILL at random moments under load: nothing acknowledged is missing, nothing is counted twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::Method;
use serde_json::json;
use shipway_testkit::{Client, Server};
use tokio_util::task::TaskTracker;

use crate::world::{self, BINARY, Order};

const KILLS: usize = 24;
const WRITERS: usize = 3;
const ORDERS_PER_BATCH: usize = 10;
/// More than the writers can send before the last kill, so that every kill comes under load.
const ORDERS: usize = 60_000;

/// The orders in batches, and which of them nobody has sent yet.
struct Supply {
    batches: Vec<Vec<Order>>,
    next: AtomicUsize,
}

impl Supply {
    fn taken(&self) -> usize {
        self.next.load(Ordering::SeqCst).min(self.batches.len())
    }
}

/// Whether a batch was acknowledged; otherwise the server is gone.
async fn sent(client: &Client, batch: &[Order]) -> bool {
    let body: String = batch.iter().map(|order| order.line() + "\n").collect();
    let request = client
        .request(Method::POST, "/api/v1/ingest/orders")
        .header("content-type", "application/x-ndjson")
        .body(body);
    match client.send(request).await {
        Ok(answer) if answer.status == 200 => {
            let answer = answer.json();
            assert_eq!(answer["refused"], json!([]), "{answer}");
            true
        }
        _ => false,
    }
}

/// Sends what is owed and then fresh batches until the server is gone; returns the number of the batch it then owes.
///
/// An owed batch is sent again with the same ids: it may or may not be there already.
async fn write(client: Client, supply: Arc<Supply>, owed: Option<usize>) -> Option<usize> {
    let mut present = owed.unwrap_or_else(|| supply.next.fetch_add(1, Ordering::SeqCst));
    while let Some(batch) = supply.batches.get(present) {
        if !sent(&client, batch).await {
            return Some(present);
        }
        present = supply.next.fetch_add(1, Ordering::SeqCst);
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_again_and_again_loses_nothing_and_counts_nothing_twice() {
    let mut random = StdRng::seed_from_u64(20_261_123);
    let mut server = Server::start(BINARY).await;
    world::apply(&server).await;
    let batches = world::orders(ORDERS, 1).chunks(ORDERS_PER_BATCH).map(<[Order]>::to_vec).collect();
    let supply = Arc::new(Supply { batches, next: AtomicUsize::new(0) });
    let tasks = TaskTracker::new();
    let mut owed = [None; WRITERS];
    let mut kills_under_load = 0;
    for _ in 0..KILLS {
        let writers = owed.map(|owed| tasks.spawn(write(server.client().clone(), Arc::clone(&supply), owed)));
        tokio::time::sleep(Duration::from_micros(random.random_range(500..50_000))).await;
        server.kill();
        for (owed, writer) in owed.iter_mut().zip(writers) {
            *owed = writer.await.unwrap();
        }
        kills_under_load += usize::from(owed.iter().any(Option::is_some));
        server.restart().await;
    }
    assert!(
        kills_under_load >= 20,
        "only {kills_under_load} of {KILLS} kills came while events were being sent"
    );
    for owed in owed.into_iter().flatten() {
        assert!(sent(server.client(), &supply.batches[owed]).await);
    }

    let everything: Vec<Order> = supply.batches[..supply.taken()].concat();
    let again = everything.last().unwrap().line();
    let answer = server.client().post_body("/api/v1/ingest/orders", "application/x-ndjson", again).await.ok();
    assert_eq!(answer["duplicates"], 1, "{answer}");
    let (at, token) = (world::after(&everything), answer["token"].as_str());
    let compared = world::equals_the_oracle(server.client(), &everything, at, token).await;
    assert!(compared >= world::SHOPS.len() * 20, "{compared} values compared");

    // A clean stop writes history out; the table holds every order once.
    assert!(server.stop().await.success());
    server.restart().await;
    let query = json!({ "query": "SELECT count(*) AS orders, count(DISTINCT order_id) AS ids FROM orders" });
    let answer = server.client().post("/api/v1/sql", &query).await.ok();
    let count = everything.len();
    assert_eq!(answer["rows"], json!([[count, count]]), "{answer}");
    world::equals_the_oracle(server.client(), &everything, at, None).await;
}
