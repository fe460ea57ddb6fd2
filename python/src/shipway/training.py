"""Training sets: asked for once, read as they stream in, kept as a frame, a file or a table of the server."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import httpx
import pyarrow as pa
import pyarrow.parquet

from shipway import display, frames
from shipway._http import Transport
from shipway.errors import BrokenAnswer, InvalidInput

Progress = Union[bool, Callable[[int, int], None], None]
"""`True` or `False`, a function of the rows so far and all rows, or `None`: shown when somebody watches."""

_PREVIEW_ROWS = 5


@dataclass(frozen=True)
class WrittenTrainingSet:
    """A training set that is a table of the server."""

    table: str
    rows: int
    table_version: int
    service_hash: str

    def _repr_html_(self) -> str:
        columns = ("table", "rows", "table version", "service version")
        version = self.service_hash.rpartition(":")[2][:12]
        return display.table(columns, [(self.table, self.rows, self.table_version, version)])


class TrainingSet:
    """A training set that the server builds when it is asked for with one of the methods.

    Every column of the spine, then one column per feature as it was at the spine's moment. `to_arrow`, and what is
    made from it, builds once and keeps the result; `batches` and `to_parquet` hold no more than a batch in memory.
    """

    def __init__(self, transport: Transport, body: dict[str, Any], progress: Progress) -> None:
        self._transport = transport
        self._body = body
        self._progress = progress
        self._table: pa.Table | None = None
        self.service: str = body["service"]
        self.service_hash: str | None = None
        """The version of the service, known once it is built: keep it with the model, as its tag `shipway.service_hash`."""
        self.rows: int | None = None
        """How many rows it has, known once it is built."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Builds it, and hands it out as it comes. An answer that breaks off raises `BrokenAnswer`."""
        return self._stream([])

    def _stream(self, schema: list[pa.Schema]) -> Iterator[pa.RecordBatch]:
        body = {**self._body, "output": {"format": "arrow"}}
        with self._transport.arrow("training-sets", body) as response:
            total = int(response.headers["x-shipway-spine-rows"])
            self.rows, self.service_hash = total, response.headers["x-shipway-service-hash"]
            show = _shown(self._progress, f"training set of {self.service}")
            rows = 0
            for batch in arrow_batches(response, schema):
                rows += batch.num_rows
                show(rows, total)
                yield batch
            if rows != total:
                message = f"the answer broke off after {rows} of {total} rows"
                raise BrokenAnswer(message, hint="the server's log says why; asking again is safe")

    def to_arrow(self) -> pa.Table:
        """An Arrow table."""
        if self._table is None:
            schema: list[pa.Schema] = []
            batches = list(self._stream(schema))
            self._table = pa.Table.from_batches(batches, schema[0])
        return self._table

    def to_pandas(self) -> Any:
        """A pandas frame; needs pandas."""
        return frames.to_pandas(self.to_arrow())

    def to_polars(self) -> Any:
        """A polars frame; needs polars."""
        return frames.to_polars(self.to_arrow())

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Writes a Parquet file. It is moved to its place when it is whole, so half a file is never found there."""
        path = Path(path)
        unfinished = path.with_name(f"{path.name}.unfinished")
        writer: pyarrow.parquet.ParquetWriter | None = None
        try:
            for batch in self._batches_at_hand():
                hashed = {**(batch.schema.metadata or {}), b"shipway.service_hash": f"{self.service_hash}".encode()}
                batch = batch.replace_schema_metadata(hashed)
                if writer is None:
                    writer = pyarrow.parquet.ParquetWriter(unfinished, batch.schema, compression="zstd")
                writer.write_batch(batch)
            if writer is None:
                hint = "check the spine and the moments given with `start` and `end`"
                raise InvalidInput("the spine has no rows, no file was written", hint=hint)
            writer.close()
            os.replace(unfinished, path)
        except BaseException:
            if writer is not None:
                writer.close()
            unfinished.unlink(missing_ok=True)
            raise
        return path

    def to_table(self, name: str) -> WrittenTrainingSet:
        """Builds it into a new table of the server; nothing of it comes here."""
        body = {**self._body, "output": {"table": name}}
        answer = self._transport.json("POST", "training-sets", body, safe=False, long=True)
        self.rows, self.service_hash = answer["rows"], answer["service_hash"]
        return WrittenTrainingSet(answer["table"], answer["rows"], answer["table_version"], answer["service_hash"])

    def _batches_at_hand(self) -> Iterator[pa.RecordBatch]:
        return self.batches() if self._table is None else iter(self._table.to_batches())

    def __repr__(self) -> str:
        built = "not built yet" if self.rows is None else f"{self.rows} rows"
        return f"TrainingSet(service={self.service!r}, {built})"

    def _repr_html_(self) -> str:
        if self._table is None:
            return f"<div>{display.cell(repr(self))}; build it with to_arrow, to_pandas, to_polars, …</div>"
        rows = [list(row.values()) for row in self._table.slice(0, _PREVIEW_ROWS).to_pylist()]
        caption = f"training set of {self.service}"
        return display.table(self._table.column_names, rows, caption=caption, total=self._table.num_rows)


class _Body(io.RawIOBase):
    """The body of an answer as a file that pyarrow reads from."""

    def __init__(self, response: httpx.Response) -> None:
        self._pieces = response.iter_bytes()
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while size < 0 or have < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            parts.append(piece)
            have += len(piece)
        whole = b"".join(parts)
        size = len(whole) if size < 0 else size
        self._rest = whole[size:]
        return whole[:size]

    def readable(self) -> bool:
        return True


def arrow_batches(response: httpx.Response, schema: list[pa.Schema] | None = None) -> Iterator[pa.RecordBatch]:
    """The batches of a streamed answer; `schema`, if given, gets the schema, which a stream without rows has, too."""
    body = _Body(response)
    try:
        with pa.ipc.open_stream(body) as reader:
            if schema is not None:
                schema.append(reader.schema)
            yield from reader
        # A server that fails in the middle breaks the connection: only who reads to the end learns of it.
        body.read()
    except (pa.ArrowException, OSError) as error:
        message = f"the answer broke off or is damaged: {error}"
        raise BrokenAnswer(message, hint="the server's log says why; asking again is safe") from error
    except httpx.TimeoutException:
        raise
    except httpx.TransportError as error:
        message = f"the answer broke off: {error}"
        raise BrokenAnswer(message, hint="the server's log says why; asking again is safe") from error


def _shown(progress: Progress, what: str) -> Callable[[int, int], None]:
    if callable(progress):
        return progress
    if progress is False or (progress is None and not sys.stderr.isatty()):
        return lambda rows, total: None

    def show(rows: int, total: int) -> None:
        end = "\n" if rows >= total else ""
        print(f"\r{what}: {rows:,} of {total:,} rows", end=end, file=sys.stderr, flush=True)

    return show
