"""Training sets against DuckDB and Polars: the same files, the same definitions, the same threads, every cell compared."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import equality
from measure import Goal, Lane, Sample, in_turn, progress
from server import Failed, Server
from setting import HERE, Setting, timed_command
from tools import peers_python

LIMIT_SECONDS = 3600


@dataclass(frozen=True)
class Job:
    """One training set: which definitions and service, over which files."""

    name: str
    definitions: Path
    service: str
    history: Path
    spine: str
    time: str


class Ours:
    """Shipway's side: one command against a running server, from its tables to a file."""

    def __init__(self, setting: Setting, server: Server, job: Job, target: Path) -> None:
        self._server = server
        self._target = target
        self._command = [
            *(setting.shipway, "features", "training-set", job.service, "--spine", job.spine, "--time", job.time),
            *("--file", str(target), "--server", server.url),
        ]
        self.processor: list[float] = []
        self.client_processor: list[float] = []

    def training_set(self) -> Sample:
        """Builds it anew; a run in which the server hardly worked has reused an answer, and fails."""
        self._target.unlink(missing_ok=True)
        sample = timed_command(self._command, self._server.pid)
        self.processor.append(sample.extra.pop("processor s"))
        self.client_processor.append(sample.extra.pop("client processor s"))
        if self.processor[-1] < self.processor[0] / 2:
            raise Failed(f"the server worked {self.processor[-1]:.2f} s after {self.processor[0]:.2f} s before: it reused an answer")
        return sample


class Peer:
    """A peer that runs as a child process and answers with one JSON line."""

    def __init__(self, name: str, python: Path | str, script: str, setting: Setting, job: Job) -> None:
        self.name = name
        self.version = ""
        self.target = setting.out / f"{job.service}-{name.lower()}.parquet"
        self._command = [str(python), str(HERE / "peers" / script)]
        self._asked = {
            **{"definitions": str(job.definitions), "service": job.service, "history": str(job.history), "spine": job.spine},
            **{"time": job.time, "threads": setting.threads, "memory_mib": setting.memory_mib, "target": str(self.target)},
            "scratch": str(setting.out / "scratch"),
        }
        self._ways: dict[str, str] = {}
        self.notes: list[str] = []

    def choose_ways(self) -> None:
        """Times every way to each family of features, here and now, and keeps the fastest of each."""
        answer = self._ask({"compare": True})
        self.version = answer["version"]
        for family, taken in answer["ways"].items():
            known = {way: seconds for way, seconds in taken.items() if not isinstance(seconds, str)}
            if not known:
                raise Failed(f"{self.name}: no way to {family} came to an end")
            self._ways[family] = min(known, key=known.__getitem__)
            words = ", ".join(f"{way} {seconds}" if isinstance(seconds, str) else f"{way} {seconds:.2f} s" for way, seconds in taken.items())
            self.notes.append(f"{self.name}, {family}: {words}")

    def training_set(self) -> Sample:
        answer = self._ask({"ways": self._ways})
        self.version = answer["version"]
        return Sample(answer["seconds"], {"peak MiB": answer["peak_mib"]})

    def _ask(self, more: dict) -> dict:
        command = [*self._command, json.dumps({**self._asked, **more})]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
        if done.returncode != 0:
            raise Failed(f"{self.name} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        return json.loads(done.stdout.splitlines()[-1])


def lane(setting: Setting, server: Server, job: Job, faster: dict[str, float], keep: Path | None = None) -> Lane:
    """From the tables to a Parquet file, ours and the peers in turn. Ours stays at `keep`, if given.

    `faster` says by how much we want to be faster than a peer.
    """
    target = keep or setting.out / f"{job.service}-ours.parquet"
    ours = Ours(setting, server, job, target)
    peers = [
        Peer("DuckDB", sys.executable, "duckdb_side.py", setting, job),
        Peer("Polars", peers_python(setting.cache), "polars_side.py", setting, job),
    ]
    for peer in peers:
        progress(f"{job.name}: timing every way that {peer.name} has to each family of features")
        peer.choose_ways()
    sides = in_turn({"Shipway": ours.training_set, **{peer.name: peer.training_set for peer in peers}}, setting.runs)
    notes = []
    for peer in peers:
        rows, features = equality.equal_features(target, peer.target)
        notes.append(f"{peer.name} {peer.version} equals ours in all {rows * features:,} cells ({rows:,} rows × {features} features)")
        peer.target.unlink()
    notes.append(f"threads {setting.threads} each; {_memory(setting)}; all write Parquet with zstd")
    notes += [note for peer in peers for note in peer.notes]
    if keep is None:
        target.unlink()
    lane = Lane(job.name, "s", True, sides, notes)
    for name, factor in faster.items():
        ratio = lane.ratio(lane.side(name))
        lane.goals.append(Goal(f"{factor:g} × as fast as {name}" if factor > 1 else f"no slower than {name}", f"{ratio:.2f} ×", ratio >= factor))
        peak, theirs = (max(side.extra("peak MiB")) for side in (sides[0], lane.side(name)))
        lane.goals.append(Goal(f"no more memory than {name}", f"{peak:,.0f} MiB, {name} {theirs:,.0f} MiB", peak <= theirs))
    return lane


def _memory(setting: Setting) -> str:
    return (
        f"limit {setting.memory_mib:,} MiB for Shipway's queries and for DuckDB, Polars has none to set; "
        "Shipway's peak is the whole server, online store included, and the client"
    )
