"""DuckDB's ways to each family of features, as SQL. Each makes one table: a row per spine row that it can answer, by `row`.

`spine` has `row`, the keys and `t`; `events_<source>` has the keys, `t`, the event id and the columns: times in microseconds.
The ways differ in cost only: `variants.py` times them against each other, and the training set takes the fastest of each family.
"""

from __future__ import annotations

from collections.abc import Callable

from task import Feature, View, hop

Way = Callable[[View, list[Feature]], str]


def floor(time: str, step: int) -> str:
    """`time` floored to a multiple of `step`, towards minus infinity."""
    return f"({time} - (({time} % {step}) + {step}) % {step})"


def tail(time: str, feature: Feature) -> str:
    return floor(f"({time} - {feature.length})", hop(feature.length))


def by_window(features: list[Feature]) -> dict[str, Feature]:
    """One feature of each window, by the window's name."""
    return {feature.window: feature for feature in features}


def same_keys(left: str, right: str, keys: list[str]) -> str:
    return " AND ".join(f"{left}.{key} = {right}.{key}" for key in keys)


# The plain way, for every family: spine and events united, sorted once, a RANGE frame whose start is computed per row.
# `1 PRECEDING` is one microsecond: events at q do not count.

AGGREGATES = {
    "count": "count({0})", "sum": "sum({0})", "avg": "avg({0})", "stddev": "stddev_pop({0})", "min": "min({0})", "max": "max({0})",
    "last": "arg_max({0}, (t, {1}))", "distinct_count": "count(DISTINCT {0})",
}  # fmt: skip


def frames(view: View, features: list[Feature]) -> str:
    return _frames(view, features, "spine", "row")


def frames_of_distinct(view: View, features: list[Feature]) -> str:
    """As `frames`, but each pair of key and moment is asked once, and the answers are joined back."""
    keys = ", ".join(view.keys)
    inner = _frames(view, features, "asked", "NULL AS row")
    names = ", ".join(feature.name for feature in features)
    return f"""
    WITH asked AS (SELECT DISTINCT {keys}, t FROM spine), answered AS ({inner})
    SELECT row, {names} FROM spine JOIN answered USING ({keys}, t)"""


def _frames(view: View, features: list[Feature], spine: str, row: str) -> str:
    keys = ", ".join(view.keys)
    columns = sorted({feature.column for feature in features if feature.column})
    names = [f"{column} AS v_{column}" for column in columns]
    nulls = [f"NULL AS v_{column}" for column in columns]
    if any(feature.operation == "last" for feature in features):
        names.append(view.event_id)
        nulls.append(f"NULL AS {view.event_id}")
    selected = ", ".join(
        f"{AGGREGATES[feature.operation].format('v_' + feature.column if feature.column else '*', view.event_id)} "
        f"FILTER (WHERE is_event) OVER w{feature.window} AS {feature.name}"
        for feature in features
    )
    windows = ", ".join(
        f"w{window} AS (PARTITION BY {keys} ORDER BY t RANGE BETWEEN (t - {tail('t', feature)}) PRECEDING AND 1 PRECEDING)"
        for window, feature in by_window(features).items()
    )
    return f"""
    SELECT * EXCLUDE (is_event) FROM (
      SELECT {"row" if row == "row" else keys + ", t"}, is_event, {selected} FROM (
        SELECT {", ".join([row, "false AS is_event", "t", keys, *nulls])} FROM {spine}
        UNION ALL SELECT {", ".join(["NULL", "true", "t", keys, *names])} FROM events_{view.source}
      ) WINDOW {windows}
    ) WHERE NOT is_event"""


# Sums: cumulative sums per key, looked up at the head and at the floored tail of each window.


