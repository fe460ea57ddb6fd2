"""How long a server that was killed needs until it answers with every event again: its states still there, or lost.

A recovery counts from the start of the process until one read that must see every event is answered; the counts in that very answer
are compared with what was sent.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pyarrow.parquet as parquet

import made_flights
from live import Connection
from made_flights import Period, in_parts
from measure import Goal, Lane, Sample, Side, in_turn, progress
from server import Connection as Asking
from server import Failed, Server
from setting import DEMO, Setting, peak_mib
from ways import request

QUICK = 1_000_000
FULL = 10_000_000
GOAL_EVENTS = 10_000_000
GOAL_SECONDS = 60.0
EVENTS_A_REQUEST = 5_000
SOURCES = ("departures", "arrivals")
SECOND = 1_000_000
HOUR = 3_600 * SECOND
# Younger than the longest window of a view of its source, for as long as the lane runs: every event counts in some feature.
AGE = {"departures": 18 * HOUR, "arrivals": 28 * 24 * HOUR}
# A plane lands three times a day.
ARRIVALS_A_PLANE = 3 * 28
STUCK = "the materialiser cannot go on"


class NotRecovered(Exception):
    """The server does not come back by itself, with its own words."""


class PatientServer(Server):
    """Waits for as long as a recovery may take, and looks often."""

    READY_WITHIN_SECONDS = 600.0
    LOOKS_EVERY_SECONDS = 0.005


def recovery(setting: Setting) -> Iterator[Lane]:
    """Two servers of as many events: one took them in over HTTP, the other loaded them from files."""
    events = FULL if setting.full else QUICK
    with ExitStack() as running:
        live, loaded = Place(setting, "live", events), Place(setting, "loaded", events)
        running.callback(live.remove)
        running.callback(loaded.remove)
        for place in (live, loaded):
            place.begin()
        progress(f"recovery: {events:,} events over HTTP")
        live.send(events, AGE)
        progress(f"recovery: {events:,} events from files")
        loaded.load(events)
        yield _lane(setting, events, live, loaded)


def _lane(setting: Setting, events: int, live: Place, loaded: Place) -> Lane:
    tail = events // 10
    sides: dict[str, Callable[[], Sample]] = {"killed under load, states there": lambda: _killed(live, tail)}
    notes, goals = [], []
    attempts = {
        "states lost, events came over HTTP": lambda: _lost(live),
        "states lost, events loaded from files": lambda: _lost(loaded),
    }
    for name, attempt in attempts.items():
        progress(f"recovery: {name}: whether it comes back by itself")
        try:
            attempt()
            sides[name] = attempt
        except NotRecovered as stuck:
            notes.append(f"{name}: it does not come back by itself; the server says: {stuck}")
            goals.append(Goal(f"{name}: recovered", "no", False))
    measured = in_turn(sides, setting.runs)
    goals = [*[_goal(side, events) for side in measured], *goals]
    about = [
        f"{events:,} departures and arrivals with ids, all in windows of the demo's four views of the two, of {events // len(SOURCES) // ARRIVALS_A_PLANE:,} planes that land three times a "
        "day for 28 days; from the start of the process until a read that must see every "
        "event is answered, whose counts are compared with what was sent; ready: until requests are answered",
        f"killed under load: SIGKILL right after the last of {tail:,} further events was acknowledged, sent as fast as one connection can; unread: those that no read had seen then. "
        "They are caught up from the log",
        "states lost: SIGKILL, and the folder `online` is gone: states, the ids of the last days and the positions are made again from the log, and at the marker of a load from "
        "the history that it wrote; where the log has dropped its beginning, from history",
        "the files of the system stay in its memory between the two processes, as after a kill; a machine that lost its power would read them from the disk",
    ]
    return Lane(f"recovery of {events / 1e6:g}M events of state", "s", True, measured, [*about, *notes], "the first is faster by", goals)


def _goal(side: Side, events: int) -> Goal:
    limit = GOAL_SECONDS * events / GOAL_EVENTS
    share = "" if events == GOAL_EVENTS else f", their share of {GOAL_SECONDS:.0f} s for {GOAL_EVENTS / 1e6:g}M"
    worst = max(side.values)
    return Goal(f"{side.name}: {events / 1e6:g}M events below {limit:g} s{share}, in every run", f"{worst:.2f} s", worst < limit)


def _killed(place: Place, tail: int) -> Sample:
    place.send(tail, dict.fromkeys(SOURCES, 30 * SECOND))
    unread = place.unread()
    place.server.kill()
    sample = place.recovered()
    return Sample(sample.value, {**sample.extra, "unread events": unread})


def _lost(place: Place) -> Sample:
    place.server.kill()
    online, aside = place.data / "online", place.data / "online-aside"
    online.rename(aside)
    try:
        sample = place.recovered()
    except NotRecovered:
        place.server.kill()
        shutil.rmtree(online)
        aside.rename(online)
        place.recovered()
        raise
    shutil.rmtree(aside)
    return sample


class Place:
    """A data folder whose server comes and goes, and all that was brought into it."""

    def __init__(self, setting: Setting, name: str, events: int) -> None:
        self._setting = setting
        self._name = name
        self._planes = events // len(SOURCES) // ARRIVALS_A_PLANE
        self.data = setting.out / f"data-recovery-{name}"
        self._sent = dict.fromkeys(SOURCES, 0)
        self._tokens: dict[str, str] = {}
        self._running: Server | None = None

    @property
    def server(self) -> Server:
        """The server that runs now, or ran last."""
        if self._running is None:
            raise Failed(f"no server was started for {self.data}")
        return self._running

    def begin(self) -> None:
        """A first server, with the definitions of the demo."""
        self._running = self._start()
        self.server.cli("apply", str(DEMO))

    def remove(self) -> None:
        """Ends the server, if one runs, and removes the folder."""
        if self._running is not None:
            self._running.kill()
        shutil.rmtree(self.data, ignore_errors=True)

    def send(self, events: int, reach: dict[str, int]) -> None:
        """As fast as one connection takes them, in order of time from `reach` microseconds ago on; returns when the last is acknowledged."""
        connection = Connection(self.server)
        for source, body, count in self._bodies(events, reach):
            while True:
                try:
                    answer = json.loads(connection.ask(body))
                    break
                except Failed as failed:
                    if "features.behind" not in str(failed):
                        raise
                    # The states are two million events behind the log: nothing of the request was taken in.
                    time.sleep(0.1)
            if answer["acknowledged"] - answer["duplicates"] != count or answer["refused"] or answer["quarantined"]:
                raise Failed(f"{count} events were not all new and taken: {answer}")
            self._sent[source] += count
            self._tokens[source] = answer["token"]

    def load(self, events: int) -> None:
        """From one file for each source."""
        for source in SOURCES:
            count = events // len(SOURCES)
            path = self._setting.out / f"{source}.parquet"
            writer: parquet.ParquetWriter | None = None
            for part in in_parts(source, count, _period(AGE[source]), 1, 0, self._planes):
                writer = writer or parquet.ParquetWriter(path, part.schema)
                writer.write_table(part)
            if writer is not None:
                writer.close()
            loaded = self.server.cli("table", "load", source, str(path))
            path.unlink()
            if loaded["rows"] != count:
                raise Failed(f"{loaded['rows']} of {count} events were loaded")
            self._sent[source] += count
            self._tokens[source] = loaded["token"]

    def unread(self) -> int:
        """How many events are durable that no read sees yet."""
        return sum(source["lag"] for source in Asking(self.server).get("/api/v1/status")["sources"])

    def recovered(self) -> Sample:
        """Starts a server on the folder; the seconds until it has answered with all that was ever brought."""
        began = time.monotonic()
        self._running = self._start()
        ready = time.monotonic() - began
        answer = self._answer(began)
        seconds = time.monotonic() - began
        self._check(answer)
        return Sample(seconds, {"ready s": ready, "peak MiB": peak_mib(self.server.pid)})

    def _start(self) -> Server:
        return PatientServer(self._setting.shipway, self.data, self._setting.out / f"server-recovery-{self._name}.log")

    def _answer(self, began: float) -> dict:
        body = json.dumps({"service": "late_arrivals", "rows": _rows(), "token": ",".join(self._tokens.values())}).encode()
        asking = Asking(self.server)
        while True:
            try:
                return asking.post("/api/v1/features/read", body)
            except Failed as failed:
                if not any(code in str(failed) for code in ("not_visible_yet", "view_building")):
                    raise
            said = [line for line in self.server.log().splitlines() if STUCK in line]
            if said:
                raise NotRecovered(said[-1].strip())
            if time.monotonic() - began > PatientServer.READY_WITHIN_SECONDS:
                raise Failed("the server does not answer with every event after ten minutes")
            time.sleep(0.01)

    def _check(self, answer: dict) -> None:
        """Every departure is counted at one of the airports, every arrival at one of the airlines."""
        place = {name: index for index, name in enumerate(answer["columns"])}
        airports, airlines = place["origin_traffic__count_1d"], place["carrier_punctuality__count_30d"]
        rows = [row["values"] for row in answer["rows"]]
        counted = {
            "departures": sum(row[airports] for row in rows[: len(made_flights.ORIGINS)]),
            "arrivals": sum(row[airlines] for row in rows),
        }
        if counted != self._sent:
            raise Failed(f"brought were {self._sent}, and after the recovery it counts {counted}")

    def _bodies(self, events: int, reach: dict[str, int]) -> Iterator[tuple[str, bytes, int]]:
        """Requests of the sources in turn, made in parts while they are sent: all of them would fill the memory."""
        count = events // len(SOURCES)
        parts = [in_parts(source, count, _period(reach[source]), 2, self._sent[source], self._planes) for source in SOURCES]
        for tables in zip(*parts, strict=True):
            own = [made_flights.lines(table) for table in tables]
            for start in range(0, len(own[0]), EVENTS_A_REQUEST):
                for source, lines in zip(SOURCES, own, strict=True):
                    piece = lines[start : start + EVENTS_A_REQUEST]
                    yield source, request(source, piece), len(piece)


def _period(reach: int) -> Period:
    """From `reach` microseconds ago until a second ago."""
    now = time.time_ns() // 1000
    return Period(now - reach, now - SECOND)


def _rows() -> list[dict]:
    """Every airline and every airport, the airports first; the rest of the row does not matter."""
    rest = {"dest": made_flights.DESTINATIONS[0], "tailnum": made_flights.PLANES[0], "month": 1, "hour": 12, "distance": 1.0}
    origins = made_flights.ORIGINS
    return [{"origin": origins[number % len(origins)], "carrier": carrier, **rest} for number, carrier in enumerate(made_flights.CARRIERS)]
