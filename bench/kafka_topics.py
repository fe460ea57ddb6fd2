"""The topics of a broker for the lanes: one for each source, filled quickly, and read to the end by a server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import over_kafka
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import OffsetSpec
from kafka_broker import Broker

from measure import progress
from server import Connection, Failed, Server

READ_WITHIN_SECONDS = 600.0
LOOKS_EVERY_SECONDS = 0.01


class Topics:
    """The topics that the definitions of the demo read, each with `partitions` partitions."""

    def __init__(self, broker: Broker, partitions: int) -> None:
        self.broker = broker
        self.partitions = partitions
        for source in over_kafka.SOURCES:
            broker.create_topic(over_kafka.topic(source), partitions)

    def definitions(self, plain: Path, written: Path) -> Path:
        """`plain` with a stream in every source, written once into the folder `written`."""
        return written if written.exists() else over_kafka.add_streams(plain, written)

    def environment(self) -> dict[str, str]:
        """What a server must know to read them."""
        return over_kafka.environment(self.broker)

    def sender(self, linger_ms: int) -> Sender:
        """A client that writes to them, and gathers messages for `linger_ms` before it sends them."""
        return Sender(self.broker.bootstrap, linger_ms)

    def fill(self, source: str, lines: list[bytes], keys: list[bytes]) -> None:
        """Writes events and waits until the broker has them."""
        sender, topic = self.sender(50), over_kafka.topic(source)
        for line, key in zip(lines, keys, strict=True):
            sender.send(topic, line, key)
        sender.flush()

    def ends(self) -> dict[str, dict[int, int]]:
        """By topic and partition, the place behind the last message."""
        asked = {
            TopicPartition(over_kafka.topic(source), partition): OffsetSpec.latest()
            for source in over_kafka.SOURCES
            for partition in range(self.partitions)
        }
        found: dict[str, dict[int, int]] = {}
        for place, answer in self.broker.admin.list_offsets(asked).items():
            found.setdefault(place.topic, {})[place.partition] = answer.result(30).offset
        return found

    def messages(self, topic: str, partitions: int) -> list[tuple[bytes | None, bytes | None]]:
        """Every message of a topic that nobody writes to any more: key and value, in the order of each partition."""
        settings = {"bootstrap.servers": self.broker.bootstrap, "group.id": f"bench-{time.monotonic_ns()}", "log_level": 0}
        consumer = Consumer(settings)
        try:
            bounds = {number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30) for number in range(partitions)}
            consumer.assign([TopicPartition(topic, number, low) for number, (low, high) in bounds.items() if low < high])
            left = sum(high - low for low, high in bounds.values())
            found: list[tuple[bytes | None, bytes | None]] = []
            while len(found) < left:
                # It waits until it has as many as it was asked for: never more than there are.
                taken = consumer.consume(min(10_000, left - len(found)), timeout=10)
                if not taken:
                    raise Failed(f"topic {topic} was not read to its end")
                for message in taken:
                    if message.error() is not None:
                        raise Failed(f"topic {topic}: {message.error()}")
                    found.append((message.key(), message.value()))
            return found
        finally:
            consumer.close()


@contextmanager
def kafka(folder: Path, partitions: int) -> Iterator[Topics]:
    """A Kafka of one node in `folder`, with the topics; ended and removed at the end."""
    progress("starting a Kafka of one node")
    broker = Broker(folder)
    try:
        yield Topics(broker, partitions)
    finally:
        broker.stop()


class Sender:
    """Writes each message once. It is told only of messages that could not be written: a word for each would cost more than the message."""

    def __init__(self, bootstrap: str, linger_ms: int) -> None:
        self._refused: list[str] = []
        self._sent = 0
        settings = {
            **{"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": linger_ms, "log_level": 0},
            **{"delivery.report.only.error": True, "queue.buffering.max.messages": 1_000_000, "on_delivery": self._not_delivered},
        }
        self._producer = Producer(settings)

    def send(self, topic: str, value: bytes, key: bytes | None = None, partition: int = -1) -> None:
        """Hands a message to the client; waits while the client has no room. Without a partition its key decides."""
        while True:
            try:
                self._producer.produce(topic, value=value, key=key, partition=partition)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._sent += 1
        if self._sent % 1024 == 0:
            self._producer.poll(0)

    def flush(self) -> None:
        """Waits until the broker has acknowledged everything."""
        left = self._producer.flush(120)
        if left or self._refused:
            raise Failed(f"{left} messages are not acknowledged; {'; '.join(self._refused[:3])}")

    def _not_delivered(self, error: KafkaError | None, _: Message) -> None:
        self._refused.append(str(error))


def taken_in(server: Server, ends: dict[str, dict[int, int]]) -> int:
    """Waits until the streams of `server` have taken in everything before `ends`; how many events that were in all."""
    connection = Connection(server)
    deadline = time.monotonic() + READ_WITHIN_SECONDS
    streams: list[dict] = []
    while time.monotonic() < deadline:
        streams = connection.get("/api/v1/streams")["streams"]
        if ends.keys() <= {stream["topic"] for stream in streams} and all(over_kafka.has_all(stream, ends) for stream in streams):
            for stream in streams:
                over_kafka.check_counts(stream)
            return sum(stream["counts"]["events"] for stream in streams)
        time.sleep(LOOKS_EVERY_SECONDS)
    raise Failed(f"the streams have not read everything within {READ_WITHIN_SECONDS:.0f} seconds: {json.dumps(streams)}")


def tokens(server: Server, sources: list[str]) -> str:
    """What a read must carry that is to see all that is in the log now. A request without events gets such a token."""
    connection = Connection(server)
    return ",".join(connection.post(f"/api/v1/ingest/{source}", b"", "application/x-ndjson")["token"] for source in sources)
