//! What the messages of a real Kafka may be: every format, a schema that changes while they flow, a registry that goes away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value as Json, json};
use shipway_broker::{Outgoing, Producer};
use shipway_testkit::{Kafka, Registry, RegistryFault, Server, TempData};
use tokio_util::task::TaskTracker;

use crate::{
    stream_wire::{Avro, Protobuf, with_schema, with_schema_and_index},
    stream_world::{
        Broker, apply_stream, caught_up, equals_the_oracle, holds_each_once, options_with, producer, seed,
        send, sql, stream_becomes, taken_in,
    },
    world::{self, BINARY, Order},
};

/// A server that knows the broker and its registry.
async fn server(kafka: &Kafka, registry: &Registry, settings: &TempData) -> Server {
    let section = format!("[brokers.main.schema_registry]\naddress = \"{}\"\n", registry.address());
    Server::start_in(BINARY, TempData::new(), options_with(kafka, settings, &section)).await
}

/// The schema of an order in Avro, with these fields behind those that never change.
fn avro_schema(fields: &[Json]) -> String {
    let fixed = [
        json!({ "name": "order_id", "type": "string" }),
        json!({ "name": "ordered_at", "type": { "type": "long", "logicalType": "timestamp-micros" } }),
        json!({ "name": "shop", "type": "string" }),
    ];
    let fields = [&fixed[..], fields].concat();
    json!({ "type": "record", "name": "Order", "namespace": "shop", "fields": fields }).to_string()
}

fn avro_fixed(order: &Order) -> Avro {
    Avro::default().text(&order.id).long(order.at.0).text(order.shop)
}

/// All columns, as they are.
fn avro_whole() -> [Json; 3] {
    [
        json!({ "name": "amount", "type": ["null", "double"] }),
        json!({ "name": "items", "type": ["null", "long"] }),
        json!({ "name": "customer", "type": ["null", "string"] }),
    ]
}

fn avro(order: &Order) -> Avro {
    avro_fixed(order)
        .nullable(order.amount, Avro::double)
        .nullable(order.items, Avro::long)
        .nullable(order.customer.as_deref(), Avro::text)
}

const PROTOBUF: &str = "syntax = \"proto3\"; package shop; import \"google/protobuf/timestamp.proto\";
    message Ping { int64 number = 1; }
    message Order {
        string order_id = 1; google.protobuf.Timestamp ordered_at = 2; string shop = 3;
        optional double amount = 4; optional int64 items = 5; optional string customer = 6;
    }";

fn protobuf_fixed(order: &Order) -> Protobuf {
    Protobuf::default().text(1, &order.id).timestamp(2, order.at).text(3, order.shop)
}

fn protobuf(order: &Order) -> Protobuf {
    protobuf_fixed(order)
        .optional(order.amount, |message, amount| message.double(4, amount))
        .optional(order.items, |message, items| message.int64(5, items))
        .optional(order.customer.as_deref(), |message, customer| message.text(6, customer))
}

/// A row that was inserted, as Debezium tells it in Avro; of the row before there is nothing.
fn debezium_schema() -> String {
    let moment =
        json!({ "type": "long", "connect.version": 1, "connect.name": "io.debezium.time.MicroTimestamp" });
    let row = json!({ "type": "record", "name": "Value", "fields": [
        { "name": "order_id", "type": "string" }, { "name": "ordered_at", "type": moment }, { "name": "shop", "type": "string" },
        { "name": "amount", "type": ["null", "double"] }, { "name": "items", "type": ["null", "long"] },
        { "name": "customer", "type": ["null", "string"] },
    ]});
    let source = json!({ "type": "record", "name": "Source", "fields": [{ "name": "lsn", "type": ["null", "long"] }] });
    json!({ "type": "record", "name": "Envelope", "namespace": "shop.orders", "fields": [
        { "name": "before", "type": ["null", row], "default": null },
        { "name": "after", "type": ["null", "Value"], "default": null },
        { "name": "source", "type": source },
        { "name": "op", "type": "string" },
        { "name": "ts_ms", "type": ["null", "long"], "default": null },
    ]})
    .to_string()
}

fn debezium_in_avro(order: &Order) -> Vec<u8> {
    let told = order.at.0 / 1_000 + 5;
    let change = Avro::default().long(0).long(1).datum(avro(order)).nullable(Some(7), Avro::long).text("r");
    change.nullable(Some(told), Avro::long).bytes()
}

