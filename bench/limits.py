"""Which limit binds a training set: what this machine does for its bare parts, each measured alone, set beside the whole.

The parts are done by libraries known to be fast, with the same threads: reading the columns, sorting spine and events by key and time,
writing the answer. Memory bandwidth says how far the bytes alone would let any engine go.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy
import pyarrow as arrow
import pyarrow.parquet as parquet
from task import Task, read_task

from measure import Lane, Sample, in_turn
from server import Server
from setting import Setting
from training import Job, Ours

COPIED_BYTES = 512 << 20


def lane(setting: Setting, server: Server, job: Job) -> Lane:
    """Ours and its bare parts in turn."""
    task = read_task(job.definitions, job.service, job.history, job.spine, job.time)
    arrow.set_cpu_count(setting.threads)
    target, copy = setting.out / "limits-ours.parquet", setting.out / "limits-copy.parquet"
    ours = Ours(setting, server, job, target)
    ours.training_set()
    answer = parquet.read_table(target)
    sides = in_turn(
        {
            "Shipway": ours.training_set,
            "scan: read the needed columns": lambda: _timed(lambda: _scan(task)),
            "sort: spine and events of each view by key and time": lambda: _sort(task, setting),
            "write: the answer as Parquet with zstd": lambda: _timed(lambda: parquet.write_table(answer, copy, compression="zstd")),
        },
        setting.runs,
    )
    moved = _bytes_read(task) + answer.nbytes
    bandwidth = _bandwidth(setting.threads)
    parts = {side.name.split(":")[0]: side.median() for side in sides[1:]}
    whole, last = sides[0].median(), sides[0].values[-1]
    binding = max(parts, key=parts.__getitem__)
    notes = [
        f"the parts sum to {sum(parts.values()):.2f} s of our {whole:.2f} s ({sum(parts.values()) / whole:.0%}); the largest is the {binding}",
        f"memory: {bandwidth / 2**30:.1f} GiB/s copied by {setting.threads} thread(s); input columns and answer are {moved / 2**20:,.0f} MiB, "
        f"so bandwidth alone would allow {moved / bandwidth:.3f} s ({moved / bandwidth / whole:.1%} of ours)",
        f"in the last run of {last:.2f} s the server used {ours.processor[-1]:.2f} s of processor time and the client, which writes the file, "
        f"{ours.client_processor[-1]:.2f} s: {(ours.processor[-1] + ours.client_processor[-1]) / last:.2f} of {setting.threads} cores busy",
        "the sort is DuckDB's, in memory, of packed columns; the write is Arrow's, on one thread",
    ]
    target.unlink()
    copy.unlink(missing_ok=True)
    return Lane(f"limits of the {job.name}", "s", True, sides, notes, "share of ours")


def _timed(work: Callable[[], object]) -> Sample:
    began = time.perf_counter()
    work()
    return Sample(time.perf_counter() - began)


def _needed(task: Task) -> dict[Path, list[str]]:
    """The columns of each source that its views need; the whole spine."""
    found = {Path(task.file(task.spine)): parquet.read_schema(task.file(task.spine)).names}
    for source, views in task.sources().items():
        columns = {views[0].time, views[0].event_id, *(key for view in views for key in view.keys)}
        columns |= {feature.column for view in views for feature in view.features if feature.column}
        columns |= {column for view in views for column in view.latest}
        found[Path(task.file(source))] = sorted(columns)
    return found


def _scan(task: Task) -> list[arrow.Table]:
    return [parquet.read_table(path, columns=columns) for path, columns in _needed(task).items()]


def _bytes_read(task: Task) -> int:
    return sum(table.nbytes for table in _scan(task))


def _sort(task: Task, setting: Setting) -> Sample:
    """One sort per view of the rows that its sweep would see; only the sorts are timed."""
    seconds = 0.0
    with duckdb.connect(config={"threads": setting.threads}) as connection:
        for view in task.views:
            keys = ", ".join(view.keys)
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE united AS SELECT {keys}, {task.time} AS t, true AS asks FROM read_parquet('{task.file(task.spine)}') "
                f"UNION ALL SELECT {keys}, {view.time}, false FROM read_parquet('{task.file(view.source)}')"
            )
            began = time.perf_counter()
            connection.execute(f"CREATE OR REPLACE TEMP TABLE sorted AS SELECT * FROM united ORDER BY {keys}, t, asks")
            seconds += time.perf_counter() - began
    return Sample(seconds)


def _bandwidth(threads: int) -> float:
    """Bytes read and written in a second while every thread copies a block of its own; the best of five."""
    blocks = [numpy.ones(COPIED_BYTES // 8 // threads) for _ in range(threads)]
    targets = [numpy.empty_like(block) for block in blocks]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(6):  # the first maps the pages
            began = time.perf_counter()
            list(pool.map(numpy.copyto, targets, blocks))
            best = max(best, 2 * sum(block.nbytes for block in blocks) / (time.perf_counter() - began))
    return best
