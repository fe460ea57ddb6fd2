"""Keeps processors from going to sleep while single calls are timed.

A virtual machine takes tens of microseconds to wake a processor that sleeps, at every hop of a call; that is the hypervisor's time, and a busy server pays none of it. A process that is nothing to the
scheduler (SCHED_IDLE) keeps each processor running: whatever has work takes its place at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Ends by itself when whoever started it does.
_TURNING = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = int(sys.argv[2])
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def awake() -> Iterator[None]:
    """Every processor of this machine runs until the end."""
    turning = [subprocess.Popen([sys.executable, "-c", _TURNING, str(processor), str(os.getpid())]) for processor in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in turning:
            process.kill()
            process.wait()
