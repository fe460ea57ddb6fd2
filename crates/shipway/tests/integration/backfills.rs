//! SIGKILL in the middle of backfills: each goes on as the same job, and no row is lost or counted twice.

use std::{fmt::Write as _, process::Command, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value as Json, json};
use shipway_testkit::{Client, Server, ServerOptions, TempData};

use crate::world::{self, BINARY, DEFINITIONS, Order, SHOPS};

/// One less than the crashes after which a job counts as their cause.
const KILLS: usize = 4;
const BEFORE: usize = 3_000;
const MEANWHILE: usize = 300;

/// A view with as many keys as orders, and the first view under another name.
fn later() -> String {
    let shops = DEFINITIONS.split("---\n").find(|text| text.contains("name: shop_orders\n")).unwrap();
    let mut text = shops.replace("name: shop_orders\n", "name: twin_orders\n");
    let _ = write!(
        text,
        "---\nkind: entity\nname: order\nkeys: {{ order_id: text }}\n---\n\
         kind: view\nname: by_order\nentity: order\nsource: orders\naggregate:\n  - operations: [count]\n    windows: [lifetime]\n\
         ---\nkind: service\nname: twins\nviews: [shop_orders, twin_orders]\n\
         ---\nkind: service\nname: by_orders\nviews: [by_order]\n"
    );
    text
}

async fn send(client: &Client, orders: &[Order]) -> Json {
    let lines: String = orders.iter().map(|order| order.line() + "\n").collect();
    let answer = client.post_body("/api/v1/ingest/orders", "application/x-ndjson", lines).await.ok();
    assert_eq!(answer["acknowledged"], orders.len(), "{answer}");
    answer["token"].clone()
}

async fn view(client: &Client, name: &str) -> Json {
    let answer = client.get("/api/v1/features/views").await.ok();
    answer["views"].as_array().unwrap().iter().find(|view| view["view"] == name).unwrap().clone()
}

/// The job of a view's build, when it has ended.
async fn ended(client: &Client, job: &str) -> Json {
    loop {
        let job = client.get(&format!("/api/v1/jobs/{job}")).await.ok();
        if ["done", "failed", "cancelled"].iter().any(|state| job["state"] == *state) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfills_that_are_killed_again_and_again_end_with_every_row_counted_once() {
    let mut random = StdRng::seed_from_u64(20_261_128);
    // Many small steps.
    let environment = vec![("SHIPWAY_FEATURES__BUILD_ROWS".to_owned(), "4".to_owned())];
    let options = ServerOptions { environment, ..ServerOptions::default() };
    let mut server = Server::start_in(BINARY, TempData::new(), options).await;
    world::apply(&server).await;
    let orders = world::orders(BEFORE + MEANWHILE * KILLS, 5);
    let (before, meanwhile) = orders.split_at(BEFORE);
    send(server.client(), before).await;
    let body = json!({ "files": [{ "path": "later.yaml", "text": later() }] });
    server.client().post("/api/v1/definitions/apply", &body).await.ok();
    let job = view(server.client(), "by_order").await["job"].as_str().unwrap().to_owned();

    let mut token = Json::Null;
    let mut kills_in_the_middle = 0;
    for more in meanwhile.chunks(MEANWHILE) {
        token = send(server.client(), more).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(5..150))).await;
        let state = view(server.client(), "by_order").await;
        kills_in_the_middle += usize::from(state["state"] == "building");
        server.kill();
        server.restart().await;
        assert_eq!(view(server.client(), "by_order").await["job"], job, "it is still the same job");
    }
    assert!(
        kills_in_the_middle >= 2,
        "only {kills_in_the_middle} of {KILLS} kills came while the view was built"
    );
    for name in ["by_order", "twin_orders"] {
        let job = view(server.client(), name).await["job"].as_str().unwrap().to_owned();
        let job = ended(server.client(), &job).await;
        assert_eq!((&job["state"], &job["result"]["rows"]), (&json!("done"), &json!(BEFORE)), "{job}");
    }

    let at = world::after(&orders);
    for some in orders.chunks(1_000) {
        let rows: Vec<Json> = some.iter().map(|order| json!({ "order_id": order.id })).collect();
        let body = json!({ "service": "by_orders", "rows": rows, "at": at.to_string(), "token": token });
        let answer = server.client().post("/api/v1/features/read", &body).await.ok();
        let rows = answer["rows"].as_array().unwrap();
        assert!(rows.len() == some.len() && rows.iter().all(|row| row["values"] == json!([1])));
    }
    let rows: Vec<Json> = SHOPS.iter().map(|shop| json!({ "shop": shop })).collect();
    let body = json!({ "service": "twins", "rows": rows, "at": at.to_string(), "token": token });
    let answer = server.client().post("/api/v1/features/read", &body).await.ok();
    for row in answer["rows"].as_array().unwrap() {
        let values = row["values"].as_array().unwrap();
        let (first, twin) = values.split_at(values.len() / 2);
        assert_eq!(first, twin);
    }
    world::equals_the_oracle(server.client(), &orders, at, token.as_str()).await;
}

#[tokio::test]
async fn apply_follows_the_builds_that_it_begins_and_rebuild_says_what_it_found() {
    let server = Server::start(BINARY).await;
    world::apply(&server).await;
    let orders = world::orders(500, 7);
    send(server.client(), &orders).await;
    let folder = TempData::new();
    let file = folder.join("later.yaml");
    fs_err::write(&file, later()).unwrap();
    let shipway = |arguments: &[&str]| {
        let ran = Command::new(BINARY).args(arguments).args(["--server", &server.url()]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };

    let applied = shipway(&["apply", "--wait", file.to_str().unwrap()]);
    assert!(applied.contains("by_order: built from 500 rows\n"), "{applied}");
    assert!(applied.contains("twin_orders: built from 500 rows\n"), "{applied}");
    let again = shipway(&["apply", file.to_str().unwrap()]);
    assert!(again.ends_with("nothing to do\n"), "{again}");
    let views = shipway(&["features", "views"]);
    assert!(views.lines().filter(|line| line.contains("ready")).count() == 4, "{views}");
    let rebuilt = shipway(&["features", "rebuild", "--view", "by_order"]);
    assert_eq!(rebuilt, "by_order: built again from 500 rows; of 500 keys 0 had another answer\n");
    let jobs = shipway(&["jobs", "list"]);
    assert!(
        jobs.lines().filter(|line| line.contains("backfill") && line.contains("done")).count() == 3,
        "{jobs}"
    );
}
