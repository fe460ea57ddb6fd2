"""What a check of the scorecard is given, and what may come of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import anthropic
import openai

from gateway_journal import Journal
from gateway_sides import GatewaySide, GatewaySides
from setting import Setting

TIMEOUT_SECONDS = 20.0


class NotServed(Exception):
    """The side has no such thing here; the words say why. Neither passed nor failed."""


class Wrong(Exception):
    """What was seen in the place of what should be."""


@dataclass(frozen=True)
class Target:
    """A side that is checked, with unmodified clients that point at it and never ask twice."""

    side: GatewaySide
    sides: GatewaySides
    journal: Journal
    setting: Setting
    seed: int = 11

    @property
    def name(self) -> str:
        return self.side.name

    @property
    def key(self) -> str:
        return self.side.headers.get("authorization", "Bearer none").removeprefix("Bearer ")

    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.side.url}{self.side.prefix}/v1", api_key=self.key, max_retries=0, timeout=TIMEOUT_SECONDS)

    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=f"{self.side.url}{self.side.prefix}", api_key=self.key, max_retries=0, timeout=TIMEOUT_SECONDS)

    def model(self, name: str) -> str:
        """A further model of the configurations, as this side calls it."""
        return self.side.chat.removesuffix("chat") + name


#: Gives the evidence, or raises `Wrong`, `NotServed`, or whatever the client raised.
Check = Callable[[Target], str]


@dataclass(frozen=True)
class Verdict:
    """What came of a check on a side."""

    word: str
    evidence: str


def judged(check: Check, target: Target, patience_seconds: float) -> Verdict:
    """Runs a check. An API that is not there is not served; everything else that is raised is a failure, with its words; so is what does not end."""
    found: list[Verdict] = []
    # Its own thread: a stream of nothing but comments keeps every timeout of a client from running out.
    running = threading.Thread(target=lambda: found.append(_judged(check, target)), daemon=True)
    running.start()
    running.join(patience_seconds)
    return found[0] if found else Verdict("fail", f"no end within {patience_seconds:.0f} s")


def _judged(check: Check, target: Target) -> Verdict:
    try:
        return Verdict("pass", check(target))
    except NotServed as absent:
        return Verdict("served: false", str(absent))
    except Wrong as wrong:
        return Verdict("fail", str(wrong))
    except Exception as raised:  # whatever a client raises is the evidence
        return Verdict("fail", f"{type(raised).__name__}: {_short(str(raised))}")


def expect(holds: object, seen: object) -> None:
    """`seen` is said when it does not hold."""
    if not holds:
        raise Wrong(_short(str(seen)))


def _short(words: str) -> str:
    return " ".join(words.split())[:220]


def user(words: str, said: str = "hello") -> list[dict]:
    """A message that has the provider answer as `words` say."""
    return [{"role": "user", "content": f"[[mock: {words}]] {said}"}]
