"""The lanes of `make bench`, by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet

import limits
import live
import scaled_data
import training
from flights import Periods, make_tables
from flink import flink
from flow import flow
from gateway import gateway
from gateway_scorecard import scorecard
from measure import Lane, NotMeasured
from online import online
from predicting import predicting
from reads import reads
from recovery import recovery
from server import Server
from serving import serving
from setting import DEMO, HERE, Setting
from tracking import tracking

SCALED = HERE / "definitions" / "scaled"


def demo_training(setting: Setting) -> Iterator[Lane]:
    """The demo's training set, 40 features out of 5 views for every flight of a year, and what bounds it."""
    with _year_served(setting) as (server, job):
        yield training.lane(setting, server, job, {"DuckDB": 5, "Polars": 5})
        yield limits.lane(setting, server, job)


def predict_and_ingest(setting: Setting) -> Iterator[Lane]:
    """A model trained on the demo's training set answers; events come in."""
    with _year_served(setting) as (server, job):
        path = setting.out / "training-set.parquet"
        training.Ours(setting, server, job, path).training_set()
        yield live.predict(setting, server, path)
        yield live.ingest(setting, server)


@contextmanager
def _year_served(setting: Setting) -> Iterator[tuple[Server, training.Job]]:
    history = year_of_flights(setting.out / "history")
    with setting.serving("year", [(path.stem, path) for path in sorted(history.glob("*.parquet"))]) as server:
        yield server, training.Job("training set, demo", DEMO, "late_arrivals", history, "flights_to_score", "q")


def scaled_training(setting: Setting) -> Iterator[Lane]:
    """The scaled set: windowed aggregates, then the latest value, each with what bounds it."""
    size = scaled_data.FULL if setting.full else scaled_data.QUICK
    history = scaled_data.make(setting.cache, size)
    words = f"{size.events / 1e6:g}M events, {size.keys // 1000}k keys, {size.spine / 1e6:g}M rows"
    with setting.serving("scaled", [("purchases", history / "purchases.parquet"), ("asked", history / "asked.parquet")], SCALED) as server:
        windowed, latest = {"DuckDB": 5.0, "Polars": 5.0}, {"DuckDB": 1.0}
        for name, service, faster in (("windowed aggregates", "windowed", windowed), ("latest-value join", "latest_value", latest)):
            job = training.Job(f"{name}, {words}", SCALED, service, history, "asked", "asked_at")
            yield training.lane(setting, server, job, faster)
            yield limits.lane(setting, server, job)


def year_of_flights(folder: Path) -> Path:
    """The demo's tables of the whole year as Parquet files."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = make_tables(Periods.whole_year())
    for name in ("departures", "arrivals", "weather", "flights_to_score"):
        path = folder / f"{name}.parquet"
        if not path.exists():
            parquet.write_table(arrow.Table.from_pandas(getattr(tables, name), preserve_index=False), path)
    return folder


LANES: dict[str, Callable[[Setting], list[Lane] | Iterator[Lane | NotMeasured]]] = {
    "training": demo_training,
    "scaled": scaled_training,
    "online": online,
    "reads": reads,
    "live": predict_and_ingest,
    "predicting": predicting,
    "flow": flow,
    "recovery": recovery,
    "flink": flink,
    "tracking": tracking,
    "serving": serving,
    "gateway": gateway,
    "gateway_scorecard": scorecard,
}
