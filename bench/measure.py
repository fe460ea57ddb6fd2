"""Sides in turn, medians with spread, and the ratio pair by pair."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from random import Random


@dataclass(frozen=True)
class Sample:
    """One run of one side. `extra` holds what else was seen: peak memory, latencies."""

    value: float
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """One side of a lane with all its counted runs."""

    name: str
    samples: list[Sample]

    @property
    def values(self) -> list[float]:
        return [sample.value for sample in self.samples]

    def median(self) -> float:
        return statistics.median(self.values)

    def extra(self, name: str) -> list[float]:
        return [sample.extra[name] for sample in self.samples if name in sample.extra]


@dataclass(frozen=True)
class Goal:
    """What we want of a lane, what was measured, and whether that is enough."""

    words: str
    figure: str
    is_met: bool


@dataclass(frozen=True)
class Lane:
    """What one lane measured. The first side is ours. A ratio above 1 means that the first side is better."""

    name: str
    unit: str
    less_is_better: bool
    sides: list[Side]
    notes: list[str] = field(default_factory=list)
    compared: str = "ours is better by"
    goals: list[Goal] = field(default_factory=list)

    def side(self, name: str) -> Side:
        return next(side for side in self.sides if side.name == name)

    def ratio(self, peer: Side) -> float:
        pairs = zip(self.sides[0].values, peer.values, strict=True)
        return statistics.median(_times(theirs, ours) if self.less_is_better else _times(ours, theirs) for ours, theirs in pairs)

    def markdown(self) -> str:
        extras = list(dict.fromkeys(name for side in self.sides for sample in side.samples for name in sample.extra))
        lines = [f"## {self.name}", ""]
        lines.append(f"| side | {self.unit}: median [least – most] | {self.compared} |{''.join(f' {name} |' for name in extras)}")
        lines.append(f"|---|---|---|{'---|' * len(extras)}")
        for index, side in enumerate(self.sides):
            cells = [spread(side.extra(name)) if side.extra(name) else "" for name in extras]
            ratio = f"{self.ratio(side):.2f} ×" if index else ""
            lines.append(f"| {side.name} | {spread(side.values)} | {ratio} |{''.join(f' {cell} |' for cell in cells)}")
        goals = [f"- goal: {goal.words}: **{goal.figure}**, {'met' if goal.is_met else 'not met'}" for goal in self.goals]
        return "\n".join([*lines, "", *goals, *[f"- {note}" for note in self.notes]])

    def figures(self) -> dict:
        ratios = {side.name: self.ratio(side) for side in self.sides[1:]}
        return {**asdict(self), "ratios": {name: ratio if math.isfinite(ratio) else None for name, ratio in ratios.items()}}


@dataclass(frozen=True)
class NotMeasured:
    """A lane that could not be run here, and why. It stands in the results in the lane's place."""

    name: str
    why: str
    goals: tuple[Goal, ...] = ()

    def markdown(self) -> str:
        return f"## {self.name}\n\n- not measured: {self.why}"

    def figures(self) -> dict:
        return asdict(self)


def _times(more: float, less: float) -> float:
    """How many times as much; of nothing, everything is."""
    return more / less if less else math.inf


BEGAN = time.monotonic()


def progress(words: str) -> None:
    """Says on standard error what is being done, and how long the whole has run: some lanes take many minutes."""
    print(f"[{time.monotonic() - BEGAN:6.0f} s] {words}", file=sys.stderr, flush=True)


def in_turn(sides: dict[str, Callable[[], Sample]], runs: int, shuffled: Random | None = None) -> list[Side]:
    """Runs every side once uncounted, then `runs` times each in turn (A B C A B C …); with `shuffled`, each time in another order."""
    for name, run in sides.items():
        progress(f"warming up: {name}: {run().value:,.3f}")
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    for number in range(runs):
        order = list(sides.items())
        if shuffled:
            shuffled.shuffle(order)
        for name, run in order:
            samples[name].append(run())
        progress(f"run {number + 1} of {runs}: " + ", ".join(f"{name} {taken[-1].value:,.3f}" for name, taken in samples.items()))
    return [Side(name, taken) for name, taken in samples.items()]


def spread(values: list[float]) -> str:
    """Median with the least and the most, in as many digits as make sense."""
    digits = 3 if max(values) < 10 else 1 if max(values) < 1000 else 0
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f}" if len(values) == 1 else f"{middle:,.{digits}f} [{low:,.{digits}f} – {high:,.{digits}f}]"
