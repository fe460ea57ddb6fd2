"""The two ways in which the lane `flow` brings events to a server: requests over HTTP, and messages over a topic of Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import over_kafka

from kafka_topics import Topics
from live import Connection, raw
from made_flights import Period, keys, lines, make
from server import Server

ID = b'{"flight_id": "f'
"""How every made-up line begins. The id goes on with the number of the event."""


@dataclass(frozen=True)
class Batch:
    """Events of one source that are sent together."""

    source: str
    lines: list[bytes]
    keys: list[bytes]

    def marked(self, mark: bytes) -> list[bytes]:
        """The same events with other ids, so that they are no duplicates of themselves."""
        begin = b'{"flight_id": "' + mark
        return [begin + line[len(ID) :] for line in self.lines]


def batches(sources: tuple[str, ...], count: int, events: int, period: Period, seed: int) -> list[Batch]:
    """`count` batches of `events` events each, of the sources in turn."""
    found = {}
    for place, source in enumerate(sources):
        table = make(source, (count + len(sources) - 1) // len(sources) * events, period, seed + place)
        found[source] = iter(list(zip(lines(table), keys(table), strict=True)))
    made = []
    for number in range(count):
        source = sources[number % len(sources)]
        part = [next(found[source]) for _ in range(events)]
        made.append(Batch(source, [line for line, _ in part], [key for _, key in part]))
    return made


class Way(Protocol):
    """A way in which events come to the server."""

    name: str

    def send(self, batch: Batch, mark: bytes) -> None:
        """Sends a batch under ids that begin with `mark`."""

    def send_one(self, source: str, line: bytes, key: bytes) -> None:
        """Sends one event at once."""

    def finish(self) -> None:
        """Returns when everything is acknowledged."""


class OverHttp:
    """A request for each batch, answered when its events are durable."""

    name = "over HTTP"

    def __init__(self, server: Server) -> None:
        # The load and single events come from two threads.
        self._load, self._single = Connection(server), Connection(server)

    def send(self, batch: Batch, mark: bytes) -> None:
        self._load.ask(request(batch.source, batch.marked(mark)))

    def send_one(self, source: str, line: bytes, _: bytes) -> None:
        self._single.ask(request(source, [line]))

    def finish(self) -> None:
        """Every request was answered."""


class OverKafka:
    """A message for each event; the client gathers them for five milliseconds, which is its default. A single event is not held back."""

    name = "over Kafka"

    def __init__(self, topics: Topics) -> None:
        self._load, self._single = topics.sender(5), topics.sender(0)

    def send(self, batch: Batch, mark: bytes) -> None:
        topic = over_kafka.topic(batch.source)
        for line, key in zip(batch.marked(mark), batch.keys, strict=True):
            self._load.send(topic, line, key)

    def send_one(self, source: str, line: bytes, key: bytes) -> None:
        self._single.send(over_kafka.topic(source), line, key)

    def finish(self) -> None:
        self._load.flush()
        self._single.flush()


def request(source: str, events: list[bytes]) -> bytes:
    """The bytes of a request that brings `events`."""
    return raw("POST", f"/api/v1/ingest/{source}", b"\n".join(events), "application/x-ndjson")
