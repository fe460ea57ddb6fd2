"""What people and policies want to know about features: freshness, personal data, deprecation, owners, tags."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from shipway.definitions.parts import checked_tags, present, required
from shipway.errors import InvalidDefinition
from shipway.names import check_fields, checked_length, checked_text, nearest_hint, optional_text

_BEYOND = ("serve", "null", "refuse")
_PII = ("none", "personal", "sensitive")


def checked_pii(thing: str, pii: str | None) -> str | None:
    """`pii`, if it is a class of personal data: `none`, `personal` or `sensitive`."""
    if pii is None or pii in _PII:
        return pii
    hint = nearest_hint(str(pii), _PII, f"write one of {', '.join(_PII)}")
    raise InvalidDefinition(f"{thing}: pii {pii} does not exist", hint=hint)


@dataclass(frozen=True)
class Freshness:
    """How fresh a view should be, and what an answer does with one that is not: `serve`, `null` or `refuse`."""

    FIELDS: ClassVar[tuple[str, ...]] = ("objective", "beyond")

    objective: str
    beyond: str = "serve"

    def __post_init__(self) -> None:
        checked_length("freshness objective", self.objective)
        if self.beyond not in _BEYOND:
            hint = f"write one of {', '.join(_BEYOND)}"
            raise InvalidDefinition(f"freshness beyond {self.beyond} does not exist", hint=hint)

    def to_dict(self) -> dict[str, Any]:
        """The freshness as it is written in YAML."""
        return {"objective": self.objective, "beyond": self.beyond}

    @classmethod
    def from_dict(cls, written: Mapping[str, Any], thing: str = "freshness") -> Freshness:
        """Reads what `to_dict` wrote, or a person. `beyond: null` without quotes means the word."""
        check_fields(f"{thing}: freshness", written, cls.FIELDS)
        beyond = written.get("beyond", "serve")
        return cls(required(f"{thing}: freshness", written, "objective"), "null" if beyond is None else beyond)

    @classmethod
    def of(cls, given: Freshness | Mapping[str, Any] | str | None, thing: str) -> Freshness | None:
        """What is meant: a freshness, its fields, or its objective alone."""
        if given is None or isinstance(given, Freshness):
            return given
        return cls(given) if isinstance(given, str) else cls.from_dict(given, thing)


@dataclass(frozen=True)
class Deprecation:
    """That something should not be taken any more: why, since which day, and what to take instead.

    >>> import shipway
    >>> shipway.Deprecation("counts refunds twice", since="2026-01-31", use="spending:amount_sum_1d").to_dict()
    {'since': '2026-01-31', 'reason': 'counts refunds twice', 'use': 'spending:amount_sum_1d'}
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("since", "reason", "use")

    reason: str
    since: str | None = None
    use: str | None = None

    def __post_init__(self) -> None:
        checked_text("deprecated reason", self.reason)
        optional_text("deprecated use", self.use)
        if isinstance(self.since, datetime.date):
            object.__setattr__(self, "since", self.since.isoformat())
        if self.since is not None:
            try:
                is_day = datetime.date.fromisoformat(self.since).isoformat() == self.since
            except (TypeError, ValueError):
                is_day = False
            if not is_day:
                hint = "write it as 2026-01-31"
                raise InvalidDefinition(f"deprecated since `{self.since}` is not a day", hint=hint)

    def to_dict(self) -> dict[str, Any]:
        """The deprecation as it is written in YAML."""
        return present({"since": self.since, "reason": self.reason, "use": self.use})

    @classmethod
    def of(cls, given: Deprecation | Mapping[str, Any] | str | None, thing: str) -> Deprecation | None:
        """What is meant: a deprecation, its fields, or its reason alone."""
        if given is None or isinstance(given, Deprecation):
            return given
        if isinstance(given, str):
            return cls(given)
        if not isinstance(given, Mapping):
            hint = "write the reason, or { reason: …, since: …, use: … }"
            raise InvalidDefinition(f"{thing}: deprecated is a reason or a map, got {given!r}", hint=hint)
        check_fields(f"{thing}: deprecated", given, cls.FIELDS)
        reason = required(f"{thing}: deprecated", given, "reason")
        return cls(reason, given.get("since"), given.get("use"))


@dataclass(frozen=True, kw_only=True)
class Feature:
    """What people and policies want to know about one feature; where it is silent, what the view says holds.

    Nothing of it changes a value, but for `ttl`: the age up to which a latest value counts, tighter than the view's.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("description", "owner", "tags", "pii", "ttl", "freshness", "deprecated")

    description: str | None = None
    owner: str | None = None
    tags: Sequence[str] = ()
    pii: str | None = None
    ttl: str | None = None
    freshness: Freshness | Mapping[str, Any] | str | None = None
    deprecated: Deprecation | Mapping[str, Any] | str | None = None

    def __post_init__(self) -> None:
        for what in ("description", "owner"):
            optional_text(f"feature {what}", getattr(self, what))
        object.__setattr__(self, "tags", checked_tags("feature", self.tags))
        checked_pii("feature", self.pii)
        if self.ttl is not None:
            checked_length("feature ttl", self.ttl)
        object.__setattr__(self, "freshness", Freshness.of(self.freshness, "feature"))
        object.__setattr__(self, "deprecated", Deprecation.of(self.deprecated, "feature"))

    def to_dict(self) -> dict[str, Any]:
        """The metadata as they are written in YAML."""
        written: dict[str, Any] = {name: getattr(self, name) for name in self.FIELDS}
        written["tags"] = list(self.tags) or None
        for name in ("freshness", "deprecated"):
            part = written[name]
            written[name] = part.to_dict() if isinstance(part, (Freshness, Deprecation)) else part
        return present(written)

    @classmethod
    def from_dict(cls, written: Mapping[str, Any], thing: str = "feature") -> Feature:
        """Reads what `to_dict` wrote, or a person."""
        check_fields(thing, written, cls.FIELDS)
        fields: dict[str, Any] = {name: written.get(name) for name in cls.FIELDS}
        return cls(**{**fields, "tags": fields["tags"] or ()})
