//! A table's changes over a broker, and a source that is selected from another one and joined with them.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use shipway_core::{Clock as _, SystemClock, Timestamp};
use shipway_testkit::{Server, TempData};

use crate::{
    stream_world::{Broker, options, producer, send},
    world::BINARY,
};

const DEFINITIONS: &str = "
kind: entity
name: carrier
keys: { carrier: text }
---
kind: source
name: carriers
event_time: changed
columns: { changed: timestamp, op: text, carrier: text, tier: text }
stream: { broker: main, topic: shop.carriers, format: json, envelope: debezium, changes: all, operation: op, changed_at: changed }
---
kind: view
name: carrier_info
entity: carrier
source: carriers
derive: { tier_now: \"CASE WHEN op <> 'delete' THEN tier END\" }
latest: [tier_now]
---
kind: source
name: departures
event_time: departed_at
event_id: flight
columns: { flight: text, departed_at: timestamp, carrier: text, delay: int }
stream: { broker: main, topic: departures, format: json }
---
kind: source
name: late
event_time: departed_at
event_id: flight
select: |
  SELECT flight, departed_at, d.carrier, info.tier_now AS tier
  FROM departures d LEFT JOIN carrier_info info ON info.carrier = d.carrier
  WHERE delay > 30
---
kind: view
name: late_flights
entity: carrier
source: late
aggregate: [{ operations: [count], windows: [lifetime], by: tier, as: by_tier }, { operations: [count], windows: [lifetime], as: flights }]
---
kind: service
name: carrier_now
views: [carrier_info, late_flights]
";

fn change(op: &str, tier: &str, milliseconds: i64) -> String {
    let row = json!({ "carrier": "DL", "tier": tier });
    let (before, after) = if op == "d" { (row, Json::Null) } else { (Json::Null, row) };
    json!({ "op": op, "before": before, "after": after, "source": { "ts_ms": milliseconds } }).to_string()
}

/// The values of the carrier, once `is_there` says that they are what is waited for.
async fn values(server: &Server, is_there: impl Fn(&Json) -> bool) -> Json {
    let deadline = Instant::now() + Duration::from_secs(60);
    let asked = json!({ "service": "carrier_now", "rows": [{ "carrier": "DL" }] });
    loop {
        let answer = server.client().post("/api/v1/features/read", &asked).await;
        // Until its views are built it refuses.
        let values = if answer.status == 200 { answer.ok()["rows"][0]["values"].clone() } else { Json::Null };
        if values.is_array() && is_there(&values) {
            return values;
        }
        assert!(Instant::now() < deadline, "{values}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn changes_of_rows_become_events_and_a_deleted_row_has_no_features_any_more() {
    let kafka = Broker::shared().await;
    for topic in ["shop.carriers", "departures"] {
        kafka.create_topic(topic, 1).await;
    }
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    let files = json!({ "files": [{ "path": "a.yaml", "text": DEFINITIONS }] });
    server.client().post("/api/v1/definitions/apply", &files).await.ok();
    let producer = producer(&kafka).await;
    let now = SystemClock.now().micros() / 1_000;
    let flight = |id: &str, delay: i64, milliseconds: i64| {
        let at = Timestamp(milliseconds * 1_000).to_string();
        json!({ "flight": id, "departed_at": at, "carrier": "DL", "delay": delay }).to_string()
    };

    send(&*producer, "shop.carriers", "DL", change("c", "silver", now - 60_000)).await;
    values(&server, |values| values[0] == "silver").await;
    send(&*producer, "shop.carriers", "DL", change("u", "gold", now - 40_000)).await;
    values(&server, |values| values[0] == "gold").await;
    for (id, delay, at) in
        [("a", 45, now - 50_000), ("b", 60, now - 30_000), ("c", 5, now - 30_000), ("b", 60, now - 30_000)]
    {
        send(&*producer, "departures", "DL", flight(id, delay, at)).await;
    }
    let joined = values(&server, |values| values[2] == 2).await;
    assert_eq!(joined[1], json!({ "silver": 1, "gold": 1 }), "each joined as of its own time");
    send(&*producer, "shop.carriers", "DL", change("d", "gold", now - 20_000)).await;
    values(&server, |values| values[0].is_null()).await;
    server.kill();
    server.restart().await;
    send(&*producer, "departures", "DL", flight("d", 90, now - 10_000)).await;
    let after = values(&server, |values| values[2] == 3).await;
    assert_eq!(
        after,
        json!([null, { "silver": 1, "gold": 1 }, 3]),
        "nothing is joined with what was deleted, and nothing counts twice"
    );
}

const ORDERS: &str = "
kind: entity
name: shop
keys: { shop: text }
---
kind: source
name: orders
event_time: ordered_at
event_id: order_id
same_id: replace
deleted: \"op = 'delete'\"
columns: { op: text, order_id: int, ordered_at: timestamp, shop: text, amount: float }
stream:
  { broker: main, topic: shop.orders, format: json, envelope: debezium, changes: all, operation: op, time_unit: { ordered_at: milliseconds } }
---
kind: view
name: shop_orders
entity: shop
source: orders
aggregate:
  - { operations: [count], windows: [lifetime], as: orders }
  - { column: amount, operations: [sum, max, last], windows: [lifetime] }
---
kind: view
name: last_order
entity: shop
source: orders
latest: [order_id]
---
kind: service
name: shops
views: [shop_orders, last_order]
";

/// What Debezium tells of a row; of a deletion no more than the key, as PostgreSQL does it unless it is told otherwise.
fn order_change(op: &str, id: i64, row: (&str, i64, f64)) -> String {
    let (shop, milliseconds, amount) = row;
    let row = json!({ "order_id": id, "ordered_at": milliseconds, "shop": shop, "amount": amount });
    let key = json!({ "order_id": id });
    let (before, after) = if op == "d" { (key, Json::Null) } else { (Json::Null, row) };
    json!({ "op": op, "before": before, "after": after, "source": { "ts_ms": milliseconds } }).to_string()
}

async fn shops(server: &Server, expected: &Json) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let asked = json!({ "service": "shops", "rows": [{ "shop": "a" }, { "shop": "b" }] });
    loop {
        let answer = server.client().post("/api/v1/features/read", &asked).await;
        let rows = if answer.status == 200 { answer.ok()["rows"].clone() } else { Json::Null };
        let values: Json = rows.as_array().into_iter().flatten().map(|row| row["values"].clone()).collect();
        if values == *expected {
            return;
        }
        assert!(Instant::now() < deadline, "{values} and not {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn rows_that_change_are_counted_as_they_are_and_deleted_ones_no_more() {
    let kafka = Broker::shared().await;
    kafka.create_topic("shop.orders", 1).await;
    let settings = TempData::new();
    let mut server = Server::start_in(BINARY, TempData::new(), options(&kafka, &settings)).await;
    let files = json!({ "files": [{ "path": "a.yaml", "text": ORDERS }] });
    server.client().post("/api/v1/definitions/apply", &files).await.ok();
    let producer = producer(&kafka).await;
    let now = SystemClock.now().micros() / 1_000;
    let changes = |changes: Vec<String>| {
        let producer = &*producer;
        async move {
            for change in changes {
                send(producer, "shop.orders", "1", change).await;
            }
        }
    };
    let first = order_change("c", 1, ("a", now - 9_000, 5.0));
    changes(vec![
        // One that was there before the first change that is told of.
        order_change("u", 7, ("b", now - 20_000, 1.0)),
        first.clone(),
        order_change("c", 2, ("a", now - 8_000, 9.5)),
        order_change("c", 3, ("a", now - 7_000, 2.0)),
    ])
    .await;
    shops(&server, &json!([[3, 16.5, 9.5, 2.0, 3], [1, 1.0, 1.0, 1.0, 7]])).await;

    // The greatest becomes less, the last one moves to the other shop.
    changes(vec![
        order_change("u", 2, ("a", now - 8_000, 0.5)),
        order_change("u", 3, ("b", now - 7_000, 2.0)),
    ])
    .await;
    shops(&server, &json!([[2, 5.5, 5.0, 0.5, 2], [2, 3.0, 2.0, 2.0, 3]])).await;
    server.kill();
    server.restart().await;

    // A connector that starts again tells what it has told once more, and goes on.
    changes(vec![
        first,
        order_change("c", 2, ("a", now - 8_000, 9.5)),
        order_change("u", 2, ("a", now - 8_000, 0.5)),
        order_change("d", 2, ("", now, 0.0)),
        order_change("d", 3, ("", now, 0.0)),
        order_change("d", 99, ("", now, 0.0)),
    ])
    .await;
    shops(&server, &json!([[1, 5.0, 5.0, 5.0, 1], [1, 1.0, 1.0, 1.0, 7]])).await;
    let job = server.client().post("/api/v1/features/views/shop_orders/rebuild", &json!({})).await;
    assert_eq!(job.status, 202, "{job:?}");
    // Rows over HTTP correct the same.
    let event = json!({ "op": "update", "order_id": 1, "ordered_at": Timestamp((now - 9_000) * 1_000).to_string(), "shop": "a", "amount": 6.0 });
    server.client().post("/api/v1/ingest/orders", &event).await.ok();
    shops(&server, &json!([[1, 6.0, 6.0, 6.0, 1], [1, 1.0, 1.0, 1.0, 7]])).await;
}
