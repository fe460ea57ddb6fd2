"""Calls that a gateway says in the words of another API, and answers that it gives again: where it has that. Whether it has is found out by asking it."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway_journal import Journal
from gateway_sides import CHAT, DIRECT, MESSAGES, OPERATOR, OURS, PRICES, TENSORZERO, GatewaySide, GatewaySides
from gateway_wire import GatewayConnection, prepared, prompt
from measure import Lane, NotMeasured, Sample, Side
from server import Failed
from setting import Setting

InTurn = Callable[[dict[str, Callable[[], Sample]]], list[Side]]
REQUESTS = 500
RULES = "answer in one line"


@dataclass(frozen=True)
class Way:
    """A client's API, the provider's API, and how the same call is said in each."""

    name: str
    path: str
    upstream: str

    def model(self, side: GatewaySide) -> str:
        return side.chat if self.path == MESSAGES else side.claude

    def asked(self, side: GatewaySide, *, stream: bool) -> bytes:
        return prepared(side.path(self.path), _headers(side, self.path), _said(self.path, self.model(side), stream))

    def natively(self, direct: GatewaySide, *, stream: bool) -> bytes:
        """What the provider is asked where nobody translates."""
        model = direct.claude if self.upstream == MESSAGES else direct.chat
        return prepared(self.upstream, _headers(direct, self.upstream), _said(self.upstream, model, stream))

    def check(self, side: GatewaySide, journal: Journal) -> None:
        """Fails unless the client is answered in its own API by a provider that was asked in the other one. Bytes that are passed on are found out:
        the rules of the call stand elsewhere in the two APIs."""
        mark = journal.mark()
        with GatewayConnection(side.port) as connection:
            head, body = connection.ask(self.asked(side, stream=False))
        if not head.startswith(b"HTTP/1.1 200"):
            raise Failed(f"{head.splitlines()[0].decode()}: {' '.join(body[:300].decode(errors='replace').split())}")
        answer = json.loads(body)
        said = answer["content"][0]["text"] if self.path == MESSAGES else answer["choices"][0]["message"]["content"]
        arrived = journal.requests(since=mark)
        if len(arrived) != 1 or "word" not in said:
            raise Failed(f"the provider had {len(arrived)} requests, and the answer is {said[:100]}")
        target, asked = arrived[0]["target"].split("?")[0], json.loads(arrived[0]["body"])
        told = [message for message in asked.get("messages", []) if message.get("role") in ("system", "developer")]
        is_anthropic = target == MESSAGES and RULES in json.dumps(asked.get("system")) and not told
        if is_anthropic != (self.upstream == MESSAGES) or target == self.path:
            raise Failed(f"it did not translate: the provider was asked at {target}, with {', '.join(asked)}")


WAYS = (Way("Anthropic's API to a provider of OpenAI's", MESSAGES, CHAT), Way("OpenAI's API to a provider of Anthropic's", CHAT, MESSAGES))


def translated(setting: Setting, sides: GatewaySides, in_turn: InTurn) -> Iterator[Lane | NotMeasured]:
    """Both ways, whole and streamed, against the provider asked in its own words."""
    journal = Journal(sides.mock.url)
    for way in WAYS:
        name, serve, notes = f"translation: {way.name}, 1 KB of prompt, 1 connection", [], []
        for side in sides.gateways:
            try:
                way.check(side, journal)
                serve.append(side)
            except Failed as failed:
                notes.append(f"{side.name}: served: false: {failed}")
        if not serve or serve[0].name != OURS:
            yield NotMeasured(name, "; ".join(notes))
            continue

        def run(side: GatewaySide, way: Way = way) -> Sample:
            make = way.natively if side.name == DIRECT else way.asked
            whole, streamed = make(side, stream=False), make(side, stream=True)
            ends, taken, streams = time.perf_counter() + setting.seconds, [], []
            with GatewayConnection(side.port) as connection:
                while len(taken) < REQUESTS and (time.perf_counter() < ends or len(taken) < 20):
                    began = time.perf_counter()
                    connection.ask(whole)
                    taken.append((time.perf_counter() - began) * 1e6)
                    streams.append(connection.stream(streamed).whole_us)
            return Sample(statistics.median(taken), {"streamed us": statistics.median(streams)})

        measured = in_turn({side.name: lambda side=side: run(side) for side in [*serve, sides.direct]})
        direct = measured.pop()
        lane = Lane(name, "us added at p50", True, [_added(side, direct) for side in measured], notes)
        lane.notes.append("beyond the same call to the provider in its own API, whole and as a stream of 8 frames; before, what the provider was asked is looked at: bytes that pass are found out")
        yield lane


def cached(setting: Setting, sides: GatewaySides, in_turn: InTurn) -> Lane | NotMeasured:
    """An answer that was given before, given again: the provider is not asked."""
    name, journal, serve, notes = "an answer from the cache, 1 KB of prompt, 1 connection", Journal(sides.mock.url), [], []
    try:
        _define_cached(setting, sides)
    except Failed as refused:
        return NotMeasured(name, f"this server takes no `cache` in a definition: {' '.join(str(refused).split())[-300:]}")
    for side in sides.gateways:
        try:
            if side.name == TENSORZERO:
                raise Failed("it keeps answers in a database, which is off here")
            request = _cached_request(side)
            with GatewayConnection(side.port) as connection:
                connection.ask(request)
                asked = journal.counters()["requests"]
                head, _ = connection.ask(request)
            if not head.startswith(b"HTTP/1.1 200") or journal.counters()["requests"] != asked:
                raise Failed("the provider was asked again")
            serve.append(side)
        except Failed as failed:
            notes.append(f"{side.name}: served: false: {failed}")
    if not serve or serve[0].name != OURS:
        return NotMeasured(name, "; ".join(notes))
    asked = journal.counters()["requests"]

    def run(side: GatewaySide) -> Sample:
        request, taken = _cached_request(side), []
        ends = time.perf_counter() + setting.seconds
        with GatewayConnection(side.port) as connection:
            while len(taken) < REQUESTS and (time.perf_counter() < ends or len(taken) < 20):
                began = time.perf_counter()
                connection.ask(request)
                taken.append((time.perf_counter() - began) * 1e6)
        return Sample(statistics.median(taken), {"p99 us": sorted(taken)[int(len(taken) * 0.99)]})

    measured = in_turn({side.name: lambda side=side: run(side) for side in serve})
    notes.append(f"the provider was asked {journal.counters()['requests'] - asked} times meanwhile")
    return Lane(name, "us at p50", True, measured, notes)


def _define_cached(setting: Setting, sides: GatewaySides) -> None:
    path = setting.out / "gateway-cached.yaml"
    price = json.dumps(PRICES["chat"])
    path.write_text(f"kind: llm_model\nname: cached\ncache: {{ time: 1h }}\ndeployments: [{{ provider: openai, model: gpt-upstream, price: {price} }}]\n")
    sides.shipway.cli("apply", str(path), "--token", OPERATOR)


def _cached_request(side: GatewaySide) -> bytes:
    model, more = ("cached", {}) if side.name == OURS else (side.chat, {"cache": {"use-cache": True}})
    return prepared(side.path(CHAT), side.headers, {"model": model, "messages": [{"role": "user", "content": prompt(1)}], **more})


def _said(path: str, model: str, stream: bool) -> dict:
    user = {"role": "user", "content": prompt(1)}
    if path == MESSAGES:
        return {"model": model, "max_tokens": 500, "system": RULES, "messages": [user], "stream": stream}
    return {"model": model, "max_tokens": 500, "messages": [{"role": "system", "content": RULES}, user], "stream": stream}


def _headers(side: GatewaySide, path: str) -> dict[str, str]:
    return {**side.headers, **({"anthropic-version": "2023-06-01"} if path == MESSAGES else {})}


def _added(side: Side, direct: Side) -> Side:
    pairs = zip(side.samples, direct.samples, strict=True)
    return Side(side.name, [Sample(ours.value - native.value, {"us added to a stream": ours.extra["streamed us"] - native.extra["streamed us"], **ours.extra}) for ours, native in pairs])
