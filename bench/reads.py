"""Do reads stay flat as keys grow? Loads N keys in bulk, reads random ones, and sets the bare store's point read beside it."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy
import pandas as pd
import pyarrow as arrow
import pyarrow.parquet as parquet

from load import Load
from measure import Goal, Lane, Sample, in_turn, progress
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
    """A server for each number of keys, all up at once, asked in turn; then the bare store of each."""
    load = Load(LoadGenerator(setting.cache), setting.out, CONNECTIONS, max(1, setting.threads // 4), setting.seconds)
    servers: dict[int, Server] = {}
    with ExitStack() as stack:
        for keys in FULL_KEYS if setting.full else KEYS:
            progress(f"reads: loading {keys:,} keys")
            path = setting.out / "visits.parquet"
            _visits(keys, path)
            servers[keys] = stack.enter_context(setting.serving(f"reads-{keys}", [("visits", path)], DEFINITIONS))
            path.unlink()
            _check(servers[keys], keys)
        sides: dict[str, Callable[[], Sample]] = {f"{keys:,} keys": _asking(load, server, keys) for keys, server in servers.items()}
        sides["an empty handler"] = lambda: load.run(servers[KEYS[0]].url, "GET", "/healthz", [""])
        measured = in_turn(sides, setting.runs)
        bare = []
        for keys, server in servers.items():
            server.stop()
            bare.append(f"{keys:,} keys: {bare_store(setting, server.data / 'online')}")
    longest = max(side.median() for side in measured[:-1])
    curve = [f"`{side.name:>16} {'#' * max(1, round(40 * side.median() / longest))} {side.median():,.0f}/s`" for side in measured[:-1]]
    about = f"1 view of 8 features, {EVENTS_PER_KEY} events a key, uniformly random keys, warm; the events of 100 keys of each size checked"
    name = f"reads over the number of keys, 1 entity, {CONNECTIONS} connections"
    slowest = min(side.median() for side in measured[:-1])
    goal = Goal("reads stay flat as keys grow", f"the slowest size does {slowest / longest:.0%} of the fastest", slowest >= 0.8 * longest)
    yield Lane(name, "requests/s", False, measured, [about, *curve, *bare], f"{KEYS[0]:,} keys are faster by", [goal])


def _asking(load: Load, server: Server, keys: int) -> Callable[[], Sample]:
    body = '{"service":"members","rows":[{"member_id":@@@@@@@@}]}'
    return lambda: load.run(server.url, "POST", READ, [body], range(FIRST, FIRST + keys))


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
