"""The events of the replay over a real Kafka: `demo/run.py --kafka`."""

from __future__ import annotations

import time
from pathlib import Path

import shipway

from kafka_broker import Broker, Writer
from replay import Events
from server import Connection, Failed, Server

SOURCES = ["departures", "arrivals", "weather"]
PARTITIONS = 3
BROKER = "main"
TAKEN_IN_WITHIN_SECONDS = 60.0


def topic(source: str) -> str:
    return f"flights.{source}"


def environment(broker: Broker) -> dict[str, str]:
    """What a server must know of the broker."""
    return {f"SHIPWAY_BROKERS__{BROKER.upper()}__BOOTSTRAP": broker.bootstrap}


def create_topics(broker: Broker) -> None:
    for source in SOURCES:
        broker.create_topic(topic(source), PARTITIONS)


def add_streams(definitions: Path, written: Path) -> Path:
    """Writes the definitions with a topic for every source of the replay: there is one copy of them to maintain."""
    found = shipway.Definitions()
    for definition in shipway.Definitions.load(definitions):
        if isinstance(definition, shipway.Source):
            stream = shipway.Stream(broker=BROKER, topic=topic(definition.name), format="json")
            definition = shipway.Source.from_dict({**definition.to_dict(), "stream": stream.to_dict()})
        found.add(definition)
    written.mkdir()
    found.save(written / "flights.yaml")
    return written


class OverKafka:
    """Hands events to Kafka, and knows when the server has taken in every one of them."""

    way = "Kafka"

    def __init__(self, server: Server, broker: Broker) -> None:
        self._connection = Connection(server)
        self._writer = Writer(broker)

    def take_in(self, events: Events) -> dict[str, str]:
        """Returns tokens for what is in the log once everything is in it. What was sent counts as taken in when the server's
        positions are behind it, and those are only where the events themselves are durable."""
        for source, found in events.items():
            for key, line in found:
                self._writer.send(topic(source), key, line)
        self._writer.flush()
        self._wait_until_taken_in(events)
        # A request without events gets a token for everything before it.
        ask = self._connection.post
        return {source: ask(f"/api/v1/ingest/{source}", b"", "application/x-ndjson")["token"] for source in events}

    def _wait_until_taken_in(self, events: Events) -> None:
        deadline = time.monotonic() + TAKEN_IN_WITHIN_SECONDS
        while time.monotonic() < deadline:
            streams = self._connection.get("/api/v1/streams")["streams"]
            if all(has_all(stream, self._writer.ends) for stream in streams if stream["source"] in events):
                for stream in streams:
                    check_counts(stream)
                return
            time.sleep(0.0005)
        raise Failed(f"the streams have not taken in everything within a minute: {streams}")


def has_all(stream: dict, ends: dict[str, dict[int, int]]) -> bool:
    """Whether a stream has taken in its topic up to `ends`: by topic and partition, the place behind the last message."""
    positions = {each["partition"]: each["position"] for each in stream["partitions"]}
    return all(positions.get(partition, 0) >= end for partition, end in ends.get(stream["topic"], {}).items())


def check_counts(stream: dict) -> None:
    """Refuses to go on when a message was anything else than an event that counts."""
    wrong = {name: stream["counts"][name] for name in ("duplicates", "late", "quarantined", "dead", "empty")}
    if any(wrong.values()):
        raise Failed(f"source {stream['source']} has messages that do not count: {wrong}")
