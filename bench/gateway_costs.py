"""What a gateway says that calls cost, against what the provider's journal says they did; and whether a budget holds when many call at once."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.request import Request, urlopen

from gateway_check import Check, NotServed, Target, expect, user
from gateway_sides import CHAT, LITELLM, MESSAGES, OPERATOR, OURS, PRICES, GatewaySide, litellm, settled_by_litellm
from gateway_wire import GatewayConnection, prepared
from server import Failed

CALLERS = 16
AT_ONCE = 200
BUDGET_DOLLARS = Decimal("0.02")
PART_OF_BROKEN = 10
SETTLES_WITHIN_SECONDS = 30.0
#: Words that a caller has read when it leaves, and those of the whole answer.
READ, WHOLE, INPUT = 3, 50, 40


@dataclass(frozen=True)
class Call:
    """A call and how the provider answers it."""

    path: str
    script: str
    stream: bool
    asks_usage: bool = False

    def request(self, side: GatewaySide) -> bytes:
        model = side.claude if self.path == MESSAGES else side.chat
        body: dict = {"model": model, "max_tokens": 100, "messages": user(self.script), "stream": self.stream}
        if self.asks_usage:
            body["stream_options"] = {"include_usage": True}
        headers = {**side.headers, **({"anthropic-version": "2023-06-01"} if self.path == MESSAGES else {})}
        return prepared(side.path(self.path), headers, body)


def _mixed(count: int, seed: int, paths: tuple[str, ...]) -> list[Call]:
    """Whole and streamed, with and without cached tokens, usage in every shape in which providers tell it."""
    chance = random.Random(seed)
    calls = []
    for _ in range(count):
        total, output, path = chance.randint(20, 5_000), chance.randint(1, 90), chance.choice(paths)
        cached = chance.choice([0, chance.randint(1, total)])
        script = f"input={total},output={output}" + (f",cached={cached}" if cached else "")
        stream = chance.random() < 0.5
        if stream and path == CHAT:
            script += chance.choice(["", ",usage=merged", ",usage=each", ",usage=always"])
        calls.append(Call(path, script, stream, stream and path == CHAT and chance.random() < 0.4))
    return calls


def oracle(entry: dict) -> int:
    """Billionths of a dollar that a whole answer cost, by the script that the provider had. OpenAI's cached tokens are among the input; what the
    provider that is played says of Anthropic's input leaves them out, as the API does, so the sum is the same."""
    told = {name: int(value) for name, value in re.findall(r"(input|output|cached)=(\d+)", entry["script"])}
    price = {part: round(dollars * 1_000) for part, dollars in PRICES["claude" if entry["target"].startswith(MESSAGES) else "chat"].items()}
    cached = told.get("cached", 0)
    return price["input"] * (told["input"] - cached) + price["cached_input"] * cached + price["output"] * told["output"]


def _all(calls: list[Call], ask: Callable[[Call], None]) -> None:
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(ask, calls))


def _paths(target: Target) -> tuple[str, ...]:
    """Anthropic's API as well, where the side has it."""
    with GatewayConnection(target.side.port) as connection:
        head, _ = connection.ask(Call(MESSAGES, "input=20,output=1", False).request(target.side))
    return (CHAT, CHAT, CHAT, MESSAGES) if head.startswith(b"HTTP/1.1 200") else (CHAT,)


