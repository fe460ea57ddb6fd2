"""Rows that are sent on: the same in objects and in YAML, and read by an unmodified client of Kafka."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import shipway
from brokerless import first_becomes, lonely
from confluent_kafka import Consumer
from kafka_broker import Broker
from real_binary import Server
from shipway import Aggregate, Definitions, Entity, Service, Sink, Source, Topic, View
from shipway.errors import Conflict, NotFound
from test_display import read

WITHIN_SECONDS = 60.0

YAML = """
kind: sink
name: shop_rows
from: { view: shop_orders }
to: { broker: main, topic: rows, format: json }
every: 1s
---
kind: sink
name: kept
from: { view: shop_orders }
to: { table: shop_rows }
"""


def world(*more) -> Definitions:
    shop = Entity("shop", keys={"shop": "text"})
    columns = {"order_id": "text", "ordered_at": "timestamp", "shop": "text", "amount": "float"}
    orders = Source("orders", columns=columns, event_time="ordered_at", event_id="order_id")
    sums = Aggregate("amount", operations=["sum"], windows=["lifetime"])
    counts = Aggregate(operations=["count"], windows=["lifetime"])
    view = View("shop_orders", entity=shop, source=orders, aggregate=[counts, sums])
    return Definitions(shop, orders, view, Service("shops", views=[view]), *more)


def topic(name: str = "rows", **given) -> Topic:
    return Topic(broker="main", topic=name, **({"format": "json"} | given))


def test_sinks_by_objects_are_those_in_yaml(lonely, tmp_path):
    server, client = lonely
    client.apply(world())
    written = tmp_path / "sinks.yaml"
    written.write_text(YAML)
    server.cli("apply", str(written))
    sinks = [Sink("shop_rows", view="shop_orders", to=topic(), every="1s"), Sink("kept", view="shop_orders", to="shop_rows")]
    assert list(Definitions.load(written)) == sinks
    plan = client.plan(world(*sinks), prune=True)
    assert (plan.has_changes, len(plan.unchanged)) == (False, 6)

    slower = client.plan(Definitions(Sink("shop_rows", view="shop_orders", to=topic(), every="5s")))
    assert [field.field for field in slower.changes[0].fields] == ["every"]
    assert slower.changes[0].before == slower.changes[0].after


def test_a_sink_whose_broker_is_not_configured_says_so_and_what_to_do(lonely):
    _, client = lonely
    assert list(client.sinks()) == []
    client.apply(world(Sink("shop_rows", view="shop_orders", to=topic())))

    sink = first_becomes(client.sinks, lambda sink: sink.failure)
    assert (sink.sink, sink.from_, sink.to, sink.state) == ("shop_rows", "view shop_orders", "main/rows", "failing")
    assert (sink.failure.code, sink.rows, sink.unit) == ("streams.unknown_broker", 0, "records")
    assert "[brokers.NAME]" in sink.failure.hint
    assert repr(client.sinks()) == "SinkList(shop_rows failing)"
    assert client.sinks().failing[0].sink == "shop_rows"
    assert "broker main is not in the configuration" in read(client.sinks()._repr_html_()).text
    assert client.acknowledge_sink("shop_rows").skipped == 0
    with pytest.raises(NotFound) as caught:
        client.resend_sink("shop_row")
    assert (caught.value.code, "did you mean shop_rows" in caught.value.message) == ("streams.unknown_sink", True)
    with pytest.raises(Conflict) as caught:
        client.drop("view", "shop_orders")
    assert caught.value.code == "catalog.in_use"


def messages(broker: Broker, topic: str, wanted: int) -> list[tuple[bytes, bytes]]:
    """The keys and values of a topic, once there are so many."""
    settings = {"bootstrap.servers": broker.bootstrap, "group.id": "reader", "auto.offset.reset": "earliest", "log_level": 0}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    found: list[tuple[bytes, bytes]] = []
    deadline = time.monotonic() + WITHIN_SECONDS
    try:
        while len(found) < wanted:
            assert time.monotonic() < deadline, found
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append((message.key(), message.value()))
    finally:
        consumer.close()
    return found


def test_an_unmodified_client_reads_the_rows_and_they_are_what_reads_answer(binary, tmp_path):
    broker = Broker(tmp_path / "kafka")
    try:
        for name in ("rows", "avro_rows"):
            broker.create_topic(name, 1)
        environment = {"SHIPWAY_BROKERS__MAIN__BOOTSTRAP": broker.bootstrap}
        server = Server(binary, tmp_path / "data", tmp_path / "server.log", environment)
        try:
            with shipway.Client(server.url) as client:
                sends(client, broker)
        finally:
            server.stop()
    finally:
        broker.stop()


def sends(client: shipway.Client, broker: Broker) -> None:
    client.apply(
        world(
            Sink("json_rows", view="shop_orders", to=topic()),
            Sink("later_avro", view="shop_orders", to=topic("avro_rows", format="avro")),
        )
    )
    for number in range(6):
        order = {"order_id": f"o{number}", "ordered_at": f"2026-01-05T10:00:0{number}Z", "shop": "north", "amount": 0.1}
        token = client.push("orders", [order]).token
        client.read("shops", {"shop": "north"}, token=token)
    sink = first_becomes(client.sinks, lambda sink: sink.lag == 0 and sink.rows)
    assert (sink.state, sink.skipped, sink.left_out, sink.waits_for) == ("sending", 0, None, None)
    assert sink.last_sent is not None and "sending" in read(sink._repr_html_()).text

    found = messages(broker, "rows", sink.rows)
    key, value = found[-1]
    row: dict[str, Any] = json.loads(value)
    assert json.loads(key) == {"shop": "north"}
    answered = client.read("shops", {"shop": "north"}, at=row["_at"])[0]
    assert {f"shop_orders__{name}": row[name] for name in ("count_lifetime", "amount_sum_lifetime")} == {
        name: answered[name] for name in ("shop_orders__count_lifetime", "shop_orders__amount_sum_lifetime")
    }
    assert (row["count_lifetime"], row["_view"], row["_event_time"]) == (6, "shop_orders", "2026-01-05T10:00:05Z")

    assert messages(broker, "avro_rows", 1)[0][0] == key
    avro = next(sink for sink in client.sinks() if sink.sink == "later_avro")
    schema = json.loads(avro.schema)
    assert (schema["type"], schema["name"]) == ("record", "later_avro")
    assert [field["name"] for field in schema["fields"]] == list(row)
