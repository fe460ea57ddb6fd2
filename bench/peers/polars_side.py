"""Polars' side, in a process of its own, with the same request and answer as `duckdb_side.py`. Polars has no memory limit to set."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

ASKED = json.loads(sys.argv[1])
os.environ["POLARS_MAX_THREADS"] = str(ASKED["threads"])  # read once, when Polars is imported

import polars  # noqa: E402
import polars_frames  # noqa: E402
from task import Task, peak_mib, read_task  # noqa: E402


def main() -> None:
    task = read_task(Path(ASKED["definitions"]), ASKED["service"], Path(ASKED["history"]), ASKED["spine"], ASKED["time"])
    answer: dict = {"version": polars.__version__, "threads": polars.thread_pool_size()}
    began = time.perf_counter()
    if ASKED.get("compare"):
        answer["ways"] = compare(task)
    else:
        training_set(task, Path(ASKED["target"]), ASKED["ways"])
    answer["seconds"] = time.perf_counter() - began
    answer["peak_mib"] = peak_mib()
    print(json.dumps(answer))


def read(task: Task) -> polars_frames.Frames:
    """The spine with its row numbers, and each source, with times as integers."""
    frames = {"spine": polars.scan_parquet(task.file(task.spine)).with_row_index("row").with_columns(t=polars.col(task.time).dt.epoch("us"))}
    for view in task.views:
        events = polars.scan_parquet(task.file(view.source))
        frames[view.source] = events.with_columns(t=polars.col(view.time).dt.epoch("us"))
    return frames


def training_set(task: Task, target: Path, ways: dict[str, str]) -> None:
    """Writes the spine with all features beside it, in the spine's order: family by family, then side by side by row."""
    frames = read(task)
    parts = [frames["spine"].drop("t").collect(engine="streaming")]
    for view in task.views:
        if view.latest:
            parts.append(_in_order(polars_frames.latest(view, frames), view.name))
        for family, features in view.families().items():
            way = getattr(polars_frames, ways[f"{view.name} {family}"])
            parts.append(_in_order(way(view, features, frames), view.name))
    polars.concat(parts, how="horizontal").drop("row").write_parquet(target, compression="zstd")


def _in_order(frame: polars.LazyFrame, view: str) -> polars.DataFrame:
    features = polars.all().exclude("row").name.prefix(f"{view}__")
    return frame.sort("row").select(features).collect(engine="streaming")


def compare(task: Task) -> dict[str, dict[str, float]]:
    """Seconds of each way to each family."""
    frames = read(task)
    found: dict[str, dict[str, float]] = {}
    for view in task.views:
        for family, features in view.families().items():
            for way in polars_frames.WAYS[family]:
                began = time.perf_counter()
                _in_order(way(view, features, frames), view.name)
                found.setdefault(f"{view.name} {family}", {})[way.__name__] = time.perf_counter() - began
    return found


if __name__ == "__main__":
    main()
