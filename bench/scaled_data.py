"""The scaled set, made by ourselves from a fixed seed, once, into the cache folder: purchases of zipf-distributed customers, and a spine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy
import pyarrow as arrow
import pyarrow.compute as compute
import pyarrow.parquet as parquet

VERSION = 1  # raise it when the data changes: old files are then made anew
SEED = 20130101
DAYS = 60
FIRST = 1_735_689_600_000_000  # 2025-01-01, in microseconds
DAY = 86_400_000_000


@dataclass(frozen=True)
class Size:
    name: str
    events: int
    keys: int
    spine: int


QUICK = Size("quick", 1_000_000, 10_000, 100_000)
FULL = Size("full", 20_000_000, 100_000, 2_000_000)


def make(cache: Path, size: Size) -> Path:
    """The folder with `purchases.parquet` and `asked.parquet`, made if it is not there."""
    folder = cache / "bench-data" / f"scaled-{size.name}-v{VERSION}"
    if folder.exists():
        return folder
    print(f"making the scaled set: {size.events:,} events, {size.keys:,} keys, {size.spine:,} spine rows", flush=True)
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    random = numpy.random.default_rng(SEED)
    weights = 1.0 / numpy.arange(1, size.keys + 1)
    cumulated = numpy.cumsum(weights / weights.sum())
    names = random.permutation(size.keys)
    _purchases(random, size, cumulated, names, unfinished / "purchases.parquet")
    _asked(random, size, cumulated, names, unfinished / "asked.parquet")
    unfinished.rename(folder)
    return folder


def _customers(random: numpy.random.Generator, cumulated: numpy.ndarray, names: numpy.ndarray, count: int) -> numpy.ndarray:
    """Keys whose frequency falls as one over their rank; names are shuffled, so that the order of keys says nothing."""
    ranks = numpy.searchsorted(cumulated, random.random(count), side="right")
    return names[numpy.minimum(ranks, len(names) - 1)].astype("int64")


def _purchases(random: numpy.random.Generator, size: Size, cumulated: numpy.ndarray, names: numpy.ndarray, path: Path) -> None:
    # Moments are distinct, so that no peer must order events of one moment by their id.
    steps = DAYS * DAY // size.events
    times = FIRST + numpy.arange(size.events, dtype="int64") * steps + random.integers(0, steps, size.events)
    customers = _customers(random, cumulated, names, size.events)
    amounts = random.gamma(2.0, 1500.0, size.events).round()  # whole cents: float sums of every peer are exact
    schema = arrow.schema(
        [("purchase_id", arrow.string()), ("bought_at", arrow.timestamp("us", "UTC")), ("customer_id", arrow.int64()), ("amount", arrow.float64())]
    )
    with parquet.ParquetWriter(path, schema, compression="snappy") as writer:
        for start in range(0, size.events, 1_000_000):
            part = slice(start, min(start + 1_000_000, size.events))
            numbers = arrow.array(numpy.arange(part.start, part.stop)).cast(arrow.string())
            ids = compute.binary_join_element_wise("p", compute.utf8_lpad(numbers, 9, "0"), "")
            moments = arrow.array(times[part]).cast(schema.field("bought_at").type)
            writer.write_table(arrow.table([ids, moments, arrow.array(customers[part]), arrow.array(amounts[part])], schema=schema))


def _asked(random: numpy.random.Generator, size: Size, cumulated: numpy.ndarray, names: numpy.ndarray, path: Path) -> None:
    times = numpy.sort(FIRST + random.integers(0, DAYS * DAY, size.spine))
    customers = _customers(random, cumulated, names, size.spine)
    table = arrow.table(
        {
            "row_id": arrow.array(numpy.arange(size.spine, dtype="int64")),
            "asked_at": arrow.array(times).cast(arrow.timestamp("us", "UTC")),
            "customer_id": arrow.array(customers),
        }
    )
    parquet.write_table(table, path, compression="snappy")
