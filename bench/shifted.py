"""The flights as if they happened now: online reads ask about the present, and must find windows that are full."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as arrow
import pyarrow.parquet as parquet
from flights import Periods, make_tables

CUT = pd.Timestamp("2013-12-13T21:00:00Z")  # a Friday afternoon: every window of every view has events
SOURCES = {"departures": "departed_at", "arrivals": "landed_at", "weather": "observed_at"}
KEYS = ["origin", "dest", "carrier", "tailnum", "month", "hour", "distance"]


@dataclass(frozen=True)
class Shifted:
    """Files to load, requests to ask, and a moment at which all of them can be answered."""

    files: list[tuple[str, Path]]
    #: The flights before that moment with their labels, to train on.
    spine: tuple[str, Path]
    rows: list[dict]
    at: str


def make(folder: Path) -> Shifted:
    """Writes the year up to `CUT`, moved so that `CUT` is now; rows are the flights of the week before."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = make_tables(Periods.whole_year())
    now = pd.Timestamp.now(tz="UTC").floor("s")
    files = []
    for name, time in SOURCES.items():
        frame = getattr(tables, name)
        frame = frame[frame[time] < CUT].copy()
        frame[time] = (frame[time] + (now - CUT)).dt.as_unit("us")
        path = folder / f"{name}.parquet"
        parquet.write_table(arrow.Table.from_pandas(frame, preserve_index=False), path)
        files.append((name, path))
    spine = tables.flights_to_score
    labelled = spine[spine["q"] < CUT].copy()
    labelled["q"] = (labelled["q"] + (now - CUT)).dt.as_unit("us")
    labelled_path = folder / "flights_to_score.parquet"
    parquet.write_table(arrow.Table.from_pandas(labelled, preserve_index=False), labelled_path)
    recent = spine[(spine["q"] < CUT) & (spine["q"] >= CUT - pd.Timedelta(days=7))]
    rows = recent[KEYS].sample(min(len(recent), 4096), random_state=11).to_dict(orient="records")
    return Shifted(files, ("flights_to_score", labelled_path), rows, now.strftime("%Y-%m-%dT%H:%M:%SZ"))
