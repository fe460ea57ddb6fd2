"""Requests at a steady rate, whether or not answers come: how long an answer takes, counted from the moment its request was due."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from load import Load
from measure import Sample
from server import Failed
from setting import HERE
from tools import SteadyGenerator

SCRIPT = HERE / "steady.lua"


@dataclass(frozen=True)
class SteadyLoad:
    """Requests that are due at even distances, on `connections` kept-alive connections; each takes the first that is free."""

    generator: SteadyGenerator
    folder: Path
    connections: int
    seconds: int

    def run(
        self, url: str, method: str, path: str, bodies: list[str], rate: float, headers: dict[str, str] | None = None
    ) -> dict[str, float]:
        """Latencies at `rate` requests a second, and how late the generator itself was with what it could have sent.

        A request that is never answered counts with the time it has waited by the end. An answer of 400 or more, or a connection that
        closes, fails the lane.
        """
        lines = self.folder / "bodies"
        lines.write_text("".join(f"{body}\n" for body in bodies))
        where = urlsplit(url)
        command = [
            *(self.generator.path, str(SCRIPT), str(where.hostname), str(where.port), method, path),
            *(str(lines), str(self.connections), f"{rate:.3f}", str(self.seconds)),
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        environment, limit = self.generator.environment, self.seconds + 120
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=limit)
        if done.returncode != 0:
            raise Failed(f"{SCRIPT.name} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
        said = json.loads(done.stdout)
        if said["failures"] or not said["requests"]:
            raise Failed(f"{path}: {said['failures']} of {said['requests']} requests failed")
        latencies = {f"steady {name} us": float(said[name]) for name in ("p50", "p99", "p99.9")}
        return {"steady /s": rate, **latencies, "steady: generator late p99 us": float(said["delay p99"])}


def closed_then_steady(load: Load, steady: SteadyLoad, url: str, method: str, path: str, bodies: list[str]) -> Sample:
    """The throughput of a closed loop, and right after it the latencies at a half of that throughput."""
    closed = load.run(url, method, path, bodies)
    return Sample(closed.value, {**closed.extra, **steady.run(url, method, path, bodies, closed.value / 2)})


if __name__ == "__main__":
    sys.exit("this is a part of bench/run.py")
