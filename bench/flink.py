"""The same five views as Flink SQL on a Flink of one node, out of the same topics of the same Kafka: how many events a second and core."""

from __future__ import annotations

import datetime
import json
import subprocess
import time
from collections.abc import Iterator

import flink_sql
import made_flights
import over_kafka
import pyarrow as arrow
from task import Task, View, read_task

from equality import Unequal
from flink_cluster import JOB_MANAGER_MIB, TASK_MANAGER_MIB, Cluster
from kafka_topics import Topics, kafka, taken_in, tokens
from made_flights import Period
from measure import Lane, Sample, in_turn, progress
from server import Connection, Failed, Server
from setting import DEMO, Setting, processor_seconds
from tools import Flink

QUICK = 1_000_000
FULL = 10_000_000
# Of real flights there is an observation of the weather for every 25 events of a flight.
SHARES = {"departures": 0.48, "arrivals": 0.48, "weather": 0.04}
SERVICE = "late_arrivals"
HOUR = 3_600_000_000
DAY = 24 * HOUR
# The part of a job at whose beginning queries are compiled and the Java machine gets warm; it is not counted.
COLD = 0.2
LOOKS_EVERY_SECONDS = 0.1
CLOSED = ("departures", "arrivals")
ENDS_WITHIN_SECONDS = 600.0


def flink(setting: Setting) -> Iterator[Lane]:
    """Ours and Flink in turn, after their answers were compared at the end of every window."""
    tool = Flink(setting.cache)
    events = FULL if setting.full else QUICK
    # The last hour of a day: all windows of the views, of whole days too, end with it.
    end = time.time_ns() // 1000 // DAY * DAY
    with kafka(setting.out / "kafka-flink", 2 * setting.threads) as topics:
        counts = {source: int(events * share) for source, share in SHARES.items()}
        for source, count in counts.items():
            progress(f"flink: writing {count:,} {source}")
            for part in made_flights.in_parts(source, count, Period(end - HOUR, end), 11):
                topics.fill(source, made_flights.lines(part), made_flights.keys(part))
        _close(topics, end)
        cluster = Cluster(setting, tool, setting.out / "flink")
        try:
            yield _Comparison(setting, topics, cluster, sum(counts.values()) + len(CLOSED) * topics.partitions, end).lane(tool)
        finally:
            cluster.stop()


def _close(topics: Topics, end: int) -> None:
    """One more event in each partition, of keys that nobody asks for, ten seconds after the last: in Flink windows end when a later event has come."""
    sender = topics.sender(0)
    for source in CLOSED:
        table = made_flights.make(source, topics.partitions, Period(end + 10_000_000, end + 11_000_000), 12, 900_000_000)
        for name in ("origin", "dest", "carrier", "tailnum"):
            place = table.column_names.index(name)
            table = table.set_column(place, name, arrow.array(["closing"] * table.num_rows))
        for partition, line in enumerate(made_flights.lines(table)):
            sender.send(over_kafka.topic(source), line, b"closing", partition)
    sender.flush()


