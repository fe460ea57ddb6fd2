"""Sources that read from a broker: the same in objects and in YAML, and how their streams are without a broker and with a real one."""

from __future__ import annotations

import pytest
import shipway
from brokerless import first_becomes, lonely
from kafka_broker import Broker, Writer
from real_binary import Server
from shipway import Definitions, Source, Stream
from shipway.errors import Conflict, NotFound
from test_display import read

COLUMNS = {"order_id": "text", "ordered_at": "timestamp", "shop": "text", "amount": "float"}

YAML = """
kind: source
name: orders
event_time: ordered_at
event_id: order_id
columns: { order_id: text, ordered_at: timestamp, shop: text, amount: float }
stream:
  broker: main
  topic: Orders.v1
  start: latest
  format: avro
  schema: |
    {"type": "record", "name": "Order", "fields": [{"name": "order_id", "type": "string"}]}
  envelope: debezium
  unknown_fields: refuse
  fields: { amount: [sum.amount, amount], shop: place }
  time_unit: { ordered_at: milliseconds }
"""


def orders(**stream) -> Definitions:
    given = {"broker": "main", "topic": "orders", "format": "json"} | stream
    return Definitions(Source("orders", columns=COLUMNS, event_time="ordered_at", event_id="order_id", stream=Stream(**given)))


def test_a_stream_by_objects_is_the_one_in_yaml(lonely, tmp_path):
    server, client = lonely
    written = tmp_path / "orders.yaml"
    written.write_text(YAML)
    server.cli("apply", str(written))
    stream = Stream(
        broker="main",
        topic="Orders.v1",
        start="latest",
        format="avro",
        schema='{"type": "record", "name": "Order", "fields": [{"name": "order_id", "type": "string"}]}\n',
        envelope="debezium",
        unknown_fields="refuse",
        fields={"amount": ["sum.amount", "amount"], "shop": "place"},
        time_unit={"ordered_at": "milliseconds"},
    )
    source = Source("orders", columns=COLUMNS, event_time="ordered_at", event_id="order_id", stream=stream)
    assert Definitions.load(written)["orders"] == source
    plan = client.plan(Definitions(source), prune=True)
    assert (plan.has_changes, len(plan.unchanged)) == (False, 1)

    other = client.plan(orders())
    assert {field.field for field in other.changes[0].fields} >= {"stream topic", "stream format"}
    # Where events come from says nothing about them.
    assert other.changes[0].before == other.changes[0].after


def test_a_stream_whose_broker_is_not_configured_says_so_and_what_to_do(lonely):
    _, client = lonely
    assert list(client.streams()) == []
    client.apply(orders())

    stream = first_becomes(client.streams, lambda stream: stream.failure)
    assert (stream.source, stream.broker, stream.topic, stream.format) == ("orders", "main", "orders", "json")
    assert (stream.state, stream.lag, stream.partitions) == ("failing", None, [])
    assert stream.failure.code == "streams.unknown_broker"
    assert stream.failure.error == "broker main is not in the configuration of this server"
    assert "[brokers.NAME]" in stream.failure.hint
    assert repr(client.streams()) == "StreamList(orders failing)"
    assert client.streams().failing[0].failure.code == "streams.unknown_broker"
    assert "broker main is not in the configuration" in read(client.streams()._repr_html_()).text

    assert client.waiting_dead_letters("orders") == 0
    with pytest.raises(Conflict) as caught:
        client.replay_dead_letters("orders")
    assert caught.value.code == "streams.unknown_broker"
    with pytest.raises(NotFound) as caught:
        client.waiting_dead_letters("ordres")
    assert (caught.value.code, "did you mean orders" in caught.value.message) == ("streams.unknown_stream", True)


def test_messages_that_could_not_be_read_are_read_again_after_the_definition_was_mended(binary, tmp_path):
    broker = Broker(tmp_path / "kafka")
    try:
        broker.create_topic("orders", 2)
        environment = {"SHIPWAY_BROKERS__MAIN__BOOTSTRAP": broker.bootstrap}
        server = Server(binary, tmp_path / "data", tmp_path / "server.log", environment)
        try:
            with shipway.Client(server.url) as client:
                reads_again(client, Writer(broker))
        finally:
            server.stop()
    finally:
        broker.stop()


def reads_again(client: shipway.Client, writer: Writer) -> None:
    client.apply(orders())
    for number in range(10):
        moment = "ordered_at" if number < 7 else "placed_at"
        line = f'{{"order_id": "o{number}", "{moment}": "2026-01-05T10:00:00Z", "shop": "north", "amount": {number}}}'
        writer.send("orders", f"o{number}", line)
    writer.send("orders", "broken", '{"order_id": ')
    writer.flush()
    stream = first_becomes(client.streams, lambda stream: stream.position == 11)
    assert (stream.state, stream.failure, stream.counts.events, stream.counts.dead) == ("reading", None, 7, 4)
    assert stream.last_message is not None and len(stream.partitions) == 2
    assert "reading" in read(stream._repr_html_()).text

    client.apply(orders(fields={"ordered_at": ["ordered_at", "placed_at"]}))
    replayed = client.replay_dead_letters("orders")
    assert (replayed.letters, replayed.counts.events, replayed.counts.dead) == (4, 3, 1)
    assert "4" in read(replayed._repr_html_()).text
    assert client.replay_dead_letters("orders").counts.dead == 1
    found = client.sql("SELECT DISTINCT code, text FROM orders__dead_letters WHERE text LIKE '{\"order_id\": '").to_pylist()
    assert found == [{"code": "formats.message_malformed", "text": '{"order_id": '}]
