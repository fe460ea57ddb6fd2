//! Files that come while the server dies again and again: each is loaded once, and the features are those of the oracle.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value as Json, json};
use shipway_testkit::{Client, Server, ServerOptions, TempData};

use crate::world::{self, BINARY, Order};

const FILES: usize = 60;
const ORDERS_PER_FILE: usize = 120;
const KILLS: usize = 16;

/// The definitions, with files for the history of the orders.
fn definitions(folder: &TempData) -> String {
    let batch = format!("batch: {{ files: {}/**/*.jsonl.gz }}\n", folder.path().display());
    let columns = "columns: { order_id";
    world::DEFINITIONS.replacen(columns, &format!("{batch}{columns}"), 1)
}

async fn refresh(client: &Client) -> Json {
    client.post("/api/v1/sources/orders/refresh", &json!({})).await.ok()
}

/// Follows a job to its end; how often does not matter.
async fn ended(client: &Client, job: &Json) -> Json {
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    loop {
        let job = client.get(&path).await.ok();
        if matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled")) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn loaded(client: &Client) -> u64 {
    client.get("/api/v1/sources/orders").await.ok()["items"]["loaded"].as_u64().unwrap()
}

fn writes(folder: &TempData, number: usize, orders: &[Order]) {
    use std::io::Write as _;
    let day = folder.path().join(format!("day={}", number % 5));
    fs_err::create_dir_all(&day).unwrap();
    let lines: String = orders.iter().map(|order| order.line() + "\n").collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(lines.as_bytes()).unwrap();
    fs_err::write(day.join(format!("{number:03}.jsonl.gz")), encoder.finish().unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_while_it_loads_files_loads_each_of_them_once() {
    let mut random = StdRng::seed_from_u64(20_261_128);
    let folder = TempData::new();
    let allowed = json!([folder.path()]).to_string();
    let options = ServerOptions {
        environment: vec![("SHIPWAY_SOURCES__ALLOWED_FOLDERS".to_owned(), allowed)],
        ..ServerOptions::default()
    };
    let mut server = Server::start_in(BINARY, TempData::new(), options).await;
    let orders = world::orders(FILES * ORDERS_PER_FILE, 7);
    for (number, orders) in orders.chunks(ORDERS_PER_FILE).enumerate() {
        writes(&folder, number, orders);
    }
    let body = json!({ "files": [{ "path": "world.yaml", "text": definitions(&folder) }] });
    server.client().post("/api/v1/definitions/apply", &body).await.ok();
    let mut kills_under_way = 0;
    for _ in 0..KILLS {
        refresh(server.client()).await;
        tokio::time::sleep(Duration::from_micros(random.random_range(1_000..150_000))).await;
        let before = loaded(server.client()).await;
        server.kill();
        kills_under_way += usize::from(before < FILES as u64);
        server.restart().await;
    }
    assert!(kills_under_way >= 3, "only {kills_under_way} kills came while files were being loaded");
    let job = refresh(server.client()).await;
    let job = ended(server.client(), &job).await;
    assert_eq!((&job["state"], &job["result"]["failed"]), (&json!("done"), &json!(0)), "{job}");

    let status = server.client().get("/api/v1/sources/orders").await.ok();
    let (items, rows) = (&status["items"], status["rows"].as_u64());
    assert_eq!((&items["loaded"], &items["loading"]), (&json!(FILES), &json!(0)), "{status}");
    assert_eq!(rows, Some(orders.len() as u64), "{status}");
    let query = json!({ "query": "SELECT count(*) AS orders, count(DISTINCT order_id) AS ids FROM orders" });
    let answer = server.client().post("/api/v1/sql", &query).await.ok();
    assert_eq!(answer["rows"], json!([[orders.len(), orders.len()]]), "{answer}");
    let compared = world::equals_the_oracle(server.client(), &orders, world::after(&orders), None).await;
    assert!(compared >= world::SHOPS.len() * 20, "{compared} values compared");
}
