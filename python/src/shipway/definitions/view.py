"""Views: the features of one entity out of one source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from shipway.definitions.aggregate import Aggregate
from shipway.definitions.metadata import Deprecation, Feature, Freshness, checked_pii
from shipway.definitions.parts import fill, present, required, thing_of
from shipway.definitions.source import Entity, Source
from shipway.errors import InvalidDefinition
from shipway.names import (
    checked_length,
    checked_name,
    checked_text,
    listed,
    nearest_hint,
    optional_text,
)

@dataclass(frozen=True, init=False)
class View:
    """Features of one entity out of one source: windowed aggregates, or the columns of the last row.

    >>> import shipway
    >>> from shipway import Aggregate
    >>> from shipway.operations import avg, last_k
    >>> traffic = shipway.View(
    ...     "origin_traffic",
    ...     entity="origin",
    ...     source="departures",
    ...     derive={"is_late": "dep_delay > 15"},
    ...     where="carrier <> 'HA'",
    ...     aggregate=[
    ...         Aggregate(operations=["count"], windows=["1h", "7d"]),
    ...         Aggregate("dep_delay", operations=[avg, last_k(5)], windows=["1h"]),
    ...         Aggregate("dep_delay", operations=[avg], windows=["1h"], by="carrier"),
    ...     ],
    ...     freshness=shipway.Freshness("1h", beyond="refuse"),
    ... )
    >>> traffic.feature_names
    ['count_1h', 'count_7d', 'dep_delay_avg_1h', 'dep_delay_last_k_5_1h', 'dep_delay_avg_by_carrier_1h']

    What people and policies want to know stands beside it, for all features or for one; it changes no value:

    >>> documented = shipway.View(
    ...     "plane_state", entity="plane", source="arrivals", latest=["seat", "pilot"], ttl="1d",
    ...     owner="fleet", tags=["planes"],
    ...     features={
    ...         "pilot": shipway.Feature(pii="personal", ttl="6h"),
    ...         "seat": shipway.Feature(deprecated=shipway.Deprecation("not kept up", use="pilot")),
    ...     },
    ... )
    >>> documented.features["pilot"].pii
    'personal'

    One feature of it, for a service that does not want all; a slip of the hand is told at once:

    >>> traffic["dep_delay_avg_1h"]
    'origin_traffic:dep_delay_avg_1h'
    >>> traffic["dep_delay_avg"]
    Traceback (most recent call last):
    shipway.errors.InvalidDefinition: error: view origin_traffic: feature dep_delay_avg does not exist
    hint: did you mean dep_delay_avg_1h?

    A view over another one's output: each event carries what the other said just before it, as a column.

    >>> crowded = shipway.View(
    ...     "crowded_departures",
    ...     entity="carrier",
    ...     source="departures",
    ...     enrich=[traffic["count_1h"]],
    ...     aggregate=[Aggregate("origin_traffic__count_1h", operations=[avg], windows=["7d"])],
    ... )
    >>> crowded.enrich
    ('origin_traffic:count_1h',)
    """

    kind: ClassVar[str] = "view"
    FIELDS: ClassVar[tuple[str, ...]] = (
        "kind", "name", "description", "owner", "tags", "entity", "source", "keys", "enrich", "derive", "where",
        "aggregate", "latest", "ttl", "pii", "freshness", "deprecated", "features",
    )  # fmt: skip

    name: str
    entity: str
    source: str
    keys: tuple[str, ...] | None = None
    enrich: tuple[str, ...] = ()
    derive: dict[str, str] = field(default_factory=dict)
    where: str | None = None
    aggregate: tuple[Aggregate, ...] = ()
    latest: tuple[str, ...] = ()
    ttl: str | None = None
    pii: str | None = None
    freshness: Freshness | None = None
    deprecated: Deprecation | None = None
    features: dict[str, Feature] = field(default_factory=dict)
    description: str | None = None
    owner: str | None = None
    tags: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        *,
        entity: str | Entity,
        source: str | Source,
        aggregate: Iterable[Aggregate | Mapping[str, Any]] | None = None,
        latest: Iterable[str] | None = None,
        ttl: str | None = None,
        keys: Iterable[str] | None = None,
        enrich: Iterable[str | View] | None = None,
        derive: Mapping[str, str] | None = None,
        where: str | None = None,
        pii: str | None = None,
        freshness: Freshness | Mapping[str, Any] | str | None = None,
        deprecated: Deprecation | Mapping[str, Any] | str | None = None,
        features: Mapping[str, Feature | Mapping[str, Any]] | None = None,
        description: str | None = None,
        owner: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        checked_name("view name", name)
        thing = f"view {name}"
        optional_text(f"{thing}: where", where)
        fill(
            self,
            name=name,
            entity=checked_name(f"{thing}: entity", getattr(entity, "name", entity)),
            source=checked_name(f"{thing}: source", getattr(source, "name", source)),
            keys=None if keys is None else _names(thing, "keys", "key column", keys),
            enrich=() if enrich is None else view_choices(thing, "enrich", enrich),
            derive=_derived(thing, derive or {}),
            where=where,
            aggregate=_entries(thing, aggregate),
            latest=() if latest is None else _names(thing, "latest", "column", latest),
            ttl=None if ttl is None else checked_length(f"{thing}: ttl", ttl),
            pii=checked_pii(thing, pii),
            freshness=Freshness.of(freshness, thing),
            deprecated=Deprecation.of(deprecated, thing),
            features={},
            description=description,
            owner=owner,
            tags=tags,
        )
        self._check_body()
        object.__setattr__(self, "features", self._described(features or {}))

    def _check_body(self) -> None:
        thing = f"view {self.name}"
        if self.aggregate and self.latest:
            message = f"{thing}: a view has aggregate or latest, not both"
            raise InvalidDefinition(message, hint="make two views of them")
        if not self.aggregate and not self.latest:
            hint = "say what it computes with `aggregate` or `latest`"
            raise InvalidDefinition(f"{thing}: aggregate or latest is missing", hint=hint)
        if self.aggregate and self.ttl is not None:
            hint = "remove it; the windows say what an aggregate looks at"
            raise InvalidDefinition(f"{thing}: ttl belongs to latest views only", hint=hint)
        names = self.feature_names
        twice = next((feature for feature in names if names.count(feature) > 1), None)
        if twice is not None:
            hint = "give one of them another name with `name=…` in an entry of its own"
            raise InvalidDefinition(f"{thing}: feature {twice} is given twice", hint=hint)

    def _described(self, features: Mapping[str, Feature | Mapping[str, Any]]) -> dict[str, Feature]:
        described = {}
        for name, feature in features.items():
            self[name]
            if isinstance(feature, Mapping):
                feature = Feature.from_dict(feature, f"view {self.name}: feature {name}")
            if feature.ttl is not None and self.aggregate:
                hint = "remove it; its window is its ttl"
                raise InvalidDefinition(f"view {self.name}: feature {name} is windowed, so it has no ttl", hint=hint)
            described[name] = feature
        return described

    @property
    def feature_names(self) -> list[str]:
        """The names of the features in the order in which a service takes them."""
        return [feature for entry in self.aggregate for feature in entry.feature_names] + list(self.latest)

    def __getitem__(self, feature: str) -> str:
        """`view:feature`, for the views of a service."""
        names = self.feature_names
        if feature not in names:
            hint = nearest_hint(feature, names, f"its features are {', '.join(names)}")
            raise InvalidDefinition(f"view {self.name}: feature {feature} does not exist", hint=hint)
        return f"{self.name}:{feature}"

    def to_dict(self) -> dict[str, Any]:
        """The definition as it is written in YAML."""
        return present(
            {
                "kind": self.kind,
                "name": self.name,
                "description": self.description,
                "owner": self.owner,
                "tags": list(self.tags) or None,
                "entity": self.entity,
                "source": self.source,
                "keys": None if self.keys is None else list(self.keys),
                "enrich": list(self.enrich) or None,
                "derive": dict(self.derive) or None,
                "where": self.where,
                "aggregate": [entry.to_dict() for entry in self.aggregate] or None,
                "latest": list(self.latest) or None,
                "ttl": self.ttl,
                "pii": self.pii,
                "freshness": self.freshness.to_dict() if self.freshness else None,
                "deprecated": self.deprecated.to_dict() if self.deprecated else None,
                "features": {name: feature.to_dict() for name, feature in self.features.items()} or None,
            }
        )

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> View:
        """Reads what `to_dict` wrote, or a person."""
        thing = thing_of(cls.kind, written, cls.FIELDS)
        optional = {name: written.get(name) for name in cls.FIELDS[7:] + cls.FIELDS[2:5]}
        return cls(
            written["name"],
            entity=required(thing, written, "entity"),
            source=required(thing, written, "source"),
            **optional,
        )


def _names(thing: str, what: str, item: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(checked_name(f"{thing}: {item}", name) for name in listed(f"{thing}: {what}", names))


def view_choices(thing: str, what: str, views: Iterable[str | View]) -> tuple[str, ...]:
    """Views, or single features of them as `view:feature`."""
    return tuple(_choice(thing, view) for view in listed(f"{thing}: {what}", views))


def _choice(thing: str, view: object) -> str:
    if isinstance(view, View):
        return view.name
    if not isinstance(view, str):
        raise InvalidDefinition(f"{thing}: a view is a View or its name, got {view!r}")
    name, separator, feature = view.partition(":")
    checked_name(f"{thing}: view", name)
    if separator:
        checked_name(f"{thing}: feature", feature)
    return view


def _derived(thing: str, derive: Mapping[str, str]) -> dict[str, str]:
    return {
        checked_name(f"{thing}: derived column", name): checked_text(f"{thing}: derive {name}", expression)
        for name, expression in derive.items()
    }


def _entries(thing: str, entries: Iterable[Aggregate | Mapping[str, Any]] | None) -> tuple[Aggregate, ...]:
    if entries is None:
        return ()
    found = []
    for entry in listed(f"{thing}: aggregate", entries):
        if isinstance(entry, Mapping):
            entry = Aggregate.from_dict(entry, thing)
        if not isinstance(entry, Aggregate):
            raise InvalidDefinition(f"{thing}: an entry of aggregate is an Aggregate, got {entry!r}")
        found.append(entry)
    return tuple(found)
