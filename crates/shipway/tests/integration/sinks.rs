//! Rows that are sent on, with a real Kafka: what reads answer, nothing left out through kills, in a table exactly once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use reqwest::Method;
use serde_json::{Value as Json, json};
use shipway_broker::{Event, Message, Positions, PositionsFailure, Settings, Start, Subscribe};
use shipway_testkit::{Client, Kafka, Server, TempData};
use tokio_util::task::TaskTracker;

use crate::{
    stream_world::{Broker, options, seed},
    world::{self, BINARY, Order, SHOPS},
};

const TOPIC: &str = "features.rows";
const WITHIN: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// Orders by customer, beside the small world.
const CUSTOMERS: &str = "---
kind: entity
name: customer
keys: { customer: text }
---
kind: view
name: customer_orders
entity: customer
source: orders
aggregate:
  - operations: [count]
    windows: [lifetime]
  - column: items
    operations: [sum]
    windows: [lifetime]
---
kind: service
name: customers
views: [customer_orders]
";

pub(crate) fn sink(name: &str, from: &str, to: &str) -> String {
    format!("---\nkind: sink\nname: {name}\nfrom: {{ {from} }}\nto: {{ {to} }}\n")
}

fn to_topic(topic: &str) -> String {
    format!("broker: main, topic: {topic}, format: json")
}

/// Applies the small world with the customers and `more`.
pub(crate) async fn apply(server: &Server, more: &str) {
    let text = format!("{}{CUSTOMERS}{more}", world::DEFINITIONS);
    let body = json!({ "files": [{ "path": "world.yaml", "text": text }] });
    server.client().post("/api/v1/definitions/apply", &body).await.ok();
}

pub(crate) async fn ingest(server: &Server, orders: &[Order]) {
    let lines: String = orders.iter().map(|order| order.line() + "\n").collect();
    server.client().post_body("/api/v1/ingest/orders", "application/x-ndjson", lines).await.ok();
}

async fn status(server: &Server, sink: &str) -> Json {
    let answer = server.client().get("/api/v1/sinks").await.ok();
    let mut sinks = answer["sinks"].as_array().unwrap().iter();
    sinks.find(|status| status["sink"] == sink).cloned().unwrap_or(Json::Null)
}

