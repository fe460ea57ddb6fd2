"""Online reads under load: against an empty handler of the same server, and against Feast's Python feature server."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from feast_server import FeastServer, body
from load import Load
from measure import Goal, Lane, Sample, in_turn
from server import Connection, Server
from setting import DEMO, Setting
from shifted import Shifted, make
from steady import SteadyLoad, closed_then_steady
from tools import LoadGenerator, SteadyGenerator, peers_python

CONNECTIONS = 16
SERVICE = "late_arrivals"
READ = "/api/v1/features/read"
Ask = Callable[[str, str, str, list[str]], Sample]


def online(setting: Setting) -> list[Lane]:
    """1 entity and 50 entities × all features of the demo, at 16 connections: in a closed loop, then at a steady rate."""
    generator, paced = LoadGenerator(setting.cache), SteadyGenerator(setting.cache)
    shifted = make(setting.out / "now")
    load = Load(generator, setting.out, CONNECTIONS, max(1, setting.threads // 4), setting.seconds)
    steady = SteadyLoad(paced, setting.out, CONNECTIONS, setting.seconds)

    def ask(url: str, method: str, path: str, bodies: list[str]) -> Sample:
        return closed_then_steady(load, steady, url, method, path, bodies)

    with setting.serving("online", shifted.files) as server:
        values = _values(server, shifted)
        columns = sum("__" in name for name in values["columns"])
        empty = sum(value is None for row in values["rows"] for value in row["values"])
        about = [
            f"{columns} features out of 5 views; {len(shifted.rows):,} rows in turn, {empty:,} of their {columns * len(shifted.rows):,} values null",
            f"closed loop, {CONNECTIONS} connections, {setting.seconds} s a run, {generator.version()} with {load.threads} thread(s) on the same box; "
            "the generator's ceiling is what it could send on cores of its own",
            f"steady: then {setting.seconds} s at half of that throughput, {CONNECTIONS} connections, one thread of {paced.version()}; requests are due at even "
            "distances whether or not answers come, and a latency counts from the moment at which its request was due. Generator late: "
            "the part of it that the generator added, p99",
        ]
        feast = FeastServer(setting, peers_python(setting.cache), _keys(), {**values, "asked": shifted.rows})
        try:
            cells = feast.check(shifted.rows, values)
            about.append(
                f"Feast {feast.version}: SQLite online store, {setting.threads} worker(s), no access log; holds {feast.rows:,} rows; "
                f"equals ours in all {cells:,} cells"
            )
            one = _lane("online read, 1 entity", 1, setting, ask, server, feast, shifted, about)
            fifty = _lane("online read, 50 entities", 50, setting, ask, server, feast, shifted, about)
        finally:
            feast.stop()
        return [one, fifty]


def _lane(
    name: str, entities: int, setting: Setting, ask: Ask, server: Server, feast: FeastServer, shifted: Shifted, about: list[str]
) -> Lane:
    chosen = random.Random(5)
    groups = [chosen.sample(shifted.rows, entities) for _ in range(1024)]
    ours = [json.dumps({"service": SERVICE, "rows": group}) for group in groups]
    theirs = [body(group) for group in groups]
    sides = in_turn(
        {
            "Shipway": lambda: ask(server.url, "POST", READ, ours),
            "an empty handler of the same server": lambda: ask(server.url, "GET", "/healthz", [""]),
            "Feast's Python feature server": lambda: ask(feast.url, "POST", "/get-online-features", theirs),
        },
        setting.runs,
    )
    lane = Lane(name, "requests/s", False, sides, about)
    share, against_feast = lane.ratio(sides[1]), lane.ratio(sides[2])
    goal_ms = 1 if entities == 1 else 3
    p99_ms, saturated_ms = (max(sides[0].extra(column)) / 1000 for column in ("steady p99 us", "p99 us"))
    words = f"p99 of {name} below {goal_ms} ms in every run, at a steady rate of half the throughput"
    lane.goals.append(Goal(words, f"{p99_ms:.2f} ms (saturated, in the closed loop: {saturated_ms:.2f} ms)", p99_ms < goal_ms))
    if entities == 1:
        lane.goals.append(Goal("half the throughput of an empty handler of the same server", f"{share:.2f}", share >= 0.5))
    lane.goals.append(Goal("50 × Feast's Python server", f"{against_feast:.1f} ×", against_feast >= 50))
    return lane


def _values(server: Server, shifted: Shifted) -> dict:
    """What we answer to every row, at the moment the events end."""
    connection = Connection(server)
    answers = [
        connection.post(READ, json.dumps({"service": SERVICE, "rows": shifted.rows[start : start + 500], "at": shifted.at}).encode())
        for start in range(0, len(shifted.rows), 500)
    ]
    return {"columns": answers[0]["columns"], "rows": [row for answer in answers for row in answer["rows"]]}


def _keys() -> dict[str, list[str]]:
    """The keys of each view, from the definitions."""
    from task import read_task

    return {view.name: view.keys for view in read_task(DEMO, SERVICE, DEMO, "", "").views}


