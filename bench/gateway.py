"""Calls of language models through a gateway, beside the same calls without one: what it adds, what it holds, what it takes.

The provider is played by a process of its own that answers at once, so that all that is measured is the gateway's. Ours has its keys, budgets,
limits and its ledger on; what a peer cannot do here is off, and said.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

from awake import awake
from gateway_sides import CHAT, LITELLM, OURS, TENSORZERO, GatewaySide, GatewaySides, running, settle
from gateway_ways import cached, translated
from gateway_wire import GatewayConnection, Streamed, prepared, prompt
from load import Load
from measure import Goal, Lane, NotMeasured, Sample, Side, in_turn, progress
from server import Failed
from setting import Setting
from steady import SteadyLoad
from tools import LoadGenerator, SteadyGenerator

#: Thousands of bytes of the prompt, and requests of a run at most.
PROMPTS = {1: 1_000, 50: 300, 400: 80}
FRAMES = (64, 2_000)
CONNECTIONS = 64
ADDED_P50_US, ADDED_P99_US = 150.0, 1_000.0
FASTER = {TENSORZERO: 1.0, LITELLM: 50.0}
IDLE_MB = 60.0
#: After its first calls a gateway is at rest for so long, and looked at so often.
REST_SECONDS, LOOK_SECONDS = 120, 5
#: Of what saturates a side; the frontier is looked for among these rates.
SHARES = (0.9, 0.75, 0.6, 0.45, 0.3, 0.15)
FRONTIER_CONNECTIONS = 16
FRONTIER_MS = (10, 1, 5, 50)
#: A slope is judged when there was time for one.
JUDGED_SOAK_SECONDS, FLAT_MIB_A_MINUTE = 600, 0.5
#: Of the others, which no goal is about, longer soaks than this are not asked for.
PEERS_SOAK_SECONDS = 300

Measured = Lane | NotMeasured


def gateway(setting: Setting) -> Iterator[Measured]:
    """Every measure on every side; memory last, when each has done the same kinds of work."""
    with running(setting, "--prepared", "--journal", "64", "--keep-body-bytes", "4096") as sides:
        for side in sides.gateways:
            settle(side)
        bench = GatewayBench(setting, sides)
        bench.check()
        bench.remember_idle()
        for kilobytes in PROMPTS:
            yield bench.added_latency(kilobytes)
        with awake():
            yield bench.added_latency(min(PROMPTS), "processors kept awake")
        yield bench.throughput()
        yield bench.frontier()
        for frames in FRAMES:
            yield bench.stream(frames)
        yield from translated(setting, sides, bench.in_turn)
        yield cached(setting, sides, bench.in_turn)
        yield bench.memory()
        yield bench.soak()


class GatewayBench:
    """The measures of the lane, on sides that are running."""

    def __init__(self, setting: Setting, sides: GatewaySides) -> None:
        self.setting, self.sides = setting, sides
        self._random = Random(7)
        self._closed = Load(LoadGenerator(setting.cache), setting.out, CONNECTIONS, 1, setting.seconds)
        self._idle: dict[str, list[float]] = {}
        self._held: dict[str, float] = {}

    def in_turn(self, runs: dict[str, Callable[[], Sample]]) -> list[Side]:
        """Sides in another order each time; how busy the machine was goes into every sample."""

        def with_load(run: Callable[[], Sample]) -> Sample:
            sample = run()
            return Sample(sample.value, {**sample.extra, "load of the machine": os.getloadavg()[0]})

        return in_turn({name: lambda run=run: with_load(run) for name, run in runs.items()}, self.setting.runs, self._random)

    def check(self) -> None:
        """Every side gives the same answer, whole and streamed, before a time counts."""
        said = {}
        for side in self.sides.all:
            with GatewayConnection(side.port) as connection:
                head, body = connection.ask(self._request(side, "hello"))
                if not head.startswith(b"HTTP/1.1 200"):
                    raise Failed(f"{side.name}: {(head + body)[:2000].decode(errors='replace')}")
                whole = json.loads(body)["choices"][0]["message"]["content"]
                streamed = _text(connection.stream(self._request(side, "hello", stream=True)))
                said[side.name] = (whole, streamed)
        if len(set(said.values())) != 1:
            raise Failed(f"the sides do not say the same: {said}")

    def remember_idle(self) -> None:
        """What each gateway holds, in MB, while nobody asks it anything after its first calls."""
        self._idle = {side.name: [] for side in self.sides.gateways}
        for _ in range(REST_SECONDS // LOOK_SECONDS):
            time.sleep(LOOK_SECONDS)
            for side in self.sides.gateways:
                self._idle[side.name].append(side.resident_mib() * 1.048576)

    def added_latency(self, kilobytes: int, under: str = "") -> Lane:
        """One connection: what a call takes beyond the same call to the provider, pair by pair. `under` says what else holds."""
        words = prompt(kilobytes)

        def run(side: GatewaySide) -> Sample:
            request, taken = self._request(side, words), []
            ends = time.perf_counter() + self.setting.seconds
            with GatewayConnection(side.port) as connection:
                while len(taken) < PROMPTS[kilobytes] and (time.perf_counter() < ends or len(taken) < 20):
                    began = time.perf_counter()
                    head, _ = connection.ask(request)
                    taken.append((time.perf_counter() - began) * 1e6)
                    if not head.startswith(b"HTTP/1.1 200"):
                        raise Failed(f"{side.name}: {head.decode(errors='replace')}")
            return Sample(statistics.median(taken), {"p99 us": _percentile(taken, 0.99)})

        measured = self._sides_in_turn(run, self.sides.relay)
        direct = measured.pop()
        condition = f", {under}" if under else ""
        lane = Lane(f"added latency, {kilobytes} KB of prompt, 1 connection{condition}", "us added at p50", True, [_added(side, direct) for side in measured])
        whole, tail = direct.median(), statistics.median(direct.extra("p99 us"))
        added = "what is added is the difference to it in the same round, of p50 and of p99; the bare relay passes bytes on and does nothing else, on the core of the gateways"
        lane.notes.extend([f"directly: p50 {whole:.0f} us, p99 {tail:.0f} us; {added}", *self.sides.notes])
        if kilobytes == min(PROMPTS) and not under:
            ours = lane.sides[0]
            p99 = statistics.median(ours.extra("us added at p99"))
            lane.goals.append(Goal(f"adds at most {ADDED_P50_US:.0f} us at p50", f"{ours.median():.0f} us", ours.median() <= ADDED_P50_US))
            lane.goals.append(Goal(f"adds at most {ADDED_P99_US:.0f} us at p99", f"{p99:.0f} us", p99 <= ADDED_P99_US))
        return lane

    def throughput(self) -> Lane:
        """As fast as it goes over many connections."""

        broken: list[str] = []

        def run(side: GatewaySide) -> Sample:
            before = side.processor_seconds()
            body = json.dumps(_chat(side, prompt(1)))
            try:
                sample = self._closed.run(side.url, "POST", side.path(CHAT), [body], headers=side.headers)
            except Failed as failed:  # a peer that gives in must not cost the others' figures
                if side.name == OURS:
                    raise
                broken.append(f"{side.name} gave in, which counts as nothing: {str(failed).splitlines()[-1]}")
                return Sample(0.0)
            # What it does of it afterwards, such as writing down what was called, is a part of what a call takes.
            settle(side)
            used = (side.processor_seconds() - before) / (sample.value * self.setting.seconds) * 1e6
            return Sample(sample.value, {**sample.extra, "its processor us a request": used})

        measured = self._sides_in_turn(run)
        self._held = {side.name: side.median() for side in measured}
        lane = Lane(f"throughput, 1 KB of prompt, {CONNECTIONS} connections", "requests/s", False, measured, [*broken, *self.sides.notes])
        for side in measured[1:-1]:
            ratio, wanted = lane.ratio(side), FASTER.get(side.name, 1.0)
            lane.goals.append(Goal(f"at least {wanted:.0f} × {side.name}", f"{ratio:.1f} ×", ratio >= wanted))
        lane.notes.append("closed loop; provider and load generator share what is left of the machine: where the gateway is faster than both, it waits for them")
        return lane

    def frontier(self) -> Lane:
        """The highest of some steady rates at which the p99, counted from when each request was due, stays below a bound."""
        steady = SteadyLoad(SteadyGenerator(self.setting.cache), self.setting.out, FRONTIER_CONNECTIONS, self.setting.seconds)
        broken: list[str] = []

        def run(side: GatewaySide) -> Sample:
            body, found, late_us = json.dumps(_chat(side, prompt(1))), dict.fromkeys(FRONTIER_MS, 0.0), 0.0
            for share in SHARES:
                rate = self._held[side.name] * share
                if not rate:
                    continue
                try:
                    seen = steady.run(side.url, "POST", side.path(CHAT), [body], rate, side.headers)
                except Failed as failed:  # at this rate it refuses or closes connections: it does not hold it
                    broken.append(f"{side.name} at {rate:,.0f} /s: {str(failed).splitlines()[-1]}")
                    continue
                late_us = max(late_us, seen["steady: generator late p99 us"])
                for bound in FRONTIER_MS:
                    found[bound] = max(found[bound], rate if seen["steady p99 us"] <= bound * 1000 else 0.0)
            within = {f"p99 within {bound} ms": found[bound] for bound in FRONTIER_MS[1:]}
            return Sample(found[FRONTIER_MS[0]], {**within, "generator late p99 us, at most": late_us})

        measured = in_turn({side.name: lambda side=side: run(side) for side in self.sides.gateways}, min(self.setting.runs, 3), self._random)
        lane = Lane(f"frontier: steady requests/s with p99 within {FRONTIER_MS[0]} ms, 1 KB of prompt", "requests/s", False, measured, broken)
        rates = ", ".join(f"{share:.0%}" for share in SHARES)
        lane.notes.append(f"open loop over {FRONTIER_CONNECTIONS} connections, at {rates} of what saturates the side; a request that fails fails the rate; 0: none of these rates")
        return lane

    def stream(self, frames: int) -> Lane:
        """Streams of so many frames, as fast as the provider can send them, one after the other; every word is looked at."""
        words = f"[[mock: chunks={frames}]] {prompt(1)}"
        expected: list[str] = []

        def run(side: GatewaySide) -> Sample:
            request, taken = self._request(side, words, stream=True), []
            settle(side)
            before, ends = side.processor_seconds(), time.perf_counter() + self.setting.seconds
            with GatewayConnection(side.port) as connection:
                while time.perf_counter() < ends or len(taken) < 5:
                    streamed = connection.stream(request)
                    taken.append((streamed.whole_us, streamed.first_us))
                    text = _text(streamed)
                    expected[:] = expected or [text]
                    if text != expected[0] or streamed.data[-1] != b"[DONE]" or len(text.split()) < frames:
                        raise Failed(f"{side.name} lost a part of a stream of {frames} frames: {text[:200]} … {text[-200:]}")
            processor = (side.processor_seconds() - before) / (len(taken) * frames) * 1e6
            wholes, firsts = zip(*taken, strict=True)
            extra = {"p99 us": _percentile(list(wholes), 0.99), "first frame us": statistics.median(firsts), "its processor us a frame": processor}
            return Sample(statistics.median(wholes), extra)

        measured = self._sides_in_turn(run)
        notes = [
            "each stream is read to its end, and its words are those of every other side: no frame was lost",
            "processor time is counted in hundredths of a second: of few streams it is coarse",
        ]
        return Lane(f"a stream of {frames:,} frames, 1 connection", "us a stream", True, measured, notes)

    def memory(self) -> Lane:
        """What a gateway holds after all that; what it held at rest after its first calls stands beside."""
        samples = {
            side.name: Sample(
                side.resident_mib() * 1.048576,
                {"idle MB": statistics.median(self._idle[side.name]), "idle MB at most": max(self._idle[side.name])},
            )
            for side in self.sides.gateways
        }
        lane = Lane("resident memory after the work", "MB", True, [Side(name, [sample]) for name, sample in samples.items()])
        lane.notes.append("of all processes of a gateway, as the kernel counts it; TensorZero's has the interpreter that starts it in it")
        lane.notes.append(f"idle: the median of {REST_SECONDS} s after the first calls, looked at every {LOOK_SECONDS} s")
        idle = statistics.median(self._idle[OURS])
        lane.goals.append(Goal(f"at most {IDLE_MB:.0f} MB idle", f"{idle:.0f} MB", idle <= IDLE_MB))
        return lane

    def soak(self) -> Lane:
        """How memory moves while a gateway is kept as busy as it can be for `--soak` seconds, side after side."""
        longest = self.setting.soak

        def run(side: GatewaySide) -> Side:
            seconds = longest if side.name == OURS else min(longest, PEERS_SOAK_SECONDS)
            load = Load(LoadGenerator(self.setting.cache), self.setting.out, CONNECTIONS, 1, seconds)
            body, seen = json.dumps(_chat(side, prompt(1))), []
            began = time.monotonic()
            with ThreadPoolExecutor(1) as pool:
                running = pool.submit(load.run, side.url, "POST", side.path(CHAT), [body], headers=side.headers)
                while not running.done():
                    seen.append(((time.monotonic() - began) / 60, side.resident_mib()))
                    time.sleep(min(1.0, seconds / 20))
                answered = running.result().value
            # What comes first is warming up.
            counted = [at for at in seen if at[0] * 60 >= seconds / 3]
            slope = statistics.linear_regression(*zip(*counted, strict=True)).slope
            time.sleep(min(10.0, seconds / 4))
            most = max(held for _, held in seen)
            extra = {"seconds": seconds, "MiB when it began": seen[0][1], "most MiB": most, "MiB at rest after it": side.resident_mib(), "requests/s": answered}
            progress(f"soak of {seconds} s: {side.name}: {slope:+.2f} MiB a minute")
            return Side(side.name, [Sample(slope, extra)])

        measured = [run(side) for side in self.sides.gateways]
        slopes = ", ".join(f"{side.name} {side.values[0]:+.2f}" for side in measured)
        held = [Side(side.name, [Sample(side.extra("most MiB")[0], {"MiB a minute": side.values[0], **side.samples[0].extra})]) for side in measured]
        lane = Lane(f"memory under load for {longest} s, {CONNECTIONS} connections", "MiB at most", True, held)
        lane.notes.append(f"MiB a minute, fitted to the last two thirds: {slopes}; `--soak 1800` is the half-hour that a slope should be judged by; the others are asked {PEERS_SOAK_SECONDS} s at most")
        if longest >= JUDGED_SOAK_SECONDS:
            slope = measured[0].values[0]
            lane.goals.append(Goal(f"flat: below {FLAT_MIB_A_MINUTE} MiB a minute", f"{slope:+.2f}", slope < FLAT_MIB_A_MINUTE))
        return lane

    def _sides_in_turn(self, run: Callable[[GatewaySide], Sample], *more: GatewaySide) -> list[Side]:
        """Directly is last."""
        sides = [*self.sides.gateways, *more, self.sides.direct]
        return self.in_turn({side.name: lambda side=side: run(side) for side in sides})

    def _request(self, side: GatewaySide, words: str, **more: object) -> bytes:
        return prepared(side.path(CHAT), side.headers, _chat(side, words, **more))


def _chat(side: GatewaySide, words: str, **more: object) -> dict:
    return {"model": side.chat, "messages": [{"role": "user", "content": words}], **more}


def _text(streamed: Streamed) -> str:
    """What the frames of a chat say together."""
    chunks = (json.loads(data) for data in streamed.data if data != b"[DONE]")
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", []))


def _percentile(taken: list[float], share: float) -> float:
    return sorted(taken)[min(len(taken) - 1, int(len(taken) * share))]


def _added(side: Side, direct: Side) -> Side:
    """The differences to the direct calls of the same rounds."""
    samples = []
    for through, without in zip(side.samples, direct.samples, strict=True):
        extra = {"us added at p99": through.extra["p99 us"] - without.extra["p99 us"], "p50 us": through.value, **through.extra}
        samples.append(Sample(through.value - without.value, extra))
    return Side(side.name, samples)
