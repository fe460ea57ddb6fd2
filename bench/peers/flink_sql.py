"""The views of a service as Flink SQL, from the same YAML definitions that Shipway applies.

Windows are hopping windows (`HOP`) whose size is the window and whose slide is our hop: a result at the end of a window is what we answer
at that moment. Flink writes a row for each key when a window ends; between two ends it says nothing, where we answer at any moment, with the
head of the window exact. `OVER` windows say something at every event, but keep every event of 30 days and go through them for each
one; they were no way to 30 days. A query has windows of one size, so a view of three windows is three queries, and what belongs to one key
comes in three rows. `LAST_VALUE` is refused in hopping windows (it cannot be merged, and would go by the order of arrival), so the last value is cut out
of the greatest text that begins with its moment. The latest row of a key is the first by `ROW_NUMBER()`; that it is nothing any more after its `ttl` cannot be said: Flink's
time to live of states counts from when a row came, not from when it happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml
from task import Feature, Task, View, hop

TYPES = {"text": "STRING", "timestamp": "TIMESTAMP_LTZ(3)", "float": "DOUBLE", "int": "BIGINT"}
CALLS = {"avg": "AVG", "sum": "SUM", "min": "MIN", "max": "MAX", "stddev": "STDDEV_POP"}
# How many letters a moment has as text: 2026-11-29 02:47:01.125
MOMENT_LETTERS = 23
COUNTED = {"count", "distinct_count"}
SECOND = 1_000_000
UNITS = [("DAY", 86_400), ("HOUR", 3_600), ("MINUTE", 60), ("SECOND", 1)]


@dataclass(frozen=True)
class Kafka:
    """Where the topics are: `topics` by source; where the results go, if anybody reads them."""

    bootstrap: str
    group: str
    topics: dict[str, str]
    results: str | None = None


@dataclass(frozen=True)
class Query:
    """One query, and the table that it writes to."""

    name: str
    sink: str
    insert: str


@dataclass(frozen=True)
class Job:
    """What is stated before the queries, and the queries. They share the reading of a topic."""

    tables: list[str]
    queries: list[Query]


def job(task: Task, definitions: Path, kafka: Kafka, once: bool) -> Job:
    """All views of the task. With `once`, an event whose id was there before is left out first.

    With `results` the job writes to the topic `<results>.<query>` what its windows were at their ends; else to a sink that forgets it.
    """
    columns = _columns(definitions)
    tables, queries = [], []
    for source, views in task.sources().items():
        tables.append(_source(source, columns[source], views[0], kafka))
        if once:
            tables.append(_once(source, columns[source], views[0]))
        for view in views:
            queries += _queries(view, columns[source], f"{source}_once" if once else source, kafka)
    return Job([*tables, *(query.sink for query in queries)], queries)


def _source(source: str, columns: dict[str, str], view: View, kafka: Kafka) -> str:
    named = [f"`{name}` {TYPES[kind]}" for name, kind in columns.items()]
    named += ["`taken_in` AS PROCTIME()", f"WATERMARK FOR `{view.time}` AS `{view.time}` - INTERVAL '5' SECOND"]
    options = {
        **{"connector": "kafka", "topic": kafka.topics[source], "properties.bootstrap.servers": kafka.bootstrap, "properties.group.id": kafka.group},
        **{"scan.startup.mode": "earliest-offset", "format": "json", "json.timestamp-format.standard": "ISO-8601"},
    }
    return _table(source, named, options)


def _once(source: str, columns: dict[str, str], view: View) -> str:
    listed = ", ".join(f"`{name}`" for name in columns)
    return (
        f"CREATE TEMPORARY VIEW `{source}_once` AS SELECT {listed} FROM "
        f"(SELECT *, ROW_NUMBER() OVER (PARTITION BY `{view.event_id}` ORDER BY `taken_in`) AS `place` FROM `{source}`) WHERE `place` = 1"
    )


def _queries(view: View, columns: dict[str, str], table: str, kafka: Kafka) -> list[Query]:
    if view.latest:
        return [_latest(view, columns, table, kafka)]
    found: dict[str, list[Feature]] = {}
    for feature in view.features:
        found.setdefault(feature.window, []).append(feature)
    return [_windowed(view, columns, table, window, features, kafka) for window, features in found.items()]


def _windowed(view: View, columns: dict[str, str], table: str, window: str, features: list[Feature], kafka: Kafka) -> Query:
    name = f"{view.name}_{window}"
    keys = ", ".join(f"`{key}`" for key in view.keys)
    calls = ", ".join(f"{_call(feature, view, columns)} AS `{feature.name}`" for feature in features)
    length = features[0].length
    select = (
        f"SELECT {keys}, `window_end`, {calls} FROM TABLE(HOP(TABLE `{table}`, DESCRIPTOR(`{view.time}`), {_interval(hop(length))}, {_interval(length)})) "
        f"GROUP BY {keys}, `window_start`, `window_end`"
    )
    named = [f"`{key}` {TYPES[columns[key]]}" for key in view.keys]
    named += ["`window_end` TIMESTAMP(3)", *(f"`{feature.name}` {_type(feature, columns)}" for feature in features)]
    return Query(name, _sink(name, named, kafka), f"INSERT INTO `{name}` {select}")


def _latest(view: View, columns: dict[str, str], table: str, kafka: Kafka) -> Query:
    keys = ", ".join(f"`{key}`" for key in view.keys)
    listed = ", ".join(f"`{name}`" for name in [*view.keys, *view.latest])
    select = (
        f"SELECT {listed} FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY `{view.time}` DESC) AS `place` FROM `{table}`) WHERE `place` = 1"
    )
    named = [f"`{name}` {TYPES[columns[name]]}" for name in [*view.keys, *view.latest]]
    return Query(view.name, _sink(view.name, named, kafka, keys), f"INSERT INTO `{view.name}` {select}")


def _sink(name: str, named: list[str], kafka: Kafka, keys: str | None = None) -> str:
    """A table that forgets what is written to it, or a topic; a table whose rows replace each other by `keys` has them as its key."""
    if kafka.results is None:
        return _table(name, named, {"connector": "blackhole"})
    options = {"topic": f"{kafka.results}.{name}", "properties.bootstrap.servers": kafka.bootstrap}
    if keys is None:
        return _table(name, named, {"connector": "kafka", **options, "format": "json"})
    named = [*named, f"PRIMARY KEY ({keys}) NOT ENFORCED"]
    return _table(name, named, {"connector": "upsert-kafka", **options, "key.format": "json", "value.format": "json"})


def _table(name: str, named: list[str], options: dict[str, str]) -> str:
    settings = ", ".join(f"'{key}' = '{value}'" for key, value in options.items())
    return f"CREATE TEMPORARY TABLE `{name}` ({', '.join(named)}) WITH ({settings})"


def _call(feature: Feature, view: View, columns: dict[str, str]) -> str:
    if feature.column is None:
        return "COUNT(*)"
    if feature.operation == "distinct_count":
        return f"COUNT(DISTINCT `{feature.column}`)"
    if feature.operation == "last":
        dated = f"CAST(`{view.time}` AS STRING) || CAST(`{feature.column}` AS STRING)"
        return f"CAST(SUBSTRING(MAX({dated}) FROM {MOMENT_LETTERS + 1}) AS {TYPES[columns[feature.column]]})"
    return f"{CALLS[feature.operation]}(`{feature.column}`)"


def _type(feature: Feature, columns: dict[str, str]) -> str:
    if feature.operation in COUNTED or feature.column is None:
        return "BIGINT"
    return TYPES[columns[feature.column]]


def _interval(length: int) -> str:
    """A length in microseconds, in the greatest unit that has a whole number of it."""
    seconds = length // SECOND
    unit, size = next((unit, size) for unit, size in UNITS if seconds % size == 0)
    return f"INTERVAL '{seconds // size}' {unit}"


def _columns(definitions: Path) -> dict[str, dict[str, str]]:
    """The columns of each source with their types."""
    documents = [document for file in sorted(definitions.glob("*.yaml")) for document in yaml.safe_load_all(file.read_text()) if document]
    return {document["name"]: document["columns"] for document in documents if document["kind"] == "source"}
