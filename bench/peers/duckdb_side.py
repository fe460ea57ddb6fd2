"""DuckDB's side, in a process of its own: one training set, or every way to each family against the others. Prints one JSON line.

    python duckdb_side.py '{"definitions": …, "service": …, "history": …, "spine": …, "time": …, "threads": 2, "memory_mib": 1024,
                            "target": …, "ways": {"origin_traffic sums": "sums_by_points", …}}'
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import duckdb
import duckdb_sql
from task import Task, View, peak_mib, read_task


def main() -> None:
    asked = json.loads(sys.argv[1])
    task = read_task(Path(asked["definitions"]), asked["service"], Path(asked["history"]), asked["spine"], asked["time"])
    settings = {"threads": asked["threads"], "memory_limit": f"{asked['memory_mib']}MiB", "temp_directory": asked["scratch"]}
    connection = duckdb.connect(config=settings)
    answer: dict = {"version": duckdb.__version__}
    tied = {view.name for view in task.views if view.latest and _tied(task, view)}
    began = time.perf_counter()
    if asked.get("compare"):
        answer["ways"] = compare(connection, task)
    else:
        training_set(connection, task, Path(asked["target"]), asked["ways"], tied)
    answer["seconds"] = time.perf_counter() - began
    connection.close()
    answer["peak_mib"] = peak_mib()
    print(json.dumps(answer))


def training_set(connection: duckdb.DuckDBPyConnection, task: Task, target: Path, ways: dict[str, str], tied: set[str]) -> None:
    """Writes the spine with all features beside it, in the spine's order."""
    prepare(connection, task)
    joins, columns = [], []
    for view in task.views:
        if view.latest:
            _, join, selected = duckdb_sql.latest(view, view.name in tied)
            joins.append(join)
            columns += selected
        for family, features in view.families().items():
            way = getattr(duckdb_sql, ways[f"{view.name} {family}"])
            name = f"{view.name}__{family}"
            connection.execute(f"CREATE TEMP TABLE {name} AS {way(view, features)}")
            joins.insert(0, f"LEFT JOIN {name} ON {name}.row = spine.row")
            columns += [f"{name}.{feature.name} AS {view.name}__{feature.name}" for feature in features]
    connection.execute(
        f"COPY (SELECT spine.* EXCLUDE (row, t), {', '.join(columns)} FROM spine {' '.join(joins)} ORDER BY spine.row) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    )


def prepare(connection: duckdb.DuckDBPyConnection, task: Task) -> None:
    """The spine with its row numbers, and the needed columns of each source, with times in microseconds.

    What is read more than once becomes a table, what is read once stays a view over the file.
    """
    uses = {source: sum(len(view.families()) + bool(view.latest) for view in task.views if view.source == source) for source in task.sources()}
    connection.execute(
        f"CREATE TEMP {'TABLE' if sum(uses.values()) > 1 else 'VIEW'} spine AS "
        f"SELECT file_row_number AS row, epoch_us({task.time}) AS t, * EXCLUDE (file_row_number) "
        f"FROM read_parquet('{task.file(task.spine)}', file_row_number = true)"
    )
    for source, views in task.sources().items():
        needed = {key for view in views for key in view.keys} | {column for view in views for column in view.latest} | {views[0].event_id}
        needed |= {feature.column for view in views for feature in view.features if feature.column}
        if not any(view.latest or "last" in view.families() for view in views):
            needed -= {views[0].event_id}
        connection.execute(
            f"CREATE TEMP {'TABLE' if uses[source] > 1 else 'VIEW'} events_{source} AS "
            f"SELECT epoch_us({views[0].time}) AS t, {', '.join(sorted(needed))} FROM read_parquet('{task.file(source)}')"
        )


def compare(connection: duckdb.DuckDBPyConnection, task: Task) -> dict[str, dict[str, float | str]]:
    """Seconds of each way to each family; words for one that ran out of memory, or was stopped because a better one had ended long before."""
    prepare(connection, task)
    found: dict[str, dict[str, float | str]] = {}
    for view in task.views:
        for family, features in view.families().items():
            taken = found.setdefault(f"{view.name} {family}", {})
            for way in duckdb_sql.WAYS[family]:
                if way is duckdb_sql.last_by_one_asof and _has_null(connection, view, [feature.column for feature in features]):
                    continue
                best = min((seconds for seconds in taken.values() if isinstance(seconds, float)), default=600.0)
                taken[way.__name__] = _timed(connection, way(view, features), 1.5 * best + 5)
    return found


def _timed(connection: duckdb.DuckDBPyConnection, query: str, limit: float) -> float | str:
    timer = threading.Timer(limit, connection.interrupt)
    timer.start()
    began = time.perf_counter()
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE tried AS {query}")
        return time.perf_counter() - began
    except duckdb.InterruptException:
        return f"stopped after {limit:.0f} s"
    except duckdb.OutOfMemoryException:
        return "out of memory"
    finally:
        timer.cancel()


def _has_null(connection: duckdb.DuckDBPyConnection, view: View, columns: list[str | None]) -> bool:
    nulls = " OR ".join(f"{column} IS NULL" for column in columns)
    return bool(connection.execute(f"SELECT count(*) FROM events_{view.source} WHERE {nulls}").fetchone()[0])


def _tied(task: Task, view: View) -> bool:
    """Whether two events of one key share a moment: a property of the data, looked up before the clock starts."""
    keys = ", ".join(view.keys)
    query = f"SELECT 1 FROM read_parquet('{task.file(view.source)}') GROUP BY {keys}, {view.time} HAVING count(*) > 1 LIMIT 1"
    with duckdb.connect() as connection:
        return connection.execute(query).fetchone() is not None


if __name__ == "__main__":
    main()