/// The same in JSON, with the schema part that says what the number of a moment counts.
fn debezium_in_json(order: &Order) -> Vec<u8> {
    let field = |name: &str, of: &str| json!({ "field": name, "type": of, "optional": true });
    let mut moment = field("ordered_at", "int64");
    moment["name"] = "io.debezium.time.MicroTimestamp".into();
    let row = |name: &str| {
        let fields = [
            field("order_id", "string"),
            moment.clone(),
            field("shop", "string"),
            field("amount", "double"),
            field("items", "int64"),
            field("customer", "string"),
        ];
        json!({ "field": name, "type": "struct", "optional": true, "name": "shop.orders.Value", "fields": fields })
    };
    let schema = json!({ "type": "struct", "name": "shop.orders.Envelope", "fields": [row("before"), row("after"), field("op", "string")] });
    let after = json!({
        "order_id": order.id, "ordered_at": order.at.0, "shop": order.shop, "amount": order.amount, "items": order.items,
        "customer": order.customer,
    });
    let told = order.at.0 / 1_000 + 5;
    let payload = json!({ "before": null, "after": after, "op": "c", "ts_ms": told, "source": { "lsn": 7 } });
    json!({ "schema": schema, "payload": payload }).to_string().into_bytes()
}

/// A format: what the stream says of it, and how an order is written.
type Written = (&'static str, Json, fn(&Order) -> Vec<u8>);

fn formats() -> [Written; 7] {
    [
        ("json_with_the_id_of_its_schema", json!({ "format": "json" }), |order| {
            with_schema(31, order.line().as_bytes())
        }),
        ("avro", json!({ "format": "avro", "schema": avro_schema(&avro_whole()) }), |order| {
            avro(order).bytes()
        }),
        ("avro_of_the_registry", json!({ "format": "avro" }), |order| with_schema(32, &avro(order).bytes())),
        ("protobuf", json!({ "format": "protobuf", "schema": PROTOBUF, "message": "shop.Order" }), |order| {
            protobuf(order).bytes()
        }),
        ("protobuf_of_the_registry", json!({ "format": "protobuf" }), |order| {
            with_schema_and_index(33, 1, &protobuf(order).bytes())
        }),
        ("debezium", json!({ "format": "json", "envelope": "debezium" }), debezium_in_json),
        ("debezium_of_the_registry", json!({ "format": "avro", "envelope": "debezium" }), |order| {
            with_schema(34, &debezium_in_avro(order))
        }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_format_becomes_the_same_features() {
    const ORDERS: usize = 120;
    let kafka = Broker::shared().await;
    let registry = Registry::start();
    registry.has(31, None, json!({ "schemaType": "JSON", "schema": "{}" }));
    registry.has_avro(32, &avro_schema(&avro_whole()));
    registry.has_protobuf(33, PROTOBUF);
    registry.has_avro(34, &debezium_schema());
    let settings = TempData::new();
    let mut server = server(&kafka, &registry, &settings).await;
    let producer = producer(&kafka).await;
    let formats = formats();
    let orders = world::orders(ORDERS * formats.len(), 21);
    // One source reads them all, one topic after the other: a stream says nothing about values.
    for (index, (name, stream, write)) in formats.into_iter().enumerate() {
        let topic = format!("written_as_{name}");
        kafka.create_topic(&topic, 2).await;
        let mut stream = stream;
        stream["topic"] = topic.clone().into();
        apply_stream(&server, stream).await;
        for order in &orders[index * ORDERS..(index + 1) * ORDERS] {
            send(&*producer, &topic, order.shop, write(order)).await;
        }
        // Whoever compacts a topic deletes keys; that says nothing about an event.
        let tombstone =
            Outgoing { topic: topic.clone(), key: Some(Bytes::from("north")), ..Outgoing::default() };
        producer.send(tombstone).await.unwrap();

        let status = caught_up(&server, ORDERS as u64 + 1).await;
        assert_eq!(status["counts"]["events"], ORDERS, "{name}: {status}");
        assert_eq!(status["counts"]["empty"], 1, "{name}: {status}");
        equals_the_oracle(&server, &orders[..(index + 1) * ORDERS]).await;
    }
    let asked = registry.asked();
    for id in 32..=34 {
        assert!(asked.contains(&format!("/schemas/ids/{id}")), "{asked:?}");
    }
    holds_each_once(&mut server, &orders).await;
}

/// A version of the producers of orders: the schema that they write with, the message, and what is left of the order in it.
struct Version {
    schema: u32,
    write: fn(&Order) -> Vec<u8>,
    leaves: fn(Order) -> Order,
}

/// A number that needs more than the 32 bits of an `int`.
const WIDE: i64 = 3_000_000_000;

/// What becomes of the schema, one version of the producers after the other.
fn versions(registry: &Registry) -> [Version; 5] {
    let amount = |of: &str| json!({ "name": "amount", "type": ["null", of] });
    let items = |of: &str| json!({ "name": "items", "type": of });
    // Defaults are for readers with a schema of their own. What a writer did not write is null here.
    let customer = json!({ "name": "customer", "type": "string", "default": "nobody" });
    let channel = json!({ "name": "channel", "type": { "type": "enum", "name": "Channel", "symbols": ["WEB", "APP"] }, "default": "WEB" });
    registry.has_avro(11, &avro_schema(&[amount("float"), items("int")]));
    registry.has_avro(12, &avro_schema(&[channel.clone(), amount("float"), items("int"), customer.clone()]));
    registry.has_avro(13, &avro_schema(&[channel.clone(), amount("float"), customer.clone()]));
    registry
        .has_avro(14, &avro_schema(&[channel.clone(), amount("double"), items("long"), customer.clone()]));
    let count = json!({ "name": "item_count", "type": "long" });
    registry.has_avro(15, &avro_schema(&[channel, amount("double"), items("string"), count, customer]));
    [
        Version {
            schema: 11,
            write: |order| {
                let amount = order.amount.map(|amount| amount as f32);
                avro_fixed(order).nullable(amount, Avro::float).long(order.items.unwrap()).bytes()
            },
            leaves: |order| Order { customer: None, ..of_floats(order) },
        },
        // A field is added, with a default, and another one that is no column.
        Version {
            schema: 12,
            write: |order| {
                let amount = order.amount.map(|amount| amount as f32);
                let written =
                    avro_fixed(order).long(1).nullable(amount, Avro::float).long(order.items.unwrap());
                written.text(order.customer.as_deref().unwrap()).bytes()
            },
            leaves: of_floats,
        },
        // A field is removed.
        Version {
            schema: 13,
            write: |order| {
                let amount = order.amount.map(|amount| amount as f32);
                let written = avro_fixed(order).long(0).nullable(amount, Avro::float);
                written.text(order.customer.as_deref().unwrap()).bytes()
            },
            leaves: |order| Order { items: None, ..of_floats(order) },
        },
        // It is back, and numbers are wider.
        Version {
            schema: 14,
            write: |order| {
                let written = avro_fixed(order).long(1).nullable(order.amount, Avro::double);
                written.long(order.items.unwrap() + WIDE).text(order.customer.as_deref().unwrap()).bytes()
            },
            leaves: |order| Order { items: order.items.map(|items| items + WIDE), ..order },
        },
        // It is text now, and the number has another name: no message of this version is an order until the definition says so.
        Version {
            schema: 15,
            write: |order| {
                let items = order.items.unwrap();
                let written =
                    avro_fixed(order).long(0).nullable(order.amount, Avro::double).text(&items.to_string());
                written.long(items).text(order.customer.as_deref().unwrap()).bytes()
            },
            leaves: |order| order,
        },
    ]
}

fn of_floats(order: Order) -> Order {
    Order { amount: order.amount.map(|amount| f64::from(amount as f32)), ..order }
}

/// Orders of one version of the producers after the other: of each but the last so many.
const OF_A_VERSION: usize = 1_200;
/// More of the last version than can be sent before it is mended.
const ORDERS: usize = 40_000;

/// Sends orders until it is told to stop. While a version is rolled out, some producers are of the one before. Returns what is left of
/// those that were sent.
async fn send_versions(
    producer: Arc<dyn Producer>,
    versions: [Version; 5],
    seed: u64,
    stop: Arc<AtomicBool>,
) -> Vec<Order> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sent = Vec::new();
    for (index, chunk) in world::orders(ORDERS, seed).chunks(40).enumerate() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let newest = (index * 40 / OF_A_VERSION).min(versions.len() - 1);
        let mut messages = Vec::new();
        for order in chunk {
            let before = usize::from(random.random_bool(0.2));
            let version = &versions[newest.saturating_sub(before)];
            messages.push((order.shop, with_schema(version.schema, &(version.write)(order))));
            sent.push((version.leaves)(order.clone()));
        }
        let sends = messages.into_iter().map(|(shop, message)| send(&*producer, CHANGING, shop, message));
        futures::future::join_all(sends).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..8))).await;
    }
    sent
}

