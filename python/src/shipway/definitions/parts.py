"""What every kind of definition is made with: filled once when it is made, written without what is not given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shipway.errors import InvalidDefinition
from shipway.names import check_fields, checked_text, listed, optional_text

_LONGEST_TAG = 63


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are given."""
    return {name: value for name, value in fields.items() if value is not None}


def checked_tags(what: str, tags: Iterable[str] | None) -> tuple[str, ...]:
    """Tags: words of at most 63 characters; one that is written twice is kept once."""
    if tags is None or (not isinstance(tags, str) and not tags):
        return ()
    words = [checked_text(f"{what}: tag", tag).strip() for tag in listed(f"{what}: tags", tags)]
    for word in words:
        if len(word) > _LONGEST_TAG or not word.isprintable():
            hint = f"write a word of at most {_LONGEST_TAG} characters"
            raise InvalidDefinition(f"{what}: tag {word!r} is too long or has control characters", hint=hint)
    return tuple(dict.fromkeys(words))


def fill(definition: object, *, tags: Iterable[str] | None, **fields: Any) -> None:
    """Sets the fields of a frozen definition once, when it is made."""
    for what in ("description", "owner"):
        optional_text(what, fields.get(what))
    fields["tags"] = checked_tags(f"{getattr(definition, 'kind', '')} {fields['name']}", tags)
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
