"""What a gateway gets right, beside how fast it is: the same checks for ours and for the peers, each with its evidence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import gateway_conformance
import gateway_costs
import gateway_faults
import gateway_servers
from gateway_check import Check, Target, Verdict, judged
from gateway_journal import Journal
from gateway_sides import OURS, running
from measure import Goal, progress
from setting import Setting

PATIENCE_SECONDS = 45.0

PARTS: dict[str, dict[str, Check]] = {
    "unmodified clients": gateway_conformance.CHECKS,
    "faults of the provider": gateway_faults.CHECKS,
    "money": gateway_costs.CHECKS | gateway_servers.CHECKS,
}


@dataclass(frozen=True)
class Scorecard:
    """Checks by sides; it stands among the lanes."""

    name: str
    sides: list[str]
    #: By check, then by side.
    verdicts: dict[str, dict[str, Verdict]]
    notes: list[str]
    goals: list[Goal] = field(default_factory=list)

    def counted(self, side: str, word: str) -> int:
        return sum(verdict[side].word == word for verdict in self.verdicts.values())

    def markdown(self) -> str:
        lines = [f"## {self.name}", "", f"| check | {' | '.join(self.sides)} |", f"|---|{'---|' * len(self.sides)}"]
        for check, verdicts in self.verdicts.items():
            lines.append(f"| {check} | {' | '.join(verdicts[side].word for side in self.sides)} |")
        sums = [f"**{self.counted(side, 'pass')} of {len(self.verdicts) - self.counted(side, 'served: false')}**" for side in self.sides]
        lines += [f"| passed, of those served | {' | '.join(sums)} |", ""]
        lines += [f"- goal: {goal.words}: **{goal.figure}**, {'met' if goal.is_met else 'not met'}" for goal in self.goals]
        lines += [f"- {note}" for note in self.notes]
        lines += [f"- {check}: {line}" for check, verdicts in self.verdicts.items() for line in _evidence(verdicts)]
        return "\n".join(lines)

    def figures(self) -> dict:
        return asdict(self)


def _evidence(verdicts: dict[str, Verdict]) -> list[str]:
    """A line for each verdict, with all sides that it is of."""
    sides: dict[Verdict, list[str]] = {}
    for side, verdict in verdicts.items():
        sides.setdefault(verdict, []).append(side)
    return [f"{', '.join(names)}: {verdict.word}: {verdict.evidence}" for verdict, names in sides.items()]


def scorecard(setting: Setting) -> Iterator[Scorecard]:
    """One table for each part."""
    keeps = str(2 * setting.calls + 10_000)
    with running(setting, "--journal", keeps, recording=True) as sides:
        journal = Journal(sides.mock.url)
        targets = [Target(side, sides, journal, setting) for side in sides.all]
        for part, checks in PARTS.items():
            # The provider itself is checked too: what fails there is no fault of a gateway. Money is nobody's but a gateway's.
            checked = targets if part != "money" else targets[:-1]
            # Of calls that are charged the slowest side answers a few dozen a second.
            patience = PATIENCE_SECONDS + (setting.calls / 20 if part == "money" else 0)
            verdicts: dict[str, dict[str, Verdict]] = {}
            for name, check in checks.items():
                verdicts[name] = {}
                for target in checked:
                    verdicts[name][target.name] = judged(check, target, patience)
                progress(f"{name}: " + ", ".join(f"{side} {verdict.word}" for side, verdict in verdicts[name].items()))
            card = Scorecard(f"scorecard: {part}", [target.name for target in checked], verdicts, list(sides.notes) if part == next(iter(PARTS)) else [])
            card.notes.append(f"load of the machine meanwhile {os.getloadavg()[0]:.1f}; `served: false`: it has no such thing here, and the evidence says why")
            failed = [name for name, by_side in verdicts.items() if by_side[OURS].word != "pass"]
            card.goals.append(Goal("ours passes everything", "all" if not failed else f"not {', '.join(failed)}", not failed))
            yield card
