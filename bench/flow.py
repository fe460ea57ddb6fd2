"""Events in motion: how soon an event can be read at a steady rate, and how many a second the server takes into its views."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator

from live import Connection, _raw
from measure import Goal, Lane, Sample, in_turn
from server import Failed, Server
from setting import DEMO, Setting, processor_seconds

RATE = 20_000
EVENTS_A_REQUEST = 200
PROBES_A_SECOND = 20
FRESH_MS = 50
PER_CORE = 150_000
FLOOD = 400_000
EVENTS_A_FLOOD_REQUEST = 5_000
SOURCES = ("departures", "arrivals")


def flow(setting: Setting) -> Iterator[Lane]:
    """Departures and arrivals into the views of the demo, over HTTP."""
    with setting.serving("flow", [], DEMO) as server:
        yield _fresh(setting, server)
    with setting.serving("flood", [], DEMO) as server:
        yield _flood(setting, server)


MOMENT, DELAY = {"departures": "departed_at", "arrivals": "landed_at"}, {"departures": "dep_delay", "arrivals": "arr_delay"}


class Flights:
    """Made-up flights of the present, as JSON lines; each has an id of its own."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._made = 0

    def request(self, source: str, count: int) -> bytes:
        """A request that sends `count` of them to `source`."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        lines = []
        for _ in range(count):
            self._made += 1
            pick = self._random.randrange
            event = {
                **{"flight_id": f"f{self._made}", MOMENT[source]: now, "origin": ("JFK", "EWR", "LGA")[pick(3)], "dest": f"D{pick(100):02}"},
                **{"carrier": f"C{pick(16)}", "tailnum": f"N{pick(4000)}", DELAY[source]: float(pick(90) - 10)},
            }
            lines.append(json.dumps(event))
        return _raw("POST", f"/api/v1/ingest/{source}", "\n".join(lines).encode(), "application/x-ndjson")


def _fresh(setting: Setting, server: Server) -> Lane:
    """A probe is an event of a plane that nobody has seen; it is asked for, again and again, until it is counted."""
    flights = Flights(3)
    per_second = RATE // EVENTS_A_REQUEST
    requests = [flights.request(SOURCES[number % 2], EVENTS_A_REQUEST) for number in range(per_second)]
    turn = iter(range(1_000_000))

    def run() -> Sample:
        mark = f'"r{next(turn)}'
        ended = threading.Event()
        sent: list[int] = []
        load = threading.Thread(target=_steadily, args=(server, requests, per_second, mark, ended, sent))
        load.start()
        try:
            time.sleep(1)
            began = time.monotonic()
            delays = [_probe(server, f"P{mark[1:]}x{number}", began + number / PROBES_A_SECOND) for number in range(setting.seconds * 4 * PROBES_A_SECOND)]
        finally:
            ended.set()
            load.join()
        delays.sort()
        rate = sum(sent) / (time.monotonic() - began + 1)
        at = lambda part: delays[min(len(delays) - 1, int(part * len(delays)))] * 1e3  # noqa: E731
        return Sample(at(0.99), {"p50 ms": at(0.5), "max ms": delays[-1] * 1e3, "events/s": rate})

    sides = in_turn({"Shipway, over HTTP": run}, setting.runs)
    lane = Lane("an event can be read", "ms, p99", True, sides)
    worst = max(sides[0].values)
    lane.goals.append(Goal(f"p99 below {FRESH_MS} ms at {RATE:,} events/s over HTTP, in every run", f"{worst:.1f} ms", worst < FRESH_MS))
    lane.notes.append(
        f"departures and arrivals into four views, {EVENTS_A_REQUEST} events a request, acknowledged after fsync; {PROBES_A_SECOND} probes a second, each from the moment it is due "
        "to be sent until a read counts it, the sending and the asking included; generator and server share the box"
    )
    return lane


def _steadily(server: Server, requests: list[bytes], per_second: int, mark: str, ended: threading.Event, sent: list[int]) -> None:
    """Requests at even distances, each with ids of its own; what falls behind is sent at once."""
    connection = Connection(server)
    began, number = time.monotonic(), 0
    while not ended.is_set():
        due = began + number / per_second
        time.sleep(max(0.0, due - time.monotonic()))
        body = requests[number % len(requests)]
        fresh = f"{mark}_{number // len(requests):04}_".encode()
        # The id grows by as many bytes as its mark has: the length in the head must follow.
        connection.ask(_remarked(body, fresh))
        sent.append(EVENTS_A_REQUEST)
        number += 1


def _remarked(request: bytes, mark: bytes) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    body = body.replace(b'"flight_id": "f', b'"flight_id": ' + mark)
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"content-length")]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body)]) + b"\r\n\r\n" + body


def _probe(server: Server, plane: str, due: float) -> float:
    """Seconds from `due` until the event of a new plane is counted."""
    connection = _PROBES.setdefault(server.port, Connection(server))
    time.sleep(max(0.0, due - time.monotonic()))
    began = time.monotonic()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2))
    event = {"flight_id": plane, "landed_at": now, "origin": "JFK", "dest": "LAX", "carrier": "DL", "tailnum": plane, "arr_delay": 1.0}
    connection.ask(_raw("POST", "/api/v1/ingest/arrivals", json.dumps(event).encode(), "application/x-ndjson"))
    read = _raw("POST", "/api/v1/features/read", json.dumps(_asking(plane)).encode())
    while _legs(json.loads(connection.ask(read))) != 1:
        if time.monotonic() - began > 10:
            raise Failed(f"the event of plane {plane} was not readable within ten seconds")
    return time.monotonic() - min(due, began)


_PROBES: dict[int, Connection] = {}


def _asking(plane: str) -> dict:
    row = {"origin": "JFK", "dest": "LAX", "carrier": "DL", "tailnum": plane, "month": 1, "hour": 12, "distance": 2475.0}
    return {"service": "late_arrivals", "rows": [row]}


def _legs(answer: dict) -> int | None:
    return answer["rows"][0]["values"][answer["columns"].index("plane_legs__count_1d")]


def _await(server: Server, token: str) -> None:
    """Returns when the events of a token can be read."""
    body = json.dumps({**_asking("N1"), "token": token})
    while True:
        try:
            Connection(server).ask(_raw("POST", "/api/v1/features/read", body.encode()))
            return
        except Failed as failed:
            if "not_visible_yet" not in str(failed):
                raise


def _flood(setting: Setting, server: Server) -> Lane:
    """As many events as fit, from their first byte until the last of them can be read."""
    flights = Flights(4)
    requests = [flights.request(SOURCES[number % 2], EVENTS_A_FLOOD_REQUEST) for number in range(FLOOD // EVENTS_A_FLOOD_REQUEST)]
    turn = iter(range(1_000_000))

    def run() -> Sample:
        mark = f'"r{next(turn)}_'.encode()
        marked = [_remarked(request, mark) for request in requests]
        connection = Connection(server)
        used, began = processor_seconds(server.pid), time.monotonic()
        answers = [json.loads(connection.ask(request)) for request in marked]
        acknowledged = time.monotonic() - began
        for answer in answers[-2:]:
            _await(server, answer["token"])
        seconds, processor = time.monotonic() - began, processor_seconds(server.pid) - used
        return Sample(FLOOD / processor, {"events/s": FLOOD / seconds, "acknowledged/s": FLOOD / acknowledged, "processor s": processor})

    sides = in_turn({"Shipway, over HTTP": run}, setting.runs)
    lane = Lane("events into the views of the demo", "events/s and core", False, sides)
    least = min(sides[0].values)
    lane.goals.append(Goal(f"{PER_CORE:,} events/s and core, acknowledged after fsync, in every run", f"{least:,.0f}", least >= PER_CORE))
    lane.notes.append(
        f"{FLOOD:,} departures and arrivals, {EVENTS_A_FLOOD_REQUEST:,} a request, JSON lines with ids, into the four views of the two; by the server's processor "
        "time from the first byte until the last event can be read: parsing, deduplication, log, states and history included"
    )
    return lane
