"""Definitions put together: to YAML and back, and to a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from shipway import display
from shipway.definitions import yaml
from shipway.definitions.service import Gate, Service
from shipway.definitions.sink import Sink
from shipway.definitions.source import Entity, Source
from shipway.definitions.view import View
from shipway.errors import InvalidDefinition
from shipway.names import nearest_hint

if TYPE_CHECKING:
    from shipway.client import Client
    from shipway.plan import Plan

Definition = Union[Entity, Source, View, Service, Gate, Sink]
"""Any of the six kinds."""

_KINDS: dict[str, type[Entity] | type[Source] | type[View] | type[Service] | type[Gate] | type[Sink]] = {
    kind.kind: kind for kind in (Entity, Source, View, Service, Gate, Sink)
}


class Definitions:
    """Definitions of any kind, in the order given.

    What `to_yaml` writes has the same hashes as YAML written by hand, so code and files can take turns.

    >>> import shipway
    >>> definitions = shipway.Definitions(
    ...     shipway.Entity("user", keys={"user_id": "text"}),
    ...     shipway.Source(
    ...         "purchases",
    ...         columns={"bought_at": "timestamp", "user_id": "text", "amount": "float"},
    ...         event_time="bought_at",
    ...     ),
    ... )
    >>> print(definitions.to_yaml(), end="")
    kind: entity
    name: user
    keys: { user_id: text }
    ---
    kind: source
    name: purchases
    event_time: bought_at
    columns: { bought_at: timestamp, user_id: text, amount: float }
    >>> shipway.Definitions.from_yaml(definitions.to_yaml()) == definitions
    True
    """

    def __init__(self, *definitions: Definition | Iterable[Definition]) -> None:
        self._definitions: dict[tuple[str, str], Definition] = {}
        self.add(*definitions)

    def add(self, *definitions: Definition | Iterable[Definition]) -> Definitions:
        """Adds definitions, one by one or in any iterable. A name may come once for each kind."""
        for definition in definitions:
            if isinstance(definition, (Entity, Source, View, Service, Gate, Sink)):
                place = (definition.kind, definition.name)
                if place in self._definitions:
                    message = f"{definition.kind} {definition.name}: is defined twice"
                    raise InvalidDefinition(message, hint="give one of them another name")
                self._definitions[place] = definition
            elif isinstance(definition, Iterable) and not isinstance(definition, (str, Mapping)):
                self.add(*definition)
            else:
                hint = "use Entity, Source, View, Service, Gate, Sink, or Definitions.load for files"
                raise InvalidDefinition(f"{definition!r} is not a definition", hint=hint)
        return self

    @classmethod
    def from_yaml(cls, text: str, path: str = "definitions") -> Definitions:
        """Reads YAML documents, one definition each. `path` is only for messages."""
        found = cls()
        for document in yaml.read(text, path):
            try:
                found.add(_definition(document))
            except InvalidDefinition as error:
                raise InvalidDefinition(f"{path}: {error.message}", hint=error.hint) from None
        return found

    @classmethod
    def load(cls, *paths: str | os.PathLike[str]) -> Definitions:
        """Reads files, and folders with all `.yaml` and `.yml` files below them."""
        found = cls()
        for file in read_files(paths):
            found.add(cls.from_yaml(file["text"], file["path"]))
        return found

    def to_yaml(self) -> str:
        """All definitions as YAML, one document each."""
        return yaml.write(definition.to_dict() for definition in self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `to_yaml` to a file."""
        Path(path).write_text(self.to_yaml(), encoding="utf-8")

    def plan(self, client: Client | None = None, *, prune: bool = False) -> Plan:
        """What applying would change; see `Client.plan`. Without a client, one is made from the environment."""
        return _with(client, lambda found: found.plan(self, prune=prune))

    def apply(self, client: Client | None = None, *, prune: bool = False) -> Plan:
        """Applies all of them or none; see `Client.apply`. Without a client, one is made from the environment."""
        return _with(client, lambda found: found.apply(self, prune=prune))

    def __iter__(self) -> Iterator[Definition]:
        return iter(self._definitions.values())

    def __len__(self) -> int:
        return len(self._definitions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Definitions) and self._definitions == other._definitions

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, name: str) -> Definition:
        """The definition of that name; `view:origin` where a name stands for things of several kinds."""
        kind, separator, bare = name.rpartition(":")
        found = [
            definition
            for place, definition in self._definitions.items()
            if place == (kind, bare) or (not separator and place[1] == name)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            hint = f"write {found[0].kind}:{name}"
            raise InvalidDefinition(f"{name} stands for {len(found)} definitions", hint=hint)
        names = [place[1] for place in self._definitions]
        hint = nearest_hint(name, names, f"there are {', '.join(names) or 'none'}")
        raise InvalidDefinition(f"definition {name} does not exist", hint=hint)

    def __repr__(self) -> str:
        return f"Definitions({', '.join(f'{kind} {name}' for kind, name in self._definitions)})"

    def _repr_html_(self) -> str:
        rows = [
            (definition.kind, definition.name, definition.description or "", definition.owner or "")
            for definition in self
        ]
        return display.table(("kind", "name", "description", "owner"), rows)


def read_files(paths: Iterable[str | os.PathLike[str]]) -> list[dict[str, str]]:
    """The files as a proposal carries them, `{path, text}`; folders with all `.yaml` and `.yml` below them, sorted."""
    files: list[dict[str, str]] = []
    for path in map(Path, paths):
        if path.is_dir():
            below = (found for found in path.rglob("*") if found.suffix in (".yaml", ".yml") and found.is_file())
            files.extend({"path": str(found), "text": found.read_text(encoding="utf-8")} for found in sorted(below))
        elif path.is_file():
            files.append({"path": str(path), "text": path.read_text(encoding="utf-8")})
        else:
            raise InvalidDefinition(f"{path}: there is no such file or folder")
    if not files:
        raise InvalidDefinition("no definitions found", hint="definitions are files that end in .yaml or .yml")
    return files


def _definition(document: Any) -> Definition:
    if not isinstance(document, dict):
        raise InvalidDefinition("a definition is a map", hint="start it with `kind: …`")
    kind = document.get("kind")
    known = f"the kinds are {', '.join(_KINDS)}"
    if kind is None:
        raise InvalidDefinition("kind is missing", hint=known)
    if kind not in _KINDS:
        raise InvalidDefinition(f"kind {kind} does not exist", hint=nearest_hint(str(kind), _KINDS, known))
    return _KINDS[kind].from_dict(document)


def _with(client: Client | None, act: Callable[[Client], Plan]) -> Plan:
    from shipway.client import Client

    if client is not None:
        return act(client)
    with Client() as own:
        return act(own)
