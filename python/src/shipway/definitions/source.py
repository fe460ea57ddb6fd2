"""What features are about and where events come from: entities and sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from shipway.definitions.parts import fill, present, required, thing_of
from shipway.errors import InvalidDefinition
from shipway.names import (
    check_fields,
    checked_columns,
    checked_length,
    checked_name,
    checked_text,
    nearest_hint,
)

_FORMATS = {"parquet": "parquet", "csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl"}


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
            if data_type not in ("bool", "int", "text", "timestamp"):
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


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Files or a Delta table that a source takes in by itself: what is new, every so often.

    >>> import shipway
    >>> shipway.Batch(path="data/*.parquet", every="1h").to_dict()
    {'path': 'data/*.parquet', 'format': 'parquet', 'every': '1h'}
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("path", "delta", "format", "every")
    path: str | None = None
    delta: str | None = None
    format: str | None = None
    every: str | None = None

    def __post_init__(self) -> None:
        if (self.path is None) == (self.delta is None):
            raise InvalidDefinition("a batch has path or delta", hint="write exactly one of them")
        if self.delta is not None and self.format is not None:
            hint = "remove it; a Delta table says what its files are"
            raise InvalidDefinition("batch: format belongs to path only", hint=hint)
        checked_text("batch path", self.path or self.delta)
        if self.every is not None:
            checked_length("batch every", self.every)
        if self.path is not None and self.format is None:
            ending = self.path.rpartition(".")[2]
            if ending not in _FORMATS:
                hint = "write format='parquet', 'csv' or 'jsonl'"
                raise InvalidDefinition(f"batch {self.path}: the format is not clear from the name", hint=hint)
            object.__setattr__(self, "format", ending)
        if self.format is not None:
            word = _FORMATS.get(self.format)
            if word is None:
                raise InvalidDefinition(
                    f"batch format {self.format} does not exist", hint="write csv, jsonl or parquet"
                )
            object.__setattr__(self, "format", word)

    def to_dict(self) -> dict[str, Any]:
        """The batch as it is written in YAML."""
        return present({"path": self.path, "delta": self.delta, "format": self.format, "every": self.every})

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
    """

    kind: ClassVar[str] = "source"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "kind", "name", "event_time", "event_id", "columns", "max_ahead", "dedupe", "retention", "batch",
        "description", "owner", "tags",
    )  # fmt: skip

    name: str
    columns: dict[str, str]
    event_time: str
    event_id: str | None = None
    max_ahead: str | None = None
    dedupe: str | None = None
    retention: str | None = None
    batch: Batch | None = None
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        columns: Mapping[str, str],
        *,
        event_time: str,
        event_id: str | None = None,
        max_ahead: str | None = None,
        dedupe: str | None = None,
        retention: str | None = None,
        batch: Batch | Mapping[str, Any] | None = None,
        description: str | None = None,
        owner: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        checked_name("source name", name)
        thing = f"source {name}"
        columns = checked_columns(thing, "column", columns)
        _check_column(thing, "event_time", event_time, ("timestamp",), columns)
        if event_id is not None:
            _check_column(thing, "event_id", event_id, ("text", "int"), columns)
        for what, length in (("max_ahead", max_ahead), ("dedupe", dedupe), ("retention", retention)):
            if length is not None:
                checked_length(f"{thing}: {what}", length)
        if isinstance(batch, Mapping):
            batch = Batch.from_dict(batch, thing)
        fill(
            self, name=name, columns=columns, event_time=event_time, event_id=event_id, max_ahead=max_ahead,
            dedupe=dedupe, retention=retention, batch=batch, description=description, owner=owner, tags=tags,
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
                "columns": dict(self.columns),
                "max_ahead": self.max_ahead,
                "dedupe": self.dedupe,
                "retention": self.retention,
                "batch": self.batch.to_dict() if self.batch else None,
            }
        )

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Source:
        """Reads what `to_dict` wrote, or a person."""
        thing = thing_of(cls.kind, written, cls.FIELDS)
        columns = required(thing, written, "columns")
        event_time = required(thing, written, "event_time")
        optional = {field: written.get(field) for field in ("event_id", *cls.FIELDS[5:])}
        return cls(written["name"], columns, event_time=event_time, **optional)


def _check_column(thing: str, what: str, column: str, types: tuple[str, ...], columns: Mapping[str, str]) -> None:
    checked_name(f"{thing}: {what}", column)
    needs = " or ".join(types)
    if column not in columns:
        hint = nearest_hint(column, columns, f"add {column}: {types[0]} to columns")
        raise InvalidDefinition(f"{thing}: {what} {column} is not in columns", hint=hint)
    if columns[column] not in types:
        message = f"{thing}: column {column} is {columns[column]}; {what} needs {needs}"
        raise InvalidDefinition(message, hint=f"declare it as {needs}")
