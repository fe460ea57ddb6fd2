"""Feast's side: a repository with the demo's views in its SQLite online store, holding the values that it is given.

    python feast_side.py '{"repository": …, "definitions": …, "service": …, "values": …}'

`values` is a JSON file: for each view a list of rows, each with the keys and the features of the view.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import feast
import pandas
from feast.types import Float64, Int64, String
from task import View, read_task

KINDS = {"count": Int64, "distinct_count": Int64, "dest": String}


def main() -> None:
    asked = json.loads(sys.argv[1])
    repository = Path(asked["repository"])
    task = read_task(Path(asked["definitions"]), asked["service"], repository, "", "")
    values = json.loads(Path(asked["values"]).read_text())
    store = feast.FeatureStore(repo_path=str(repository))
    moment = datetime.now(timezone.utc)
    frames = {view.name: pandas.DataFrame(values[view.name]).assign(written_at=moment) for view in task.views}
    keys = sorted({key for view in task.views for key in view.keys})
    entities = {key: feast.Entity(name=key, join_keys=[key], value_type=feast.ValueType.STRING) for key in keys}
    views = [_feature_view(view, entities, frames[view.name], repository) for view in task.views]
    store.apply([*entities.values(), *views, feast.FeatureService(name=asked["service"], features=views)])
    for view in task.views:
        store.write_to_online_store(view.name, frames[view.name])
    print(json.dumps({"version": feast.__version__, "rows": sum(len(frame) for frame in frames.values())}))


def _feature_view(view: View, entities: dict, frame: pandas.DataFrame, repository: Path) -> feast.FeatureView:
    path = repository / f"{view.name}.parquet"
    frame.to_parquet(path)
    return feast.FeatureView(
        name=view.name,
        entities=[entities[key] for key in view.keys],
        ttl=timedelta(0),
        schema=[feast.Field(name=key, dtype=String) for key in view.keys]
        + [feast.Field(name=feature.name, dtype=_kind(feature.operation, feature.column)) for feature in view.features]
        + [feast.Field(name=column, dtype=Float64) for column in view.latest],
        source=feast.FileSource(name=f"{view.name}_source", path=str(path), timestamp_field="written_at"),
        online=True,
    )


def _kind(operation: str, column: str | None) -> object:
    return KINDS.get(operation) or KINDS.get(column or "", Float64)


if __name__ == "__main__":
    main()
