"""Polars' ways to each family of features, lazily, for the streaming engine. Each gives a row per spine row, by `row`.

The same ideas as in `duckdb_sql.py`: cumulative sums by `join_asof`, tiles under `rolling_*_by` for extremes, a join on the last row
before q, a range join for distinct counts. Times are integers, microseconds.
"""

from __future__ import annotations

import polars
from polars import LazyFrame, col
from task import Feature, View, hop

Frames = dict[str, LazyFrame]


def floor(time: polars.Expr, step: int) -> polars.Expr:
    return time - time % step  # Polars' % has the sign of the divisor, so this floors before 1970 too


def tail(time: polars.Expr, feature: Feature) -> polars.Expr:
    return floor(time - feature.length, hop(feature.length))


def by_window(features: list[Feature]) -> dict[str, Feature]:
    return {feature.window: feature for feature in features}


def before(left: LazyFrame, right: LazyFrame, on: str, keys: list[str]) -> LazyFrame:
    """For each row of `left` the last row of `right` of the same keys whose `t` is before `left`'s column `on`."""
    return left.sort(on).join_asof(
        right.sort("t"), left_on=on, right_on="t", by=keys, strategy="backward", allow_exact_matches=False, coalesce=False, check_sortedness=False
    )


def _cumulative(view: View, events: LazyFrame, features: list[Feature]) -> LazyFrame:
    sums = [polars.len().cast(polars.Int64).alias("n")]
    for column in sorted({feature.column for feature in features if feature.column}):
        sums += [col(column).count().cast(polars.Int64).alias(f"n_{column}"), col(column).sum().alias(f"s_{column}")]
        if any(feature.operation == "stddev" and feature.column == column for feature in features):
            sums.append((col(column) * col(column)).sum().alias(f"q_{column}"))
    names = [expression.meta.output_name() for expression in sums]
    running = [col(name).cum_sum().over(view.keys, order_by="t") for name in names]
    return events.group_by([*view.keys, "t"]).agg(sums).select(*view.keys, "t", *running)


def _finish(feature: Feature) -> polars.Expr:
    def between(name: str) -> polars.Expr:
        return col(f"{name}_head").fill_null(0) - col(f"{name}_{feature.window}").fill_null(0)

    column = feature.column
    if feature.operation == "count":
        return between(f"n_{column}" if column else "n").alias(feature.name)
    count, total = between(f"n_{column}"), between(f"s_{column}")
    if feature.operation == "sum":
        value = total
    elif feature.operation == "avg":
        value = total / count
    else:
        squares = between(f"q_{column}")
        value = polars.max_horizontal((squares - total * total / count) / count, polars.lit(0.0)).sqrt()
    return polars.when(count > 0).then(value).alias(feature.name)


def _renamed(frame: LazyFrame, keys: list[str], suffix: str) -> LazyFrame:
    names = [name for name in frame.collect_schema().names() if name not in (*keys, "t")]
    return frame.rename({name: f"{name}_{suffix}" for name in names})


def sums_by_asof(view: View, features: list[Feature], frames: Frames) -> LazyFrame:
    """One `join_asof` for the head and one for the tail of each window."""
    windows = by_window(features)
    cumulative = _cumulative(view, frames[view.source], features)
    asked = frames["spine"].select("row", "t", *view.keys)
    asked = asked.with_columns(**{f"tail_{window}": tail(col("t"), feature) for window, feature in windows.items()})
    found = before(asked, _renamed(cumulative, view.keys, "head"), "t", view.keys).drop("t_right", strict=False)
    for window in windows:
        right = _renamed(cumulative, view.keys, window)
        found = before(found, right.rename({"t": f"at_{window}"}).with_columns(t=col(f"at_{window}")), f"tail_{window}", view.keys)
        found = found.drop("t_right", strict=False)
    return found.select("row", *[_finish(feature) for feature in features])


def sums_by_points(view: View, features: list[Feature], frames: Frames) -> LazyFrame:
    """One `join_asof` for the few distinct moments per key, and equality joins that hand the answers out."""
    windows = by_window(features)
    cumulative = _cumulative(view, frames[view.source], features)
    spine = frames["spine"].select("row", "t", *view.keys)
    moments = [spine.select(*view.keys, at="t")] + [spine.select(*view.keys, at=tail(col("t"), feature)) for feature in windows.values()]
    points = before(polars.concat([moment.unique() for moment in moments]).unique(), cumulative, "at", view.keys).drop("t", strict=False)

    def answers(suffix: str) -> LazyFrame:
        names = [name for name in points.collect_schema().names() if name not in (*view.keys, "at")]
        return points.rename({name: f"{name}_{suffix}" for name in names} | {"at": f"at_{suffix}"})

    found = spine.join(answers("head"), left_on=[*view.keys, "t"], right_on=[*view.keys, "at_head"], how="left")
    for window, feature in windows.items():
        found = found.with_columns(p=tail(col("t"), feature))
        found = found.join(answers(window), left_on=[*view.keys, "p"], right_on=[*view.keys, f"at_{window}"], how="left")
    return found.select("row", *[_finish(feature) for feature in features])


def extremes_by_tiles(view: View, features: list[Feature], frames: Frames) -> LazyFrame:
    """Whole hops as tiles under a rolling window of fixed length, and the begun hop by its running extreme."""
    return _extremes_by_tiles(view, features, frames, frames["spine"].select("row", "t", *view.keys), ["row"])


