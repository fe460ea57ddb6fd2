"""Ours against the peers, as ratios, in one run: `make bench`.

Each lane runs ours and the peer in turn (A B A B …) after a warm-up, and prints the median of each with its spread, and the
median of the pairwise ratios. Results go to bench/out/ as Markdown and JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "demo"))

import duckdb  # noqa: E402

import lanes  # noqa: E402
from measure import Lane  # noqa: E402
from server import Server  # noqa: E402

OUT = HERE / "out"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shipway", required=True, help="path of the shipway binary")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    arguments = parser.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)

    version = subprocess.run([arguments.shipway, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    machine = f"{_processor()}, {os.cpu_count()} cores, {_memory_gib()} GiB, {platform.system()} {platform.release()}"
    print(f"{version} · DuckDB {duckdb.__version__} · Python {platform.python_version()}\n{machine}\n", flush=True)
    server = Server(arguments.shipway, OUT / "data", OUT / "server.log")
    measured: list[Lane] = []
    try:
        bench = lanes.Bench(server, OUT, arguments.runs)
        for lane in (bench.training_set, bench.online_read, bench.predict, bench.ingest):
            result = lane()
            print(result.sentence(), flush=True)
            measured.append(result)
    finally:
        server.stop()
    header = f"{version}, DuckDB {duckdb.__version__}, {machine}"
    (OUT / "result.json").write_text(json.dumps({"header": header, "lanes": [lane.figures() for lane in measured]}, indent=2))
    (OUT / "result.md").write_text(header + "\n\n" + "\n".join(f"- {lane.sentence()}" for lane in measured) + "\n")
    print(f"\nwritten to {OUT}/result.md and result.json")
    return 0


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _memory_gib() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30


if __name__ == "__main__":
    sys.exit(main())
