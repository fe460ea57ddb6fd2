"""The sides of the lane `tracking`: Shipway and the stock MLflow server, each on SQLite and on PostgreSQL, and what they cost while they run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import psutil
from private_postgres import Postgres, newest_installed
from mlflow_server import MlflowServer

from measure import progress
from server import Failed
from setting import Setting
from tracking_wire import Client

READY_WITHIN_SECONDS = 180.0
LOOKS_EVERY_SECONDS = 0.005
SETTLES_WITHIN_SECONDS = 120.0
IDLE_CORES = 0.1
OURS, THEIRS = "Shipway", "MLflow"
DATABASES = ("SQLite", "PostgreSQL")


class Served(Protocol):
    """A server that can be started again on what it knows."""

    port: int

    @property
    def pid(self) -> int: ...
    def start(self) -> None: ...
    def check_alive(self) -> None: ...
    def stop(self) -> None: ...
    def remove(self) -> None: ...


class ShipwayServer:
    """Our server on a folder of its own; with `database`, what it knows of runs is in that PostgreSQL."""

    def __init__(self, setting: Setting, name: str, database: str | None) -> None:
        self._data = setting.out / f"data-{name}"
        self._log_path = setting.out / f"server-{name}.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._command = [setting.shipway, "serve", "--data", str(self._data), "--listen", f"127.0.0.1:{self.port}"]
        self._environment = {**os.environ, **({"SHIPWAY_METADATA__URL": database} if database else {})}
        self._process: subprocess.Popen | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise Failed("the server is not started")
        return self._process.pid

    def start(self) -> None:
        """Starts it; it need not be ready when this returns."""
        with self._log_path.open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT, env=self._environment)

    def check_alive(self) -> None:
        """Raises what it said when it has ended by itself."""
        if self._process is None or self._process.poll() is not None:
            raise Failed(f"the server ended:\n{self._log_path.read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        """Ends it the way an operator does."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise Failed("the server did not end within a minute of SIGTERM") from None
        finally:
            self._process = None

    def remove(self) -> None:
        """Ends it and removes its folder."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self._data, ignore_errors=True)


@dataclass(frozen=True)
class Memory:
    """Resident memory of all processes of a server, in MiB.

    Processes share pages, of libraries above all. `in_each` counts such a page in every process that has it; `in_parts` counts it in parts, by
    how many processes of the whole machine have it.
    """

    in_each: float
    in_parts: float
    processes: int

    @property
    def counted(self) -> float:
        """The figure that does not flatter us: one process gets no share taken off, several do not count their pages twice."""
        return self.in_each if self.processes == 1 else self.in_parts


@dataclass
class TrackingSide:
    """One server on one database; `versions` has those of both that the header of a run does not name."""

    product: str
    database: str
    versions: tuple[str, str]
    server: Served
    first_start_seconds: float = 0.0

    @property
    def name(self) -> str:
        product, database = self.versions
        return f"{f'{self.product} {product}'.strip()} on {f'{self.database} {database}'.strip()}"

    @property
    def port(self) -> int:
        return self.server.port

    def start(self) -> float:
        """Starts the server; the seconds from the start of its process until a search of experiments is answered."""
        began = time.perf_counter()
        self.server.start()
        while time.perf_counter() - began < READY_WITHIN_SECONDS:
            try:
                with Client(self.port) as client:
                    client.post("experiments/search", {"max_results": 1})
                return time.perf_counter() - began
            except OSError:
                self.server.check_alive()
                time.sleep(LOOKS_EVERY_SECONDS)
        raise Failed(f"{self.name} was not ready within {READY_WITHIN_SECONDS:.0f} seconds")

    def memory(self) -> Memory:
        """What all processes of the server hold now."""
        held = [process.memory_full_info() for process in self._processes()]
        return Memory(sum(each.rss for each in held) / 2**20, sum(each.pss for each in held) / 2**20, len(held))

    def settle(self) -> None:
        """Returns when the server has done what it does by itself after a start."""
        deadline = time.monotonic() + SETTLES_WITHIN_SECONDS
        while self.cores(0.5) > IDLE_CORES:
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} is still busy {SETTLES_WITHIN_SECONDS:.0f} seconds after its start, and nobody asks it anything")

    def cores(self, seconds: float) -> float:
        """How many cores all processes of the server use for the next `seconds`."""
        before = self._processor_seconds()
        time.sleep(seconds)
        return max(0.0, self._processor_seconds() - before) / seconds

    def _processor_seconds(self) -> float:
        return sum(used.user + used.system for used in (process.cpu_times() for process in self._processes()))

    def _processes(self) -> list[psutil.Process]:
        root = psutil.Process(self.server.pid)
        return [root, *root.children(recursive=True)]


@dataclass
class Sides:
    """All sides that this machine and this binary allow, ours first."""

    all: list[TrackingSide] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def of(self, product: str) -> list[TrackingSide]:
        return [side for side in self.all if side.product == product]

    def pairs(self) -> list[tuple[TrackingSide, TrackingSide]]:
        """Ours and theirs on the same database."""
        return [(ours, theirs) for ours in self.of(OURS) for theirs in self.of(THEIRS) if ours.database == theirs.database]


@contextmanager
def running(setting: Setting) -> Iterator[Sides]:
    """Starts every side on an empty database; ends and removes them at the end."""
    sides = Sides()
    with ExitStack() as stack:
        postgres = _postgres(stack, sides)
        for product, made in ((OURS, ShipwayServer), (THEIRS, MlflowServer)):
            for database in DATABASES:
                if database == "PostgreSQL" and postgres is None:
                    continue
                name = f"tracking-{database.lower()}"
                stored = product.lower()
                server = made(setting, name, postgres.create(stored) if database == "PostgreSQL" and postgres else None)
                stack.callback(server.remove)
                versions = (MlflowServer.VERSION if product == THEIRS else "", postgres.version if postgres and database == "PostgreSQL" else "")
                side = TrackingSide(product, database, versions, server)
                side.first_start_seconds = side.start()
                progress(f"{side.name}: ready after {side.first_start_seconds:.2f} s")
                if product == OURS and database == "PostgreSQL" and postgres and not postgres.tables(stored):
                    server.remove()
                    sides.notes.append("Shipway on PostgreSQL is left out: this binary has not written to the database that it was given")
                    continue
                sides.all.append(side)
        sides.notes += _about(setting, postgres)
        yield sides


def _postgres(stack: ExitStack, sides: Sides) -> Postgres | None:
    programs = newest_installed()
    if programs is None:
        sides.notes.append("PostgreSQL is left out: it is not installed (the distribution's package postgresql)")
        return None
    progress("starting a private PostgreSQL")
    postgres = Postgres(programs)
    stack.callback(postgres.stop)
    return postgres


def _about(setting: Setting, postgres: Postgres | None) -> list[str]:
    database = "; PostgreSQL: one cluster on this box for all sides, with the settings that it comes with" if postgres else ""
    return [
        f"MLflow: `mlflow server` with {setting.threads} worker(s), artifacts passed on and its job runners off (nothing here gives them a job, and they take "
        f"memory, and a core for a while after each start), everything else as it comes{database}. Every side writes through to the disk before it answers",
        "one client for all: the same prepared requests over kept-alive connections, on the same box. All servers run all the time; one is asked at a time",
    ]
