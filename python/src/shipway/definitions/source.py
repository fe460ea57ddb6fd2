"""What features are about and where events come from: entities and sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from shipway.definitions.parts import fill, present, required, thing_of
from shipway.definitions.stream import Stream
from shipway.errors import InvalidDefinition
from shipway.names import (
    check_fields,
    checked_columns,
    checked_length,
    checked_name,
    checked_text,
    decimal_digits,
    listed,
    nearest_hint,
)

_ENDINGS = (".csv", ".jsonl", ".ndjson", ".parquet", ".csv.gz", ".jsonl.gz", ".ndjson.gz")
_FORMATS = ("csv", "jsonl", "parquet")


@dataclass(frozen=True, init=False)
class Entity:
    """What features are about: a thing with one or more keys.

    >>> import shipway
    >>> shipway.Entity("route", keys={"origin": "text", "dest": "text"}).keys
    {'origin': 'text', 'dest': 'text'}
    """

    kind: ClassVar[str] = "entity"
    FIELDS: ClassVar[tuple[str, ...]] = ("kind", "name", "keys", "description", "owner", "tags")

    name: str
    keys: dict[str, str]
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        keys: Mapping[str, str],
        *,
        description: str | None = None,
        owner: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        checked_name("entity name", name)
        thing = f"entity {name}"
        checked = checked_columns(thing, "key", keys)
        for key, data_type in checked.items():
            if data_type not in ("bool", "int", "text", "timestamp") and not decimal_digits(data_type):
                hint = "a float that is computed twice may differ in its last bit; use int or text"
                raise InvalidDefinition(
                    f"{thing}: key {key} is {data_type}, which identifies nothing",
                    hint=hint if data_type == "float" else "use int or text",
                )
        fill(self, name=name, keys=checked, description=description, owner=owner, tags=tags)

    def to_dict(self) -> dict[str, Any]:
        """The definition as it is written in YAML."""
        head = {"kind": self.kind, "name": self.name, "description": self.description, "owner": self.owner}
        return {**present({**head, "tags": list(self.tags) or None}), "keys": dict(self.keys)}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Entity:
        """Reads what `to_dict` wrote, or a person."""
        thing = thing_of(cls.kind, written, cls.FIELDS)
        return cls(
            written["name"],
            required(thing, written, "keys"),
            description=written.get("description"),
            owner=written.get("owner"),
            tags=written.get("tags"),
        )


@dataclass(frozen=True, init=False)
class Batch:
    """Where the history of a source lies: files or a Delta table, each file or version of which is loaded once.

    `columns` goes from the source's name of a column to the name there; a column of `optional` may be missing there and is
    null then. `nulls` are words that mean null in CSV files. With `every` it is looked for news by itself. The server reads
    only where its operator allows it.

    >>> import shipway
    >>> shipway.Batch(files="s3://bucket/departures/*/*.parquet", columns={"departed_at": "dep_ts"}, every="15m").to_dict()
    {'files': 's3://bucket/departures/*/*.parquet', 'columns': {'departed_at': 'dep_ts'}, 'every': '15m'}
    >>> shipway.Batch(files="/data/part-*")
    Traceback (most recent call last):
    shipway.errors.InvalidDefinition: error: batch: files /data/part-* does not say what format the files have
    hint: write format='csv', 'jsonl' or 'parquet'
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("files", "delta", "format", "nulls", "columns", "optional", "every")

    files: str | None
    delta: str | None
    format: str | None
    nulls: tuple[str, ...]
    columns: dict[str, str]
    optional: tuple[str, ...]
    every: str | None

    def __init__(
        self,
        *,
        files: str | None = None,
        delta: str | None = None,
        format: str | None = None,
        nulls: Iterable[str] | None = None,
        columns: Mapping[str, str] | None = None,
        optional: Iterable[str] | None = None,
        every: str | None = None,
    ) -> None:
        words = () if nulls is None else tuple(checked_text("batch nulls", word) for word in listed("batch nulls", nulls))
        names = () if optional is None else tuple(listed("batch optional", optional))
        renamed = {checked_name("batch column", name): checked_text("batch column", there) for name, there in (columns or {}).items()}
        fields: dict[str, Any] = {"files": files, "delta": delta, "format": format, "nulls": words}
        fields |= {"columns": renamed, "optional": tuple(checked_name("batch optional", str(name)) for name in names)}
        for field, value in (fields | {"every": every}).items():
            object.__setattr__(self, field, value)
        self._check()

    def _check(self) -> None:
        if (self.files is None) == (self.delta is None):
            raise InvalidDefinition("batch: has files or delta", hint="write exactly one of them")
        checked_text("batch location", self.files if self.delta is None else self.delta)
        if self.delta is not None and (self.format is not None or self.nulls):
            hint = "leave them out; a Delta table says what its files are"
            raise InvalidDefinition("batch: format and nulls belong to files only", hint=hint)
        if self.format is not None and self.format not in _FORMATS:
            hint = nearest_hint(self.format, _FORMATS, f"the formats are {', '.join(_FORMATS)}")
            raise InvalidDefinition(f"batch: format {self.format} does not exist", hint=hint)
        if self.files is not None and self.format is None and not self.files.endswith(_ENDINGS):
            hint = "write format='csv', 'jsonl' or 'parquet'"
            raise InvalidDefinition(f"batch: files {self.files} does not say what format the files have", hint=hint)
        if self.every is not None:
            checked_length("batch every", self.every)

    def to_dict(self) -> dict[str, Any]:
        """The batch as it is written in YAML."""
        return present(
            {
                "files": self.files,
                "delta": self.delta,
                "format": self.format,
                "nulls": list(self.nulls) or None,
                "columns": dict(self.columns) or None,
                "optional": list(self.optional) or None,
                "every": self.every,
            }
        )

    @classmethod
    def from_dict(cls, written: Mapping[str, Any], thing: str = "batch") -> Batch:
        """Reads what `to_dict` wrote, or a person."""
        check_fields(f"{thing}: batch", written, cls.FIELDS)
        return cls(**{field: written.get(field) for field in cls.FIELDS})