class _Comparison:
    """Both sides over the same topics."""

    def __init__(self, setting: Setting, topics: Topics, cluster: Cluster, events: int, end: int) -> None:
        self._setting = setting
        self._topics = topics
        self._cluster = cluster
        self._events = events
        self._end = end
        self._task = read_task(DEMO, SERVICE, DEMO, "", "")
        self._definitions = topics.definitions(DEMO, setting.out / "definitions-flink")
        self._job = 0

    def lane(self, tool: Flink) -> Lane:
        """Compares the answers, then the times."""
        progress("flink: comparing the answers at the end of the windows")
        compared = [self._compare(once) for once in (False, True)]
        sides = in_turn(
            {
                "Shipway": self._ours,
                "Flink SQL": lambda: self._theirs(once=False),
                "Flink SQL that leaves duplicates out by their ids": lambda: self._theirs(once=True),
            },
            self._setting.runs,
        )
        name = f"the demo's five views, {self._events / 1e6:g}M events out of Kafka"
        return Lane(name, "events/s and core", False, sides, [*self._notes(tool), *compared])

    def _notes(self, tool: Flink) -> list[str]:
        threads, java = self._setting.threads, _java_version()
        shares = ", ".join(f"{share:.0%} {source}" for source, share in SHARES.items())
        return [
            f"{self._events:,} events ({shares}) of one hour and its end, as JSON in a topic of {self._topics.partitions} partitions for each source, written beforehand; a core is a second of processor "
            "time of the side's own processes; broker and clients are in neither",
            f"Flink {self._cluster.version} of its Python package, {tool.connector}, {java}: one job manager ({JOB_MANAGER_MIB} MiB) and one task manager ({TASK_MANAGER_MIB} MiB, "
            f"{threads} slots) started from it, parallelism {threads}, states on the heap, objects reused, exactly-once checkpoints to disk every 10 s; one job of all queries, whose "
            "sources are read once",
            f"Flink counts from the moment at which a job has read {COLD:.0%} of the events (its machines are warm from the uncounted run; queries are compiled for each job) to the end of a "
            "checkpoint that holds the last one. Ours counts everything from the moment at which the streams are applied until the last event can be read",
            "not the same work: ours tells duplicates by their ids for 7 days, writes every event to a log with fsync and to history as a Delta table, and keeps a vector of every key "
            "that is answered at any moment; Flink keeps windows and writes a row for each key when one ends, to a sink that forgets it. Its second row leaves duplicates out "
            "as ours does, by ROW_NUMBER() over the id with a state that lives for 7 days",
            "what Flink SQL cannot say: that the weather is nothing any more after three hours (a state's time to live counts from its last change, not in event time); one row with all windows of a key "
            "(each window is a query of its own); an answer between two ends of a window. OVER windows would say something at each event, but keep each event of 30 days",
        ]

    def _ours(self) -> Sample:
        with self._serving() as server:
            used, began = processor_seconds(server.pid), time.monotonic()
            self._read_to_the_end(server)
            seconds, processor = time.monotonic() - began, processor_seconds(server.pid) - used
        return Sample(self._events / processor, {"events/s": self._events / seconds, "processor s": processor})

    def _serving(self):
        return self._setting.serving("flink", [], DEMO, self._topics.environment())

    def _read_to_the_end(self, server: Server) -> None:
        server.cli("apply", str(self._definitions))
        taken = taken_in(server, self._topics.ends())
        if taken != self._events:
            raise Failed(f"{taken} of {self._events} events were new and taken in")
        body = json.dumps({"service": SERVICE, "rows": [_row(0)], "token": tokens(server, over_kafka.SOURCES)}).encode()
        while True:
            try:
                Connection(server).post("/api/v1/features/read", body)
                return
            except Failed as failed:
                if "not_visible_yet" not in str(failed):
                    raise

    def _theirs(self, once: bool) -> Sample:
        job = self._start(once, None)
        try:
            cold = self._until_read(job, int(self._events * COLD))
            used, began = self._cluster.processor_seconds(), time.monotonic()
            self._until_read(job, self._events)
            self._cluster.checkpoint(job)
            seconds, processor = time.monotonic() - began, self._cluster.processor_seconds() - used
        finally:
            self._cluster.cancel(job)
        counted = self._events - cold
        return Sample(counted / processor, {"events/s": counted / seconds, "processor s": processor})

    def _start(self, once: bool, results: str | None) -> str:
        stated = self._stated(once, results)
        return self._cluster.start(f"views-{self._job}", stated.tables, [query.insert for query in stated.queries])

    def _stated(self, once: bool, results: str | None) -> flink_sql.Job:
        self._job += 1
        named = {source: over_kafka.topic(source) for source in over_kafka.SOURCES}
        place = flink_sql.Kafka(self._topics.broker.bootstrap, f"flink-{self._job}", named, results)
        return flink_sql.job(self._task, DEMO, place, once)

    def _until_read(self, job: str, events: int) -> int:
        deadline = time.monotonic() + ENDS_WITHIN_SECONDS
        while time.monotonic() < deadline:
            read = self._cluster.read_so_far(job)
            if read >= events:
                return read
            self._cluster.state(job)
            time.sleep(LOOKS_EVERY_SECONDS)
        raise Failed(f"Flink has not read {events:,} events within {ENDS_WITHIN_SECONDS:.0f} seconds")

    def _compare(self, once: bool) -> str:
        """Each value that Flink gives at the end of the day with the one that we give for that moment; what was compared, in words."""
        results = f"results-{once}".lower()
        stated = self._stated(once, results)
        for query in stated.queries:
            self._topics.broker.create_topic(f"{results}.{query.name}", 1)
        job = self._cluster.start(f"compared-{self._job}", stated.tables, [query.insert for query in stated.queries])
        try:
            self._until_read(job, self._events)
            # Before it is complete, all that came before it has gone through every query, and the sinks have written.
            self._cluster.checkpoint(job)
        finally:
            self._cluster.cancel(job)
        with self._serving() as server:
            self._read_to_the_end(server)
            ours = _values(server, self._end)
        rows = {query.name: self._topics.messages(f"{results}.{query.name}", 1) for query in stated.queries}
        cells = sum(_equal(view, _at_the_end(view, rows, self._end), ours) for view in self._task.views)
        return f"Flink SQL{' that leaves duplicates out' if once else ''} equals ours at {_text(self._end)} in all {cells:,} cells of every key, where the windows of all views end"


