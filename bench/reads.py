"""Do reads stay flat as keys grow? Loads N keys in bulk, reads random ones, and sets the bare store's point read beside it."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy
import pandas as pd
import pyarrow as arrow
import pyarrow.parquet as parquet

from load import Load
from measure import Lane, Side, in_turn
from server import Connection, Failed, Server
from setting import HERE, Setting
from tools import LoadGenerator

DEFINITIONS = HERE / "definitions" / "reads"
READ = "/api/v1/features/read"
KEYS = [1_000, 10_000, 100_000]
FULL_KEYS = [*KEYS, 1_000_000, 5_000_000]
EVENTS_PER_KEY = 2
FIRST = 10_000_000  # all keys have eight digits
CONNECTIONS = 16


def reads(setting: Setting) -> Iterator[Lane]:
    """One lane per number of keys, and at the end the curve."""
    load = Load(LoadGenerator(setting.cache), setting.out, CONNECTIONS, max(1, setting.threads // 4), setting.seconds)
    lanes = []
    for keys in FULL_KEYS if setting.full else KEYS:
        lanes.append(_lane(setting, load, keys))
        yield lanes[-1]
    yield _curve(lanes)


def _lane(setting: Setting, load: Load, keys: int) -> Lane:
    path = setting.out / "visits.parquet"
    _visits(keys, path)
    with setting.serving("reads", [("visits", path)], DEFINITIONS) as server:
        path.unlink()
        _check(server, keys)
        body = '{"service":"members","rows":[{"member_id":@@@@@@@@}]}'
        members = range(FIRST, FIRST + keys)
        sides = in_turn(
            {
                "Shipway": lambda: load.run(server.url, "POST", READ, [body], members),
                "an empty handler of the same server": lambda: load.run(server.url, "GET", "/healthz", [""]),
            },
            setting.runs,
        )
        note = f"1 view of 8 features, {EVENTS_PER_KEY} events a key, uniformly random keys, warm; the events of 100 keys checked"
        server.stop()
        bare = bare_store(setting, server.data / "online")
    return Lane(f"read of {keys:,} keys", "requests/s", False, sides, [note, bare])


def bare_store(setting: Setting, folder: Path) -> str:
    """What the store alone does for one point read of the same state, as a sentence."""
    program = point_read(setting)
    if program is None:
        return "bare store: not measured, examples/point_read is not built beside the binary"
    done = subprocess.run([str(program), str(folder), "200000"], capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise Failed(f"point_read ended with {done.returncode}:\n{done.stderr}")
    said = json.loads(done.stdout)
    return (
        f"bare store, warm, 1 thread: {said['mean_ns'] / 1000:.2f} us a point read (p50 {said['p50_ns'] / 1000:.2f}, "
        f"p99 {said['p99_ns'] / 1000:.2f}) of {said['value_bytes']} bytes out of {said['keys']:,} keys"
    )


def point_read(setting: Setting) -> Path | None:
    """The program that reads the bare store, built beside the binary."""
    named = os.environ.get("SHIPWAY_POINT_READ")
    path = Path(named) if named else Path(setting.shipway).parent / "examples" / "point_read"
    return path if path.exists() else None


def _visits(keys: int, path: Path) -> None:
    """Events of the last hours, each key as often as every other, in order of time."""
    events = keys * EVENTS_PER_KEY
    random_numbers = numpy.random.default_rng(keys)
    now = pd.Timestamp.now(tz="UTC").value // 1000
    times = now - 6 * 3_600_000_000 + numpy.arange(events) * (5 * 3_600_000_000 // events)
    schema = arrow.schema(
        [("visit_id", arrow.string()), ("visited_at", arrow.timestamp("us", "UTC")), ("member_id", arrow.int64()), ("amount", arrow.float64())]
    )
    members = numpy.concatenate([FIRST + random_numbers.permutation(keys) for _ in range(EVENTS_PER_KEY)])
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, events, 1_000_000):
            part = slice(start, min(start + 1_000_000, events))
            ids = arrow.array(numpy.arange(part.start, part.stop)).cast(arrow.string())
            amounts = arrow.array(members[part].astype("float64"))
            moments = arrow.array(times[part]).cast(schema.field("visited_at").type)
            writer.write_table(arrow.table([ids, moments, arrow.array(members[part]), amounts], schema=schema))


def _check(server: Server, keys: int) -> None:
    """Every key that is looked at has its events: a curve of reads that find nothing would be flat too."""
    members = [FIRST, FIRST + keys - 1, *random.Random(1).sample(range(FIRST, FIRST + keys), 98)]
    asked = {"service": "members", "rows": [{"member_id": member} for member in members]}
    answer = Connection(server).post(READ, json.dumps(asked).encode())
    place = {name: index for index, name in enumerate(answer["columns"])}
    for member, row in zip(members, answer["rows"], strict=True):
        found = row["values"][place["member_visits__count_1d"]], row["values"][place["member_visits__amount_avg_7d"]]
        if found != (EVENTS_PER_KEY, float(member)):
            raise Failed(f"member {member} of {keys:,}: found {found}")


def _curve(lanes: list[Lane]) -> Lane:
    """All sizes as one lane: the smallest is `ours`, so each ratio says how much slower the larger ones are."""
    sides = [Side(lane.name, lane.sides[0].samples) for lane in lanes]
    notes = ["the ratio is the smallest size's throughput over this one's: 1.00 is flat"]
    longest = max(side.median() for side in sides)
    notes += [f"`{side.name:>24} {'#' * max(1, round(40 * side.median() / longest))} {side.median():,.0f}/s`" for side in sides]
    return Lane("reads over the number of keys", "requests/s", False, sides, notes)


