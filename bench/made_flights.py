"""Made-up flights for the lanes of events in motion: as many as are asked for, as columns and as JSON lines.

Built column by column: a generator that writes one event at a time would need longer than the server that takes them in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy
import pyarrow as arrow
import pyarrow.compute as compute

ORIGINS = ["EWR", "JFK", "LGA"]
DESTINATIONS = [f"D{number:02}" for number in range(100)]
CARRIERS = [f"C{number:02}" for number in range(16)]


def _planes(count: int) -> list[str]:
    return [f"N{number:04}" for number in range(count)]


PLANES = _planes(4000)
TIME = {"departures": "departed_at", "arrivals": "landed_at", "weather": "observed_at"}
EVENT_ID = {"departures": "flight_id", "arrivals": "flight_id", "weather": "observation_id"}
DELAY = {"departures": "dep_delay", "arrivals": "arr_delay"}
OBSERVED = {"temp": (10, 95), "wind_speed": (0, 40), "precip": (0, 3), "visib": (0, 11)}


@dataclass(frozen=True)
class Period:
    """Half-open, in microseconds of UTC."""

    first: int
    end: int


def make(source: str, count: int, period: Period, seed: int, start: int = 0, planes: int = len(PLANES)) -> arrow.Table:
    """`count` events of `source` in order of time, at even distances; ids are numbered from `start` on, so that they differ."""
    random = numpy.random.default_rng([seed, start])
    numbers = arrow.array(numpy.arange(start, start + count))
    # Whole milliseconds: some peers know no finer time, and each event shall have a moment of its own where they fit.
    moments = period.first + numpy.arange(count, dtype="int64") * (period.end - period.first) // max(count, 1)
    columns: dict[str, arrow.Array] = {
        EVENT_ID[source]: compute.binary_join_element_wise("w" if source == "weather" else "f", numbers.cast(arrow.string()), ""),
        TIME[source]: arrow.array(moments // 1000 * 1000).cast(arrow.timestamp("us", "UTC")),
        "origin": _one_of(random, ORIGINS, count),
    }
    if source == "weather":
        for name, (least, most) in OBSERVED.items():
            columns[name] = arrow.array(random.integers(least, most, count).astype("float64"))
    else:
        columns["dest"] = _one_of(random, DESTINATIONS, count)
        columns["carrier"] = _one_of(random, CARRIERS, count)
        columns["tailnum"] = _one_of(random, _planes(planes), count)
        columns[DELAY[source]] = arrow.array(random.integers(-10, 80, count).astype("float64"))
    return arrow.table(columns)


def in_parts(
    source: str, count: int, period: Period, seed: int, start: int = 0, planes: int = len(PLANES), rows: int = 500_000
) -> Iterator[arrow.Table]:
    """The same in parts that follow each other in time and in their ids."""
    for done in range(0, count, rows):
        part = min(rows, count - done)
        bounds = [period.first + (period.end - period.first) * place // count for place in (done, done + part)]
        yield make(source, part, Period(*bounds), seed, start + done, planes)


def lines(table: arrow.Table) -> list[bytes]:
    """Each event as a JSON object on one line, without its end."""
    pieces: list[arrow.Array | str] = []
    for index, field in enumerate(table.schema):
        values = table.column(index).combine_chunks()
        before = "{" if index == 0 else ", "
        name = f'{before}"{field.name}": '
        if arrow.types.is_timestamp(field.type):
            text = compute.strftime(values.cast(arrow.timestamp("ms", "UTC")), format="%Y-%m-%dT%H:%M:%SZ")
            pieces += [f'{name}"', text, '"']
        elif arrow.types.is_string(field.type):
            pieces += [f'{name}"', values, '"']
        else:
            pieces += [name, values.cast(arrow.int64()).cast(arrow.string()), ".0"]
    return compute.binary_join_element_wise(*pieces, "}", "").cast(arrow.binary()).to_pylist()


def keys(table: arrow.Table) -> list[bytes]:
    """What a message of each event is keyed by at a broker: events of one plane stay in order. Weather goes by its id."""
    name = "tailnum" if "tailnum" in table.column_names else EVENT_ID["weather"]
    return table.column(name).cast(arrow.binary()).to_pylist()


def _one_of(random: numpy.random.Generator, values: list[str], count: int) -> arrow.Array:
    return arrow.array(values).take(arrow.array(random.integers(0, len(values), count)))