@dataclass(frozen=True, init=False)
class Source:
    """A stream of events with its history.

    >>> import shipway
    >>> departures = shipway.Source(
    ...     "departures",
    ...     columns={"flight_id": "text", "departed_at": "timestamp", "origin": "text", "dep_delay": "float"},
    ...     event_time="departed_at",
    ...     event_id="flight_id",
    ... )
    >>> departures.columns["dep_delay"]
    'float'
    >>> shipway.Source("departures", columns={"departed_at": "timestamp"}, event_time="departed")
    Traceback (most recent call last):
    shipway.errors.InvalidDefinition: error: source departures: event_time departed is not in columns
    hint: did you mean departed_at?

    Where events are rows that change, one with an id that was there takes the place of the earlier one, or only takes it away.

    >>> orders = shipway.Source(
    ...     "orders",
    ...     columns={"order_id": "int", "ordered_at": "timestamp", "op": "text"},
    ...     event_time="ordered_at",
    ...     event_id="order_id",
    ...     same_id="replace",
    ...     deleted="op = 'delete'",
    ... )

    The events of a source may be selected from those of another one. Then its columns are what the text gives.

    >>> late = shipway.Source(
    ...     "late_departures",
    ...     event_time="departed_at",
    ...     event_id="flight_id",
    ...     select="SELECT flight_id, departed_at, dep_delay / 60 AS hours FROM departures WHERE dep_delay > 30",
    ... )
    >>> late.columns
    {}
    """

    kind: ClassVar[str] = "source"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "kind", "name", "event_time", "event_id", "columns", "same_id", "deleted", "max_ahead", "dedupe", "retention",
        "batch", "stream", "select", "description", "owner", "tags",
    )  # fmt: skip

    name: str
    columns: dict[str, str]
    event_time: str
    event_id: str | None = None
    same_id: str | None = None
    deleted: str | None = None
    max_ahead: str | None = None
    dedupe: str | None = None
    retention: str | None = None
    batch: Batch | None = None
    stream: Stream | None = None
    select: str | None = None
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        columns: Mapping[str, str] | None = None,
        *,
        event_time: str,
        event_id: str | None = None,
        same_id: str | None = None,
        deleted: str | None = None,
        max_ahead: str | None = None,
        dedupe: str | None = None,
        retention: str | None = None,
        batch: Batch | Mapping[str, Any] | None = None,
        stream: Stream | Mapping[str, Any] | None = None,
        select: str | None = None,
        description: str | None = None,
        owner: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        checked_name("source name", name)
        thing = f"source {name}"
        if select is not None:
            checked_text(f"{thing}: select", select)
            for what, other in (("batch", batch), ("stream", stream)):
                if other is not None:
                    hint = f"leave {what} out: every event of it is selected from another source"
                    raise InvalidDefinition(f"{thing}: a source with select has no {what}", hint=hint)
        elif columns is None:
            raise InvalidDefinition(f"{thing}: columns is missing", hint="name the columns and their types, or give a select")
        # Which columns a select gives, the server knows.
        columns = {} if columns is None else checked_columns(thing, "column", columns)
        if columns:
            _check_column(thing, "event_time", event_time, ("timestamp",), columns)
        if columns and event_id is not None:
            _check_column(thing, "event_id", event_id, ("text", "int"), columns)
        _check_corrections(thing, same_id, deleted, {"dedupe": dedupe, "batch": batch, "select": select}, event_id)
        for what, length in (("max_ahead", max_ahead), ("dedupe", dedupe), ("retention", retention)):
            if length is not None:
                checked_length(f"{thing}: {what}", length)
        if isinstance(batch, Mapping):
            batch = Batch.from_dict(batch, thing)
        if batch is not None:
            _check_batch(thing, batch, columns, (event_time, event_id))
        if isinstance(stream, Mapping):
            stream = Stream.from_dict(stream, thing)
        if stream is not None:
            stream.check_columns(thing, columns)
        fill(
            self, name=name, columns=columns, event_time=event_time, event_id=event_id, same_id=same_id, deleted=deleted,
            max_ahead=max_ahead, dedupe=dedupe, retention=retention, batch=batch, stream=stream, select=select,
            description=description, owner=owner, tags=tags,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The definition as it is written in YAML."""
        return present(
            {
                "kind": self.kind,
                "name": self.name,
                "description": self.description,
                "owner": self.owner,
                "tags": list(self.tags) or None,
                "event_time": self.event_time,
                "event_id": self.event_id,
                "same_id": self.same_id,
                "deleted": self.deleted,
                "columns": dict(self.columns) or None,
                "max_ahead": self.max_ahead,
                "dedupe": self.dedupe,
                "retention": self.retention,
                "batch": self.batch.to_dict() if self.batch else None,
                "stream": self.stream.to_dict() if self.stream else None,
                "select": self.select,
            }
        )

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Source:
        """Reads what `to_dict` wrote, or a person."""
        thing = thing_of(cls.kind, written, cls.FIELDS)
        columns = written.get("columns") if written.get("select") else required(thing, written, "columns")
        event_time = required(thing, written, "event_time")
        optional = {field: written.get(field) for field in ("event_id", *cls.FIELDS[5:])}
        return cls(written["name"], columns, event_time=event_time, **optional)


def _check_batch(thing: str, batch: Batch, columns: Mapping[str, str], needed: tuple[str | None, ...]) -> None:
    for column in (*batch.columns, *batch.optional):
        if column not in columns:
            hint = nearest_hint(column, columns, "it goes from the source's name to the name there")
            raise InvalidDefinition(f"{thing}: column {column} of batch is not in columns", hint=hint)
    for column in batch.optional:
        if column in needed:
            hint = "every event needs its time and, where events have one, its id"
            raise InvalidDefinition(f"{thing}: column {column} cannot be optional in batch", hint=hint)


def _check_corrections(
    thing: str, same_id: str | None, deleted: str | None, others: Mapping[str, Any], event_id: str | None
) -> None:
    if same_id not in (None, "once", "replace"):
        hint = "once: an event whose id was there is left out; replace: it takes the place of the earlier one"
        raise InvalidDefinition(f"{thing}: same_id is once or replace, got {same_id}", hint=hint)
    if deleted is not None:
        checked_text(f"{thing}: deleted", deleted)
    if same_id != "replace":
        if deleted is not None:
            hint = "give same_id: without replace no event takes another one away"
            raise InvalidDefinition(f"{thing}: deleted needs same_id='replace'", hint=hint)
        return
    if event_id is None:
        raise InvalidDefinition(f"{thing}: same_id='replace' needs an event_id", hint="name the column that is the key of a row")
    for what, other in others.items():
        if other is not None:
            raise InvalidDefinition(f"{thing}: a source with same_id='replace' has no {what}", hint=f"leave {what} out")


def _check_column(thing: str, what: str, column: str, types: tuple[str, ...], columns: Mapping[str, str]) -> None:
    checked_name(f"{thing}: {what}", column)
    needs = " or ".join(types)
    if column not in columns:
        hint = nearest_hint(column, columns, f"add {column}: {types[0]} to columns")
        raise InvalidDefinition(f"{thing}: {what} {column} is not in columns", hint=hint)
    if columns[column] not in types:
        message = f"{thing}: column {column} is {columns[column]}; {what} needs {needs}"
        raise InvalidDefinition(message, hint=f"declare it as {needs}")
