"""The report of a verification: served vectors replayed against history."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shipway import display, frames


@dataclass(frozen=True)
class Difference:
    """One value that differs from its replay, or that late events changed since it was served."""

    request_id: str
    row: int
    at: datetime.datetime
    view: str
    feature: str
    served: Any
    replayed: Any
    cause: str
    """`late_event`: serving was right. `store_lag`: state and watermark were not read at one moment. `defect`."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Difference:
        return cls(
            request_id=body["request_id"],
            row=body["row"],
            at=frames.to_datetime(body["at"]),
            view=body["view"],
            feature=body["feature"],
            served=body["served"],
            replayed=body["replayed"],
            cause=body["cause"],
        )


@dataclass(frozen=True, repr=False)
class VerificationReport:
    """Whether what a deployment served is what history gives. A report is true when nothing differs."""

    deployment: str
    compared: int
    """Vectors replayed and compared."""
    differing: int
    """Vectors with at least one value that differs from its replay."""
    late_events: int
    """Vectors that were right when they were served and would be another today. Information, not a difference."""
    differences: list[Difference]
    """The first ones."""
    late: list[Difference]
    """The first values that late events changed; `replayed` is the value as known now."""
    views: dict[str, dict[str, int]] = field(default_factory=dict)
    """Values `compared` and `differing` for each view."""

    @classmethod
    def of(cls, deployment: str, body: Mapping[str, Any]) -> VerificationReport:
        return cls(
            deployment=deployment,
            compared=body["compared"],
            differing=body["differing"],
            late_events=body["late_events"],
            differences=[Difference.of(each) for each in body["differences"]],
            late=[Difference.of(each) for each in body["late"]],
            views={view: dict(counts) for view, counts in body["views"].items()},
        )

    @property
    def equal(self) -> bool:
        """Whether every vector that was compared is the same bit for bit."""
        return self.differing == 0

    def __bool__(self) -> bool:
        return self.equal

    def __repr__(self) -> str:
        return (
            f"VerificationReport(deployment={self.deployment!r}, compared={self.compared}, "
            f"differing={self.differing}, late_events={self.late_events})"
        )

    def _repr_html_(self) -> str:
        verdict = "all equal" if self.equal else f"{self.differing} differ"
        caption = f"{self.deployment}: {self.compared} vectors replayed, {verdict}"
        if self.differences:
            columns = ("view", "feature", "at", "served", "replayed", "cause")
            rows: list[tuple[Any, ...]] = [
                (each.view, each.feature, each.at.isoformat(), each.served, each.replayed, each.cause)
                for each in self.differences
            ]
            return display.table(columns, rows, caption=caption)
        counts = [(view, each["compared"], each["differing"]) for view, each in self.views.items()]
        return display.table(("view", "values compared", "differing"), counts, caption=caption)
