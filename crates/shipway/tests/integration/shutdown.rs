//! SIGTERM: open requests finish, and what is in memory reaches its place.

use serde_json::json;
use shipway_testkit::Server;

use crate::world::{self, BINARY};

#[tokio::test]
async fn a_stopped_server_ends_well_and_has_written_every_event_to_history() {
    let mut server = Server::start(BINARY).await;
    world::apply(&server).await;
    let orders = world::orders(500, 3);
    let lines: String = orders.iter().map(|order| order.line() + "\n").collect();
    server.client().post_body("/api/v1/ingest/orders", "application/x-ndjson", lines).await.ok();

    assert!(server.stop().await.success(), "{}", server.log());

    server.restart().await;
    let query = json!({ "query": "SELECT count(*) AS orders FROM orders" });
    let answer = server.client().post("/api/v1/sql", &query).await.ok();
    assert_eq!(answer["rows"], json!([[500]]));
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_with_a_remedy() {
    let server = Server::start(BINARY).await;
    let second = std::process::Command::new(BINARY)
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data().path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(words.contains("error:") && words.contains("hint:"), "{words}");
}

#[tokio::test]
async fn an_open_address_without_a_token_is_refused() {
    let data = shipway_testkit::TempData::new();
    let refused = std::process::Command::new(BINARY)
        .args(["serve", "--listen", "0.0.0.0:0", "--data"])
        .arg(data.path())
        .env_remove("SHIPWAY_TOKEN")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("token"));
}