def _cumulative(view: View, features: list[Feature]) -> str:
    keys = ", ".join(view.keys)
    columns = sorted({feature.column for feature in features if feature.column})
    squared = {feature.column for feature in features if feature.operation == "stddev"}
    sums, running = ["count(*) AS n"], ["sum(n) OVER w AS n"]
    for column in columns:
        sums += [f"count({column}) AS n_{column}", f"sum({column}) AS s_{column}"]
        running += [f"sum(n_{column}) OVER w AS n_{column}", f"sum(s_{column}) OVER w AS s_{column}"]
        if column in squared:
            sums.append(f"sum({column} * {column}) AS q_{column}")
            running.append(f"sum(q_{column}) OVER w AS q_{column}")
    return f"""
      SELECT {keys}, t, {", ".join(running)}
      FROM (SELECT {keys}, t, {", ".join(sums)} FROM events_{view.source} GROUP BY ALL)
      WINDOW w AS (PARTITION BY {keys} ORDER BY t ROWS UNBOUNDED PRECEDING)"""


def _finish(feature: Feature) -> str:
    """The feature out of what is cumulated at the head (`h`) less what is at the tail (`w<window>`)."""

    def between(name: str) -> str:
        return f"(coalesce(h.{name}, 0) - coalesce(w{feature.window}.{name}, 0))"

    column = feature.column
    if feature.operation == "count":
        return f"CAST({between('n_' + column if column else 'n')} AS BIGINT) AS {feature.name}"
    count, total = f"nullif({between('n_' + column)}, 0)", between("s_" + column)
    if feature.operation == "sum":
        return f"CASE WHEN {between('n_' + column)} > 0 THEN {total} END AS {feature.name}"
    if feature.operation == "avg":
        return f"{total} / {count} AS {feature.name}"
    variance = f"greatest(({between('q_' + column)} - {total} * {total} / {count}) / {count}, 0)"
    return f"CASE WHEN {between('n_' + column)} > 0 THEN sqrt({variance}) END AS {feature.name}"


def sums_by_asof(view: View, features: list[Feature]) -> str:
    """One ASOF join for the head and one for the tail of each window."""
    windows = by_window(features)
    tails = ", ".join(f"{tail('t', feature)} AS tail_{window}" for window, feature in windows.items())
    joins = " ".join(
        f"ASOF LEFT JOIN cumulative AS w{window} ON {same_keys('spine', f'w{window}', view.keys)} AND spine.tail_{window} > w{window}.t"
        for window in windows
    )
    return f"""
    WITH cumulative AS MATERIALIZED ({_cumulative(view, features)})
    SELECT row, {", ".join(_finish(feature) for feature in features)}
    FROM (SELECT *, {tails} FROM spine) AS spine
    ASOF LEFT JOIN cumulative AS h ON {same_keys("spine", "h", view.keys)} AND spine.t > h.t {joins}"""


def sums_by_points(view: View, features: list[Feature]) -> str:
    """Heads and tails are few distinct moments per key: one ASOF join answers them all, and equality joins hand them out."""
    keys = ", ".join(view.keys)
    windows = by_window(features)
    moments = " UNION ".join([f"SELECT {keys}, t FROM spine"] + [f"SELECT {keys}, {tail('t', feature)} FROM spine" for feature in windows.values()])
    joins = " ".join(
        f"LEFT JOIN points AS w{window} ON {same_keys('spine', f'w{window}', view.keys)} AND {tail('spine.t', feature)} = w{window}.t"
        for window, feature in windows.items()
    )
    return f"""
    WITH cumulative AS ({_cumulative(view, features)}), moments AS ({moments}),
    points AS MATERIALIZED (
      SELECT moments.*, cumulative.* EXCLUDE ({keys}, t) FROM moments
      ASOF JOIN cumulative ON {same_keys("moments", "cumulative", view.keys)} AND moments.t > cumulative.t)
    SELECT row, {", ".join(_finish(feature) for feature in features)}
    FROM spine LEFT JOIN points AS h ON {same_keys("spine", "h", view.keys)} AND spine.t = h.t {joins}"""


# Extremes: the whole hops of a window as tiles under a frame of fixed length, and the begun hop by its running extreme.


