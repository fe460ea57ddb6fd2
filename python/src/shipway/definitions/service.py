"""Services and gates: what a model takes, and what it must show before it may serve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from shipway.definitions.parts import fill, present, required, thing_of
from shipway.definitions.view import View, view_choices
from shipway.errors import InvalidDefinition
from shipway.names import (
    check_fields,
    checked_columns,
    checked_name,
    checked_text,
    listed,
    optional_text,
)


@dataclass(frozen=True, init=False)
class Service:
    """The fixed list of features and request columns that one model takes.

    A view stands for all of its features; `view["feature"]`, or `"view:feature"`, for one. `compute` holds SQL
    expressions over the features and the request columns, evaluated when somebody asks.

    >>> import shipway
    >>> service = shipway.Service(
    ...     "late_arrivals",
    ...     views=["origin_traffic", "plane_legs:count_7d"],
    ...     request={"distance": "float"},
    ...     compute={"delay_per_mile": "origin_traffic__dep_delay_avg_1h / nullif(distance, 0)"},
    ... )
    >>> service.views
    ('origin_traffic', 'plane_legs:count_7d')
    """

    kind: ClassVar[str] = "service"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "kind", "name", "description", "owner", "tags", "views", "request", "compute",
    )  # fmt: skip

    name: str
    views: tuple[str, ...] = ()
    request: dict[str, str] = field(default_factory=dict)
    compute: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        *,
        views: Iterable[str | View] | None = None,
        request: Mapping[str, str] | None = None,
        compute: Mapping[str, str] | None = None,
        description: str | None = None,
        owner: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        checked_name("service name", name)
        thing = f"service {name}"
        if views is None and request is None:
            raise InvalidDefinition(f"{thing}: views is missing", hint="list its views with `views=[…]`")
        choices = () if views is None else view_choices(thing, "views", views)
        expressions = {
            checked_name(f"{thing}: computed column", column): checked_text(f"{thing}: compute {column}", expression)
            for column, expression in (compute or {}).items()
        }
        fill(
            self,
            name=name,
            views=choices,
            request={} if request is None else checked_columns(thing, "request column", request, lists=False),
            compute=expressions,
            description=description,
            owner=owner,
            tags=tags,
        )

    def to_dict(self) -> dict[str, Any]:
        """The definition as it is written in YAML."""
        return present(
            {
                "kind": self.kind,
                "name": self.name,
                "description": self.description,
                "owner": self.owner,
                "tags": list(self.tags) or None,
                "views": list(self.views) or None,
                "request": dict(self.request) or None,
                "compute": dict(self.compute) or None,
            }
        )

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Service:
        """Reads what `to_dict` wrote, or a person."""
        thing_of(cls.kind, written, cls.FIELDS)
        return cls(written["name"], **{name: written.get(name) for name in cls.FIELDS[2:]})


@dataclass(frozen=True)
class Requirement:
    """One thing that a gate requires. Make it with `beats_holder`, `at_least`, `at_most` or `own_artifact`."""

    FIELDS: ClassVar[tuple[str, ...]] = ("metric", "dataset", "beats", "by", "at_least", "at_most", "evaluation")

    written: tuple[tuple[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """The requirement as it is written in YAML."""
        return dict(self.written)

    @classmethod
    def from_dict(cls, written: Mapping[str, Any], thing: str = "gate") -> Requirement:
        """Reads what `to_dict` wrote, or a person."""
        check_fields(f"{thing}: require", written, cls.FIELDS)
        given = present(written)
        if "evaluation" in given:
            if given != {"evaluation": "own_artifact"}:
                hint = "write evaluation: own_artifact, as a requirement of its own"
                raise InvalidDefinition(f"{thing}: evaluation {given['evaluation']} does not stand so", hint=hint)
            return own_artifact()
        if "metric" not in given:
            hint = "write `metric: …` with a rule, or `evaluation: own_artifact`"
            raise InvalidDefinition(f"{thing}: a requirement without metric or evaluation", hint=hint)
        metric, dataset = given["metric"], given.get("dataset")
        rules = [rule for rule in ("beats", "at_least", "at_most") if rule in given]
        if len(rules) != 1 or ("by" in given and rules != ["beats"]) or given.get("beats", "holder") != "holder":
            hint = "write exactly one of `beats: holder` (with `by`, if you like), `at_least: …`, `at_most: …`"
            raise InvalidDefinition(f"{thing}: metric {metric} needs one rule", hint=hint)
        if rules == ["beats"]:
            return beats_holder(metric, dataset=dataset, by=given.get("by", 0.0))
        rule = at_least if rules == ["at_least"] else at_most
        return rule(metric, given[rules[0]], dataset=dataset)


def _metric(metric: str, dataset: str | None, rule: Mapping[str, Any]) -> Requirement:
    checked_text("metric", metric)
    optional_text("dataset", dataset)
    return Requirement(tuple(present({"metric": metric, "dataset": dataset, **rule}).items()))


def _number(what: str, number: float) -> float:
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
        raise InvalidDefinition(f"{what} is a number, got {number!r}")
    return number


def beats_holder(metric: str, *, dataset: str | None = None, by: float = 0.0) -> Requirement:
    """The candidate's metric is greater than that of the version that holds the alias, by more than `by`."""
    if _number("by", by) < 0:
        hint = "a candidate that may be worse does not beat the holder"
        raise InvalidDefinition("by is negative", hint=hint)
    return _metric(metric, dataset, {"beats": "holder", "by": by or None})


