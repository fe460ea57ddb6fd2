"""What a server holds: its sources, tables and deployments."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shipway import display, frames


@dataclass(frozen=True)
class SourceStatus:
    """How far the consumers of one source are."""

    name: str
    log_end: int
    applied: int
    """Every event before this is visible to reads."""
    archived: int
    """Every event before this is in the tables."""
    lag: int
    """Events that reads do not see yet."""
    watermark: datetime.datetime | None
    """The newest event time that reads see."""
    views: dict[str, bool]
    """The views of the source, and whether each is ready."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> SourceStatus:
        return cls(
            name=body["source"],
            log_end=body["log_end"],
            applied=body["applied"],
            archived=body["archived"],
            lag=body["lag"],
            watermark=frames.optional_datetime(body.get("watermark")),
            views={view["view"]: view["ready"] for view in body["views"]},
        )


@dataclass(frozen=True)
class ViewBuild:
    """What a build of the state of a view came to."""

    view: str
    hash: str
    rows: int
    """Rows of history that it read."""
    seconds: float
    keys: int | None
    """Keys that were compared with the state that was read before; nothing for a view that had none."""
    differing: int | None
    """Keys that had another answer than history gives."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ViewBuild:
        return cls(
            view=body["view"],
            hash=body["view_hash"],
            rows=body["rows"],
            seconds=body["seconds"],
            keys=body["keys"],
            differing=body["differing"],
        )

    def _repr_html_(self) -> str:
        columns = ("view", "version", "rows read", "seconds", "keys compared", "differing")
        version = self.hash.rpartition(":")[2][:12]
        return display.table(columns, [(self.view, version, self.rows, self.seconds, self.keys, self.differing)])


@dataclass(frozen=True, repr=False)
class Status:
    """What the server holds and how fresh it is."""

    version: str
    uptime: datetime.timedelta
    sources: list[SourceStatus]
    deployments: list[dict[str, Any]]
    """As the server reports them."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Status:
        return cls(
            version=body["version"],
            uptime=datetime.timedelta(seconds=body["uptime_seconds"]),
            sources=[SourceStatus.of(source) for source in body["sources"]],
            deployments=[dict(deployment) for deployment in body["deployments"]],
        )

    @property
    def ready(self) -> bool:
        """Whether every view answers."""
        return all(all(source.views.values()) for source in self.sources)

    def __repr__(self) -> str:
        return (
            f"Status(version={self.version!r}, sources={len(self.sources)}, deployments={len(self.deployments)}, "
            f"ready={self.ready})"
        )

    def _repr_html_(self) -> str:
        sources = [
            (source.name, source.log_end, source.lag, _shown(source.watermark), _views(source.views))
            for source in self.sources
        ]
        columns = ("source", "log end", "not visible yet", "newest event", "views")
        parts = [display.table(columns, sources, caption=f"shipway {self.version}, up {self.uptime}")]
        if self.deployments:
            deployments = [
                (each.get("name"), each.get("model"), each.get("alias"), (each.get("serves") or {}).get("version"),
                 each.get("service"), _state(each))
                for each in self.deployments
            ]  # fmt: skip
            names = ("deployment", "model", "alias", "version", "service", "state")
            parts.append(display.table(names, deployments))
        return "".join(parts)


def _shown(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _state(deployment: Mapping[str, Any]) -> str:
    trouble = deployment.get("trouble")
    return f"trouble: {trouble.get('detail')}" if trouble else "serving"


def _views(views: Mapping[str, bool]) -> str:
    return ", ".join(view if ready else f"{view} (building)" for view, ready in views.items())


@dataclass(frozen=True)
class Table:
    """A table of the server."""

    name: str
    version: int
    rows: int | None
    files: int
    bytes: int
    columns: dict[str, str]
    """Name to Arrow type, as the server writes it."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Table:
        return cls(
            name=body["name"],
            version=body["version"],
            rows=body.get("rows"),
            files=body["files"],
            bytes=body["bytes"],
            columns={column["name"]: column["type"] for column in body["columns"]},
        )


@dataclass(frozen=True)
class LoadResult:
    """What became of a frame or file that was loaded."""

    table: str
    load_id: str
    rows: int
    duplicates: int
    already_loaded: bool
    """An earlier load had brought it, so that this one changed nothing."""
    table_version: int
    visible: bool
    """Whether online reads see the rows; always for a plain table."""
    token: str | None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> LoadResult:
        return cls(
            table=body["table"],
            load_id=body["load_id"],
            rows=body["rows"],
            duplicates=body["duplicates"],
            already_loaded=body["already_loaded"],
            table_version=body["table_version"],
            visible=body["visible"],
            token=body.get("token"),
        )

    def _repr_html_(self) -> str:
        columns = ("table", "rows loaded", "ids there before", "loaded earlier", "visible to reads")
        return display.table(columns, [(self.table, self.rows, self.duplicates, self.already_loaded, self.visible)])
