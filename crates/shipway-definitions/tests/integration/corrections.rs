//! Sources whose events are corrected by their ids.

use crate::{BASE, parse, valid};

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
deleted: op = 'delete'
columns: { order_id: int, ordered_at: timestamp, shop: text, op: text }
";

const VIEW: &str = "
kind: view
name: shop_orders
entity: shop
source: orders
aggregate: [{ operations: [count], windows: [1d], as: orders }]
";

/// The errors of `orders` with `text` in the place of what it says of ids.
fn refused_orders(text: &str) -> String {
    parse(&[&ORDERS.replace("same_id: replace\ndeleted: op = 'delete'\n", text)]).unwrap_err()
}

#[test]
fn a_source_says_that_ids_replace_and_its_views_know() {
    let set = valid(&[ORDERS, VIEW]);
    let source = &set.source("orders").unwrap().definition;
    assert_eq!(source.corrections.as_ref().unwrap().deleted.as_deref(), Some("op = 'delete'"));
    assert!(set.view("shop_orders").unwrap().definition.is_corrected);

    let once = ORDERS.replace("same_id: replace\ndeleted: op = 'delete'\n", "same_id: once\n");
    let plain = ORDERS.replace("same_id: replace\ndeleted: op = 'delete'\n", "");
    let hash = |text: &str| valid(&[text]).source("orders").unwrap().hash;
    assert_eq!(hash(&once), hash(&plain), "once is what it is without a word");
    assert_ne!(hash(ORDERS), hash(&plain));
    let view = |text: &str| valid(&[text, VIEW]).view("shop_orders").unwrap().hash;
    assert_ne!(view(ORDERS), view(&plain), "what is counted is not the same");
}

#[test]
fn what_it_says_of_ids_must_fit_together() {
    for (text, message) in [
        ("same_id: last\n", "same_id is once or replace, got last"),
        ("deleted: op = 'delete'\n", "deleted needs same_id: replace"),
        ("same_id: replace\ndedupe: 1d\n", "a source with same_id: replace has no dedupe"),
        ("same_id: replace\ndeleted: gone\n", "deleted: "),
        ("same_id: replace\ndeleted: order_id\n", "deleted: "),
        ("same_id: replace\nbatch: { files: /in/*.csv }\n", "a source with same_id: replace has no batch"),
        (
            "same_id: replace\nstream: { broker: main, topic: t, format: json, envelope: debezium }\n",
            "would never see a correction",
        ),
        (
            "same_id: replace\nstream: { broker: main, topic: t, format: json, envelope: debezium, changes: all, operation: op }\n",
            "write deleted: \"op = 'delete'\"",
        ),
    ] {
        let errors = refused_orders(text);
        assert!(errors.contains(message), "{text}: {errors}");
    }
    let without_id = ORDERS.replace("event_id: order_id\n", "");
    assert!(parse(&[&without_id]).unwrap_err().contains("same_id: replace needs an event_id"));
}

#[test]
fn nothing_that_needs_events_to_stay_stands_on_it() {
    let on_it = |text: &str| parse(&[ORDERS, VIEW, BASE, text]).unwrap_err();
    for (text, message) in [
        (
            "kind: view\nname: outer\nentity: shop\nsource: orders\nenrich: [shop_orders]\nlatest: [shop_orders__orders]\n",
            "enrich: events of source orders are replaced",
        ),
        (
            "kind: source\nname: some\nevent_time: ordered_at\nselect: SELECT ordered_at, shop FROM orders\n",
            "select: events of source orders are replaced",
        ),
        (
            "kind: source\nname: some\nevent_time: departed_at\nselect: SELECT departed_at, s.orders FROM departures d LEFT JOIN shop_orders s ON s.shop = d.origin\n",
            "select joins view shop_orders, whose events are replaced",
        ),
        (
            "kind: sink\nname: out\nfrom: { view: shop_orders }\nto: { table: sent }\n",
            "view shop_orders: its events are replaced",
        ),
    ] {
        let errors = on_it(text);
        assert!(errors.contains(message), "{text}: {errors}");
    }
}