def extremes_by_tiles(view: View, features: list[Feature]) -> str:
    return _extremes_by_tiles(view, features, "spine", "spine.row")


def extremes_by_tiles_of_distinct(view: View, features: list[Feature]) -> str:
    """As `extremes_by_tiles`, but each pair of key and moment is asked once, and the answers are joined back."""
    keys = ", ".join(view.keys)
    answered = _extremes_by_tiles(view, features, f"(SELECT DISTINCT {keys}, t FROM spine)", ", ".join(f"spine.{key}" for key in [*view.keys, "t"]))
    return f"SELECT row, {', '.join(feature.name for feature in features)} FROM spine JOIN ({answered}) USING ({keys}, t)"


def _extremes_by_tiles(view: View, features: list[Feature], asked: str, identity: str) -> str:
    keys = ", ".join(view.keys)
    pieces: list[str] = []
    joins: list[str] = []
    for step in sorted({hop(feature.length) for feature in features}):
        own = [feature for feature in features if hop(feature.length) == step]
        pairs = sorted({(feature.operation, feature.column) for feature in own})
        tiles = ", ".join(f"{operation}({column}) AS {operation}_{column}" for operation, column in pairs)
        nulls = ", ".join(f"NULL AS {operation}_{column}" for operation, column in pairs)
        running = ", ".join(f"{operation}({column}) OVER w AS {operation}_{column}" for operation, column in pairs)
        framed = ", ".join(f"{feature.operation}({feature.operation}_{feature.column}) OVER w{feature.window} AS {feature.name}" for feature in own)
        windows = ", ".join(
            f"w{window} AS (PARTITION BY {keys} ORDER BY tile RANGE BETWEEN {feature.length} PRECEDING AND 1 PRECEDING)"
            for window, feature in by_window(own).items()
        )
        pieces.append(f"""
        begun_{step} AS (
          SELECT {keys}, {floor("t", step)} AS tile, t, {running} FROM events_{view.source}
          WINDOW w AS (PARTITION BY {keys}, {floor("t", step)} ORDER BY t ROWS UNBOUNDED PRECEDING)
          QUALIFY t IS DISTINCT FROM lead(t) OVER w),
        whole_{step} AS (
          SELECT * EXCLUDE (asked) FROM (
            SELECT {keys}, tile, asked, {framed} FROM (
              SELECT {keys}, {floor("t", step)} AS tile, false AS asked, {tiles} FROM events_{view.source} GROUP BY ALL
              UNION ALL SELECT DISTINCT {keys}, {floor("t", step)}, true, {nulls} FROM spine)
            WINDOW {windows})
          WHERE asked)""")
        joins.append(f"""
        ASOF LEFT JOIN begun_{step} ON {same_keys("spine", f"begun_{step}", view.keys)}
          AND {floor("spine.t", step)} = begun_{step}.tile AND spine.t > begun_{step}.t
        LEFT JOIN whole_{step} ON {same_keys("spine", f"whole_{step}", view.keys)} AND {floor("spine.t", step)} = whole_{step}.tile""")
    pick = {"min": "least", "max": "greatest"}
    selected = ", ".join(
        f"{pick[feature.operation]}(whole_{hop(feature.length)}.{feature.name}, "
        f"begun_{hop(feature.length)}.{feature.operation}_{feature.column}) AS {feature.name}"
        for feature in features
    )
    return f"WITH {', '.join(pieces)} SELECT {identity}, {selected} FROM {asked} AS spine {' '.join(joins)}"


# Last values: the last row before q, if it is not older than the tail.