/// Waits until the status of a sink is as wanted.
pub(crate) async fn becomes(server: &Server, sink: &str, is_wanted: impl Fn(&Json) -> bool) -> Json {
    let wait = async {
        loop {
            let status = status(server, sink).await;
            if is_wanted(&status) {
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let reached = tokio::time::timeout(WITHIN, wait).await;
    assert!(reached.is_ok(), "{}\n{}", status(server, sink).await, server.log());
    reached.unwrap()
}

pub(crate) fn is_done(status: &Json) -> bool {
    status["state"] == "sending" && status["lag"] == 0 && status["resending"] == false
}

/// A reader that begins where a topic begins.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Positions for Nowhere {
    async fn position(&self, _: u32, _: u64) -> Result<Option<u64>, PositionsFailure> {
        Ok(None)
    }

    async fn next_generation(&self, _: u32) -> Result<u64, PositionsFailure> {
        Ok(1)
    }
}

/// Every message that a topic has now; those of one key in their order.
pub(crate) async fn messages(kafka: &Kafka, topic: &str) -> Vec<Message> {
    let broker = shipway_broker::connect(Settings::new(kafka.bootstrap(), "readers")).await.unwrap();
    let wanted: u64 = broker.ends(topic).await.unwrap().iter().map(|ends| ends.high - ends.low).sum();
    let subscribe = Subscribe {
        topic: topic.to_owned(),
        group: Some(format!("reader-{}", uuid::Uuid::new_v4())),
        start: Start::Earliest,
        positions: Arc::new(Nowhere),
    };
    let mut subscription = broker.subscribe(subscribe).await.unwrap();
    let mut read = Vec::new();
    let reading = async {
        while (read.len() as u64) < wanted {
            if let Event::Messages(messages) = subscription.next(10_000, 64 << 20, POLL).await.unwrap() {
                read.extend(messages);
            }
        }
    };
    tokio::time::timeout(WITHIN, reading).await.unwrap();
    read
}

fn parsed(bytes: &Option<bytes::Bytes>) -> Json {
    serde_json::from_slice(bytes.as_ref().unwrap()).unwrap()
}

/// Waits until a topic has a message of this key.
async fn comes(kafka: &Kafka, topic: &str, key: &Json) {
    let wait = async {
        while !messages(kafka, topic).await.iter().any(|message| parsed(&message.key) == *key) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(WITHIN, wait).await.unwrap();
}

/// The last row of each key, by the text of the key.
fn last_rows(messages: &[Message]) -> BTreeMap<String, Json> {
    messages.iter().map(|message| (parsed(&message.key).to_string(), parsed(&message.value))).collect()
}

/// Asks for the features of the key of each row at its moment, and compares all of them.
pub(crate) async fn equal_what_reads_answer(
    client: &Client,
    service: &str,
    view: &str,
    rows: &BTreeMap<String, Json>,
) {
    for (key, row) in rows {
        let asked: Json = serde_json::from_str(key).unwrap();
        let body = json!({ "service": service, "rows": [asked], "at": row["_at"] });
        let answer = client.post("/api/v1/features/read", &body).await.ok();
        let columns = answer["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let values = answer["rows"][0]["values"].as_array().unwrap();
        let mut compared = 0;
        for (column, value) in columns.zip(values) {
            if let Some(feature) = column.strip_prefix(view).and_then(|rest| rest.strip_prefix("__")) {
                assert_eq!(&row[feature], value, "{key} {feature} of {row}");
                compared += 1;
            }
        }
        assert!(compared > 0);
        assert_eq!(row["_view"], view);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_in_the_topic_are_what_reads_answer_and_a_sink_follows_its_definition() {
    let kafka = Broker::own().await;
    for topic in [TOPIC, "others"] {
        kafka.create_topic(topic, 3).await;
    }
    let settings = TempData::new();
    let server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    let orders = world::orders(600, 21);
    apply(&server, "").await;
    ingest(&server, &orders[..100]).await;
    let of_shops = |topic: &str| sink("shop_rows", "view: shop_orders", &to_topic(topic));
    apply(&server, &of_shops(TOPIC)).await;
    for orders in orders[100..400].chunks(25) {
        ingest(&server, orders).await;
    }
    let done = becomes(&server, "shop_rows", |status| is_done(status) && status["rows"] != 0).await;
    assert_eq!(done["from"], json!({ "view": "shop_orders" }));
    assert_eq!(done["to"], json!({ "broker": "main", "topic": TOPIC, "format": "json" }));
    let sent = messages(&kafka, TOPIC).await;
    assert_eq!(done["rows"], sent.len(), "nothing failed, so nothing is there twice");
    let rows = last_rows(&sent);
    let shops: BTreeSet<String> = SHOPS.iter().map(|shop| json!({ "shop": shop }).to_string()).collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), shops);
    equal_what_reads_answer(server.client(), "shops", "shop_orders", &rows).await;
    for (key, row) in &rows {
        let count = orders[..400].iter().filter(|order| key.contains(order.shop)).count();
        assert_eq!(row["count_lifetime"], count, "events from before the sink are in its rows");
    }

    // Elsewhere from the next row on, without a restart; and the row of every key once more.
    apply(&server, &of_shops("others")).await;
    let north: Vec<Order> = orders[400..].iter().filter(|order| order.shop == "north").cloned().collect();
    ingest(&server, &north).await;
    becomes(&server, "shop_rows", |status| is_done(status) && status["rows"] != 0).await;
    assert_eq!(messages(&kafka, TOPIC).await.len(), sent.len());
    let moved = last_rows(&messages(&kafka, "others").await);
    assert_eq!(moved.keys().collect::<Vec<_>>(), [r#"{"shop":"north"}"#]);
    server.client().post("/api/v1/sinks/shop_rows/resend", &json!({})).await.ok();
    becomes(&server, "shop_rows", is_done).await;
    let moved = last_rows(&messages(&kafka, "others").await);
    assert_eq!(moved.len(), SHOPS.len());
    equal_what_reads_answer(server.client(), "shops", "shop_orders", &moved).await;

    let refused = server.client().delete("/api/v1/definitions/view/shop_orders").await.refusal();
    assert_eq!(refused, "409 catalog.in_use");
    server.client().delete("/api/v1/definitions/sink/shop_rows").await.ok();
    assert_eq!(status(&server, "shop_rows").await, Json::Null);
    let before = messages(&kafka, "others").await.len();
    ingest(&server, &orders[550..]).await;
    let unknown = server.client().post("/api/v1/sinks/shop_rows/resend", &json!({})).await.refusal();
    assert_eq!(unknown, "404 streams.unknown_sink");
    // Whoever is told of what was ingested would have been sent it by now.
    becomes_readable(&server, &orders).await;
    assert_eq!(messages(&kafka, "others").await.len(), before);
}

/// Waits until reads see everything that was ingested.
async fn becomes_readable(server: &Server, orders: &[Order]) {
    let answer =
        server.client().post_body("/api/v1/ingest/orders", "application/x-ndjson", String::new()).await.ok();
    let body = json!({
        "service": "shops", "rows": [{ "shop": "north" }], "at": world::after(orders).to_string(), "token": answer["token"],
    });
    server.client().post("/api/v1/features/read", &body).await.ok();
}

/// Ingests orders over HTTP, each until it is acknowledged, until it is told to stop; says how many are.
async fn keep_ingesting(client: Client, orders: Vec<Order>, seed: u64, stop: Arc<AtomicBool>) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let mut acknowledged = 0;
    for chunk in orders.chunks(10) {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let lines: String = chunk.iter().map(|order| order.line() + "\n").collect();
        loop {
            let request = client.request(Method::POST, "/api/v1/ingest/orders");
            let request = request.header("content-type", "application/x-ndjson").body(lines.clone());
            if client.send(request).await.is_ok_and(|answer| answer.status == 200) {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        acknowledged += chunk.len();
        tokio::time::sleep(Duration::from_millis(random.random_range(0..10))).await;
    }
    acknowledged
}

async fn sql(server: &Server, query: &str) -> Vec<Vec<Json>> {
    let answer = server.client().post("/api/v1/sql", &json!({ "query": query })).await.ok();
    serde_json::from_value(answer["rows"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_missing_its_last_row_and_a_table_has_each_once_when_server_and_broker_are_killed_under_load()
 {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut kafka = Broker::own().await;
    kafka.create_topic(TOPIC, 4).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    let sinks = sink("to_topic", "view: customer_orders", &to_topic(TOPIC))
        + &sink("to_table", "view: customer_orders", "table: customer_rows")
        + "every: 1s\n";
    apply(&server, &sinks).await;
    let orders = world::orders(60_000, seed);
    let stop = Arc::new(AtomicBool::new(false));
    let ingesting = keep_ingesting(server.client().clone(), orders.clone(), seed, Arc::clone(&stop));
    let ingesting = TaskTracker::new().spawn(ingesting);
    let mut kills = [vec![false; 5], vec![true; 2]].concat();
    kills.shuffle(&mut random);
    for is_of_the_broker in kills {
        tokio::time::sleep(Duration::from_millis(random.random_range(200..1_500))).await;
        assert!(!ingesting.is_finished(), "the kill comes under load");
        if is_of_the_broker {
            kafka.kill();
            tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
            kafka.restart().await;
        } else {
            server.kill();
            server.restart().await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let orders = &orders[..ingesting.await.unwrap()];
    for sink in ["to_topic", "to_table"] {
        becomes(&server, sink, is_done).await;
    }

    let rows = last_rows(&messages(&kafka, TOPIC).await);
    let mut expected: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for order in orders {
        let of_customer = expected.entry(json!({ "customer": order.customer }).to_string()).or_default();
        *of_customer = (of_customer.0 + 1, of_customer.1 + order.items.unwrap());
    }
    let counted =
        |row: &Json| (row["count_lifetime"].as_u64().unwrap(), row["items_sum_lifetime"].as_i64().unwrap());
    let found: BTreeMap<String, (u64, i64)> =
        rows.iter().map(|(key, row)| (key.clone(), counted(row))).collect();
    assert_eq!(found, expected, "seed {seed}");
    equal_what_reads_answer(server.client(), "customers", "customer_orders", &rows).await;
    in_the_table_once(&mut server).await;
}

/// Each commit of the table has exactly one row of each customer whose orders arrived between the commit before it and itself.
async fn in_the_table_once(server: &mut Server) {
    // What has arrived is in the tables when the server has stopped in order.
    assert!(server.stop().await.success());
    server.restart().await;
    let arrivals = sql(server, "SELECT _arrival, customer FROM orders ORDER BY _arrival").await;
    let folder = server.data().join("lake").join("customer_rows").join("_delta_log");
    let mut entries: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    entries.sort();
    let mut ends: Vec<i64> = Vec::new();
    for entry in entries {
        let text = std::fs::read_to_string(entry).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        ends.extend(lines.filter_map(|line| line["txn"]["version"].as_i64()));
    }
    assert!(ends.is_sorted() && ends.len() > 2, "{ends:?}");
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let mut from = 0;
    for end in ends {
        let touched: BTreeSet<&str> = arrivals
            .iter()
            .filter(|row| (from..end).contains(&row[0].as_i64().unwrap()))
            .map(|row| row[1].as_str().unwrap())
            .collect();
        touched.iter().for_each(|customer| *expected.entry((*customer).to_owned()).or_default() += 1);
        from = end;
    }
    assert!(arrivals.iter().all(|row| row[0].as_i64().unwrap() < from), "every order is behind a commit");
    let found = sql(server, "SELECT customer, count(*) FROM customer_rows GROUP BY customer").await;
    let found: BTreeMap<String, u64> =
        found.iter().map(|row| (row[0].as_str().unwrap().to_owned(), row[1].as_u64().unwrap())).collect();
    assert_eq!(found, expected);
}

/// A model of LightGBM that answers 1 for amounts up to 10, else 2.
const MODEL: &str = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=0\n\
    objective=regression\nfeature_names=amount\nfeature_infos=[0:1]\ntree_sizes=1\n\n\
    Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nsplit_gain=1\nthreshold=10\ndecision_type=8\n\
    left_child=-1\nright_child=-2\nleaf_value=1 2\nis_linear=0\nshrinkage=1\n\n\nend of trees\n\n\
    parameters:\nend of parameters\n\npandas_categorical:null\n";

/// Registers the model over the MLflow wire and deploys it as `scoring`.
async fn deploys(client: &Client) {
    let mlflow = "/api/2.0/mlflow";
    let body = json!({ "experiment_id": "0", "name": "model" });
    let model = client.post(&format!("{mlflow}/logged-models"), &body).await.ok();
    let model_id = model["model"]["info"]["model_id"].as_str().unwrap().to_owned();
    let description = "flavors:\n  lightgbm:\n    data: model.lgb\n    model_class: lightgbm.basic.Booster\n";
    for (file, content) in [("MLmodel", description), ("model.lgb", MODEL)] {
        let path = format!("/api/2.0/mlflow-artifacts/artifacts/0/models/{model_id}/artifacts/{file}");
        client.send(client.request(Method::PUT, &path).body(content)).await.unwrap().ok();
    }
    client.post(&format!("{mlflow}/registered-models/create"), &json!({ "name": "scores" })).await.ok();
    let body = json!({ "name": "scores", "source": format!("models:/{model_id}"), "model_id": model_id });
    client.post(&format!("{mlflow}/model-versions/create"), &body).await.ok();
    let body = json!({ "name": "scores", "alias": "champion", "version": "1" });
    client.post(&format!("{mlflow}/registered-models/alias"), &body).await.ok();
    let body = json!({ "model": "scores", "alias": "champion" });
    client.put("/api/v1/deployments/scoring", &body).await.ok();
}

async fn predicts(client: &Client, amounts: &[f64]) {
    let rows: Vec<Json> = amounts.iter().map(|amount| json!({ "amount": amount })).collect();
    client.post("/api/v1/predict/scoring", &json!({ "rows": rows })).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn predictions_go_to_a_topic_and_a_sink_that_cannot_run_says_why_and_sends_all_as_soon_as_it_can() {
    let mut kafka = Broker::own().await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    let keyed = format!("{}, key: [amount]", to_topic("predictions"));
    let text = sink("scored", "deployment: scoring", &keyed)
        + &sink("orders_again", "table: orders", &to_topic(TOPIC))
        + &sink("nowhere", "view: shop_latest", "broker: missing, topic: t, format: json");
    apply(&server, &text).await;

    let failing = |status: &Json| status["state"] == "failing";
    let status = becomes(&server, "scored", failing).await;
    assert_eq!(status["code"], "broker.topic_unknown", "{status}");
    let status = becomes(&server, "nowhere", failing).await;
    assert_eq!(status["code"], "streams.unknown_broker", "{status}");
    assert!(status["hint"].as_str().unwrap().contains("this server knows main"), "{status}");

    // What was predicted before its topic was there is sent, too.
    deploys(server.client()).await;
    predicts(server.client(), &[1.0, 20.0, 3.0]).await;
    let orders = world::orders(60, 3);
    ingest(&server, &orders).await;
    for topic in ["predictions", TOPIC] {
        kafka.create_topic(topic, 2).await;
    }
    becomes(&server, "scored", |status| status["rows"] == 3).await;
    predicts(server.client(), &[40.0]).await;
    becomes(&server, "scored", |status| status["rows"] == 4 && is_done(status)).await;
    server.kill();
    server.restart().await;
    predicts(server.client(), &[0.5]).await;
    comes(&kafka, "predictions", &json!({ "amount": 0.5 })).await;

    let sent = messages(&kafka, "predictions").await;
    let mut found: Vec<(f64, Json)> = sent
        .iter()
        .map(|message| {
            let row = parsed(&message.value);
            assert_eq!(parsed(&message.key), json!({ "amount": row["amount"] }));
            assert_eq!((&row["deployment"], &row["model"]), (&json!("scoring"), &json!("scores")));
            (row["amount"].as_f64().unwrap(), row["prediction"].clone())
        })
        .collect();
    found.sort_by(|one, other| one.0.total_cmp(&other.0));
    found.dedup();
    let expected = [(0.5, 1.0), (1.0, 1.0), (3.0, 1.0), (20.0, 2.0), (40.0, 2.0)];
    assert_eq!(found, expected.map(|(amount, score)| (amount, json!([score]))));

    // A broker that is away makes sinks wait, and nothing else, a stop of the server included.
    kafka.kill();
    predicts(server.client(), &[7.0]).await;
    let status = becomes(&server, "scored", failing).await;
    assert_eq!(status["code"], "broker.unreachable", "{status}");
    ingest(&server, &orders[..1]).await;
    becomes_readable(&server, &orders).await;
    assert!(server.stop().await.success());
    kafka.restart().await;
    server.restart().await;
    comes(&kafka, "predictions", &json!({ "amount": 7.0 })).await;

    // The history of a source is a table as any other: live events come some seconds after they were ingested.
    let ids = |messages: &[Message]| -> BTreeSet<String> {
        messages
            .iter()
            .map(|message| parsed(&message.value)["order_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let wanted: BTreeSet<String> = orders.iter().map(|order| order.id.clone()).collect();
    let wait = async {
        while ids(&messages(&kafka, TOPIC).await) != wanted {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(WITHIN, wait).await.unwrap();
}