def _at_the_end(view: View, rows: dict[str, list[tuple[bytes | None, bytes | None]]], end: int) -> dict[tuple, dict]:
    """What Flink says of each key of a view: the rows of windows that end at `end` side by side, or the latest row."""
    found: dict[tuple, dict] = {}
    for name in [view.name] if view.latest else sorted({f"{view.name}_{feature.window}" for feature in view.features}):
        for _, value in rows[name]:
            row = json.loads(value) if value is not None else {}
            if view.latest or row["window_end"].replace("T", " ") == _plain(end):
                found.setdefault(tuple(row[key] for key in view.keys), {}).update(row)
    return found


def _equal(view: View, theirs: dict[tuple, dict], ours: dict[str, dict[tuple, dict]]) -> int:
    """How many cells are equal; `Unequal` at the first that is not. Numbers may differ by float rounding."""
    names = view.latest or [feature.name for feature in view.features]
    counted = {key for key, row in ours[view.name].items() if any(value not in (0, None) for value in row.values())}
    if set(theirs) != counted:
        raise Unequal(f"{view.name}: Flink has {len(theirs):,} keys and we have {len(counted):,}")
    for key, row in theirs.items():
        for name in names:
            left, right = ours[view.name][key][name], row[name]
            near = isinstance(left, float) and isinstance(right, int | float) and abs(left - right) <= 1e-6 * max(abs(right), 1.0)
            if left != right and not near:
                raise Unequal(f"{view.name} of {key}: {name} is {left} here and {right} in Flink")
    return len(theirs) * len(names)


def _values(server: Server, at: int) -> dict[str, dict[tuple, dict]]:
    """What we say of every key of every view for the moment `at`."""
    task: Task = read_task(DEMO, SERVICE, DEMO, "", "")
    found: dict[str, dict[tuple, dict]] = {view.name: {} for view in task.views}
    connection = Connection(server)
    planes = len(made_flights.PLANES)
    for start in range(0, planes, 1000):
        rows = [_row(number) for number in range(start, min(start + 1000, planes))]
        answer = connection.post("/api/v1/features/read", json.dumps({"service": SERVICE, "rows": rows, "at": _text(at)}).encode())
        for row, answered in zip(rows, answer["rows"], strict=True):
            values = dict(zip(answer["columns"], answered["values"], strict=True))
            for view in task.views:
                own = {name.removeprefix(f"{view.name}__"): value for name, value in values.items() if name.startswith(f"{view.name}__")}
                found[view.name][tuple(row[key] for key in view.keys)] = own
    return found


def _row(number: int) -> dict:
    """A row that asks for one plane; 4,000 of them ask for every airport, airline and route as well."""
    origins, destinations, carriers = made_flights.ORIGINS, made_flights.DESTINATIONS, made_flights.CARRIERS
    keys = {"origin": origins[number % 3], "dest": destinations[number // 3 % 100], "carrier": carriers[number % 16]}
    return {**keys, "tailnum": made_flights.PLANES[number], "month": 1, "hour": 12, "distance": 1.0}


def _text(moment: int) -> str:
    return datetime.datetime.fromtimestamp(moment / 1e6, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(moment: int) -> str:
    return datetime.datetime.fromtimestamp(moment / 1e6, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _java_version() -> str:
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    return next((line.strip() for line in said.splitlines() if "Runtime" in line), "Java")