const CHANGING: &str = "orders_of_a_changing_schema";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_may_change_under_load_and_what_no_longer_fits_is_read_again_after_the_fix() {
    let seed = seed();
    let kafka = Broker::shared().await;
    let mut registry = Registry::start();
    kafka.create_topic(CHANGING, 3).await;
    let settings = TempData::new();
    let mut server = server(&kafka, &registry, &settings).await;
    apply_stream(&server, json!({ "topic": CHANGING, "format": "avro" })).await;
    let producer = producer(&kafka).await;
    // An id that nobody has registered yet is the fault of its message.
    let stranger = Order { id: "stranger".to_owned(), ..world::orders(1, seed).remove(0) };
    send(&*producer, CHANGING, stranger.shop, with_schema(16, &avro(&stranger).bytes())).await;
    let stop = Arc::new(AtomicBool::new(false));
    let sending = send_versions(Arc::clone(&producer), versions(&registry), seed, Arc::clone(&stop));
    let sending = TaskTracker::new().spawn(sending);

    let status = stream_becomes(&server, "at letters that do not fit", |status| {
        status["counts"]["dead"].as_u64().is_some_and(|dead| dead > 100)
    })
    .await;
    assert_eq!(status["state"], "reading", "{status}");
    assert!(status["counts"]["events"].as_u64().unwrap() > 4 * OF_A_VERSION as u64 / 2, "{status}");
    registry.has_avro(16, &avro_schema(&avro_whole()));
    let fields = json!({ "items": ["item_count", "items"] });
    apply_stream(&server, json!({ "topic": CHANGING, "format": "avro", "fields": fields })).await;
    let replayed = server.client().post("/api/v1/streams/orders/replay", &json!({})).await.ok();
    assert!(!sending.is_finished(), "all of it comes under load");
    assert!(replayed["letters"].as_u64().unwrap() > 100, "{replayed}");
    assert_eq!(replayed["letters"], replayed["events"], "{replayed}");

    stream_becomes(&server, "reading on", |status| {
        status["counts"]["events"].as_u64().is_some_and(|events| events > 500)
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    let mut orders = sending.await.unwrap();
    orders.push(stranger);
    let status = caught_up(&server, orders.len() as u64).await;
    assert_eq!(status["counts"]["dead"], 0, "since the fix: {status}");
    equals_the_oracle(&server, &orders).await;
    let waiting = server.client().get("/api/v1/streams/orders/dead-letters").await.ok();
    assert_eq!(waiting["waiting"], 0, "{waiting}");
    // Known schemas need no registry, also after it is gone; but after a restart nothing is known.
    registry.stop().await;
    holds_each_once(&mut server, &orders).await;
    let query = "SELECT code, count(*) FROM orders__dead_letters GROUP BY code ORDER BY code";
    let expected = replayed["letters"].as_u64().unwrap() - 1;
    let codes = json!([["formats.column_mismatch", expected], ["formats.schema_unknown", 1]]);
    assert_eq!(sql(&server, query).await, codes, "they stay to be looked at");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_registry_is_gone_the_stream_waits_and_blames_no_message() {
    const TOPIC: &str = "orders_without_a_registry";
    let kafka = Broker::shared().await;
    let mut registry = Registry::start();
    kafka.create_topic(TOPIC, 2).await;
    let settings = TempData::new();
    let mut server = server(&kafka, &registry, &settings).await;
    registry.has_protobuf(21, PROTOBUF);
    registry.has_protobuf(
        22,
        &PROTOBUF
            .replace("message Ping", "enum Channel { WEB = 0; APP = 1; } message Ping")
            .replace("message Order {", "message Order { Channel channel = 9;"),
    );
    apply_stream(&server, json!({ "topic": TOPIC, "format": "protobuf" })).await;
    let producer = producer(&kafka).await;
    let orders = world::orders(600, 23);
    let (before, during) = orders.split_at(200);
    for order in before {
        send(&*producer, TOPIC, order.shop, with_schema_and_index(21, 1, &protobuf(order).bytes())).await;
    }
    caught_up(&server, 200).await;

    registry.stop().await;
    for (index, order) in during.iter().enumerate() {
        let message = match index % 3 {
            0 => with_schema_and_index(21, 1, &protobuf(order).bytes()),
            _ => with_schema_and_index(22, 1, &protobuf(order).int64(9, 1).bytes()),
        };
        send(&*producer, TOPIC, order.shop, message).await;
    }
    let is_waiting = |status: &Json| status["state"] == "failing" && status["counts"]["dead"] == 0;
    let status = stream_becomes(&server, "waiting for the registry", is_waiting).await;
    assert_eq!(status["code"], "formats.registry_unavailable", "{status}");
    assert!(status["error"].as_str().unwrap().contains(&registry.address()), "{status}");
    // A server that starts anew knows no schema at all, and waits too.
    server.kill();
    server.restart().await;
    let status = stream_becomes(&server, "waiting again", is_waiting).await;
    assert_eq!(status["code"], "formats.registry_unavailable", "{status}");

    registry.fails_next(RegistryFault::Status(503));
    registry.restart().await;
    let status = caught_up(&server, 600).await;
    assert_eq!((&status["state"], &status["counts"]["dead"]), (&json!("reading"), &json!(0)), "{status}");
    assert_eq!(taken_in(&status), 600);
    equals_the_oracle(&server, &orders).await;
    holds_each_once(&mut server, &orders).await;
}
