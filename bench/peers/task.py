"""What a training set asks for, read from the same YAML definitions that Shipway applies, so that no peer gets a copy that drifts.

Runs in the peers' environment too: only the standard library and PyYAML.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import yaml

SECOND = 1_000_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
FAMILIES = {
    "count": "sums", "sum": "sums", "avg": "sums", "stddev": "sums",
    "min": "extremes", "max": "extremes", "last": "last", "distinct_count": "distinct",
}  # fmt: skip


def microseconds(length: str) -> int:
    """`6h` in microseconds."""
    return int(length[:-1]) * UNITS[length[-1]] * SECOND


def hop(window: int) -> int:
    """The step, in microseconds, in which the tail of a window moves."""
    steps = [(12 * 86400, 86400), (12 * 3600, 3600), (3600, 300), (360, 30), (0, 1)]
    return next(step * SECOND for least, step in steps if window >= least * SECOND)


@dataclass(frozen=True)
class Feature:
    operation: str
    column: str | None
    window: str

    @property
    def length(self) -> int:
        return microseconds(self.window)

    @property
    def name(self) -> str:
        return f"count_{self.window}" if self.column is None else f"{self.column}_{self.operation}_{self.window}"


@dataclass(frozen=True)
class View:
    """A view over `events`, a Parquet file named after its source. A view with `latest` has no features, and the reverse."""

    name: str
    keys: list[str]
    source: str
    time: str
    event_id: str
    features: list[Feature] = field(default_factory=list)
    latest: list[str] = field(default_factory=list)
    ttl: int | None = None

    def families(self) -> dict[str, list[Feature]]:
        """The features by what computes them: running sums, extremes, last values, distinct counts."""
        found: dict[str, list[Feature]] = {}
        for feature in self.features:
            found.setdefault(FAMILIES[feature.operation], []).append(feature)
        return found


@dataclass(frozen=True)
class Task:
    """A spine file with its time column, and the views of one service in their order."""

    history: Path
    spine: str
    time: str
    views: list[View]

    def sources(self) -> dict[str, list[View]]:
        """The views by their source."""
        found: dict[str, list[View]] = {}
        for view in self.views:
            found.setdefault(view.source, []).append(view)
        return found

    def file(self, table: str) -> str:
        return str(self.history / f"{table}.parquet")


def peak_mib() -> float:
    """The most memory that this process has held. Not `ru_maxrss`: that one begins with what the parent held when it forked."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def read_task(definitions: Path, service: str, history: Path, spine: str, time: str) -> Task:
    """The task of `service` as its definitions state it."""
    files = sorted(definitions.glob("*.yaml"))
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]
    named = {(document["kind"], document["name"]): document for document in documents}
    views = [_view(named, named["view", name]) for name in named["service", service]["views"]]
    return Task(history, spine, time, views)


def _view(named: dict, document: dict) -> View:
    source = named["source", document["source"]]
    features = [
        Feature(operation, block.get("column"), window)
        for block in document.get("aggregate", [])
        for operation in block["operations"]
        for window in block["windows"]
    ]
    return View(
        name=document["name"],
        keys=list(named["entity", document["entity"]]["keys"]),
        source=document["source"],
        time=source["event_time"],
        event_id=source["event_id"],
        features=features,
        latest=document.get("latest", []),
        ttl=microseconds(document["ttl"]) if "ttl" in document else None,
    )
