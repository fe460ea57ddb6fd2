"""Events in motion, over HTTP and over Kafka: how soon an event can be read at a steady rate, and how many a second the server takes into its views."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka_topics import Topics, kafka, taken_in, tokens
from live import Connection, raw
from made_flights import Period
from measure import Goal, Lane, Sample, Side, in_turn
from server import Connection as Asking
from server import Failed, Server
from setting import DEMO, Setting, processor_seconds
from ways import Batch, OverHttp, OverKafka, Way, batches, request

RATE = 20_000
EVENTS_A_REQUEST = 200
PROBES_A_SECOND = 20
FRESH_MS = 50
PER_CORE = 150_000
FLOOD = 400_000
FULL_FLOOD = 1_200_000
EVENTS_A_FLOOD_REQUEST = 5_000
SOURCES = ("departures", "arrivals")
PARTITIONS = 3
ASKS_EVERY_SECONDS = 0.002
READABLE_WITHIN_SECONDS = 60


def flow(setting: Setting) -> Iterator[Lane]:
    """Departures and arrivals into the views of the demo, over HTTP and over Kafka in turn."""
    with kafka(setting.out / "kafka-flow", PARTITIONS) as topics:
        definitions = topics.definitions(DEMO, setting.out / "definitions-flow")
        with setting.serving("flow", [], definitions, topics.environment()) as server:
            yield _fresh(setting, server, topics)
    with kafka(setting.out / "kafka-flood", PARTITIONS) as topics:
        yield _flood(setting, topics, topics.definitions(DEMO, setting.out / "definitions-flood"))


@dataclass
class Used:
    """Processor seconds of everybody who takes part."""

    server: float
    generator: float
    broker: float

    @classmethod
    def now(cls, server: Server, topics: Topics) -> Used:
        return cls(processor_seconds(server.pid), time.process_time(), processor_seconds(topics.broker.pid))

    def since(self, before: Used) -> Used:
        return Used(self.server - before.server, self.generator - before.generator, self.broker - before.broker)


def _fresh(setting: Setting, server: Server, topics: Topics) -> Lane:
    """A probe is an event of a plane that nobody has seen; it is asked for until it is counted."""
    prepared = batches(SOURCES, RATE // EVENTS_A_REQUEST, EVENTS_A_REQUEST, _second(), 3)
    turn = iter(range(1_000_000))
    reading = Connection(server)

    def run(way: Way) -> Sample:
        mark = f"r{next(turn)}"
        ended = threading.Event()
        with ThreadPoolExecutor(1) as pool, _without_pauses():
            before, began = Used.now(server, topics), time.monotonic()
            load = pool.submit(_steadily, way, prepared, mark, ended)
            try:
                time.sleep(1)
                delays = _probe(way, reading, mark, setting.seconds * 4)
                used, lasted = Used.now(server, topics).since(before), time.monotonic() - began
            finally:
                ended.set()
            rate = load.result()
        way.finish()
        _settle(server, topics)
        return Sample(_at(delays, 0.99) * 1e3, {"p50 ms": _at(delays, 0.5) * 1e3, "max ms": delays[-1] * 1e3, "events/s": rate, **_cores(used, lasted)})

    ways: list[Way] = [OverHttp(server), OverKafka(topics)]
    sides = in_turn({f"Shipway, {way.name}": lambda way=way: run(way) for way in ways}, setting.runs)
    goals = [_fresh_goal(way, side) for way, side in zip(ways, sides, strict=True)]
    return Lane("an event can be read", "ms, p99", True, sides, _fresh_notes(), "HTTP is sooner by", goals)


@contextmanager
def _without_pauses() -> Iterator[None]:
    """This program collects no garbage meanwhile: to look through all prepared events takes it a tenth of a second, in which no probe is sent or asked for."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _fresh_goal(way: Way, side: Side) -> Goal:
    worst, least = max(side.values), min(side.extra("events/s"))
    kept = "" if least >= 0.98 * RATE else f", at {least:,.0f} events/s only"
    return Goal(f"p99 below {FRESH_MS} ms at {RATE:,} events/s {way.name}, in every run", f"{worst:.1f} ms{kept}", worst < FRESH_MS and not kept)


def _fresh_notes() -> list[str]:
    return [
        f"departures and arrivals into four views; {PROBES_A_SECOND} probes a second, each from the moment it is due to be sent until a read counts it, the "
        f"sending and the asking (all that wait, every {ASKS_EVERY_SECONDS * 1e3:.0f} ms) included; server, broker, generator and probes share the box, and the table says how many of its cores each was. The generator collects no garbage meanwhile",
        f"over HTTP: {EVENTS_A_REQUEST} events a request, acknowledged after fsync. Over Kafka: a message for each event, gathered by the client for 5 ms (its default), "
        f"{PARTITIONS} partitions a topic on one broker; probes are not held back",
    ]


def _at(delays: list[float], part: float) -> float:
    return delays[min(len(delays) - 1, int(part * len(delays)))]


def _cores(used: Used, seconds: float) -> dict[str, float]:
    return {"server cores": used.server / seconds, "generator cores": used.generator / seconds, "broker cores": used.broker / seconds}


def _steadily(way: Way, prepared: list[Batch], mark: str, ended: threading.Event) -> float:
    """Sends batches at even distances, each under ids of its own; what falls behind is sent at once. How many events a second that was."""
    began, number = time.monotonic(), 0
    while not ended.is_set():
        time.sleep(max(0.0, began + number * EVENTS_A_REQUEST / RATE - time.monotonic()))
        way.send(prepared[number % len(prepared)], f"{mark}_{number // len(prepared):04}_".encode())
        number += 1
    return number * EVENTS_A_REQUEST / (time.monotonic() - began)


