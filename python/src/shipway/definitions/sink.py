"""Where rows go that others want: to a topic of a broker, or to a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from shipway.definitions.parts import fill, present, required, thing_of
from shipway.definitions.view import View
from shipway.errors import InvalidDefinition
from shipway.names import check_fields, checked_length, checked_name, checked_text, listed, nearest_hint

_TOPIC = re.compile(r"[A-Za-z0-9._:/-]{1,249}")
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,125}")
_FORMATS = ("json", "avro")


@dataclass(frozen=True, init=False)
class Topic:
    """A topic of a broker that a sink sends to. It must exist.

    `broker` is a name in the server's configuration. `format` is `json` or `avro`. `key` names the columns that are the key of
    each message, for predictions and tables; rows of a view have the keys of its entity.

    >>> import shipway
    >>> shipway.Topic(broker="main", topic="features.user_spending", format="json").to_dict()
    {'broker': 'main', 'topic': 'features.user_spending', 'format': 'json'}
    >>> shipway.Topic(broker="main", topic="predictions", format="protobuf")
    Traceback (most recent call last):
    shipway.errors.InvalidDefinition: error: topic predictions: format protobuf cannot be sent
    hint: write one of json, avro
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("broker", "topic", "format", "key")

    broker: str
    topic: str
    format: str
    key: tuple[str, ...]

    def __init__(self, *, broker: str, topic: str, format: str, key: Iterable[str] | None = None) -> None:
        if not _TOPIC.fullmatch(checked_text("topic", topic)):
            hint = "letters, digits and . _ - : /, at most 249 of them"
            raise InvalidDefinition(f"topic {topic} cannot be the name of a topic", hint=hint)
        thing = f"topic {topic}"
        if format not in _FORMATS:
            hint = nearest_hint(str(format), _FORMATS, f"write one of {', '.join(_FORMATS)}")
            raise InvalidDefinition(f"{thing}: format {format} cannot be sent", hint=hint)
        columns = () if key is None else tuple(checked_text(f"{thing}: key", each) for each in listed(f"{thing}: key", key))
        for field, value in (("broker", checked_name(f"{thing}: broker", broker)), ("topic", topic), ("format", format)):
            object.__setattr__(self, field, value)
        object.__setattr__(self, "key", columns)

    def to_dict(self) -> dict[str, Any]:
        """The topic as it is written in YAML."""
        return present(
            {"broker": self.broker, "topic": self.topic, "format": self.format, "key": list(self.key) or None}
        )


@dataclass(frozen=True, init=False)
class Sink:
    """Rows that are sent on as they come: of a view, of what a deployment predicts, or of what a table gains.

    Exactly one of `view`, `deployment` and `table` says what is sent; `to` where it goes: a `Topic`, or for rows of a view the
    name of a table that they fill. `every` is how often it sends, at most: of a key that changes several times in between, the
    newest row is sent.

    >>> import shipway
    >>> topic = shipway.Topic(broker="main", topic="features.user_spending", format="json")
    >>> print(shipway.Definitions(shipway.Sink("spending_rows", view="user_spending", to=topic, every="1s")).to_yaml(), end="")
    kind: sink
    name: spending_rows
    from: { view: user_spending }
    to: { broker: main, topic: "features.user_spending", format: json }
    every: 1s
    >>> shipway.Sink("kept", view="user_spending", to="spending_rows").to_dict()["to"]
    {'table': 'spending_rows'}
    """

    kind: ClassVar[str] = "sink"
    FIELDS: ClassVar[tuple[str, ...]] = ("kind", "name", "description", "owner", "tags", "from", "to", "every")
    FROM_FIELDS: ClassVar[tuple[str, ...]] = ("view", "deployment", "table")
    TO_FIELDS: ClassVar[tuple[str, ...]] = (*Topic.FIELDS, "table")

    name: str
    view: str | None
    deployment: str | None
    table: str | None
    to: Topic | str
    every: str | None
    description: str | None
    owner: str | None
    tags: tuple[str, ...]

    def __init__(
        self,
        name: str,
        *,
        view: str | View | None = None,
        deployment: str | None = None,
        table: str | None = None,
        to: Topic | str,
        every: str | None = None,
        description: str | None = None,
        owner: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        checked_name("sink name", name)
        thing = f"sink {name}"
        view = view.name if isinstance(view, View) else view
        if sum(given is not None for given in (view, deployment, table)) != 1:
            hint = "give one of view=, deployment= and table="
            raise InvalidDefinition(f"{thing}: does not say what is sent, or more than one thing", hint=hint)
        for what, given in (("view", view), ("deployment", deployment)):
            if given is not None:
                checked_name(f"{thing}: {what}", given)
        if table is not None and not (isinstance(table, str) and _TABLE.fullmatch(table)):
            hint = "use a lower-case letter, then at most 125 of a-z, 0-9 and _"
            raise InvalidDefinition(f"{thing}: table `{table}` is not the name of a table", hint=hint)
        if isinstance(to, str):
            checked_name(f"{thing}: table", to)
            if view is None:
                hint = "they are in a table already; send them to a topic"
                raise InvalidDefinition(f"{thing}: its rows would go from one table into table {to}", hint=hint)
        elif not isinstance(to, Topic):
            raise InvalidDefinition(f"{thing}: to is a Topic or the name of a table, got {to!r}")
        elif to.key and view is not None:
            hint = "leave key out: rows of a view have the keys of its entity"
            raise InvalidDefinition(f"{thing}: key is for tables and deployments", hint=hint)
        if every is not None:
            checked_length(f"{thing}: every", every)
        fill(
            self, name=name, view=view, deployment=deployment, table=table, to=to, every=every, description=description,
            owner=owner, tags=tags,
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
                "from": present({"view": self.view, "deployment": self.deployment, "table": self.table}),
                "to": self.to.to_dict() if isinstance(self.to, Topic) else {"table": self.to},
                "every": self.every,
            }
        )

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Sink:
        """Reads what `to_dict` wrote, or a person."""
        thing = thing_of(cls.kind, written, cls.FIELDS)
        given = {field: written.get(field) for field in ("every", "description", "owner", "tags")}
        return cls(
            written["name"],
            **_parts(f"{thing}: from", required(thing, written, "from"), cls.FROM_FIELDS),
            to=_to(thing, _parts(f"{thing}: to", required(thing, written, "to"), cls.TO_FIELDS)),
            **given,
        )


def _parts(what: str, written: object, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(written, Mapping):
        raise InvalidDefinition(f"{what} is a map, got {written!r}", hint=f"the fields are {', '.join(known)}")
    check_fields(what, written, known)
    return present(written)


def _to(thing: str, parts: Mapping[str, Any]) -> Topic | str:
    if "table" not in parts:
        needed = {field: required(f"{thing}: to", parts, field) for field in ("broker", "topic", "format")}
        return Topic(**needed, key=parts.get("key"))
    if len(parts) > 1:
        foreign = next(field for field in parts if field != "table")
        raise InvalidDefinition(f"{thing}: to names a table and a {foreign}", hint="make two sinks of them")
    table: str = parts["table"]
    return table
