//! Metadata in PostgreSQL: a server over it, its crash, the move from SQLite, and what does not belong together.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use shipway_testkit::{Postgres, Server, ServerOptions, TempData};

use crate::world::{self, BINARY};

fn over(url: &str) -> ServerOptions {
    let environment = vec![("SHIPWAY_METADATA__URL".to_owned(), url.to_owned())];
    ServerOptions { environment, ..ServerOptions::default() }
}

/// The answer to a request in the workspace `team-a`.
async fn in_team(server: &Server, path: &str, body: &Value) -> Value {
    let request = server.client().request(Method::POST, &format!("/api/2.0/mlflow/{path}"));
    let answer =
        server.client().send(request.header("x-mlflow-workspace", "team-a").json(body)).await.unwrap();
    assert_eq!(answer.status, 200, "{path}");
    serde_json::from_slice(&answer.body).unwrap()
}

/// A definition, events, a finished job and a run with a metric: something in every family of tables.
async fn work(server: &Server) {
    world::apply(server).await;
    let lines: String = world::orders(50, 3).iter().map(|order| order.line() + "\n").collect();
    server.client().post_body("/api/v1/ingest/orders", "application/x-ndjson", lines).await.ok();
    let client = server.client();
    let run = client
        .post("/api/2.0/mlflow/runs/create", &json!({ "experiment_id": "0", "run_name": "kept" }))
        .await
        .ok();
    let run_id = run["run"]["info"]["run_id"].clone();
    let metric = json!({ "run_id": run_id, "key": "auc", "value": 0.75, "timestamp": 1 });
    client.post("/api/2.0/mlflow/runs/log-metric", &metric).await.ok();
    let made = client.post("/api/v1/workspaces", &json!({ "name": "team-a" })).await;
    assert_eq!(made.status, 201);
    let model = json!({ "name": "churn" });
    in_team(server, "registered-models/create", &model).await;
    in_team(server, "experiments/create", &json!({ "name": "Default" })).await;
}

/// What `work` left, as its readers see it.
async fn assert_kept(server: &Server) {
    let client = server.client();
    let search =
        json!({ "experiment_ids": ["0"], "filter": "metrics.auc > 0.5", "order_by": ["metrics.auc"] });
    let found = client.post("/api/2.0/mlflow/runs/search", &search).await.ok();
    assert_eq!(found["runs"][0]["info"]["run_name"], "kept", "{found}");
    let found = in_team(server, "experiments/search", &json!({ "max_results": 5 })).await;
    let names = found["experiments"].as_array().map(Vec::len);
    assert_eq!((names, &found["experiments"][0]["name"]), (Some(1), &json!("Default")));
    let models = client.get("/api/v1/models").await.ok();
    assert_eq!(models["models"][0]["name"], "team-a/churn");
    let definitions = client.get("/api/v1/definitions").await.ok().to_string();
    assert!(definitions.contains("shop_orders"), "{definitions}");
    let read = json!({ "service": "shops", "rows": [{ "shop": "north" }] });
    let answer = client.post("/api/v1/features/read", &read).await.ok();
    assert!(answer.to_string().contains("shop_orders"), "{answer}");
}

fn ends_at_once(arguments: &[&str], data: &TempData, url: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--data").arg(data.path()).env_remove("SHIPWAY_METADATA__URL");
    command.envs(url.map(|url| ("SHIPWAY_METADATA__URL", url)));
    let done = command.output().unwrap();
    let words = String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    (done.status.code(), words)
}

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_over_postgresql_survives_its_own_death_and_that_of_the_database() {
    let mut postgres = Postgres::start().await;
    let url = postgres.new_database();
    let mut server = Server::start_in(BINARY, TempData::new(), over(&url)).await;
    work(&server).await;
    assert_kept(&server).await;

    server.restart().await;
    assert_kept(&server).await;

    postgres.crash_and_restart().await;
    assert_kept(&server).await;
    let run = json!({ "experiment_id": "0", "run_name": "later" });
    let later: Value = server.client().post("/api/2.0/mlflow/runs/create", &run).await.ok();
    assert_eq!(later["run"]["info"]["run_name"], "later");
    assert!(!server.data().join("meta.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_move_from_sqlite_and_nothing_starts_on_the_wrong_ones() {
    let postgres = Postgres::shared().await;
    let (url, other) = (postgres.new_database(), postgres.new_database());
    let mut server = Server::start(BINARY).await;
    work(&server).await;
    let (code, words) = ends_at_once(&["metadata", "move"], server.data(), Some(&url));
    assert_eq!(code, Some(1), "a server runs there: {words}");
    assert!(server.stop().await.success());
    let data = server.into_data();

    let (code, words) = ends_at_once(&SERVE, &data, Some(&url));
    assert_eq!(code, Some(1));
    assert!(words.contains("shipway metadata move"), "{words}");
    let (code, words) = ends_at_once(&["metadata", "move"], &data, None);
    assert_eq!(code, Some(1));
    assert!(words.contains("metadata.url is not set"), "{words}");
    let (code, words) = ends_at_once(&["metadata", "move"], &data, Some(&url));
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("latest_metrics: 1 row") && words.contains("moved"), "{words}");

    let (code, words) = ends_at_once(&SERVE, &data, None);
    assert_eq!(code, Some(1));
    assert!(words.contains("its metadata are in PostgreSQL"), "{words}");
    let (code, words) = ends_at_once(&SERVE, &TempData::new(), Some(&url));
    assert_eq!(code, Some(1));
    assert!(words.contains("store.other_home"), "{words}");
    let moved = Server::start_in(BINARY, data, over(&url)).await;
    assert_kept(&moved).await;

    // A database with tables is nothing to move into, and stays as it is.
    let another = Server::start_in(BINARY, TempData::new(), over(&other)).await;
    drop(another);
    let mut fresh = Server::start(BINARY).await;
    assert!(fresh.stop().await.success());
    let (code, words) = ends_at_once(&["metadata", "move"], &fresh.into_data(), Some(&other));
    assert_eq!(code, Some(1));
    assert!(words.contains("store.not_empty"), "{words}");
}