def last_by_asof(view: View, features: list[Feature]) -> str:
    """One ASOF join for each column, because nulls are skipped column by column."""
    keys = ", ".join(view.keys)
    columns = sorted({feature.column for feature in features if feature.column})
    pieces = ", ".join(
        f"l_{column} AS (SELECT {keys}, t, arg_max({column}, {view.event_id}) AS value FROM events_{view.source} "
        f"WHERE {column} IS NOT NULL GROUP BY ALL)"
        for column in columns
    )
    joins = " ".join(f"ASOF LEFT JOIN l_{column} ON {same_keys('spine', f'l_{column}', view.keys)} AND spine.t > l_{column}.t" for column in columns)
    selected = ", ".join(
        f"CASE WHEN l_{feature.column}.t >= {tail('spine.t', feature)} THEN l_{feature.column}.value END AS {feature.name}" for feature in features
    )
    return f"WITH {pieces} SELECT spine.row, {selected} FROM spine {joins}"


def last_by_one_asof(view: View, features: list[Feature]) -> str:
    """One ASOF join for all columns: right only where no column has a null, which `variants.py` looks at."""
    keys = ", ".join(view.keys)
    columns = sorted({feature.column for feature in features if feature.column})
    values = ", ".join(f"arg_max({column}, {view.event_id}) AS {column}" for column in columns)
    selected = ", ".join(f"CASE WHEN l.t >= {tail('spine.t', feature)} THEN l.{feature.column} END AS {feature.name}" for feature in features)
    return f"""
    WITH l AS (SELECT {keys}, t, {values} FROM events_{view.source} GROUP BY {keys}, t)
    SELECT spine.row, {selected} FROM spine ASOF LEFT JOIN l ON {same_keys("spine", "l", view.keys)} AND spine.t > l.t"""


# Distinct counts: the events of a window by a range join, counted per spine row.


def distinct_by_range_join(view: View, features: list[Feature]) -> str:
    keys = ", ".join(view.keys)
    longest = max(features, key=lambda feature: feature.length)
    selected = ", ".join(f"count(DISTINCT e.{feature.column}) FILTER (WHERE e.t >= {tail('a.t', feature)}) AS {feature.name}" for feature in features)
    asked = ", ".join(f"a.{key}" for key in view.keys)
    return f"""
    WITH asked AS (SELECT DISTINCT {keys}, t FROM spine), answered AS (
      SELECT {asked}, a.t, {selected} FROM asked AS a LEFT JOIN events_{view.source} AS e
      ON {same_keys("a", "e", view.keys)} AND e.t < a.t AND e.t >= {tail("a.t", longest)} GROUP BY {asked}, a.t)
    SELECT row, {", ".join(feature.name for feature in features)} FROM spine JOIN answered USING ({keys}, t)"""


WAYS: dict[str, list[Way]] = {
    "sums": [sums_by_points, sums_by_asof, frames_of_distinct, frames],
    "extremes": [extremes_by_tiles, extremes_by_tiles_of_distinct, frames_of_distinct, frames],
    "last": [last_by_one_asof, last_by_asof, frames],
    "distinct": [distinct_by_range_join, frames_of_distinct, frames],
}


def latest(view: View, tied: bool) -> tuple[str, str, list[str]]:
    """The last row before q that is not older than the ttl, all columns from that one row: its relation, its join, its columns.

    Only a source with two events of one key at one moment (`tied`) pays for the order by event id.
    """
    keys = ", ".join(view.keys)
    if tied:
        rows = ", ".join(f"arg_max(struct_pack(v := {column}), {view.event_id}).v AS {column}" for column in view.latest)
        relation = f"(SELECT {keys}, t, {rows} FROM events_{view.source} GROUP BY {keys}, t)"
    else:
        relation = f"(SELECT {keys}, t, {', '.join(view.latest)} FROM events_{view.source})"
    name = f"latest_{view.name}"
    join = f"ASOF LEFT JOIN {relation} AS {name} ON {same_keys('spine', name, view.keys)} AND spine.t > {name}.t"
    fresh = "true" if view.ttl is None else f"spine.t - {name}.t <= {view.ttl}"
    return name, join, [f"CASE WHEN {fresh} THEN {name}.{column} END AS {view.name}__{column}" for column in view.latest]
