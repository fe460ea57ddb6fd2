"""What a change of the version costs those who ask meanwhile, and what the server adds to ONNX Runtime where a batch is large."""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
from importlib.metadata import version

import mlflow
import numpy
import onnx
import onnxruntime
from mlflow import MlflowClient

from load import Load
from measure import Goal, Lane, Sample, in_turn
from serving_sides import CORE, OURS, deploy, trained
from setting import Setting
from steady import SteadyLoad
from tools import LoadGenerator, SteadyGenerator

CONNECTIONS = 16
RATE = 2_000.0
#: How often the alias moves while requests come.
SWITCH_SECONDS = 0.5
SPIKE = 2.0
ROWS = 32
OVERHEAD = 1.1


def switching(setting: Setting) -> Lane:
    """Requests at a steady rate to one deployment, with an alias that stays and with one that moves."""
    steady = SteadyLoad(SteadyGenerator(setting.cache), setting.out, CONNECTIONS, max(setting.seconds, 3))
    booster, _, rows = trained(setting.out / "switching")
    bodies = [json.dumps({"rows": [{f"Column_{place}": value for place, value in enumerate(row.tolist())}]}) for row in rows]
    with setting.serving("switching", []) as server:
        log = lambda: mlflow.lightgbm.log_model(booster, name="model", registered_model_name="trees", pip_requirements=["lightgbm"])
        deploy(server, "trees", log, "--log-share", "0")
        with mlflow.start_run():
            log()
        client, moved = MlflowClient(server.url, server.url), []

        def ask() -> Sample:
            seen = steady.run(server.url, "POST", "/api/v1/predict/trees", bodies, RATE)
            return Sample(seen["steady p99 us"], {name: value for name, value in seen.items() if name != "steady p99 us"})

        def ask_while_it_moves() -> Sample:
            stop = threading.Event()

            def move() -> None:
                while not stop.wait(SWITCH_SECONDS):
                    moved.append(2 - len(moved) % 2)
                    client.set_registered_model_alias("trees", "champion", str(moved[-1]))

            mover = threading.Thread(target=move)
            mover.start()
            try:
                return ask()
            finally:
                stop.set()
                mover.join()

        sides = {f"{OURS}, a switch every {SWITCH_SECONDS} s": ask_while_it_moves, f"{OURS}, no switch": ask}
        measured = in_turn(sides, setting.runs)
    lane = Lane(f"a version that changes under {RATE:,.0f} requests/s", "us, p99", True, measured, compared="without a switch it is")
    spike = measured[0].median() / measured[1].median()
    lane.goals.append(Goal(f"p99 with switches below {SPIKE:.0f} × the p99 without, and no request fails", f"{spike:.2f} ×", spike < SPIKE))
    lane.notes.append(f"{len(moved)} switches; a request that fails fails the lane; the booster of the lane above, on all cores")
    return lane


def large_batches(setting: Setting, network: onnx.ModelProto, width: int, library: str) -> Lane:
    """Batches of 32 rows, one after the other: over HTTP, and straight to ONNX Runtime from Python."""
    closed = Load(LoadGenerator(setting.cache), setting.out, 1, 1, setting.seconds)
    numbers = numpy.random.default_rng(5).normal(size=(ROWS, width)).round(3)
    batch = numbers.astype(numpy.float32)
    body = json.dumps({"inputs": [{"name": "x", "shape": [ROWS, width], "datatype": "FP32", "data": numbers.ravel().tolist()}]})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def raw() -> Sample:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, CORE)
        try:
            ran, began = 0, time.perf_counter()
            while time.perf_counter() - began < setting.seconds:
                session.run(["y"], {"x": batch})
                ran += 1
            return Sample(ran / (time.perf_counter() - began))
        finally:
            os.sched_setaffinity(0, before)

    with setting.serving("large", [], environment={"SHIPWAY_RUNTIME__ONNX_LIBRARY": library}) as server:
        log = lambda: mlflow.onnx.log_model(network, name="model", registered_model_name="large", pip_requirements=["onnx"])
        deploy(server, "large", log, "--max-batch-rows", "1", "--log-share", "0")
        sides = {OURS: lambda: closed.run(server.url, "POST", "/v2/models/large/infer", [body]), "ONNX Runtime, from Python": raw}
        measured = in_turn(sides, setting.runs)
    lane = Lane(f"batches of {ROWS} rows to a network, one connection", "batches/s", False, measured)
    over = statistics.median(theirs / ours for ours, theirs in zip(measured[0].values, measured[1].values, strict=True))
    lane.goals.append(Goal("within 10 % of ONNX Runtime alone", f"{(over - 1) * 100:.1f} % slower", over <= OVERHEAD))
    lane.notes.append(f"JSON in and out; ONNX Runtime {version('onnxruntime')}, one thread each; the raw side has a core to itself")
    return lane
