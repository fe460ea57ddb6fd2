"""Replays flights as live events and asks for a prediction at each flight's own moment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from flights import Periods, Tables
from server import Connection, Server

KEYS = ["origin", "dest", "carrier", "tailnum", "month", "hour", "distance"]

Events = dict[str, list[tuple[str | None, str]]]
"""Events by source, in their order: a key for those who need one, and a JSON line."""


class Intake(Protocol):
    """The way in which events come to the server."""

    way: str

    def take_in(self, events: Events) -> dict[str, str]:
        """Returns when all events are durable at the server: a token by source for a read that must see them."""


class OverHttp:
    """Each batch in a request of its own, acknowledged after fsync."""

    way = "HTTP"

    def __init__(self, server: Server) -> None:
        self._connection = Connection(server)

    def take_in(self, events: Events) -> dict[str, str]:
        tokens = {}
        for source, found in events.items():
            lines = "".join(f"{line}\n" for _, line in found).encode()
            tokens[source] = self._connection.post(f"/api/v1/ingest/{source}", lines, "application/x-ndjson")["token"]
        return tokens


@dataclass
class Outcome:
    """What the replay saw."""

    events: int = 0
    way: str = ""
    ingest_seconds: float = 0.0
    seen_latencies_ms: list[float] = field(default_factory=list)
    """From the moment a batch was handed over until a prediction was answered that must see all of it."""
    predict_latencies_ms: list[float] = field(default_factory=list)
    predictions: int = 0
    predict_seconds: float = 0.0
    wall_seconds: float = 0.0
    auc: float = float("nan")

    readable: dict[str, dict[str, float]] = field(default_factory=dict)
    """By source, from the intake of an event at the server until reads saw it: the server's own measurement, of the last
    30 to 60 seconds of the replay."""

    def percentile(self, of: float) -> float:
        return float(np.percentile(self.predict_latencies_ms, of))

    def seen_percentile(self, of: float) -> float:
        return float(np.percentile(self.seen_latencies_ms, of))


def replay(
    server: Server,
    intake: Intake,
    tables: Tables,
    periods: Periods,
    sample: int,
    progress: Callable[[float], None],
) -> Outcome:
    """Sends the live period's events in event order; before each sampled flight's q exactly the events before q.

    Flights with one q are asked for in one request, with the token of the last batch: the server answers only once it
    has seen what the token stands for. `q` is passed as `at`, because these moments are not now.
    """
    events = _live_events(tables, periods)
    questions = _questions(tables, periods, sample)
    connection = Connection(server)
    outcome = Outcome(way=intake.way)
    scores: list[float] = []
    labels: list[float] = []
    next_event = 0
    tokens: dict[str, str] = {}
    started = time.perf_counter()
    for number, (q, flights) in enumerate(questions):
        upto = int(np.searchsorted(events.times, q, side="left"))
        has_news = upto > next_event
        handed_over = time.perf_counter()
        if has_news:
            batch = events.between(next_event, upto)
            handed_over = time.perf_counter()
            tokens |= intake.take_in(batch)
            outcome.ingest_seconds += time.perf_counter() - handed_over
            outcome.events += upto - next_event
            next_event = upto
        body = json.dumps({"rows": [row for row, _ in flights], "at": _rfc3339(q), "token": ",".join(tokens.values())})
        began = time.perf_counter()
        answer = connection.post("/api/v1/predict/late_arrivals", body.encode())
        answered = time.perf_counter()
        took = answered - began
        if has_news:
            outcome.seen_latencies_ms.append((answered - handed_over) * 1000)
        outcome.predict_seconds += took
        outcome.predict_latencies_ms.append(took * 1000)
        outcome.predictions += len(flights)
        for prediction, (_, label) in zip(answer["predictions"], flights, strict=True):
            if not np.isnan(label):
                scores.append(prediction)
                labels.append(label)
        if number % 50 == 0:
            progress(number / len(questions))
    outcome.wall_seconds = time.perf_counter() - started
    sources = connection.get("/api/v1/status")["sources"]
    outcome.readable = {source["source"]: source["readable"] for source in sources if source.get("readable")}
    outcome.auc = float(roc_auc_score(labels, scores))
    return outcome


class _Events:
    """The live events of all sources in event order, each already written as a JSON line."""

    def __init__(self, frames: dict[str, tuple[pd.DataFrame, str, str]]) -> None:
        parts = []
        for source, (frame, time_column, key_column) in frames.items():
            lines = frame.assign(**{time_column: frame[time_column].dt.strftime("%Y-%m-%dT%H:%M:%SZ")})
            text = lines.to_json(orient="records", lines=True).splitlines()
            keys = frame[key_column].astype(object).where(frame[key_column].notna(), None)
            parts.append(pd.DataFrame({"time": frame[time_column], "source": source, "key": keys, "line": text}))
        merged = pd.concat(parts).sort_values("time", kind="stable")
        self.times = merged["time"].dt.as_unit("us").astype("int64").to_numpy()
        self._sources = merged["source"].to_numpy()
        self._keys = merged["key"].to_numpy()
        self._lines = merged["line"].to_numpy()

    def between(self, start: int, end: int) -> Events:
        grouped: Events = {}
        for index in range(start, end):
            grouped.setdefault(self._sources[index], []).append((self._keys[index], self._lines[index]))
        return grouped


def _live_events(tables: Tables, periods: Periods) -> _Events:
    def live(frame: pd.DataFrame, time_column: str, key_column: str) -> tuple[pd.DataFrame, str, str]:
        return frame[frame[time_column] >= periods.live], time_column, key_column

    return _Events(
        {
            "departures": live(tables.departures, "departed_at", "origin"),
            "arrivals": live(tables.arrivals, "landed_at", "tailnum"),
            "weather": live(tables.weather, "observed_at", "origin"),
        }
    )


def _questions(tables: Tables, periods: Periods, sample: int) -> list[tuple[int, list[tuple[dict, float]]]]:
    spine = tables.flights_to_score
    live = spine[(spine["q"] >= periods.live) & (spine["q"] < periods.end)]
    chosen = live.sample(n=min(sample, len(live)), random_state=7).sort_values(["q", "flight_id"])
    moments = chosen["q"].dt.as_unit("us").astype("int64").to_numpy()
    rows = chosen[KEYS].to_dict(orient="records")
    questions: list[tuple[int, list[tuple[dict, float]]]] = []
    for q, row, label in zip(moments, rows, chosen["label"].to_numpy(), strict=True):
        if not questions or questions[-1][0] != q:
            questions.append((int(q), []))
        questions[-1][1].append((row, float(label)))
    return questions


def _rfc3339(micros: int) -> str:
    return pd.Timestamp(micros, unit="us", tz="UTC").strftime("%Y-%m-%dT%H:%M:%S.%fZ")
