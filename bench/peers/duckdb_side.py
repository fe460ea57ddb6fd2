"""DuckDB's side, in a process of its own: one training set, or every way to each family against the others. Prints one JSON line.

    python duckdb_side.py '{"definitions": …, "service": …, "history": …, "spine": …, "time": …, "threads": 2, "memory_mib": 1024,
                            "target": …, "ways": {"origin_traffic sums": "sums_by_points", …}}'
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from pathlib import Path

import duckdb
import duckdb_sql
from task import Task, View, read_task


def main() -> None:
    asked = json.loads(sys.argv[1])
    task = read_task(Path(asked["definitions"]), asked["service"], Path(asked["history"]), asked["spine"], asked["time"])
    settings = {"threads": asked["threads"], "memory_limit": f"{asked['memory_mib']}MiB", "temp_directory": asked["scratch"]}
    connection = duckdb.connect(config=settings)
    answer: dict = {"version": duckdb.__version__}
    began = time.perf_counter()
    if asked.get("compare"):
        answer["ways"] = compare(connection, task)
    else:
        training_set(connection, task, Path(asked["target"]), asked["ways"])
    answer["seconds"] = time.perf_counter() - began
    connection.close()
    answer["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(answer))


def training_set(connection: duckdb.DuckDBPyConnection, task: Task, target: Path, ways: dict[str, str]) -> None:
    """Writes the spine with all features beside it, in the spine's order."""
    prepare(connection, task)
    joins, columns = [], []
    for view in task.views:
        if view.latest:
            connection.execute(f"CREATE TEMP TABLE {view.name}__latest AS {duckdb_sql.latest(view)}")
            joins.append(f"{view.name}__latest")
            columns += [f"{joins[-1]}.{column} AS {view.name}__{column}" for column in view.latest]
        for family, features in view.families().items():
            way = getattr(duckdb_sql, ways[f"{view.name} {family}"])
            joins.append(f"{view.name}__{family}")
            connection.execute(f"CREATE TEMP TABLE {joins[-1]} AS {way(view, features)}")
            columns += [f"{joins[-1]}.{feature.name} AS {view.name}__{feature.name}" for feature in features]
    joined = " ".join(f"LEFT JOIN {name} ON {name}.row = spine.row" for name in joins)
    connection.execute(
        f"COPY (SELECT spine.* EXCLUDE (row, t), {', '.join(columns)} FROM spine {joined} ORDER BY spine.row) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    )


def prepare(connection: duckdb.DuckDBPyConnection, task: Task) -> None:
    """The spine with its row numbers, and the needed columns of each source, as tables with times in microseconds."""
    spine = task.file(task.spine)
    connection.execute(
        f"CREATE TEMP TABLE spine AS SELECT file_row_number AS row, epoch_us({task.time}) AS t, * EXCLUDE (file_row_number) "
        f"FROM read_parquet('{spine}', file_row_number = true)"
    )
    for source in dict.fromkeys(view.source for view in task.views):
        views = [view for view in task.views if view.source == source]
        needed = {key for view in views for key in view.keys} | {views[0].event_id} | {column for view in views for column in view.latest}
        needed |= {feature.column for view in views for feature in view.features if feature.column}
        connection.execute(
            f"CREATE TEMP TABLE events_{source} AS SELECT epoch_us({views[0].time}) AS t, {', '.join(sorted(needed))} "
            f"FROM read_parquet('{task.file(source)}')"
        )
    duckdb_sql.TIED.update(view.name for view in task.views if view.latest and _tied(connection, view))


def compare(connection: duckdb.DuckDBPyConnection, task: Task) -> dict[str, dict[str, float | None]]:
    """Seconds of each way to each family; null for one that was stopped at ten times the best so far, and ten seconds more."""
    prepare(connection, task)
    found: dict[str, dict[str, float | None]] = {}
    for view in task.views:
        for family, features in view.families().items():
            taken = found.setdefault(f"{view.name} {family}", {})
            for way in duckdb_sql.WAYS[family]:
                if way is duckdb_sql.last_by_one_asof and _has_null(connection, view, [feature.column for feature in features]):
                    continue
                best = min((seconds for seconds in taken.values() if seconds is not None), default=60.0)
                taken[way.__name__] = _timed(connection, way(view, features), 10 * best + 10)
    return found


def _timed(connection: duckdb.DuckDBPyConnection, query: str, limit: float) -> float | None:
    timer = threading.Timer(limit, connection.interrupt)
    timer.start()
    began = time.perf_counter()
    try:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE tried AS {query}")
        return time.perf_counter() - began
    except (duckdb.InterruptException, duckdb.OutOfMemoryException):
        return None
    finally:
        timer.cancel()


def _has_null(connection: duckdb.DuckDBPyConnection, view: View, columns: list[str | None]) -> bool:
    nulls = " OR ".join(f"{column} IS NULL" for column in columns)
    return bool(connection.execute(f"SELECT count(*) FROM events_{view.source} WHERE {nulls}").fetchone()[0])


def _tied(connection: duckdb.DuckDBPyConnection, view: View) -> bool:
    keys = ", ".join(view.keys)
    query = f"SELECT count(*) FROM (SELECT 1 FROM events_{view.source} GROUP BY {keys}, t HAVING count(*) > 1 LIMIT 1)"
    return bool(connection.execute(query).fetchone()[0])


if __name__ == "__main__":
    main()
