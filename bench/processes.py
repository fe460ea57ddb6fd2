"""Servers of others as processes: started, waited for, and ended with all that they started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server import Failed

READY_WITHIN_SECONDS = 120.0


@contextmanager
def process(name: str, command: list[str], ready: str, log: Path, own: dict[str, str]) -> Iterator[int]:
    """A peer that answers; ended with all that it started."""
    environment = {**os.environ, **own, "OMP_NUM_THREADS": "1", "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"}
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{name} is not ready:\n{log.read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(ready, timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
