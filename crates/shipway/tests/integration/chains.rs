//! Chained views in the real binary: killed under load, they say what history says.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value as Json, json};
use shipway_testkit::Server;

use crate::world::{self, BINARY, DEFINITIONS, Order};

const CHAIN: &str = "\
kind: entity
name: customer
keys: { customer: text }
---
kind: view
name: customer_rush
entity: customer
source: orders
enrich: ['shop_orders:count_1h', 'shop_orders:amount_sum_1d']
aggregate:
  - { column: shop_orders__count_1h, operations: [last_k(5), avg], windows: [1d, lifetime] }
  - { column: shop_orders__amount_sum_1d, operations: [sum, max], windows: [1h, lifetime] }
---
kind: service
name: customers
views: [customer_rush]
";

const KILLS: usize = 8;
const CUSTOMERS: usize = 30;

/// Sends `batch` until it is acknowledged; the same ids count once. Returns the token.
async fn sends(server: &mut Server, batch: &[Order], kill: bool) -> String {
    let body: String = batch.iter().map(|order| order.line() + "\n").collect();
    if kill {
        let client = server.client().clone();
        let sent = client.post_body("/api/v1/ingest/orders", "application/x-ndjson", body.clone()).await;
        sent.ok();
        server.kill();
        server.restart().await;
    }
    let sent = server.client().post_body("/api/v1/ingest/orders", "application/x-ndjson", body).await.ok();
    sent["token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_goes_on_with_chains_that_say_what_history_says() {
    let mut random = StdRng::seed_from_u64(20_261_128);
    let mut server = Server::start(BINARY).await;
    let text = format!("{DEFINITIONS}---\n{CHAIN}");
    let body = json!({ "files": [{ "path": "world.yaml", "text": text }] });
    server.client().post("/api/v1/definitions/apply", &body).await.ok();
    let orders = world::orders(2_400, 7);
    let mut token = String::new();
    for (number, batch) in orders.chunks(300).enumerate() {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..20))).await;
        token = sends(&mut server, batch, number < KILLS).await;
    }
    let at = world::after(&orders);
    let rows: Vec<Json> = (0..CUSTOMERS).map(|number| json!({ "customer": format!("c{number}") })).collect();
    let read = json!({ "service": "customers", "rows": rows, "at": at.to_string(), "token": token });
    let read = server.client().post("/api/v1/features/read", &read).await.ok();
    let columns: Vec<&str> =
        read["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let spine: Vec<String> = (0..CUSTOMERS).map(|number| format!("(''c{number}'', {number})")).collect();
    let query = format!(
        "SELECT {} FROM training_set('customers', 'SELECT customer, position, to_timestamp_micros({}) AS q FROM (VALUES {}) AS t(customer, position)', 'q') ORDER BY position",
        columns.join(", "),
        at.0,
        spine.join(", "),
    );
    let trained = server.client().post("/api/v1/sql", &json!({ "query": query })).await.ok();
    let trained = trained["rows"].as_array().unwrap();
    assert_eq!(trained.len(), CUSTOMERS);
    let mut seen = 0;
    for (number, row) in read["rows"].as_array().unwrap().iter().enumerate() {
        assert_eq!(row["values"], trained[number], "c{number}: {columns:?}");
        seen += usize::from(row["values"][0] != Json::Null);
    }
    assert!(seen > CUSTOMERS / 2, "only {seen} customers had orders");
}