def extremes_by_tiles_of_distinct(view: View, features: list[Feature], frames: Frames) -> LazyFrame:
    """As `extremes_by_tiles`, but each pair of key and moment is asked once, and the answers are joined back."""
    spine = frames["spine"].select("row", "t", *view.keys)
    asked = spine.select("t", *view.keys).unique()
    answered = _extremes_by_tiles(view, features, frames, asked, [*view.keys, "t"])
    return spine.join(answered, on=[*view.keys, "t"], how="left").select("row", *[feature.name for feature in features])


def _extremes_by_tiles(view: View, features: list[Feature], frames: Frames, found: LazyFrame, identity: list[str]) -> LazyFrame:
    events = frames[view.source]
    for step in sorted({hop(feature.length) for feature in features}):
        own = [feature for feature in features if hop(feature.length) == step]
        pairs = sorted({(feature.operation, feature.column) for feature in own})
        of_tile = [getattr(col(column), operation)().alias(f"{operation}_{column}") for operation, column in pairs]
        tiled = events.with_columns(tile=floor(col("t"), step))
        tiles = tiled.group_by([*view.keys, "tile"]).agg(of_tile).with_columns(asked=False)
        moments = found.select(*view.keys, tile=floor(col("t"), step)).unique().with_columns(asked=True)
        both = polars.concat([tiles, moments], how="diagonal")
        rolling = [
            getattr(col(f"{feature.operation}_{feature.column}"), f"rolling_{feature.operation}_by")(
                "tile", window_size=f"{feature.length}i", closed="left"
            )
            .over(view.keys)
            .alias(feature.name)
            for feature in own
        ]
        whole = both.sort("tile").with_columns(rolling).filter("asked").select(*view.keys, "tile", *[feature.name for feature in own])
        running = [
            getattr(col(f"{operation}_{column}"), f"cum_{operation}")().over([*view.keys, "tile"], order_by="t").alias(f"begun_{operation}_{column}_{step}")
            for operation, column in pairs
        ]
        begun = tiled.group_by([*view.keys, "tile", "t"]).agg(of_tile).select(*view.keys, "tile", "t", *running)
        found = found.with_columns(tile=floor(col("t"), step)).join(whole, on=[*view.keys, "tile"], how="left")
        found = before(found, begun, "t", [*view.keys, "tile"]).drop("tile", "t_right", strict=False)
    pick = {"min": polars.min_horizontal, "max": polars.max_horizontal}
    return found.select(
        *identity,
        *[
            pick[feature.operation](feature.name, f"begun_{feature.operation}_{feature.column}_{hop(feature.length)}").alias(feature.name)
            for feature in features
        ],
    )


def last_by_asof(view: View, features: list[Feature], frames: Frames) -> LazyFrame:
    found = frames["spine"].select("row", "t", *view.keys)
    for column in sorted({feature.column for feature in features if feature.column}):
        values = frames[view.source].filter(col(column).is_not_null()).group_by([*view.keys, "t"])
        values = values.agg(col(column).sort_by(view.event_id).last().alias(f"value_{column}")).with_columns(**{f"at_{column}": col("t")})
        found = before(found, values, "t", view.keys).drop("t_right", strict=False)
    return found.select(
        "row",
        *[polars.when(col(f"at_{feature.column}") >= tail(col("t"), feature)).then(col(f"value_{feature.column}")).alias(feature.name) for feature in features],
    )


def distinct_by_range_join(view: View, features: list[Feature], frames: Frames) -> LazyFrame:
    longest = max(features, key=lambda feature: feature.length)
    spine = frames["spine"].select("row", "t", *view.keys)
    columns = sorted({feature.column for feature in features if feature.column})
    events = frames[view.source].select(*view.keys, *columns, at="t")
    renamed = {column: f"value_{column}" for column in columns}
    joined = spine.select("t", *view.keys).unique().join(events.rename(renamed), on=view.keys)
    joined = joined.filter(col("at") < col("t"), col("at") >= tail(col("t"), longest))
    counts = [
        col(f"value_{feature.column}").filter(col("at") >= tail(col("t"), feature)).drop_nulls().n_unique().cast(polars.Int64).alias(feature.name)
        for feature in features
    ]
    counted = joined.group_by([*view.keys, "t"]).agg(counts)
    names = [feature.name for feature in features]
    return spine.join(counted, on=[*view.keys, "t"], how="left").select("row", *[col(name).fill_null(0) for name in names])


def latest(view: View, frames: Frames) -> LazyFrame:
    rows = frames[view.source].select(*view.keys, "t", view.event_id, *[col(column).alias(f"value_{column}") for column in view.latest])
    rows = rows.sort("t", view.event_id).with_columns(at="t")
    found = before(frames["spine"].select("row", "t", *view.keys), rows, "t", view.keys)
    fresh = polars.lit(True) if view.ttl is None else col("t") - col("at") <= view.ttl
    return found.select("row", *[polars.when(fresh).then(col(f"value_{column}")).alias(column) for column in view.latest])


WAYS = {
    "sums": [sums_by_points, sums_by_asof],
    "extremes": [extremes_by_tiles, extremes_by_tiles_of_distinct],
    "last": [last_by_asof],
    "distinct": [distinct_by_range_join],
}
