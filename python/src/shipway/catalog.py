"""The features that a server has, with what is known about each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from shipway import display
from shipway.definitions.metadata import Deprecation, Freshness


@dataclass(frozen=True)
class CatalogFeature:
    """One feature in force."""

    name: str
    """`view:feature`."""
    type: str
    view: str
    version: str
    """The version of the view, a hash."""
    entity: str
    keys: tuple[str, ...]
    source: str
    computes: str
    """What it computes, in words."""
    description: str | None
    owner: str | None
    tags: tuple[str, ...]
    pii: str | None
    """`none`, `personal` or `sensitive`; nothing where nobody has said."""
    freshness: Freshness | None
    ttl: str | None
    deprecated: Deprecation | None
    services: tuple[str, ...]
    """The services in force that take it."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> CatalogFeature:
        return cls(
            name=body["name"],
            type=body["type"],
            view=body["view"],
            version=body["version"],
            entity=body["entity"],
            keys=tuple(body["keys"]),
            source=body["source"],
            computes=body["computes"],
            description=body.get("description"),
            owner=body.get("owner"),
            tags=tuple(body.get("tags") or ()),
            pii=body.get("pii"),
            freshness=Freshness.of(body.get("freshness"), "freshness"),
            ttl=body.get("ttl"),
            deprecated=Deprecation.of(body.get("deprecated"), "deprecated"),
            services=tuple(body.get("services") or ()),
        )


class FeatureList(Sequence[CatalogFeature]):
    """Features, by view and then in the view's order. Shows itself as a table in a notebook."""

    def __init__(self, features: Sequence[CatalogFeature]) -> None:
        self._features = tuple(features)

    def __len__(self) -> int:
        return len(self._features)

    @overload
    def __getitem__(self, index: int) -> CatalogFeature: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[CatalogFeature]: ...

    def __getitem__(self, index: int | slice) -> CatalogFeature | Sequence[CatalogFeature]:
        return self._features[index]

    def __iter__(self) -> Iterator[CatalogFeature]:
        return iter(self._features)

    @property
    def names(self) -> list[str]:
        """`view:feature` of each."""
        return [feature.name for feature in self]

    def __repr__(self) -> str:
        return f"FeatureList({', '.join(self.names)})"

    def _repr_html_(self) -> str:
        columns = ("feature", "type", "entity", "owner", "pii", "tags", "taken by", "description")
        rows = [
            (each.name, each.type, each.entity, each.owner or "", each.pii or "", ", ".join(each.tags),
             ", ".join(each.services), _described(each))
            for each in self
        ]  # fmt: skip
        return display.table(columns, rows) if rows else "<div>no features</div>"


def _described(feature: CatalogFeature) -> str:
    if feature.deprecated is None:
        return feature.description or ""
    instead = f"; use {feature.deprecated.use}" if feature.deprecated.use else ""
    return f"deprecated: {feature.deprecated.reason}{instead}"