def _accuracy(target: Target) -> str:
    """Every call is answered whole."""
    spent = _spent(target)
    calls, local = _mixed(target.setting.calls, target.seed, _paths(target)), threading.local()

    def ask(call: Call) -> None:
        if not hasattr(local, "connection"):
            local.connection = GatewayConnection(target.side.port)
        if call.stream:
            local.connection.stream(call.request(target.side))
            return
        head, body = local.connection.ask(call.request(target.side))
        if not head.startswith(b"HTTP/1.1 200"):
            raise Failed((head[:60] + body[:200]).decode(errors="replace"))

    mark, before = target.journal.mark(), spent(0)
    _all(calls, ask)
    arrived = target.journal.requests(since=mark)
    expect(len(arrived) == len(calls), f"the provider had {len(arrived)} requests of {len(calls)} calls")
    wanted, said = sum(map(oracle, arrived)), spent(len(calls)) - before
    ratio = float(said) / wanted
    words = f"{len(calls):,} calls: ${wanted / 1e9:.9f} by the provider's journal, ${float(said) / 1e9:.9f} by the gateway ({ratio:.6f} of it)"
    # Sums of binary fractions differ in their last digits; that is not held against them.
    expect(abs(said - wanted) <= max(1, wanted // 10**9), words)
    return words


def _partial(target: Target) -> str:
    """Callers who leave in the middle: nobody is told the usage, and nothing is not it."""
    spent = _spent(target)
    count = max(20, target.setting.calls // PART_OF_BROKEN)
    call = Call(CHAT, f"chunks={WHOLE},interval=20ms,input={INPUT},output={WHOLE}", True)

    def ask(call: Call) -> None:
        with GatewayConnection(target.side.port) as connection:
            connection.leave_after(call.request(target.side), READ)

    before = spent(0)
    _all([call] * count, ask)
    said = spent(count) - before
    price = {part: round(dollars * 1_000) for part, dollars in PRICES["chat"].items()}
    # What was read must be charged. An estimate may be twice the whole, which no caller could call too little.
    least, most = count * price["output"] * (READ - 1), 2 * count * (price["input"] * INPUT + price["output"] * WHOLE)
    words = f"{count:,} callers left after {READ} frames: ${float(said) / 1e9:.6f}, between ${least / 1e9:.6f} for what they read and ${most / 1e9:.6f}"
    expect(least <= said <= most, words.replace("between", "which should be between"))
    return words


def _overshoot(target: Target) -> str:
    """Two hundred calls at once against a budget that has room for twenty."""
    with ExitStack() as stack:
        if target.name == OURS:
            shown = ("--token", OPERATOR)
            server = target.sides.shipway
            server.cli("llm", "groups", "put", "tight", "--kind", "project", "--budget", f"{BUDGET_DOLLARS}/total", *shown)
            key = server.cli("llm", "keys", "create", "tight", "--group", "tight", *shown)["key"]
            port, headers, whose = target.side.port, {"authorization": f"Bearer {key}"}, "a group's"
        elif target.name == LITELLM:
            budget = {"provider_budget_config": {"openai": {"budget_limit": float(BUDGET_DOLLARS), "time_period": "1d"}}}
            side = stack.enter_context(litellm(target.setting, target.sides.mock, "litellm-budget", budget))
            port, headers, whose = side.port, side.headers, "a provider's, in memory (those of keys need its database)"
        else:
            raise NotServed("its limits need a database, which is off here")
        answered = answered_at_once([port], headers)
    return holds(whose, answered)


def answered_at_once(ports: list[int], headers: dict[str, str]) -> int:
    """How many of two hundred calls at once are answered, one server after the other."""
    barrier, answered, lock = threading.Barrier(AT_ONCE), [0], threading.Lock()
    body = {"model": "chat", "max_tokens": 100, "messages": user("input=10,output=90,latency=300ms")}

    def ask(number: int) -> None:
        with GatewayConnection(ports[number % len(ports)]) as connection:
            barrier.wait()
            head, _ = connection.ask(prepared(CHAT, headers, body))
        with lock:
            answered[0] += head.startswith(b"HTTP/1.1 200")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(ask, range(AT_ONCE)))
    return answered[0]


def holds(whose: str, answered: int) -> str:
    """What was answered came to no more than the budget."""
    price = PRICES["chat"]
    spent = answered * (Decimal(str(price["input"])) * 10 + Decimal(str(price["output"])) * 90) / 1_000_000
    words = f"{whose} budget of ${BUDGET_DOLLARS}: {answered} of {AT_ONCE} answered, ${spent} spent"
    expect(0 < spent <= BUDGET_DOLLARS, f"{words}: ${spent - BUDGET_DOLLARS} beyond it")
    return words


def _spent(target: Target) -> Callable[[int], Decimal]:
    """Gives all that the side says was spent, in billionths of a dollar, once so many further calls are settled."""
    if target.name == OURS:
        return lambda _: _ours(target)
    if target.name == LITELLM:
        noted = settled_by_litellm(target.setting)
        seen = [0]

        def spent(more: int) -> Decimal:
            lines = _lines_once(noted, seen[0] + more)
            seen[0] = len(lines)
            return sum((Decimal(repr(line["cost"] or 0.0)) for line in lines), Decimal(0)) * 10**9

        return spent
    raise NotServed("what it computes is in its database, which is off here")


def _ours(target: Target) -> Decimal:
    request = Request(f"{target.side.url}/api/v1/llm/keys", headers={"authorization": f"Bearer {OPERATOR}"})
    deadline = time.monotonic() + SETTLES_WITHIN_SECONDS
    while True:
        with urlopen(request, timeout=30) as answer:
            used = next(key["used"] for key in json.loads(answer.read())["keys"] if key["name"] == "bench")
        if used["running"] == 0:
            return Decimal(used["dollars"]["total"]) * 10**9
        if time.monotonic() > deadline:
            raise Failed(f"{used['running']} calls are still not settled")
        time.sleep(0.05)


def _lines_once(path: Path, count: int) -> list[dict]:
    """The lines, when there are so many; or when no more have come for a while."""
    last, since = -1, time.monotonic()
    while True:
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) != last:
            last, since = len(lines), time.monotonic()
        if len(lines) >= count or time.monotonic() - since > 10:
            return [json.loads(line) for line in lines]
        time.sleep(0.2)


CHECKS: dict[str, Check] = {
    "cost of mixed calls, whole and streamed, cached tokens": _accuracy,
    "cost of streams that their callers leave": _partial,
    f"a budget under {AT_ONCE} calls at once": _overshoot,
}
