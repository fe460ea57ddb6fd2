//! A server that nobody asks anything is small, and answers as before.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use serde_json::json;
use shipway_testkit::Server;

use crate::world::{self, BINARY};

/// The bytes of files, its program above all, that a process has in memory.
fn from_files(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
    1024 * line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
}

#[tokio::test]
async fn a_server_at_rest_gives_its_program_back_and_answers_as_before() {
    let server = Server::start(BINARY).await;
    world::apply(&server).await;
    let query = json!({ "query": "SELECT 40 + 2 AS answer" });
    let ask = async || server.client().post("/api/v1/sql", &query).await.ok()["rows"].clone();
    assert_eq!(ask().await, json!([[42]]));
    let busy = from_files(&server);
    assert!(busy > 45 << 20, "a server that holds {busy} bytes of files has nothing to give back");

    let began = Instant::now();
    while from_files(&server) > busy / 2 {
        assert!(began.elapsed() < Duration::from_secs(300), "{} of {busy} bytes stay", from_files(&server));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(ask().await, json!([[42]]));
}