def _probe(way: Way, reading: Connection, mark: str, seconds: int) -> list[float]:
    """For each probe, the seconds from the moment at which it is due until it is counted.

    Probes are sent at even distances whether or not earlier ones are counted, and all that wait are asked for in one read: one that waits
    holds up no other.
    """
    first = time.monotonic()
    dues = {f"P{mark}x{number}": first + number / PROBES_A_SECOND for number in range(seconds * PROBES_A_SECOND)}
    waiting: dict[str, float] = {}
    delays: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(_send_probes, way, dues, waiting)
        while len(delays) < len(dues):
            asked = list(waiting)
            if asked:
                answer = json.loads(reading.ask(raw("POST", "/api/v1/features/read", json.dumps(_asking(asked)).encode())))
                seen = time.monotonic()
                delays += [seen - waiting.pop(plane) for plane, legs in zip(asked, _legs(answer), strict=True) if legs == 1]
            elif sending.done():
                sending.result()
            if waiting and time.monotonic() - min(waiting.copy().values()) > READABLE_WITHIN_SECONDS:
                raise Failed(f"the event of a plane was not readable within {READABLE_WITHIN_SECONDS} seconds")
            time.sleep(ASKS_EVERY_SECONDS)
    return sorted(delays)


def _send_probes(way: Way, dues: dict[str, float], waiting: dict[str, float]) -> None:
    """Sends each probe when it is due. From then on it waits."""
    for plane, due in dues.items():
        time.sleep(max(0.0, due - time.monotonic()))
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2))
        event = {"flight_id": plane, "landed_at": now, "origin": "JFK", "dest": "LAX", "carrier": "DL", "tailnum": plane, "arr_delay": 1.0}
        waiting[plane] = due
        way.send_one("arrivals", json.dumps(event).encode(), plane.encode())


def _asking(planes: list[str]) -> dict:
    rest = {"origin": "JFK", "dest": "LAX", "carrier": "DL", "month": 1, "hour": 12, "distance": 2475.0}
    return {"service": "late_arrivals", "rows": [{**rest, "tailnum": plane} for plane in planes]}


def _legs(answer: dict) -> list[int | None]:
    place = answer["columns"].index("plane_legs__count_1d")
    return [row["values"][place] for row in answer["rows"]]


def _settle(server: Server, topics: Topics) -> None:
    """Returns when all that was sent can be read, so that the next side does not work off what this one has left."""
    taken_in(server, topics.ends())
    _await(server, tokens(server, list(SOURCES)))


def _await(server: Server, token: str) -> None:
    """Returns when the events of a token can be read."""
    body = json.dumps({**_asking(["N0001"]), "token": token}).encode()
    asking = Asking(server)
    while True:
        try:
            asking.post("/api/v1/features/read", body)
            return
        except Failed as failed:
            if "not_visible_yet" not in str(failed):
                raise


def _flood(setting: Setting, topics: Topics, definitions: Path) -> Lane:
    """As many events as fit, from their first byte until the last of them can be read."""
    flood = FULL_FLOOD if setting.full else FLOOD
    prepared = batches(SOURCES, flood // EVENTS_A_FLOOD_REQUEST, EVENTS_A_FLOOD_REQUEST, _second(), 4)
    requests = [request(batch.source, batch.lines) for batch in prepared]
    for source in SOURCES:
        own = [batch for batch in prepared if batch.source == source]
        topics.fill(source, [line for batch in own for line in batch.lines], [key for batch in own for key in batch.keys])

    def over_http(server: Server) -> int:
        connection = Connection(server)
        answers = [json.loads(connection.ask(each)) for each in requests]
        return sum(answer["acknowledged"] - answer["duplicates"] for answer in answers)

    def over_kafka(server: Server) -> int:
        server.cli("apply", str(definitions))
        return taken_in(server, topics.ends())

    def run(take_in: Callable[[Server], int]) -> Sample:
        with setting.serving("flood", [], DEMO, topics.environment()) as server:
            before, began = Used.now(server, topics), time.monotonic()
            taken = take_in(server)
            durable = time.monotonic() - began
            if taken != flood:
                raise Failed(f"{taken} of {flood} events were new and taken in")
            _await(server, tokens(server, list(SOURCES)))
            seconds, used = time.monotonic() - began, Used.now(server, topics).since(before)
        extra = {"events/s": flood / seconds, "durable/s": flood / durable, "processor s": used.server, "generator s": used.generator, "broker s": used.broker}
        return Sample(flood / used.server, extra)

    sides = in_turn({"Shipway, over HTTP": lambda: run(over_http), "Shipway, over Kafka": lambda: run(over_kafka)}, setting.runs)
    goals = []
    for side in sides:
        least = min(side.values)
        way = side.name.removeprefix("Shipway, ")
        goals.append(Goal(f"{PER_CORE:,} events/s and core {way}, durable, in every run", f"{least:,.0f}", least >= PER_CORE))
    notes = [
        f"{flood:,} departures and arrivals as JSON with ids into the four views of the two, each run on a fresh server; by the server's processor time from the first byte "
        "until the last event can be read: parsing, deduplication, log, states and history included",
        f"over HTTP: {EVENTS_A_FLOOD_REQUEST:,} events a request on one connection, acknowledged after fsync. Over Kafka: topics of {PARTITIONS} partitions that were filled "
        "beforehand, from the moment at which the definitions with the streams are applied; joining the group is in it. The generator is this program: it sends requests, "
        "or looks how far the streams are",
    ]
    return Lane("events into the views of the demo", "events/s and core", False, sides, notes, "HTTP is better by", goals)


def _second() -> Period:
    """The second before this one."""
    now = time.time_ns() // 1000
    return Period(now - 2_000_000, now - 1_000_000)
