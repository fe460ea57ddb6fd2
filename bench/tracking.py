"""Experiment tracking over the MLflow wire: ours against the stock MLflow server, on SQLite and on PostgreSQL, in turn.

No client library is between the clocks: the same prepared requests go to every side, and before a time counts, or right after, what the
servers then hold is compared with what was sent and with each other.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from equality import Unequal
from live import raw
from load import Load
from measure import Goal, Lane, Sample, Side, in_turn, progress
from setting import Setting
from tracking_sides import OURS, Memory, Sides, TrackingSide, running
from tools import LoadGenerator
from tracking_wire import API, Client, MadeRun, check_points, check_same, comparable, history, metric, new_experiment, post, record_all

BATCH = 1_000
BATCH_KEYS = 10
CONNECTIONS = 16
SMALL_RUN = (5, 5)
WIDE_RUN = (50, 5)
PAGE = 100
PAGE_MS = 100
READY_SECONDS = 1.0
# More than a server on two cores takes in, so that a load generator never has to send a point twice.
MOST_PER_SECOND = 60_000
MEMORY_SHARE = 5
# Most runs match, so that a server which sorts them all has them all to sort.
FILTER = "metrics.m0 > 0.25 AND params.p1 != 'v3'"
ORDER = ["metrics.m1 DESC"]


@dataclass(frozen=True)
class Sizes:
    """How many runs each side gets. The stock server records a few runs a second, so it gets `seconds` for each turn, and fewer wide runs."""

    recorded: int
    seconds: float
    searched: int
    many: int
    many_of_theirs: int


QUICK = Sizes(recorded=1_000, seconds=10, searched=1_000, many=5_000, many_of_theirs=500)
FULL = Sizes(recorded=1_000, seconds=30, searched=1_000, many=100_000, many_of_theirs=2_000)


def tracking(setting: Setting, sizes: Sizes | None = None) -> Iterator[Lane]:
    """Every measure on every side; memory and starts last, when each server has done the same kinds of work."""
    sizes = sizes or (FULL if setting.full else QUICK)
    with running(setting) as sides:
        bench = Bench(setting, sizes, sides)
        bench.remember_idle()
        yield bench.log_metric()
        yield bench.log_metric_at_once()
        yield bench.log_batch()
        for connections in (1, CONNECTIONS):
            yield bench.record(connections)
        yield from bench.search()
        yield from bench.search_many()
        yield bench.memory()
        yield bench.ready()


@dataclass
class Bench:
    """The measures of the lane, on sides that are running."""

    setting: Setting
    sizes: Sizes
    sides: Sides
    idle: dict[str, Memory] = field(default_factory=dict)
    after: dict[str, list[Memory]] = field(default_factory=dict)
    turns: Iterator[int] = field(default_factory=count)

    def log_metric(self) -> Lane:
        """A metric a request, on one connection."""

        def run(side: TrackingSide) -> Sample:
            sent: list[dict] = []
            run_id = self._new_run(side)

            def request() -> bytes:
                sent.append(metric("loss", 1 / (len(sent) + 1), len(sent)))
                return post("runs/log-metric", {"run_id": run_id, **sent[-1]})

            taken = self._asked(side, request)
            check_points(side.name, history(side.port, run_id, "loss"), sent)
            return Sample(len(taken) / sum(taken), _latencies(taken))

        measured = self._in_turn(run)
        floor = _empty_handler_ms(self.sides.all[0])
        notes = [
            f"one connection, {self.setting.seconds} s a run; every point is read back and compared",
            f"p50 of an empty handler of Shipway, by the same client: {floor:.2f} ms",
            *self.sides.notes,
        ]
        return self._lane("log-metric", "requests/s", False, measured, notes, 50)

    def log_metric_at_once(self) -> Lane:
        """A metric a request, on many connections, from a load generator in C: a client in Python would be the bottleneck of ours."""
        generator = LoadGenerator(self.setting.cache)

        def run(side: TrackingSide) -> Sample:
            run_ids = [self._new_run(side) for _ in range(CONNECTIONS)]
            # The runs in turn, and more points than can be sent, so that none is sent twice.
            count = int(self.setting.seconds * MOST_PER_SECOND) // CONNECTIONS * CONNECTIONS
            points = (metric("loss", 1 / (step + 1), step) for step in range(count))
            bodies = [json.dumps({"run_id": run_ids[number % CONNECTIONS], **point}) for number, point in enumerate(points)]
            load = Load(generator, self.setting.out, CONNECTIONS, 1, self.setting.seconds)
            sample = load.run(f"http://127.0.0.1:{side.port}", "POST", f"{API}/runs/log-metric", bodies)
            kept = sum(len(history(side.port, run_id, "loss")) for run_id in run_ids)
            answered = round(sample.value * self.setting.seconds)
            # What it sent in the moments before and after the time that it measured is kept too.
            if not 0.97 * answered <= kept <= 1.1 * answered + 4 * CONNECTIONS or kept >= count:
                raise Unequal(f"{side.name}: {answered} points were acknowledged, and {kept} are kept")
            return sample

        notes = [
            f"{CONNECTIONS} connections, one run for each, every point another; {self.setting.seconds} s a run; the points that are kept are counted",
            "sent by wrk, on the same box, so that it takes its part of the two cores",
        ]
        return self._lane(f"log-metric, {CONNECTIONS} connections", "requests/s", False, self._in_turn(run), notes, 50)

    def log_batch(self) -> Lane:
        """A thousand metrics a request, on one connection."""

        def run(side: TrackingSide) -> Sample:
            sent: list[dict] = []
            run_id = self._new_run(side)

            def request() -> bytes:
                first = len(sent)
                sent.extend(metric("b0", step / 1024, step) for step in range(first, first + BATCH // BATCH_KEYS))
                batch = [{**point, "key": f"b{key}"} for point in sent[first:] for key in range(BATCH_KEYS)]
                return post("runs/log-batch", {"run_id": run_id, "metrics": batch})

            taken = self._asked(side, request)
            for key in ("b0", f"b{BATCH_KEYS - 1}"):
                check_points(side.name, history(side.port, run_id, key), sent)
            return Sample(len(taken) * BATCH / sum(taken), _latencies(taken))

        notes = [f"{BATCH:,} metrics a request, {BATCH_KEYS} keys, one connection, {self.setting.seconds} s a run; the points of two keys are read back and compared"]
        return self._lane(f"log-batch, {BATCH:,} metrics", "metrics/s", False, self._in_turn(run), notes, 15)

    def record(self, connections: int) -> Lane:
        """Small runs from nothing to finished: three requests each."""

        def run(side: TrackingSide) -> Sample:
            experiment = new_experiment(side.port, f"recorded-{next(self.turns)}")
            runs = [MadeRun(number, *SMALL_RUN) for number in range(self.sizes.recorded)]
            processor = time.process_time()
            done, seconds = record_all(side.port, experiment, runs, connections, self.sizes.seconds)
            processor = time.process_time() - processor
            _check_recorded(side, self._everything(side, experiment), runs, done)
            return Sample(done / seconds, {"ms a run": seconds / done * 1e3 * connections, "runs": done, "client cores": processor / seconds})

        metrics, params = SMALL_RUN
        notes = [
            f"runs/create, log-batch of {metrics} metrics and {params} params, runs/update: {self.sizes.recorded:,} runs a turn, or as many as fit into "
            f"{self.sizes.seconds:g} s (the column `runs`); every run is read back and compared with what was sent",
        ]
        name = f"create and log small runs, {connections} connection{'s' if connections > 1 else ''}"
        return self._lane(name, "runs/s", False, self._in_turn(run), notes, 30)

    def search(self) -> Iterator[Lane]:
        """One experiment of finished small runs, the same on every side."""
        runs = self.sizes.searched
        where = self._filled(self.sides.all, "searched", runs, SMALL_RUN)
        whole = {"max_results": runs}
        yield self._search_lane(f"search_runs, a page of all {runs:,} runs", self.sides.all, where, whole, 30, [])
        page = {"max_results": PAGE, "filter": FILTER, "order_by": ORDER}
        about = [f"`{FILTER}`, ordered by `{ORDER[0]}`"]
        yield self._search_lane(f"search_runs, a page of {PAGE} of {runs:,} runs by filter and order", self.sides.all, where, page, None, about)

    def search_many(self) -> Iterator[Lane]:
        """Runs of fifty metrics: as many as the stock server can be given in minutes on all sides, then many on ours alone."""
        page = {"max_results": PAGE, "filter": FILTER, "order_by": ORDER}
        metrics, params = WIDE_RUN
        about = f"runs of {metrics} metrics and {params} params, loaded over {CONNECTIONS} connections; `{FILTER}`, ordered by `{ORDER[0]}`"
        fewer, many = self.sizes.many_of_theirs, self.sizes.many
        where = self._filled(self.sides.all, "fewer", fewer, WIDE_RUN)
        yield self._search_lane(f"a page of {PAGE} of {fewer:,} wide runs", self.sides.all, where, page, None, [about])
        ours = self.sides.of(OURS)
        where = self._filled(ours, "many", many, WIDE_RUN)
        alone = f"ours alone: the stock server takes in a few such runs a second; the table before has all sides at {fewer:,}"
        lane = self._search_lane(f"a page of {PAGE} of {many:,} wide runs", ours, where, page, None, [about, alone])
        for side in lane.sides:
            worst = max(side.extra("most ms"))
            at = "" if many >= FULL.many else f" ({FULL.many:,} with --full)"
            lane.goals.append(Goal(f"{side.name}: a page over {many:,} runs{at} below {PAGE_MS} ms, every request", f"{worst:.1f} ms", worst < PAGE_MS))
        yield lane

    def memory(self) -> Lane:
        """What each server held after each measure; what it held when it had just started stands beside."""
        measured = []
        for side in self.sides.all:
            idle = self.idle[side.name]
            samples = []
            for held in self.after[side.name]:
                extra = {"idle": idle.counted, "shared pages in each": held.in_each, "in parts": held.in_parts, "processes": held.processes}
                samples.append(Sample(held.counted, extra))
            measured.append(Side(side.name, samples))
        notes = [
            "at the end of each measure above. A server of one process is counted as the kernel counts it. One of several would count the pages that they share once in each "
            "(the column beside): it is counted with each page in parts, by how many processes of this machine have it. PostgreSQL's own memory is in none. Idle: once, after the first start",
        ]
        return self._lane("resident memory after the work", "MiB", True, measured, notes, MEMORY_SHARE)

    def ready(self) -> Lane:
        """Starts again on all that the work has left."""

        def run(side: TrackingSide) -> Sample:
            side.server.stop()
            seconds = side.start()
            side.settle()
            return Sample(seconds, {"idle MiB": side.memory().counted})

        measured = in_turn({side.name: lambda side=side: run(side) for side in self.sides.all}, min(self.setting.runs, 3))
        first = ", ".join(f"{side.name} {side.first_start_seconds:.2f} s" for side in self.sides.all)
        notes = [
            "from the start of the process until a search of experiments is answered, on the databases that the measures above have filled",
            f"the first start, which makes the tables: {first}",
        ]
        lane = Lane("from start to ready", "s", True, measured, notes, f"{measured[0].name} is better by")
        for side in measured:
            if side.name in {ours.name for ours in self.sides.of(OURS)}:
                worst = max(side.values)
                lane.goals.append(Goal(f"{side.name}: ready in less than {READY_SECONDS:g} s, in every run", f"{worst:.2f} s", worst < READY_SECONDS))
        return lane

    def remember_idle(self) -> None:
        """Notes what each server holds when it has just started."""
        for side in self.sides.all:
            side.settle()
        self.idle = {side.name: side.memory() for side in self.sides.all}

    def _in_turn(self, run: Callable[[TrackingSide], Sample], sides: list[TrackingSide] | None = None) -> list[Side]:
        measured = in_turn({side.name: lambda side=side: run(side) for side in sides or self.sides.all}, self.setting.runs)
        for side in self.sides.all:
            self.after.setdefault(side.name, []).append(side.memory())
        return measured

    def _lane(self, name: str, unit: str, less_is_better: bool, measured: list[Side], notes: list[str], times: float | None) -> Lane:
        lane = Lane(name, unit, less_is_better, measured, notes, f"{measured[0].name} is better by")
        if times is None:
            return lane
        for ours, theirs in self.sides.pairs():
            pair = Lane(name, unit, less_is_better, [lane.side(ours.name), lane.side(theirs.name)])
            ratio = pair.ratio(pair.sides[1])
            lane.goals.append(Goal(f"{times:g} × {theirs.name}: {name}", f"{ratio:.1f} ×", ratio >= times))
        return lane

    def _asked(self, side: TrackingSide, request: Callable[[], bytes]) -> list[float]:
        """Asks over and over on one connection; the seconds of each answer. Making a request is not in them."""
        taken: list[float] = []
        with Client(side.port) as client:
            ends = time.perf_counter() + self.setting.seconds
            while time.perf_counter() < ends:
                prepared = request()
                began = time.perf_counter()
                client.ask(prepared)
                taken.append(time.perf_counter() - began)
        return taken

    def _new_run(self, side: TrackingSide) -> str:
        experiment = new_experiment(side.port, f"logged-{next(self.turns)}")
        with Client(side.port) as client:
            return client.post("runs/create", MadeRun(0, 0, 0).create(experiment))["run"]["info"]["run_id"]

    def _everything(self, side: TrackingSide, experiment: str) -> list[dict]:
        """All runs of an experiment, page by page."""
        found: list[dict] = []
        body: dict = {"experiment_ids": [experiment], "max_results": 1_000}
        with Client(side.port) as client:
            while True:
                answer = client.post("runs/search", body)
                found += answer.get("runs", [])
                if not answer.get("next_page_token"):
                    return found
                body = {**body, "page_token": answer["next_page_token"]}

    def _filled(self, sides: list[TrackingSide], name: str, runs: int, shape: tuple[int, int]) -> dict[str, str]:
        """An experiment with the same runs on each side; its id by the side's name."""
        where = {}
        for side in sides:
            where[side.name] = new_experiment(side.port, name)
            made = map(lambda number: MadeRun(number, *shape), range(runs))
            done, seconds = record_all(side.port, where[side.name], made, CONNECTIONS)
            if done != runs:
                raise Unequal(f"{side.name}: {done} of {runs} runs were recorded")
            progress(f"{side.name}: {runs:,} runs of {shape[0]} metrics loaded in {seconds:.0f} s")
        return where

    def _search_lane(
        self, name: str, sides: list[TrackingSide], where: dict[str, str], asked: dict, times: float | None, about: list[str]
    ) -> Lane:
        """One search over and over; the answers of all sides are compared before the clock starts."""

        def answer(side: TrackingSide) -> list[dict]:
            with Client(side.port) as client:
                return client.post("runs/search", {"experiment_ids": [where[side.name]], **asked}).get("runs", [])

        def run(side: TrackingSide) -> Sample:
            prepared = post("runs/search", {"experiment_ids": [where[side.name]], **asked})
            taken = self._asked(side, lambda: prepared)
            with Client(side.port) as client:
                size = len(client.ask(prepared))
            return Sample(statistics.median(taken) * 1e3, {"most ms": max(taken) * 1e3, "requests": len(taken), "MB": size / 1e6})

        first = answer(sides[0])
        if len(first) != asked["max_results"]:
            raise Unequal(f"{sides[0].name}: {len(first)} runs, not a page of {asked['max_results']}")
        same = [f"equal in all {check_same(side.name, first, answer(side)):,} values to {sides[0].name}: {side.name}" for side in sides[1:]]
        measured = self._in_turn(run, sides)
        return self._lane(name, "ms, p50", True, measured, [*about, f"one connection, {self.setting.seconds} s a run, the same search over and over", *same], times)


def _latencies(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    at = {"p50 ms": 0.5, "p99 ms": 0.99}
    return {name: ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1e3 for name, part in at.items()}


def _empty_handler_ms(side: TrackingSide) -> float:
    asked, taken = raw("GET", "/health", b""), []
    with Client(side.port) as client:
        for _ in range(1_000):
            began = time.perf_counter()
            client.ask(asked)
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e3


def _check_recorded(side: TrackingSide, found: list[dict], runs: list[MadeRun], done: int) -> None:
    """Fails the lane where a run is missing, twice there, or another than was sent."""
    if len(found) != done:
        raise Unequal(f"{side.name}: {done} runs were recorded, and {len(found)} are found")
    sent = {run.number: run for run in runs}
    for run in found:
        told = comparable(run)
        number = int(told["run_name"].removeprefix("run-"))
        expected = sent.pop(number, None)
        if expected is None or told != expected.kept():
            was = "was not sent, or is there twice" if expected is None else f"was sent as {json.dumps(expected.kept())}"
            raise Unequal(f"{side.name}: run {number} is kept as {json.dumps(told)}, and {was}")
