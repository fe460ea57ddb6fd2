"""What applying definitions would change, or has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shipway import display

_MARKS = {"created": "+", "removed": "-"}


@dataclass(frozen=True)
class FieldChange:
    """One field of a definition that differs."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Change:
    """One definition that is created, changed or removed."""

    kind: str
    name: str
    action: str
    before: str | None
    """The version in force before, a hash."""
    after: str | None
    """The version in force afterwards; as `before` when only what people read has changed."""
    fields: tuple[FieldChange, ...]
    consequences: tuple[str, ...]
    body: Mapping[str, Any]
    """The change as the server answered it, with what this package does not know yet."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Change:
        return cls(
            kind=body["kind"],
            name=body["name"],
            action=body["action"],
            before=body.get("before"),
            after=body.get("after"),
            fields=tuple(
                FieldChange(each["field"], each.get("before"), each.get("after")) for each in body.get("fields", ())
            ),
            consequences=tuple(str(each) for each in body.get("consequences", ())),
            body=body,
        )

    @property
    def impact(self) -> list[str]:
        """What it costs, whom it affects and what should be looked at, a sentence each, as far as the server says."""
        found = []
        rebuild = self.body.get("rebuild")
        if rebuild:
            found.append(f"it is built from {rebuild['rows']:,} rows, in about {rebuild['seconds']:.3g} s")
        for consumer in self.body.get("consumers") or ():
            found.append(f"consumed by {consumer['kind']} {consumer['name']}: {consumer['effect']}")
        found.extend(f"sensitive personal data: {feature}" for feature in self.body.get("sensitive") or ())
        found.extend(f"warning: {warning}" for warning in self.body.get("warnings") or ())
        return found


@dataclass(frozen=True, repr=False)
class Plan:
    """The changes, in the order in which they are made. It prints as `shipway plan` does.

    A plan is true when there is something to do.
    """

    changes: tuple[Change, ...]
    unchanged: tuple[str, ...]
    """What is in force as it is, as `kind name`."""
    kept: tuple[str, ...]
    """What is in force, is not in the definitions, and stays; `prune=True` removes it."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Plan:
        def named(field: str) -> tuple[str, ...]:
            return tuple(f"{each['kind']} {each['name']}" for each in body.get(field, ()))

        return cls(tuple(map(Change.of, body["changes"])), named("unchanged"), named("kept"))

    @property
    def has_changes(self) -> bool:
        """Whether there is, or was, something to do."""
        return bool(self.changes)

    def __bool__(self) -> bool:
        return self.has_changes

    def __str__(self) -> str:
        lines = []
        for change in self.changes:
            lines.append(f"{_MARKS.get(change.action, '~')} {change.kind} {change.name}")
            lines.extend(f"    {each.field}: {each.before or '-'} → {each.after or '-'}" for each in change.fields)
            lines.extend(f"    {each}" for each in (*change.consequences, *change.impact))
        lines.extend(f"= {name} is not in these definitions and stays; prune=True removes it" for name in self.kept)
        return "\n".join(lines) or "nothing to do"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for change in self.changes:
            details = [f"{each.field}: {each.before or '-'} → {each.after or '-'}" for each in change.fields]
            what = "; ".join([*details, *change.consequences, *change.impact])
            rows.append((change.action, change.kind, change.name, what))
        note = f"{len(self.kept)} not in these definitions stay" if self.kept else None
        if not rows:
            return f"<div>nothing to do{f'; {note}' if note else ''}</div>"
        return display.table(("action", "kind", "name", "what it means"), rows, note=note)
