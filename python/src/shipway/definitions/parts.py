"""What every kind of definition is made with: filled once when it is made, written without what is not given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipway.names import check_fields, optional_text
from shipway.errors import InvalidDefinition


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are given."""
    return {name: value for name, value in fields.items() if value is not None}


def fill(definition: object, **fields: Any) -> None:
    """Sets the fields of a frozen definition once, when it is made."""
    for what in ("description", "owner"):
        optional_text(what, fields.get(what))
    for field, value in fields.items():
        object.__setattr__(definition, field, value)


def thing_of(kind: str, written: Mapping[str, Any], known: tuple[str, ...]) -> str:
    """`source departures`, for messages; refuses a definition without a name or with a field that does not exist."""
    if "name" not in written:
        raise InvalidDefinition(f"{kind}: name is missing")
    thing = f"{kind} {written['name']}"
    check_fields(thing, written, known)
    return thing


def required(thing: str, written: Mapping[str, Any], field: str) -> Any:
    """A field that must be there."""
    value = written.get(field)
    if value is None:
        raise InvalidDefinition(f"{thing}: {field} is missing")
    return value
