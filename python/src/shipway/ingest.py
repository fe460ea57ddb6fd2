"""Events to a source in batches, and the answers put together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from shipway import frames
from shipway._http import ARROW_STREAM, Transport
from shipway.errors import InvalidInput, ShipwayError
from shipway.results import PushResult

_BATCH_BYTES = 32 << 20
"""Half of what the server takes in one request."""


def push(
    transport: Transport,
    source: str,
    rows: frames.Rows | frames.Frame,
    definition: Mapping[str, Any],
    batch_rows: int,
) -> PushResult:
    """Sends `rows` in batches of at most `batch_rows`. An error says how many were durable before it."""
    if batch_rows < 1:
        raise InvalidInput("batch_rows is a number from 1")
    if frames.is_frame(rows):
        table = _conformed(frames.to_table(rows), definition)
        media_type, batches = ARROW_STREAM, _arrow_batches(table, batch_rows)
    else:
        media_type, batches = "application/x-ndjson", _json_batches(rows, batch_rows)
    result = PushResult(source)
    path = f"ingest/{quote(source, safe='')}"
    before = 0
    for body, count in batches:
        try:
            answer = transport.bytes(
                "POST",
                path,
                body,
                headers={"content-type": media_type},
                # An event that comes twice counts once only where it has an id.
                safe=bool(definition.get("event_id")),
            )
        except ShipwayError as error:
            if before:
                error.message += f" (the first {before} rows are answered for: {result!r})"
            raise
        result.add(answer, before)
        before += count
    return result


def _arrow_batches(table: pa.Table, batch_rows: int) -> Iterator[tuple[bytes, int]]:
    start = 0
    while start < table.num_rows:
        part = table.slice(start, batch_rows)
        while part.num_rows > 1 and part.nbytes > _BATCH_BYTES:
            part = part.slice(0, part.num_rows // 2)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, part.schema) as writer:
            writer.write_table(part)
        yield sink.getvalue().to_pybytes(), part.num_rows
        start += part.num_rows


def _json_batches(rows: frames.Rows, batch_rows: int) -> Iterator[tuple[bytes, int]]:
    lines: list[bytes] = []
    size = 0
    for row in _one_by_one(rows):
        line = json.dumps(row, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        if lines and (len(lines) >= batch_rows or size + len(line) > _BATCH_BYTES):
            yield b"".join(lines), len(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield b"".join(lines), len(lines)


def _one_by_one(rows: frames.Rows) -> Iterable[dict[str, Any]]:
    """Rows of an iterator are taken as they come: it may be long."""
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable) or isinstance(rows, (str, bytes)):
        yield from frames.to_rows(rows)
        return
    for index, row in enumerate(rows):
        yield frames.to_row(index, row)


def _conformed(table: pa.Table, definition: Mapping[str, Any]) -> pa.Table:
    """Whole numbers that pandas turned into floats because some are missing become whole numbers again.

    Nothing else is converted, and nothing where a digit would be lost: the server says what does not fit.
    """
    declared = dict(definition.get("columns") or ())
    for index, name in enumerate(table.column_names):
        column = table.column(index)
        if declared.get(name) == "int" and pa.types.is_floating(column.type):
            try:
                table = table.set_column(index, name, column.cast(pa.int64()))
            except pa.ArrowInvalid:
                continue
    return table
