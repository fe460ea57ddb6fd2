"""Sources whose history lies elsewhere: how they stand, and what a look for news brought."""

from __future__ import annotations

import datetime
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shipway import display, frames


@dataclass(frozen=True)
class BatchProblem:
    """A file, or a version of a table, that is not loaded as it is, and why."""

    item: str
    code: str
    message: str
    """What is wrong: the row, the column and the reason where a row is at fault."""
    hint: str | None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> BatchProblem:
        return cls(body["item"], body["code"], body["message"], body.get("hint"))


@dataclass(frozen=True, repr=False)
class Refresh:
    """What a look for news found and loaded."""

    source: str
    found: int
    """Files, or versions, that were there."""
    loaded: int
    """Those that were loaded now."""
    rows: int
    duplicates: int
    """Rows left out because their event id was there before."""
    failed: int
    """Files, or versions, that are not loaded as they are; the others are."""
    problems: list[BatchProblem]
    """The first of them."""
    visible: bool
    """Whether online reads see the rows."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Refresh:
        counts = {name: body[name] for name in ("source", "found", "loaded", "rows", "duplicates", "failed", "visible")}
        return cls(problems=[BatchProblem.of(problem) for problem in body["problems"]], **counts)

    def __repr__(self) -> str:
        return (
            f"Refresh(source={self.source!r}, found={self.found}, loaded={self.loaded}, rows={self.rows}, "
            f"failed={self.failed})"
        )

    def _repr_html_(self) -> str:
        caption = f"{self.source}: {self.found} found, {self.loaded} of them new; {self.rows} rows loaded"
        return _problems(self.problems, caption)


@dataclass(frozen=True, repr=False)
class BatchStatus:
    """How a source whose history lies elsewhere stands."""

    source: str
    location: str
    kind: str
    """`files` or `delta`."""
    every: str | None
    asked_at: datetime.datetime | None
    """When it was last asked to look for news."""
    looked_at: datetime.datetime | None
    """When the last look ended."""
    error: dict[str, Any] | None
    """Why the last look could not look at all: `code`, `message`, `hint`."""
    table_version: int | None
    """The version up to which a table was read."""
    items: dict[str, int]
    """Files, or versions, by what became of them: `loaded`, `loading`, `failed`, `changed`, `gone`."""
    rows: int
    duplicates: int
    problems: list[BatchProblem]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> BatchStatus:
        return cls(
            source=body["source"],
            location=body["location"],
            kind=body["kind"],
            every=body.get("every"),
            asked_at=frames.optional_datetime(body.get("asked_at")),
            looked_at=frames.optional_datetime(body.get("looked_at")),
            error=body.get("error"),
            table_version=body.get("table_version"),
            items=dict(body["items"]),
            rows=body["rows"],
            duplicates=body["duplicates"],
            problems=[BatchProblem.of(problem) for problem in body["problems"]],
        )

    def __repr__(self) -> str:
        wrong = self.items["failed"] + self.items["changed"]
        return f"BatchStatus(source={self.source!r}, loaded={self.items['loaded']}, wrong={wrong}, rows={self.rows})"

    def _repr_html_(self) -> str:
        return _problems(self.problems, f"{self.source}: {self.rows} rows from {self.location}")


def _problems(problems: Sequence[BatchProblem], caption: str) -> str:
    if not problems:
        return f"<div>{html.escape(caption)}; no problems</div>"
    rows = [(problem.item, problem.code, problem.message, problem.hint or "") for problem in problems]
    return display.table(("item", "code", "problem", "hint"), rows, caption=caption)