def at_least(metric: str, bound: float, *, dataset: str | None = None) -> Requirement:
    """The candidate's metric is `bound` or more."""
    return _metric(metric, dataset, {"at_least": _number("at_least", bound)})


def at_most(metric: str, bound: float, *, dataset: str | None = None) -> Requirement:
    """The candidate's metric is `bound` or less."""
    return _metric(metric, dataset, {"at_most": _number("at_most", bound)})


def own_artifact() -> Requirement:
    """The scores were earned by the very files that the version has now."""
    return Requirement((("evaluation", "own_artifact"),))


@dataclass(frozen=True, init=False)
class Gate:
    """What a version of a model must show before it may take an alias.

    >>> import shipway
    >>> gate = shipway.Gate(
    ...     "champion",
    ...     model="late_arrivals",
    ...     alias="champion",
    ...     require=[shipway.beats_holder("auc", dataset="october", by=0.001), shipway.own_artifact()],
    ... )
    >>> gate.to_dict()["require"]
    [{'metric': 'auc', 'dataset': 'october', 'beats': 'holder', 'by': 0.001}, {'evaluation': 'own_artifact'}]
    """

    kind: ClassVar[str] = "gate"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "kind", "name", "description", "owner", "tags", "model", "alias", "require",
    )  # fmt: skip

    name: str
    model: str
    alias: str
    require: tuple[Requirement, ...]
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        *,
        model: str,
        alias: str,
        require: Iterable[Requirement | Mapping[str, Any]],
        description: str | None = None,
        owner: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        checked_name("gate name", name)
        thing = f"gate {name}"
        requirements = []
        for requirement in listed(f"{thing}: require", require):
            if isinstance(requirement, Mapping):
                requirement = Requirement.from_dict(requirement, thing)
            if not isinstance(requirement, Requirement):
                raise InvalidDefinition(f"{thing}: {requirement!r} is not a requirement")
            requirements.append(requirement)
        fill(
            self,
            name=name,
            model=checked_text(f"{thing}: model", model),
            alias=checked_text(f"{thing}: alias", alias),
            require=tuple(requirements),
            description=description,
            owner=owner,
            tags=tags,
        )

    def to_dict(self) -> dict[str, Any]:
        """The definition as it is written in YAML."""
        return present(
            {
                "kind": self.kind,
                "name": self.name,
                "description": self.description,
                "owner": self.owner,
                "tags": list(self.tags) or None,
                "model": self.model,
                "alias": self.alias,
                "require": [requirement.to_dict() for requirement in self.require],
            }
        )

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Gate:
        """Reads what `to_dict` wrote, or a person."""
        thing = thing_of(cls.kind, written, cls.FIELDS)
        return cls(
            written["name"],
            model=required(thing, written, "model"),
            alias=required(thing, written, "alias"),
            require=required(thing, written, "require"),
            description=written.get("description"),
            owner=written.get("owner"),
            tags=written.get("tags"),
        )
