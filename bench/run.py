"""Ours against the peers, as ratios, in one run: `make bench`.

Each lane warms every side up, runs all of them in turn (A B C A B C …), and gives the median of each with its spread, and the median
of the pairwise ratios. Results go to bench/out/ as Markdown and JSON, after every lane.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import traceback
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "demo"), str(HERE / "peers")]

import lanes  # noqa: E402
import setting as place  # noqa: E402
from measure import Lane, NotMeasured  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shipway", required=True, help="path of the shipway binary")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--seconds", type=int, default=5, help="length of each run of a load lane")
    parser.add_argument("--only", action="append", choices=list(lanes.LANES), help="only this lane; may be given again")
    parser.add_argument("--full", action="store_true", help="20M events and 5M keys instead of the quick sizes")
    parser.add_argument("--soak", type=int, default=20, help="seconds for which the lane `gateway` watches memory under load; 1800 to judge it")
    parser.add_argument("--calls", type=int, default=10_000, help="calls whose cost the lane `gateway_scorecard` compares with what it should be")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of every side")
    parser.add_argument("--memory-mib", type=int, default=1024, help="memory limit of Shipway's queries and of DuckDB")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "shipway", help="folder for data and tools that outlive a run")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="folder for results; what is in it is removed")
    arguments = parser.parse_args()
    place.end_children_on_signals()
    out: Path = arguments.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    # What every server that a lane starts will read.
    os.environ["SHIPWAY_LAKE__MEMORY_LIMIT_MIB"] = str(arguments.memory_mib)
    os.environ["SHIPWAY_LAKE__PARTITIONS"] = str(arguments.threads)
    here = place.Setting(
        shipway=arguments.shipway, out=out, cache=arguments.cache, runs=arguments.runs, threads=arguments.threads,
        memory_mib=arguments.memory_mib, seconds=arguments.seconds, full=arguments.full,
        soak=arguments.soak, calls=arguments.calls,
    )  # fmt: skip
    header = _header(arguments)
    print("\n".join(header) + "\n", flush=True)
    measured: list[Lane | NotMeasured] = []
    broken: list[str] = []
    for name in arguments.only or lanes.LANES:
        began = time.monotonic()
        try:
            for lane in lanes.LANES[name](here):
                print(lane.markdown() + "\n", flush=True)
                measured.append(lane)
                _write(out, header, measured, broken)
        except Exception:  # one lane that fails must not cost the figures of the others; the run fails for it
            traceback.print_exc()
            broken.append(f"{name}: {traceback.format_exc(limit=0).strip()}")
        print(f"({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
    _write(out, header, measured, broken)
    print(f"written to {out}: result.md, result.json, figures.md (the page docs/bench-figures.md)" + (f"; FAILED: {', '.join(broken)}" if broken else ""))
    return 1 if broken else 0


def _header(arguments: argparse.Namespace) -> list[str]:
    shipway = subprocess.run([arguments.shipway, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    is_optimised = {"release", "optimised"} & set(Path(arguments.shipway).resolve().parts)
    built = "optimised build" if is_optimised else "not an optimised build: judge nothing by these figures"
    busy = os.getloadavg()[0]
    return [
        f"{shipway} ({built}) · DuckDB {version('duckdb')} · Python {platform.python_version()} · peers in bench/requirements.txt",
        place.machine(),
        f"load before the run {busy:.1f}" + (": this machine is not quiet" if busy > 0.3 else ""),
        f"{arguments.runs} counted run(s) a side, {'full' if arguments.full else 'quick'} sizes, {arguments.threads} threads, "
        f"{arguments.memory_mib} MiB, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC",
    ]


def _write(out: Path, header: list[str], measured: list[Lane | NotMeasured], broken: list[str]) -> None:
    figures = {"header": header, "failed": broken, "lanes": [lane.figures() for lane in measured]}
    (out / "result.json").write_text(json.dumps(figures, indent=2))
    parts = ["  \n".join(header), *[f"**failed** {words}" for words in broken], *[lane.markdown() for lane in measured]]
    (out / "result.md").write_text("\n\n".join(parts) + "\n")
    (out / "figures.md").write_text(_page(header, measured, broken))


def _page(header: list[str], measured: list[Lane | NotMeasured], broken: list[str]) -> str:
    """The page docs/bench-figures.md: the goals at a glance, then every table."""
    goals = [f"| {lane.name} | {goal.words} | {goal.figure} | {'yes' if goal.is_met else 'no'} |" for lane in measured for goal in lane.goals]
    parts = [
        "# Figures of the benchmarks",
        "Written by `make bench` as `bench/out/figures.md`; what is measured and how, and what binds, is in [bench.md](bench.md).",
        "  \n".join(header),
        *[f"**failed** {words}" for words in broken],
        "\n".join(["| lane | goal | measured | met |", "|---|---|---|---|", *goals]),
        *[lane.markdown() for lane in measured],
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
