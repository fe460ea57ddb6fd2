//! Rows that are sent on in Avro, with a real Kafka and a registry that is not there at first.

use std::collections::BTreeMap;

use apache_avro::reader::datum::GenericDatumReader;
use serde_json::{Value as Json, json};
use shipway_broker::Message;
use shipway_core::Timestamp;
use shipway_testkit::{Registry, Server, TempData};

use crate::{
    sinks::{apply, becomes, equal_what_reads_answer, ingest, is_done, messages, sink},
    stream_world::{Broker, options_with},
    world::{self, BINARY, SHOPS},
};

/// A message of Avro by the schema that its id names at the registry.
async fn by_its_schema(registry: &Registry, message: &Message) -> Json {
    let value = message.value.as_ref().unwrap();
    let (head, datum) = value.split_at(5);
    assert_eq!(head[0], 0);
    let id = u32::from_be_bytes(head[1..].try_into().unwrap());
    let address = format!("{}/schemas/ids/{id}", registry.address());
    let found: Json = reqwest::get(address).await.unwrap().json().await.unwrap();
    let schema = apache_avro::Schema::parse_str(found["schema"].as_str().unwrap()).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    let row = reader.read_value(&mut &*datum).unwrap();
    let mut row = Json::try_from(row).unwrap();
    row["_at"] = Timestamp(row["_at"].as_i64().unwrap()).to_string().into();
    row
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_in_avro_are_read_by_the_schema_that_the_registry_was_given_once_it_is_there() {
    const AVRO: &str = "features.avro";
    let kafka = Broker::own().await;
    kafka.create_topic(AVRO, 2).await;
    let mut registry = Registry::start();
    registry.stop().await;
    let settings = TempData::new();
    let section = format!("[brokers.main.schema_registry]\naddress = \"{}\"\n", registry.address());
    let server = Server::start_in(BINARY, TempData::new(), options_with(&kafka, &settings, &section)).await;
    let orders = world::orders(300, 5);
    apply(
        &server,
        &sink("shop_rows", "view: shop_orders", &format!("broker: main, topic: {AVRO}, format: avro")),
    )
    .await;
    ingest(&server, &orders).await;
    let status = becomes(&server, "shop_rows", |status| status["state"] == "failing").await;
    assert_eq!(status["code"], "formats.registry_unavailable", "{status}");
    assert!(messages(&kafka, AVRO).await.is_empty());

    registry.restart().await;
    becomes(&server, "shop_rows", |status| is_done(status) && status["rows"] != 0).await;
    let mut rows = BTreeMap::new();
    for message in messages(&kafka, AVRO).await {
        let row = by_its_schema(&registry, &message).await;
        rows.insert(json!({ "shop": row["shop"] }).to_string(), row);
    }
    assert_eq!(rows.len(), SHOPS.len());
    equal_what_reads_answer(server.client(), "shops", "shop_orders", &rows).await;
    let registered = format!("POST /subjects/{AVRO}-value/versions");
    assert!(registry.asked().contains(&registered), "{:?}", registry.asked());
}
