"""Predictions by ids under load: features of the present are read in process, the model of the demo runs, the row is logged."""

from __future__ import annotations

import json

from load import Load
from measure import Goal, Lane, Sample, in_turn
from live import deploy
from setting import Setting
from shifted import make
from steady import SteadyLoad, closed_then_steady
from tools import LoadGenerator, SteadyGenerator

CONNECTIONS = 16
P99_MS = 3.0
PREDICT = "/api/v1/predict/late_arrivals"
READ = "/api/v1/features/read"


def predicting(setting: Setting) -> list[Lane]:
    """One flight a request, on 16 connections: in a closed loop, then at a steady rate; beside it the read of its features alone."""
    shifted = make(setting.out / "now")
    load = Load(LoadGenerator(setting.cache), setting.out, CONNECTIONS, max(1, setting.threads // 4), setting.seconds)
    paced = SteadyGenerator(setting.cache)
    steady = SteadyLoad(paced, setting.out, CONNECTIONS, setting.seconds)
    with setting.serving("predicting", [*shifted.files, shifted.spine]) as server:
        training_set = setting.out / "predicting.parquet"
        made = ("--spine", shifted.spine[0], "--time", "q", "--file", str(training_set))
        server.cli("features", "training-set", "late_arrivals", *made)
        deploy(server, training_set)
        asked = [json.dumps({"rows": [row]}) for row in shifted.rows]
        read = [json.dumps({"service": "late_arrivals", "rows": [row]}) for row in shifted.rows]

        def ask(path: str, bodies: list[str]) -> Sample:
            return closed_then_steady(load, steady, server.url, "POST", path, bodies)

        measured = in_turn(
            {"Shipway": lambda: ask(PREDICT, asked), "its features alone, not predicted from": lambda: ask(READ, read)}, setting.runs
        )
    lane = Lane(f"predict by ids, 1 row, 300 trees, {CONNECTIONS} connections", "requests/s", False, measured, compared="of it")
    p99_ms, saturated_ms = (max(measured[0].extra(column)) / 1000 for column in ("steady p99 us", "p99 us"))
    figure = f"{p99_ms:.2f} ms (saturated, in the closed loop: {saturated_ms:.2f} ms)"
    lane.goals.append(Goal(f"p99 below {P99_MS:.0f} ms in every run, at a steady rate of half the throughput", figure, p99_ms < P99_MS))
    lane.notes.append(
        f"40 features out of 5 views, {len(shifted.rows):,} flights in turn; every prediction is logged with its features; generator and server share the cores"
    )
    return [lane]
