"""Rows and frames as the client takes them, and as it hands them out.

Taken: a mapping, a sequence of mappings, and every frame that speaks Arrow: pandas, polars, pyarrow, DuckDB, …
Not-a-number in a mapping and in a pandas frame means nothing is there, as pandas has it; in an Arrow or polars frame it
is the number that it says it is.
"""

from __future__ import annotations

import datetime
import decimal
import hashlib
import io
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Union

import pyarrow as pa

from shipway.errors import InvalidInput, MissingPackage
from shipway.names import decimal_digits

Rows = Union[Mapping[str, Any], Iterable[Mapping[str, Any]]]
"""One row, or rows, as mappings from column to value."""

Frame = Any
"""A table of pandas, polars, pyarrow, or of anything else that speaks Arrow."""


def is_frame(value: object) -> bool:
    """Whether `value` is a table."""
    return _is_pandas(value) or hasattr(value, "__arrow_c_stream__") or _is_lazy(value)


def _is_pandas(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "columns")


def _is_lazy(value: object) -> bool:
    return type(value).__module__.partition(".")[0] == "polars" and hasattr(value, "collect")


def to_table(frame: Frame) -> pa.Table:
    """A frame as an Arrow table of plain columns: no index, no categories, times in microseconds."""
    try:
        if _is_lazy(frame):
            frame = frame.collect()
        if _is_pandas(frame):
            table = pa.Table.from_pandas(frame, preserve_index=False)
        elif isinstance(frame, pa.RecordBatch):
            table = pa.Table.from_batches([frame])
        elif isinstance(frame, pa.Table):
            table = frame
        else:
            table = pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        message = f"the frame can not be turned into Arrow: {error}"
        raise InvalidInput(message, hint="give every column one type") from None
    table = table.replace_schema_metadata(None)
    columns = [_plain(table.column(index)) for index in range(table.num_columns)]
    return pa.table(columns, names=table.column_names)


def _plain(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        # Not every type has a cast out of a dictionary; every type can be taken from.
        return _joined([_taken(chunk) for chunk in column.chunks], _plain_type(kind.value_type))
    if pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        # Floors toward the past, as the server does; a plain cast refuses to lose the nanoseconds.
        nanos = column.cast(pa.int64())
        micros = _joined([_floored(chunk) for chunk in nanos.chunks], pa.int64())
        return micros.cast(pa.timestamp("us", tz=kind.tz))
    return column


def _plain_type(kind: pa.DataType) -> pa.DataType:
    plain: pa.DataType = _plain(_joined([], kind)).type
    return plain


def _joined(chunks: list[Any], kind: Any) -> pa.ChunkedArray[Any]:
    joined: pa.ChunkedArray[Any] = pa.chunked_array(chunks, type=kind)
    return joined


def _taken(chunk: Any) -> pa.Array[Any]:
    values = _plain(_joined([chunk.dictionary], chunk.dictionary.type)).combine_chunks()
    taken: pa.Array[Any] = values.take(chunk.indices)
    return taken


def _floored(nanos: pa.Array[Any]) -> pa.Array[Any]:
    import pyarrow.compute as pc

    truncated = pc.divide(nanos, 1000)
    below = pc.less(nanos, pc.multiply(truncated, 1000))
    return pc.subtract(truncated, pc.cast(below, pa.int64()))


def to_rows(rows: Rows | Frame, *, keep_decimals: bool = False) -> list[dict[str, Any]]:
    """Rows as JSON has them: decimals are text, unless they are to be kept."""
    if is_frame(rows):
        missing_is_nan = _is_pandas(rows)
        listed = to_table(rows).to_pylist()
        return [{key: to_json(value, missing_is_nan) for key, value in row.items()} for row in listed]
    if isinstance(rows, Mapping):
        rows = [rows]
    if isinstance(rows, (str, bytes)) or not isinstance(rows, Iterable):
        hint = "give a mapping, a list of mappings, or a frame"
        raise InvalidInput(f"rows can not be a {type(rows).__name__}", hint=hint)
    return [to_row(index, row, keep_decimals=keep_decimals) for index, row in enumerate(rows)]


def to_row(index: int, row: Any, *, keep_decimals: bool = False) -> dict[str, Any]:
    """One row as JSON has it; `index` is for messages."""
    if not isinstance(row, Mapping):
        message = f"row {index} is a {type(row).__name__}, not a mapping from column to value"
        raise InvalidInput(message, hint="write {column: value, …}")
    return {
        str(key): value if keep_decimals and isinstance(value, decimal.Decimal) else _row_value(index, str(key), value)
        for key, value in row.items()
    }


def rows_to_table(rows: Rows, time: str) -> pa.Table:
    """Rows as an Arrow table; text in the column `time` is read as moments."""
    listed = to_rows(rows, keep_decimals=True)
    names = list(dict.fromkeys(name for row in listed for name in row))
    columns = []
    for name in names:
        values = [row.get(name) for row in listed]
        try:
            if name == time and any(isinstance(value, str) for value in values):
                moments = [None if value is None else _utc(to_datetime(value)) for value in values]
                columns.append(pa.array(moments, type=pa.timestamp("us", tz="UTC")))
            else:
                columns.append(pa.array(values))
        except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"column {name}: {error}", hint="give every column one type") from None
    return pa.table(columns, names=names)


def _utc(moment: datetime.datetime) -> datetime.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def digest(table: pa.Table) -> str:
    """A digest of names, types and values, whatever the table is chunked like."""
    hashing = hashlib.sha256()
    with pa.ipc.new_stream(_Hashing(hashing), table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=_DIGEST_ROWS)
    return hashing.hexdigest()


