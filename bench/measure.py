"""Two sides in turn, medians with spread, and the ratio pair by pair."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Lane:
    """What one lane measured. `ratio` is the peer's figure over ours where less is better, ours over the peer's else."""

    name: str
    peer: str
    unit: str
    less_is_better: bool
    ours: list[float]
    theirs: list[float]
    note: str = ""

    def ratio(self) -> float:
        pairs = zip(self.ours, self.theirs, strict=True)
        return statistics.median(theirs / ours if self.less_is_better else ours / theirs for ours, theirs in pairs)

    def sentence(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return (
            f"{self.name}: {_spread(self.ours)} {self.unit} · {self.peer}: {_spread(self.theirs)} {self.unit} · "
            f"ratio {self.ratio():.2f}{note}"
        )

    def figures(self) -> dict:
        return {**self.__dict__, "ratio": self.ratio()}


def in_turn(ours: Callable[[], float], theirs: Callable[[], float], runs: int) -> tuple[list[float], list[float]]:
    """Runs both sides once uncounted, then `runs` times each in turn; returns what each run measured."""
    ours()
    theirs()
    pairs = [(ours(), theirs()) for _ in range(runs)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _spread(values: list[float]) -> str:
    digits = 3 if max(values) < 100 else 0
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} [{low:,.{digits}f} – {high:,.{digits}f}]"
