"""What applying definitions would change, or has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from shipway import display

_MARKS = {"created": "+", "removed": "-"}


@dataclass(frozen=True)
class FieldChange:
    """One field of a definition that differs."""

    field: str
    before: str | None
    after: str | None

    @property
    def told(self) -> tuple[str, str] | None:
        """What it was and what it is, as far as a person needs it; nothing where the other fields say it all.

        Of a list of features only what the other side lacks, of an order only names that stay and have changed places.

        >>> FieldChange("features of v", "a, b, c", "a, d, c").told
        ('b', 'd')
        >>> FieldChange("column order", "a, b, c", "a, d, c").told
        """
        was, now = self.before or "-", self.after or "-"
        is_order = self.field.endswith(" order")
        if not is_order and not self.field.startswith("features of "):
            return was, now
        names, others = was.split(", "), now.split(", ")
        was = ", ".join(name for name in names if (name in others) == is_order) or "-"
        now = ", ".join(name for name in others if (name in names) == is_order) or "-"
        return None if was == now else (was, now)


@dataclass(frozen=True)
class Rebuild:
    """What building the state of a new version reads, and how long that should take."""

    rows: int
    files: int
    bytes: int
    seconds: float
    rows_per_second: float
    measured_builds: int
    """Over how many builds of the server the speed was measured; 0: it is assumed."""

    @classmethod
    def of(cls, body: Mapping[str, Any] | None) -> Rebuild | None:
        return None if body is None else cls(**{each.name: body[each.name] for each in fields(cls)})

    def __str__(self) -> str:
        if self.rows == 0:
            return "there is no history yet, so it is ready at once"
        speed = f"{self.rows_per_second:,.0f} rows/s"
        builds = "1 build" if self.measured_builds == 1 else f"{self.measured_builds} builds"
        basis = f"{speed}, measured over {builds}" if self.measured_builds else f"assuming {speed}; nothing was built here yet"
        files = "1 file" if self.files == 1 else f"{self.files:,} files"
        size = display.size(self.bytes)
        return f"{self.rows:,} rows, {size} in {files}, {display.about(self.seconds)} ({basis})"


@dataclass(frozen=True)
class Consumer:
    """Somebody who feels a change: a view, a service, a model, a deployment."""

    kind: str
    name: str
    version: int | None
    """The version of a model."""
    aliases: tuple[str, ...]
    effect: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Consumer:
        aliases = tuple(body.get("aliases") or ())
        return cls(body["kind"], body["name"], body.get("version"), aliases, body["effect"])

    def __str__(self) -> str:
        version = "" if self.version is None else f" version {self.version}"
        aliases = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return f"{self.kind} {self.name}{version}{aliases} {self.effect}"


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
    rebuild: Rebuild | None
    """What building the new version costs; nothing where nothing is built."""
    consumers: tuple[Consumer, ...]
    """Who feels it: the blast radius."""
    personal: Mapping[str, str]
    """The features or columns with personal values, and their class, `personal` or `sensitive`."""
    warnings: tuple[str, ...]
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
            rebuild=Rebuild.of(body.get("rebuild")),
            consumers=tuple(map(Consumer.of, body.get("consumers") or ())),
            personal={each["name"]: each["pii"] for each in body.get("personal") or ()},
            warnings=tuple(body.get("warnings") or ()),
            body=body,
        )

    @property
    def differences(self) -> list[str]:
        """`field: before → after` for each field that differs, as far as the others do not say it."""
        told = ((each.field, each.told) for each in self.fields)
        return [f"{field}: {sides[0]} → {sides[1]}" for field, sides in told if sides]

    @property
    def impact(self) -> list[str]:
        """What it costs, whom it touches and what should be looked at, a line each."""
        found = [f"build: {self.rebuild}"] if self.rebuild else []
        for word in ("personal", "sensitive"):
            names = [name for name, pii in self.personal.items() if pii == word]
            found.extend([f"{word} data: {', '.join(names)}"] if names else [])
        if self.consumers:
            found.extend(["touches:", *(f"  {consumer}" for consumer in self.consumers)])
        found.extend(f"warning: {warning}" for warning in self.warnings)
        return found

    @property
    def versions(self) -> str:
        """The versions before and after, short."""
        before, after = (version and version.rpartition(":")[2][:12] for version in (self.before, self.after))
        if before and after:
            return f"{after} (same version)" if before == after else f"{before} → {after}"
        return before or after or ""


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
    rows: int = 0
    """Rows of history that all builds of the plan read together."""
    seconds: float = 0.0
    """How long all builds should take."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Plan:
        def named(field: str) -> tuple[str, ...]:
            return tuple(f"{each['kind']} {each['name']}" for each in body.get(field, ()))

        cost = body.get("cost") or {}
        changes = tuple(map(Change.of, body["changes"]))
        return cls(changes, named("unchanged"), named("kept"), cost.get("rows", 0), cost.get("seconds", 0.0))

    @property
    def has_changes(self) -> bool:
        """Whether there is, or was, something to do."""
        return bool(self.changes)

    def __bool__(self) -> bool:
        return self.has_changes

    def __str__(self) -> str:
        lines = []
        for change in self.changes:
            lines.append(f"{_MARKS.get(change.action, '~')} {change.kind} {change.name}  {change.versions}".rstrip())
            lines.extend(f"    {each}" for each in (*change.differences, *change.consequences, *change.impact))
        lines.extend(f"= {name} is not in these definitions and stays; prune=True removes it" for name in self.kept)
        return "\n".join(lines) or "nothing to do"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for change in self.changes:
            notes = [f"warning: {warning}" for warning in change.warnings]
            personal = [f"{name} is {pii}" for name, pii in change.personal.items()]
            what = "\n".join([*change.differences, *change.consequences, *personal, *notes])
            cost = str(change.rebuild) if change.rebuild else ""
            touches = "\n".join(map(str, change.consumers))
            named = f"{change.kind} {change.name}"
            rows.append((change.action, named, change.versions, what, cost, touches))
        note = f"{len(self.kept)} not in these definitions stay" if self.kept else None
        if not rows:
            return f"<div>nothing to do{f'; {note}' if note else ''}</div>"
        if self.rows:
            total = f"{self.rows:,} rows of history to read, {display.about(self.seconds)}"
            note = "; ".join(filter(None, (total, note)))
        columns = ("action", "definition", "version", "what it means", "build", "touches")
        return display.table(columns, rows, note=note)
