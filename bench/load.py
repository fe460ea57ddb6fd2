"""Requests at a server from a load generator in C, and what came of it: throughput, latencies, and how busy the generator was."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from measure import Sample
from server import Failed
from tools import LoadGenerator

# `wrk` calls `request` for each request. The requests are made before the clock starts, and taken in turn from a random place; or
# there is one of them, in which eight `@` stand for a random number of eight digits.
SCRIPT = """
local requests = {}
local place, first, count, before, after = 0, 0, 0, nil, nil
function init(arguments)
  local headers = {["content-type"] = "application/json", %(headers)s}
  for line in io.lines(arguments[1]) do requests[#requests + 1] = wrk.format(%(method)s, %(path)s, headers, line) end
  math.randomseed(os.time() + tonumber(tostring({}):match("0x(%%x+)"), 16) %% 65536)
  place = math.random(#requests)
  first, count = tonumber(arguments[2]), tonumber(arguments[3])
  if count > 0 then before, after = requests[1]:match("^(.*)@@@@@@@@(.*)$") end
end
function request()
  if before then return before .. string.format("%%d", first + math.random(0, count - 1)) .. after end
  place = place %% #requests + 1
  return requests[place]
end
function done(summary, latency)
  local errors = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format('\\n{"requests":%%d,"microseconds":%%d,"errors":%%d,"p50":%%d,"p99":%%d,"p999":%%d}\\n', summary.requests,
    summary.duration, errors, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""


@dataclass(frozen=True)
class Load:
    """The same request, or one of several bodies, over and over on `connections` kept-alive connections."""

    generator: LoadGenerator
    folder: Path
    connections: int
    threads: int
    seconds: int

    def run(
        self, url: str, method: str, path: str, bodies: list[str], numbers: range = range(0), headers: dict[str, str] | None = None
    ) -> Sample:
        """Requests per second. An answer of 400 or more, a failed connection or a timeout fails the lane.

        With `numbers`, eight-digit ones, there is one body, and each request has another of them in the place of its `@@@@@@@@`.
        """
        script, lines = self.folder / "load.lua", self.folder / "bodies"
        more = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in (headers or {}).items())
        script.write_text(SCRIPT % {"method": json.dumps(method), "path": json.dumps(path), "headers": more})
        lines.write_text("".join(f"{body}\n" for body in bodies))
        before = _used()
        command = [
            *(self.generator.path, f"-t{self.threads}", f"-c{self.connections}", f"-d{self.seconds}s", "--timeout", "10s"),
            *("-s", str(script), url, "--", str(lines), str(numbers.start), str(len(numbers))),
        ]
        done = subprocess.run(command, env=self.generator.environment, capture_output=True, text=True, check=False, timeout=self.seconds + 120)
        busy = _used() - before
        if done.returncode != 0:
            raise Failed(f"wrk ended with {done.returncode}:\n{done.stderr}{done.stdout}")
        said = json.loads(done.stdout.strip().splitlines()[-1])
        if said["errors"] or not said["requests"]:
            raise Failed(f"{path}: {said['errors']} of {said['requests']} requests failed")
        latencies = {f"{name} us": float(said[key]) for name, key in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"))}
        # Requests in a second of the generator's own processor time: what it could send with whole cores to itself.
        ceiling = said["requests"] / busy * self.threads
        return Sample(said["requests"] / said["microseconds"] * 1e6, {**latencies, "generator's ceiling /s": ceiling})


def _used() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit("this is a part of bench/run.py")
