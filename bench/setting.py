"""Where a run of the benchmarks takes place: the machine, the binary, the folders, and servers that end with their lane."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from measure import Sample
from server import Failed, Server

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent / "demo" / "definitions"


@dataclass(frozen=True)
class Setting:
    """What every lane is given. All sides get the same `threads` and `memory_mib`, as far as they can be told."""

    shipway: str
    out: Path
    cache: Path
    runs: int
    threads: int
    memory_mib: int
    seconds: int
    full: bool
    #: How long memory is watched under load.
    soak: int = 20
    #: Calls whose cost is compared with what it should be.
    calls: int = 10_000

    @contextmanager
    def serving(
        self, name: str, load: list[tuple[str, Path]], definitions: Path = DEMO, environment: dict[str, str] | None = None
    ) -> Iterator[Server]:
        """A server on a fresh folder with `definitions` applied and the tables loaded; stopped and removed at the end."""
        data = self.out / f"data-{name}"
        server = Server(self.shipway, data, self.out / f"server-{name}.log", environment)
        try:
            server.cli("apply", str(definitions))
            for table, path in load:
                server.cli("table", "load", table, str(path))
            yield server
        finally:
            try:
                server.stop()
            finally:
                shutil.rmtree(data, ignore_errors=True)


def machine() -> str:
    """The processor, its cores, the memory and the system, in one line."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {gib:.0f} GiB, {platform.system()} {platform.release()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def end_children_on_signals() -> None:
    """SIGTERM unwinds like an interrupt, so that every lane stops what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def processor_seconds(pid: int) -> float:
    """Seconds of processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    """The most memory that a process has held since `forget_peak`; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def forget_peak(pid: int) -> None:
    """From now on `peak_mib` means from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def timed_command(command: list[str], server_pid: int) -> Sample:
    """Runs a command against a server: its seconds, and the peak memory of command and server together."""
    forget_peak(server_pid)
    client_before = _children_seconds()
    used, began, client_peak = processor_seconds(server_pid), time.perf_counter(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        while process.poll() is None:
            client_peak = max(client_peak, peak_mib(process.pid))
            time.sleep(0.002)
    finally:
        process.kill()
        words = process.communicate()[1]
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        raise Failed(f"{' '.join(command)}\nended with {process.returncode}:\n{words}")
    processor = processor_seconds(server_pid) - used
    client = _children_seconds() - client_before
    return Sample(seconds, {"peak MiB": peak_mib(server_pid) + client_peak, "processor s": processor, "client processor s": client})


def _children_seconds() -> float:
    """Seconds of processor time of all commands that have ended so far."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
