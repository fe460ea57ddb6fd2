"""The topic of a broker from which a source's events come."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Union

from shipway.definitions.parts import present, required
from shipway.errors import InvalidDefinition
from shipway.names import check_fields, checked_name, checked_text, listed, nearest_hint

_TOPIC = re.compile(r"[A-Za-z0-9._:/-]{1,249}")
_WORDS = {
    "format": ("json", "avro", "protobuf"),
    "start": ("earliest", "latest"),
    "envelope": ("none", "debezium"),
    "changes": ("inserts", "all"),
    "unknown_fields": ("ignore", "refuse"),
}
_UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")

Paths = Union[str, Iterable[str]]
"""The path of a field in a message, or several of which the first that is there counts."""


@dataclass(frozen=True, init=False)
class Stream:
    """A topic whose messages are events of the source, each taken in once.

    `broker` is a name in the server's configuration: addresses and passwords are not for definitions. `fields` says where a
    column lies in a message, if not in the field of its name; `time_unit` what the numbers of a timestamp column count.
    `start` is where to begin with a partition that was never read: `earliest` or `latest`. `schema` is the one that messages
    of Avro or Protobuf were written with; without it the broker's schema registry is asked.

    >>> import shipway
    >>> shipway.Stream(broker="main", topic="departures", format="json", time_unit={"departed_at": "milliseconds"}).to_dict()
    {'broker': 'main', 'topic': 'departures', 'format': 'json', 'time_unit': {'departed_at': 'milliseconds'}}
    >>> shipway.Stream(broker="main", topic="departures", format="json", fields={"gate": ["gate", "origin.gate"]}).fields
    {'gate': ('gate', 'origin.gate')}
    >>> shipway.Stream(broker="main", topic="departures", format="avor")
    Traceback (most recent call last):
    shipway.errors.InvalidDefinition: error: stream: format avor does not exist
    hint: did you mean avro?
    """

    FIELDS: ClassVar[tuple[str, ...]] = (
        "broker", "topic", "start", "format", "schema", "message", "envelope", "changes", "operation", "changed_at",
        "unknown_fields", "fields", "time_unit",
    )  # fmt: skip

    broker: str
    topic: str
    start: str
    format: str
    schema: str | None
    message: str | None
    envelope: str
    changes: str
    operation: str | None
    changed_at: str | None
    unknown_fields: str
    fields: dict[str, tuple[str, ...]]
    time_unit: dict[str, str]

    def __init__(
        self,
        *,
        broker: str,
        topic: str,
        format: str,
        start: str = "earliest",
        schema: str | None = None,
        message: str | None = None,
        envelope: str = "none",
        changes: str = "inserts",
        operation: str | None = None,
        changed_at: str | None = None,
        unknown_fields: str = "ignore",
        fields: Mapping[str, Paths] | None = None,
        time_unit: Mapping[str, str] | None = None,
    ) -> None:
        given: dict[str, Any] = {"broker": checked_name("stream: broker", broker), "topic": topic, "start": start}
        given |= {"format": format, "schema": schema, "message": message, "envelope": envelope}
        given |= {"changes": changes, "operation": operation, "changed_at": changed_at, "unknown_fields": unknown_fields}
        given["fields"] = {checked_name("stream: column", name): _paths(paths) for name, paths in (fields or {}).items()}
        given["time_unit"] = {checked_name("stream: column", name): unit for name, unit in (time_unit or {}).items()}
        for field, value in given.items():
            object.__setattr__(self, field, value)
        self._check()

    def _check(self) -> None:
        if not _TOPIC.fullmatch(checked_text("stream: topic", self.topic)):
            hint = "letters, digits and . _ - : /, at most 249 of them"
            raise InvalidDefinition(f"stream: topic {self.topic} cannot be the name of a topic", hint=hint)
        for field, words in _WORDS.items():
            _check_word(field, getattr(self, field), words)
        for unit in self.time_unit.values():
            _check_word("time_unit", unit, _UNITS)
        for field in ("schema", "message"):
            if getattr(self, field) is not None:
                checked_text(f"stream: {field}", getattr(self, field))
        if self.message is not None and self.format != "protobuf":
            message = f"stream: message is for protobuf, and the format is {self.format}"
            raise InvalidDefinition(message, hint="leave message out")
        if self.schema is not None and self.format == "json":
            hint = "leave schema out: the columns say what is read"
            raise InvalidDefinition("stream: schema is for avro and protobuf, and the format is json", hint=hint)
        if self.schema is not None and self.format == "protobuf" and self.message is None:
            hint = "add message= with its full name, such as flights.Departure"
            raise InvalidDefinition("stream: does not say which message of the schema is sent", hint=hint)
        if self.envelope == "debezium" and self.format == "protobuf":
            hint = "write format='json' or format='avro'"
            raise InvalidDefinition("stream: envelope debezium comes as json or avro", hint=hint)

        self._check_changes()

    def _check_changes(self) -> None:
        tells = {"changes": self.changes != "inserts", "operation": self.operation is not None, "changed_at": self.changed_at is not None}
        for field in (field for field, is_said in tells.items() if is_said and self.envelope == "none"):
            hint = f"leave {field} out, or write envelope='debezium'"
            raise InvalidDefinition(f"stream: {field} is for an envelope that tells of changes", hint=hint)
        if self.changes == "all" and self.operation is None:
            hint = "add operation= with a text column, which says insert, update or delete"
            raise InvalidDefinition("stream: changes='all' needs a column that tells a deletion from a row", hint=hint)

    def check_columns(self, thing: str, columns: Mapping[str, str]) -> None:
        """Refuses columns that the source does not have, and units of columns that are no timestamps."""
        for field, named in (("fields", self.fields), ("time_unit", self.time_unit)):
            for column in named:
                if column not in columns:
                    hint = nearest_hint(column, columns, "it goes from the source's name of a column")
                    raise InvalidDefinition(f"{thing}: column {column} of {field} in stream is not in columns", hint=hint)
        for field, told, needs in (("operation", self.operation, "text"), ("changed_at", self.changed_at, "timestamp")):
            if told is not None and columns.get(told) != needs:
                is_there = f"is {columns[told]}, not {needs}" if told in columns else "is not in columns"
                hint = f"add {told}: {needs} to columns"
                raise InvalidDefinition(f"{thing}: column {told} of {field} in stream {is_there}", hint=hint)
        for column in self.time_unit:
            if columns[column] != "timestamp":
                message = f"{thing}: column {column} of time_unit is {columns[column]}"
                raise InvalidDefinition(message, hint="units are for timestamps that come as numbers")

    def to_dict(self) -> dict[str, Any]:
        """The stream as it is written in YAML; what is as it would be anyway is left out."""
        paths = {column: paths[0] if len(paths) == 1 else list(paths) for column, paths in self.fields.items()}
        return present(
            {
                "broker": self.broker,
                "topic": self.topic,
                "start": None if self.start == "earliest" else self.start,
                "format": self.format,
                "schema": self.schema,
                "message": self.message,
                "envelope": None if self.envelope == "none" else self.envelope,
                "changes": None if self.changes == "inserts" else self.changes,
                "operation": self.operation,
                "changed_at": self.changed_at,
                "unknown_fields": None if self.unknown_fields == "ignore" else self.unknown_fields,
                "fields": paths or None,
                "time_unit": dict(self.time_unit) or None,
            }
        )

    @classmethod
    def from_dict(cls, written: Mapping[str, Any], thing: str = "stream") -> Stream:
        """Reads what `to_dict` wrote, or a person."""
        check_fields(f"{thing}: stream", written, cls.FIELDS)
        needed = {field: required(f"{thing}: stream", written, field) for field in ("broker", "topic", "format")}
        given = {field: value for field, value in written.items() if field not in needed and value is not None}
        return cls(**needed, **given)


def _paths(paths: Paths) -> tuple[str, ...]:
    found = (paths,) if isinstance(paths, str) else listed("stream: fields", paths)
    return tuple(checked_text("stream: a path of fields", path) for path in found)


def _check_word(field: str, word: object, words: tuple[str, ...]) -> None:
    if word not in words:
        hint = nearest_hint(str(word), words, f"write one of {', '.join(words)}")
        raise InvalidDefinition(f"stream: {field} {word} does not exist", hint=hint)