class _Hashing(io.RawIOBase):
    """A file that keeps only the digest of what is written to it."""

    def __init__(self, hashing: Any) -> None:
        self._hashing = hashing

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._hashing.update(piece)
        return len(piece)


_DIGEST_ROWS = 1 << 16


def _row_value(index: int, column: str, value: Any) -> Any:
    try:
        return to_json(value)
    except InvalidInput as error:
        raise InvalidInput(f"row {index}: column {column}: {error.message}", hint=error.hint) from None


def to_json(value: Any, missing_is_nan: bool = True) -> Any:
    """One value as JSON has it: times as RFC 3339, and what pandas calls missing as null."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return _float(value, missing_is_nan)
    if isinstance(value, decimal.Decimal):
        return _decimal(value, missing_is_nan)
    if isinstance(value, (datetime.datetime, datetime.date)):
        # pandas' NaT is a datetime that does not equal itself.
        return value.isoformat() if value == value else None
    if type(value).__name__ == "NAType":
        return None
    if isinstance(value, (list, tuple)):
        return [to_json(item, missing_is_nan) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(item, missing_is_nan) for key, item in value.items()}
    for method in ("item", "tolist"):
        if type(value).__module__.partition(".")[0] == "numpy" and getattr(value, "ndim", 0) == (method == "tolist"):
            return to_json(getattr(value, method)(), missing_is_nan)
    raise InvalidInput(
        f"a {type(value).__name__} is not a value", hint="the types are bool, int, float, Decimal, str, datetime, and lists"
    )


def _decimal(number: decimal.Decimal, missing_is_nan: bool) -> str | None:
    """Every digit as text, without an exponent."""
    if number.is_nan() and missing_is_nan:
        return None
    if not number.is_finite():
        raise InvalidInput(f"{number} is no decimal", hint="give a number, or None")
    return format(number, "f")


def _float(number: float, missing_is_nan: bool) -> Any:
    if math.isnan(number):
        return None if missing_is_nan else "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return number


_ARROW: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def arrow_type(word: Any) -> pa.DataType | None:
    """The Arrow type for the word of a type in a definition; `None` for a word this version does not know."""
    if not isinstance(word, str):
        return None
    for head, made in (("list(", pa.list_), ("map(", _map_of)):
        if word.startswith(head) and word.endswith(")"):
            item = arrow_type(word[len(head) : -1])
            return None if item is None else made(item)
    digits = decimal_digits(word)
    return _ARROW.get(word) if digits is None else pa.decimal128(*digits)


def _map_of(item: pa.DataType) -> pa.DataType:
    return pa.map_(pa.string(), item)


def from_json(value: Any, kind: pa.DataType | None) -> Any:
    """A JSON value of an answer as Python has it; without a type, text that may be a time stays text."""
    if value is None or kind is None:
        return value
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_timestamp(kind):
        return to_datetime(value)
    if pa.types.is_decimal(kind):
        return decimal.Decimal(value)
    if pa.types.is_list(kind):
        return [from_json(item, kind.value_type) for item in value]
    if pa.types.is_map(kind):
        return {key: from_json(item, kind.item_type) for key, item in value.items()}
    return value


def to_datetime(text: str) -> datetime.datetime:
    """A moment of an answer: RFC 3339 in UTC."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def optional_datetime(text: str | None) -> datetime.datetime | None:
    """A moment, or nothing."""
    return None if text is None else to_datetime(text)


def to_arrow(
    names: Sequence[str],
    kinds: Sequence[pa.DataType | None],
    rows: Sequence[Sequence[Any]],
    listed: Sequence[Sequence[bool]] | None = None,
) -> pa.Table:
    """Columns out of rows; a column without a type gets the type that its values have.

    `listed` says, as `rows`, where there is one value for each entity of a list. A column that has such a place is one of
    lists, with lists of one elsewhere.
    """
    places = [[False] * len(kinds)] * len(rows) if listed is None else listed
    columns = [
        _column([row[index] for row in rows], [row[index] for row in places], kind) for index, kind in enumerate(kinds)
    ]
    return pa.table(columns, names=list(names))


def _column(values: list[Any], listed: list[bool], kind: pa.DataType | None) -> pa.Array[Any]:
    if any(listed):
        each = [value if is_listed else [value] for value, is_listed in zip(values, listed)]
        items = [item for held in each for item in held]
        ends = itertools.accumulate(map(len, each), initial=0)
        offsets = pa.array(list(ends), type=pa.int32())
        lists: pa.Array[Any] = pa.ListArray.from_arrays(offsets, _column(items, [False] * len(items), kind))
        return lists
    if kind is None and any(isinstance(value, dict) for value in values):
        maps = [value for value in values if isinstance(value, dict)]
        kind = _map_of(pa.array([each for value in maps for each in value.values()]).type)
    return pa.array([_entries(value) for value in values], type=kind)


def _entries(value: Any) -> Any:
    """Maps as Arrow takes them: pairs, sorted by key."""
    if isinstance(value, dict):
        return [(key, _entries(item)) for key, item in sorted(value.items())]
    return [_entries(item) for item in value] if isinstance(value, list) else value


def to_pandas(table: pa.Table) -> Any:
    """An Arrow table as a pandas frame."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        raise MissingPackage("pandas is not installed", hint="pip install 'shipway[pandas]'") from None
    return table.to_pandas()


def to_polars(table: pa.Table) -> Any:
    """An Arrow table as a polars frame."""
    try:
        import polars
    except ImportError:
        raise MissingPackage("polars is not installed", hint="pip install 'shipway[polars]'") from None
    return polars.from_arrow(table)
