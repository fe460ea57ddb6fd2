"""The demo's training set in DuckDB's best SQL that we know: one window pass per view, and an ASOF join for the latest row.

Spine and events are united and sorted once per key; each window is a RANGE frame whose start is computed per row, because
the tail of a window moves in hops. `1 PRECEDING` is one microsecond: events at q do not count.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

SECOND = 1_000_000
HOPS = {"30m": 30 * SECOND, "1h": 300 * SECOND, "6h": 300 * SECOND, "1d": 3600 * SECOND, "7d": 3600 * SECOND, "30d": 86400 * SECOND}
LENGTHS = {"30m": 1800, "1h": 3600, "6h": 21600, "1d": 86400, "7d": 604800, "30d": 2592000}


def training_set(history: Path, target: Path, threads: int) -> None:
    """Reads the Parquet files in `history` and writes the training set of the whole spine to `target`."""
    connection = duckdb.connect(config={"threads": threads})
    connection.execute("SET preserve_insertion_order = true")
    connection.execute(_query(history, target))
    connection.close()


def _query(history: Path, target: Path) -> str:
    views = [
        _view("origin_traffic", ["origin"], "departures", "departed_at", "dep_delay", _traffic()),
        _view("carrier_punctuality", ["carrier"], "arrivals", "landed_at", "arr_delay", _punctuality()),
        _view("plane_legs", ["tailnum"], "arrivals", "landed_at", "arr_delay, dest, flight_id", _legs()),
        _view("route_history", ["origin", "dest"], "arrivals", "landed_at", "arr_delay", _route()),
    ]
    names = ["origin_traffic", "carrier_punctuality", "plane_legs", "route_history"]
    joins = " ".join(f"JOIN {name} USING (row)" for name in names)
    columns = ", ".join(f"{name}.* EXCLUDE (row)" for name in names)
    return f"""
    COPY (
      WITH spine AS (SELECT row_number() OVER () AS row, epoch_us(q) AS t, * FROM read_parquet('{history}/flights_to_score.parquet')),
      departures AS (SELECT *, epoch_us(departed_at) AS t FROM read_parquet('{history}/departures.parquet')),
      arrivals AS (SELECT *, epoch_us(landed_at) AS t FROM read_parquet('{history}/arrivals.parquet')),
      weather AS (SELECT *, epoch_us(observed_at) AS wt FROM read_parquet('{history}/weather.parquet')),
      {", ".join(views)}
      SELECT spine.* EXCLUDE (row, t), {columns},
        CASE WHEN spine.t - wt <= {3 * 3600 * SECOND} THEN temp END AS origin_weather__temp,
        CASE WHEN spine.t - wt <= {3 * 3600 * SECOND} THEN wind_speed END AS origin_weather__wind_speed,
        CASE WHEN spine.t - wt <= {3 * 3600 * SECOND} THEN precip END AS origin_weather__precip,
        CASE WHEN spine.t - wt <= {3 * 3600 * SECOND} THEN visib END AS origin_weather__visib
      FROM spine {joins}
      ASOF LEFT JOIN weather ON weather.origin = spine.origin AND weather.wt < spine.t
      ORDER BY spine.row
    ) TO '{target}' (FORMAT parquet, COMPRESSION zstd)
    """


def _view(name: str, keys: list[str], events: str, _time: str, columns: str, features: list[str]) -> str:
    key = ", ".join(keys)
    nulls = ", ".join(f"NULL AS {column.strip()}" for column in columns.split(",") if column.strip() not in keys)
    own = ", ".join(column.strip() for column in columns.split(",") if column.strip() not in keys)
    frames = ", ".join(
        f"w{window} AS (PARTITION BY {key} ORDER BY t RANGE BETWEEN "
        f"(t - (t - {LENGTHS[window] * SECOND}) + ((t - {LENGTHS[window] * SECOND}) % {HOPS[window]})) PRECEDING AND 1 PRECEDING)"
        for window in sorted({feature.split("@")[1] for feature in features})
    )
    select = ", ".join(_feature(name, feature) for feature in features)
    if name == "plane_legs":
        own, nulls = "arr_delay, dest AS to_dest, flight_id", "NULL AS arr_delay, NULL AS to_dest, NULL AS flight_id"
    return f"""
      {name} AS (
        SELECT * EXCLUDE (is_event) FROM (
          SELECT row, is_event, {select}
          FROM (SELECT row, false AS is_event, t, {key}, {nulls} FROM spine
                UNION ALL SELECT NULL, true, t, {key}, {own} FROM {events})
          WINDOW {frames}
        ) WHERE NOT is_event
      )"""


def _feature(view: str, feature: str) -> str:
    expression, window = feature.split("@")
    function, column, name = expression.split("|")
    over = f"FILTER (WHERE is_event) OVER w{window}"
    return f"{function}({column}) {over} AS {view}__{name}_{window}"


def _traffic() -> list[str]:
    windows = ["30m", "1h", "6h", "1d"]
    counts = [f"count|*|count@{window}" for window in windows]
    spread = {"avg": "avg", "max": "max", "stddev_pop": "stddev"}
    return counts + [f"{sql}|dep_delay|dep_delay_{name}@{window}" for sql, name in spread.items() for window in windows]


def _punctuality() -> list[str]:
    windows = ["1d", "7d", "30d"]
    counts = [f"count|*|count@{window}" for window in windows]
    return counts + [f"{name}|arr_delay|arr_delay_{name}@{window}" for name in ("avg", "min", "max") for window in windows]


def _legs() -> list[str]:
    return [
        "count|*|count@1d",
        "count|*|count@7d",
        "arg_max|arr_delay, (t, flight_id)|arr_delay_last@1d",
        "arg_max|to_dest, (t, flight_id)|dest_last@1d",
        "count|DISTINCT to_dest|dest_distinct_count@7d",
    ]


def _route() -> list[str]:
    return ["avg|arr_delay|arr_delay_avg@7d", "avg|arr_delay|arr_delay_avg@30d", "count|*|count@30d"]
